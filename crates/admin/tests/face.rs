//! The admin face as its clients meet it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;

use serde_json::Value;
use syncline::trust::Cluster;
use syncline::{Node, SpaceLimits};
use syncline_admin::{Admin, AdminError, Options};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn options(address: SocketAddr) -> Options {
    Options {
        address,
        exposed: false,
        data: "nowhere".into(),
        version: "1.2.3",
    }
}

/// Status and body of a request.
async fn get(admin: &Admin, path: &str, host: Option<&str>) -> (u16, String) {
    let url = format!("http://{}{path}", admin.local_addr());
    let host = host.map(str::to_owned);
    let request = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(&url);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let mut answer = request.call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), body)
    });
    request.await.unwrap()
}

async fn json(admin: &Admin, path: &str) -> Value {
    let (code, body) = get(admin, path, None).await;
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_node_alone_tells_what_it_is_and_carries() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    app.put("motto", "merge").await.unwrap();
    let admin = Admin::start(node.clone(), options(LOOPBACK)).await.unwrap();

    assert_eq!(get(&admin, "/healthz", None).await.0, 200);
    assert_eq!(json(&admin, "/readyz").await["ready"], true);
    let status = json(&admin, "/v1/status").await;
    assert_eq!(status["version"], "1.2.3");
    assert_eq!(status["node"], node.id().to_string());
    let (trust, told) = (node.trust(), &status["trust"]);
    let expires = trust.expires_at.duration_since(std::time::UNIX_EPOCH);
    let expires = u64::try_from(expires.unwrap().as_millis()).unwrap();
    assert_eq!(told["expires_ms"], expires);
    assert_eq!(told["expires_soon"], false);
    assert_eq!(told["authorities"][0], trust.authorities[0].to_string());
    assert_eq!(told["revoked"].as_array().map(Vec::len), Some(0));
    assert_eq!(status["cluster"], node.cluster_id().to_string());
    assert_eq!(
        status["agreement"], "unknown",
        "there is nobody to agree with"
    );
    let [namespace] = &status["namespaces"].as_array().unwrap()[..] else {
        panic!("{status}");
    };
    assert_eq!(namespace["name"], "app");
    assert_eq!(
        (&namespace["keys"], &namespace["rows"]),
        (&1.into(), &1.into())
    );
    let root = app.read(|view| view.root()).await.unwrap();
    assert_eq!(namespace["root"], root.to_string());
    assert_eq!(namespace["context"]["writers"], 1);
    assert_eq!(namespace["carriers"]["counted"], 1);
    assert_eq!(get(&admin, "/v1/nothing", None).await.0, 404);
    admin.stop().await;
}

