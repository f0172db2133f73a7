use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::command::{run, run_with, syncline, text, until};

/// A server, talked to as a client does.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Server {
    fn start(data: &Path, more: &[&str]) -> Self {
        let mut child = syncline()
            .args(["-vv", "mcp", "--data", text(data), "--namespace", "memory"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            asked: 0,
        };
        let client = json!({"name": "test", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let hello = server.ask("initialize", params)["result"].clone();
        assert_eq!(hello["serverInfo"]["name"], "syncline");
        assert!(hello["instructions"].as_str().unwrap().contains("memory"));
        server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        server
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The answer. Whatever else is on standard output is no JSON.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}));
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it hung up");
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        let result = &answer["result"];
        assert_eq!(result["isError"], false, "{answer}");
        let said: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(said, result["structuredContent"]);
        said
    }

    fn refused(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["structuredContent"]["error"].clone()
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.input.is_some() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

#[test]
fn each_tool_does_what_it_says() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let input = [
        r#"{"type":"set","key":"online","members":["ada","bob"]}"#,
        r#"{"type":"map","key":"user:7","fields":{"name":"Ada"}}"#,
    ];
    run_with(
        &[
            "import",
            "--data",
            text(&data),
            "--namespace",
            "memory",
            "-",
        ],
        &input.join("\n"),
    )
    .ok();

    let mut server = Server::start(&data, &[]);
    let tools = server.ask("tools/list", json!({}))["result"]["tools"].clone();
    let mut names = Vec::new();
    for tool in tools.as_array().unwrap() {
        names.push(tool["name"].as_str().unwrap());
        assert!(tool["description"].as_str().unwrap().len() > 40, "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
    }
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "delete",
            "export",
            "get",
            "list",
            "query",
            "status",
            "store",
            "wait_for_convergence"
        ]
    );

    server.call("store", json!({"key": "notes/a", "value": "first"}));
    server.call(
        "store",
        json!({"key": "notes/b", "value": "base64:/wA=", "ttl_seconds": 3600}),
    );
    assert_eq!(
        server.call("get", json!({"key": "notes/a"}))["value"],
        "first"
    );
    let binary = server.call("get", json!({"key": "notes/b"}));
    assert_eq!(binary["value"], "base64:/wA=");
    assert!(binary["expires_in_seconds"].as_u64().unwrap() > 3000);
    assert_eq!(
        server.call("get", json!({"key": "online"}))["members"],
        json!(["ada", "bob"])
    );
    assert_eq!(
        server.call("get", json!({"key": "user:7"}))["fields"]["name"],
        "Ada"
    );

    let first = server.call("query", json!({"prefix": "notes/", "limit": 1}));
    assert_eq!(
        (&first["entries"][0]["key"], &first["cursor"]),
        (&"notes/a".into(), &"notes/a".into())
    );
    let second = server.call(
        "query",
        json!({"prefix": "notes/", "limit": 1, "cursor": first["cursor"]}),
    );
    assert_eq!(
        (&second["entries"][0]["key"], &second["cursor"]),
        (&"notes/b".into(), &Value::Null)
    );
    let listed = server.call("list", json!({}));
    let types: Vec<_> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["value", "value", "set", "map"]);

    let exported = server.call("export", json!({}));
    assert_eq!(
        (&exported["lines"], &exported["skipped"]),
        (&4.into(), &json!([]))
    );
    assert_eq!(
        server.call("delete", json!({"key": "notes/a"}))["deleted"],
        true
    );
    assert_eq!(
        server.call("delete", json!({"key": "notes/a"}))["deleted"],
        false
    );
    let waited = server.call("wait_for_convergence", json!({"timeout_seconds": 5}));
    assert_eq!(
        (&waited["converged"], &waited["alone"]),
        (&true.into(), &true.into())
    );
    let status = server.call("status", json!({}));
    assert_eq!(
        (&status["keys"], &status["namespace"]),
        (&3.into(), &"memory".into())
    );
    server.end();

    // What it has exported is what `import` reads, and what it stored is there.
    let other = scratch.path().join("other");
    run_with(
        &[
            "import",
            "--data",
            text(&other),
            "--namespace",
            "memory",
            "-",
        ],
        exported["jsonl"].as_str().unwrap(),
    )
    .ok();
    let lines = run(&["export", "--data", text(&other), "--namespace", "memory"]).ok();
    assert!(
        lines.contains("first") && lines.contains("base64:/wA="),
        "{lines}"
    );
    let lines = run(&["export", "--data", text(&data), "--namespace", "memory"]).ok();
    assert!(!lines.contains("first") && lines.contains("ada"), "{lines}");
}

