//! A headless Chromium, told what to do by its DevTools protocol.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// How long anything may take that the page is asked for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Browser {
    program: Child,
    /// Its profile, which goes with it.
    _profile: TempDir,
    socket: WebSocket<TcpStream>,
    asked: u64,
    /// What scripts have thrown, and what the browser has refused them.
    pub(crate) faults: Vec<String>,
}

/// The one page of a browser.
pub(crate) struct Page<'b> {
    pub(crate) browser: &'b mut Browser,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let name = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let program = Command::new(name)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args([
                "--no-first-run",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium is installed, or CHROMIUM names it");
        let port = profile.path().join("DevToolsActivePort");
        let began = Instant::now();
        let target = loop {
            assert!(began.elapsed() < PATIENCE, "the browser does not start");
            std::thread::sleep(Duration::from_millis(50));
            let Ok(said) = std::fs::read_to_string(&port) else {
                continue;
            };
            let Some(port) = said.lines().next().map(str::to_owned) else {
                continue;
            };
            let list = format!("http://127.0.0.1:{port}/json");
            let Ok(mut answer) = ureq::get(&list).call() else {
                continue;
            };
            let targets: Vec<Value> =
                serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
            if let Some(page) = targets.iter().find(|it| it["type"] == "page") {
                let address = page["webSocketDebuggerUrl"].as_str().unwrap().to_owned();
                break (port, address);
            }
        };
        let (port, address) = target;
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(address.as_str(), stream).unwrap();
        let mut browser = Self {
            program,
            _profile: profile,
            socket,
            asked: 0,
            faults: Vec::new(),
        };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, &json!({}));
        }
        browser
    }

    pub(crate) fn page(&mut self) -> Page<'_> {
        Page { browser: self }
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let question = json!({ "id": self.asked, "method": method, "params": parameters });
        self.socket
            .send(Message::text(question.to_string()))
            .unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else {
                continue;
            };
            let said: Value = serde_json::from_str(&text).unwrap();
            if said["id"] == self.asked {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            let entry = &said["params"]["entry"];
            let is_fault = said["method"] == "Runtime.exceptionThrown"
                || said["method"] == "Log.entryAdded" && entry["level"] == "error";
            if is_fault {
                self.faults.push(said.to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.program.kill();
        let _reaped = self.program.wait();
    }
}

impl Page<'_> {
    pub(crate) fn open(&mut self, url: &str) {
        self.browser.ask("Page.navigate", &json!({ "url": url }));
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.browser
            .ask("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub(crate) fn colours(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.browser.ask("Emulation.setEmulatedMedia", &features);
    }

    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            self.browser.ask("Input.dispatchKeyEvent", &event);
        }
    }

    pub(crate) fn run(&mut self, script: &str) -> Value {
        let script = json!({ "expression": script, "returnByValue": true });
        let told = self.browser.ask("Runtime.evaluate", &script);
        assert!(told["exceptionDetails"].is_null(), "{script}: {told}");
        told["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, script: &str) -> String {
        self.run(script).as_str().unwrap().to_owned()
    }

    pub(crate) fn number(&mut self, script: &str) -> f64 {
        self.run(script).as_f64().unwrap()
    }

    /// Waits until a script yields true. What is not there yet is not true.
    pub(crate) fn until(&mut self, script: &str) {
        let began = Instant::now();
        let attempt = format!("(() => {{ try {{ return {script} }} catch {{ return false }} }})()");
        while self.run(&attempt) != true {
            if began.elapsed() > PATIENCE {
                let shown = self.text("document.body.innerText");
                panic!(
                    "it did not come to {script}; faults {:?}; {shown}",
                    self.browser.faults
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All of it as a PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let size = self.browser.ask("Page.getLayoutMetrics", &json!({}));
        let size = &size["cssContentSize"];
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let how = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.browser.ask("Page.captureScreenshot", &how);
        use base64::Engine as _;
        let encoded = taken["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .unwrap()
    }
}