#[tokio::test]
async fn who_agrees_is_told_for_each_namespace_and_peer() {
    let cluster = Cluster::throwaway().unwrap();
    let member = || Node::builder().in_memory().cluster(&cluster).carry("app");
    let ada = member().listen("127.0.0.1:0").start().await.unwrap();
    let bob = member().peer(&ada).start().await.unwrap();
    let admin = Admin::start(bob.clone(), options(LOOPBACK)).await.unwrap();
    let app = bob.namespace("app").unwrap();
    loop {
        let convergence = json(&admin, "/v1/convergence").await;
        if convergence["agreement"] == "yes" {
            let peer = &convergence["namespaces"][0]["peers"][0];
            assert_eq!(peer["node"], ada.id().to_string());
            assert!(peer["agreed_ms"].is_u64());
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let peers = json(&admin, "/v1/peers").await;
    assert_eq!(peers["peers"][0]["node"], ada.id().to_string());
    assert_eq!(peers["peers"][0]["state"], "alive");

    app.put("motto", "merge").await.unwrap();
    let convergence = json(&admin, "/v1/convergence").await;
    assert_ne!(
        convergence["agreement"], "yes",
        "what was written since nobody else has"
    );
    admin.stop().await;
}

#[tokio::test]
async fn members_are_told_apart_by_what_they_have_said() {
    let cluster = Cluster::throwaway().unwrap();
    let member = || Node::builder().in_memory().cluster(&cluster).carry("app");
    let ada = member().listen("127.0.0.1:0").start().await.unwrap();
    let admin = Admin::start(ada.clone(), options(LOOPBACK)).await.unwrap();
    let bob = member()
        .listen("127.0.0.1:0")
        .join(&ada)
        .start()
        .await
        .unwrap();
    let app = bob.namespace("app").unwrap();
    app.put("motto", "merge").await.unwrap();
    let peer = eventually(&admin, |convergence| {
        let peer = &convergence["namespaces"][0]["peers"][0];
        (convergence["agreement"] == "yes" && peer["rows"] == 1).then(|| peer.clone())
    })
    .await;
    assert_eq!(peer["node"], bob.id().to_string());
    assert_eq!(
        (&peer["up"], &peer["agreement"]),
        (&true.into(), &"yes".into())
    );
    assert_eq!(
        (&peer["behind"]["dots"], &peer["ahead"]["dots"]),
        (&0.into(), &0.into())
    );
    assert!(peer["agreed_ms"].is_u64() && peer["heard_ms"].is_u64());
    assert_eq!(json(&admin, "/v1/status").await["agreement"], "yes");

    // Who has said goodbye is not waited for.
    bob.shutdown().await.unwrap();
    eventually(&admin, |convergence| {
        let peers = convergence["namespaces"][0]["peers"].as_array()?;
        (convergence["agreement"] == "unknown" && peers.is_empty()).then_some(())
    })
    .await;
}

/// Asks who agrees until the answer is as wanted.
async fn eventually<T>(admin: &Admin, wanted: impl Fn(&Value) -> Option<T>) -> T {
    let mut told = Value::Null;
    for _ in 0..2_000 {
        told = json(admin, "/v1/convergence").await;
        if let Some(found) = wanted(&told) {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not come to this: {told}");
}

#[tokio::test]
async fn a_node_that_has_no_room_says_so() {
    let limits = SpaceLimits {
        warn_below: 20,
        read_only_below: 10,
    };
    let short = Node::builder().in_memory().space_limits(limits);
    let node = short.space_from(|| Ok(9)).start().await.unwrap();
    let admin = Admin::start(node, options(LOOPBACK)).await.unwrap();
    let status = json(&admin, "/v1/status").await;
    assert_eq!(status["read_only"], true);
    assert_eq!(status["space"]["state"], "read-only");
    let warning = status["warnings"][0].as_str().unwrap();
    assert!(warning.contains("free some space"), "{warning}");
}

#[tokio::test]
async fn a_node_about_to_end_is_not_ready() {
    let node = Node::in_memory().await.unwrap();
    node.namespace("app").unwrap();
    let admin = Admin::start(node.clone(), options(LOOPBACK)).await.unwrap();
    assert_eq!(get(&admin, "/readyz", None).await.0, 200);
    admin.drain();
    let (code, body) = get(&admin, "/readyz", None).await;
    assert_eq!(code, 503);
    assert!(body.contains("about to end"), "{body}");
    node.shutdown().await.unwrap();
    let (code, body) = get(&admin, "/readyz", None).await;
    assert_eq!(code, 503);
    assert!(body.contains("was shut down"), "{body}");
}

#[tokio::test]
async fn only_this_machine_is_answered_and_no_web_page() {
    let node = Node::in_memory().await.unwrap();
    let wide = Admin::start(node.clone(), options(([0, 0, 0, 0], 0).into())).await;
    assert!(matches!(wide, Err(AdminError::Exposed { .. })));

    let admin = Admin::start(node.clone(), options(LOOPBACK)).await.unwrap();
    for (host, code) in [
        ("localhost", 200),
        ("localhost:7401", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("evil.example:7401", 421),
        ("127.0.0.1.evil.example", 421),
    ] {
        assert_eq!(
            get(&admin, "/v1/status", Some(host)).await.0,
            code,
            "{host}"
        );
    }
    let taken = Admin::start(node.clone(), options(admin.local_addr())).await;
    let error = taken.unwrap_err();
    assert!(error.is_in_use(), "{error}");

    let mut exposed = options(([0, 0, 0, 0], 0).into());
    exposed.exposed = true;
    let admin = Admin::start(node, exposed).await.unwrap();
    let named = get_at(&admin, "status.example").await;
    assert_eq!(named, 200);
}

async fn get_at(admin: &Admin, host: &str) -> u16 {
    let (port, host) = (admin.local_addr().port(), host.to_owned());
    let request = tokio::task::spawn_blocking(move || {
        let url = format!("http://127.0.0.1:{port}/healthz");
        ureq::get(&url)
            .header("host", host)
            .call()
            .unwrap()
            .status()
            .as_u16()
    });
    request.await.unwrap()
}

#[tokio::test]
async fn members_and_their_changes_are_told_as_they_happen() {
    let cluster = Cluster::throwaway().unwrap();
    let member = || {
        Node::builder()
            .in_memory()
            .cluster(&cluster)
            .listen("127.0.0.1:0")
    };
    let ada = member().start().await.unwrap();
    let admin = Admin::start(ada.clone(), options(LOOPBACK)).await.unwrap();
    let mut events = follow(&admin).await;
    let (name, told) = events.recv().await.unwrap();
    assert_eq!(
        (name.as_str(), told["node"].as_str()),
        ("members", Some(&*ada.id().to_string()))
    );

    let bob = member()
        .join(&ada)
        .carry("app")
        .zone("oslo")
        .start()
        .await
        .unwrap();
    let id = bob.id().to_string();
    changed(&mut events, "up", &id).await;
    loop {
        let peers = json(&admin, "/v1/peers").await;
        let peer = &peers["peers"][0];
        if peer["zone"] == "oslo" && peer["round_trip_ms"].is_f64() {
            assert_eq!(peer["state"], "alive");
            assert_eq!(peer["namespaces"][0], "app");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    bob.shutdown().await.unwrap();
    changed(&mut events, "left", &id).await;
    admin.stop().await;
    assert!(events.recv().await.is_none(), "it has ended");
}

/// Waits for this change.
async fn changed(events: &mut Events, kind: &str, node: &str) {
    loop {
        let (name, told) = events.recv().await.unwrap();
        if name == "change" && told["kind"] == kind {
            assert_eq!(told["node"], node);
            return;
        }
    }
}

type Events = tokio::sync::mpsc::UnboundedReceiver<(String, Value)>;

/// Reads the event stream until it ends.
async fn follow(admin: &Admin) -> Events {
    let url = format!("http://{}/v1/events", admin.local_addr());
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        let answer = ureq::get(&url).call().unwrap();
        let lines = std::io::BufReader::new(answer.into_body().into_reader()).lines();
        let mut name = String::new();
        for line in lines.map_while(Result::ok) {
            if let Some(told) = line.strip_prefix("event: ") {
                name = told.to_owned();
            } else if let Some(told) = line.strip_prefix("data: ") {
                let told = serde_json::from_str(told).unwrap();
                let _ended = sender.send((name.clone(), told));
            }
        }
    });
    events
}