#[test]
fn answers_are_bounded() {
    let scratch = tempdir().unwrap();
    let mut server = Server::start(&scratch.path().join("data"), &[]);
    let long = "é".repeat(60_000);
    for n in 0..40 {
        server.call(
            "store",
            json!({"key": format!("long/{n:02}"), "value": long}),
        );
    }
    let page = server.call("query", json!({"prefix": "long/", "limit": 500}));
    assert!(
        page.to_string().len() < 100_000,
        "{}",
        page.to_string().len()
    );
    let entry = &page["entries"][0];
    assert_eq!(entry["length"], 120_000);
    assert_eq!(entry["value"].as_str().unwrap().len(), 4096);

    let (mut whole, mut cursor) = (String::new(), Value::Null);
    loop {
        let mut arguments = json!({"key": "long/07"});
        if !cursor.is_null() {
            arguments["cursor"] = cursor.clone();
        }
        let part = server.call("get", arguments);
        whole += part["value"].as_str().unwrap();
        cursor = part["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert!(whole == long, "the parts do not make up the value");
    let exported = server.call("export", json!({"prefix": "long/0"}));
    assert_eq!(exported["skipped"].as_array().unwrap().len(), 10);
    server.end();
}

#[test]
fn bad_input_is_refused_and_the_server_goes_on() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut server = Server::start(&data, &["--read-only"]);
    let refused = server.refused("list", json!({"limit": 0}));
    assert_eq!(refused["kind"], "bad_input");
    assert!(
        refused["text"].as_str().unwrap().contains("1 to 500"),
        "{refused}"
    );
    let refused = server.refused("get", json!({"key": "base64:?"}));
    assert!(
        refused["text"].as_str().unwrap().contains("not base64"),
        "{refused}"
    );
    assert_eq!(
        server.refused("get", json!({"key": "none"}))["kind"],
        "not_found"
    );
    for (tool, arguments) in [
        ("get", json!({})),
        ("get", json!({"key": 7})),
        ("get", json!({"key": "a", "unknown": 1})),
        ("list", json!({"limit": -1})),
        ("no such tool", json!({})),
        // Of which a server that only reads knows nothing.
        ("store", json!({"key": "a", "value": "b"})),
    ] {
        let answer = server.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        let refused = answer["error"].is_object() || answer["result"]["isError"] == true;
        assert!(refused, "{tool}: {answer}");
    }
    assert!(server.ask("no/such/method", json!({}))["error"].is_object());
    assert_eq!(server.call("status", json!({}))["keys"], 0);

    let error = run_with(&["mcp", "--data", text(&data), "--namespace", "memory"], "").failed(6);
    assert!(error.contains("in use"), "{error}");
    server.end();
    // A client that hangs up at once.
    run_with(&["mcp", "--data", text(&data), "--namespace", "memory"], "").ok();
}

#[test]
fn two_servers_share_a_memory() {
    let scratch = tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
    run(&["cluster", "init", "--data", text(&a)]).ok();
    let mut ada = Server::start(&a, &[]);
    let address = ada.call("status", json!({}))["listen"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = run(&["cluster", "invite", "--data", text(&a), "--at", &address]).ok();
    run(&["cluster", "join", "--data", text(&b), token.trim()]).ok();
    ada.call("store", json!({"key": "plan", "value": "divide the work"}));
    let mut bob = Server::start(&b, &["--join", &address]);
    until(|| {
        bob.ask(
            "tools/call",
            json!({"name": "get", "arguments": {"key": "plan"}}),
        )["result"]["isError"]
            == false
    });
    assert_eq!(
        bob.call("get", json!({"key": "plan"}))["value"],
        "divide the work"
    );
    bob.call("store", json!({"key": "answer", "value": "agreed"}));
    until(|| {
        let waited = bob.call("wait_for_convergence", json!({"timeout_seconds": 20}));
        waited["converged"] == true && waited["alone"] == false
    });
    assert_eq!(ada.call("get", json!({"key": "answer"}))["value"], "agreed");
    let status = ada.call("status", json!({}));
    assert_eq!(status["members"].as_array().unwrap().len(), 1);
    bob.end();
    ada.end();
}
