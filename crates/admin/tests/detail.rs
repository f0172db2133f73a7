//! Sessions, key ranges, conflicts and the past over HTTP; and the files of the dashboard.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use syncline::Node;
use syncline_admin::{Admin, Options};

async fn shown(node: &Node) -> Admin {
    let options = Options {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        exposed: false,
        data: "nowhere".into(),
        version: "1.2.3",
    };
    Admin::start(node.clone(), options).await.unwrap()
}

struct Answer {
    code: u16,
    body: String,
    headers: Vec<(String, String)>,
}

async fn get(admin: &Admin, path: &str) -> Answer {
    let port = admin.local_addr().port();
    let url = format!("http://127.0.0.1:{port}{path}");
    let request = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let mut answer = agent.get(&url).call().unwrap();
        let headers = answer.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Answer {
            code: answer.status().as_u16(),
            headers: headers.collect(),
            body: answer.body_mut().read_to_string().unwrap(),
        }
    });
    request.await.unwrap()
}

async fn json(admin: &Admin, path: &str) -> Value {
    let answer = get(admin, path).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn what_lost_to_concurrency_is_told_with_what_won() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let app = cluster.namespaces("app").unwrap();
    app[0].put(b"a\xff<b>", "first").await.unwrap();
    app[1].put(b"a\xff<b>", "x".repeat(1_000)).await.unwrap();
    for (namespace, city) in app.iter().zip(["Rome", "Oslo"]) {
        namespace.map("user:1").set("city", city).await.unwrap();
        namespace.put("calm", "same").await.unwrap();
    }
    cluster.sync_all().await.unwrap();
    let admin = shown(&cluster[0]).await;

    let all = json(&admin, "/v1/conflicts?namespace=app").await;
    assert!(all["next"].is_null());
    let conflicts = all["conflicts"].as_array().unwrap();
    // The calm one was written twice, too, with equal values: neither had seen the other.
    assert_eq!(conflicts.len(), 3);
    let first = &conflicts[0];
    assert_eq!(first["key"], "a\\xff<b>");
    assert!(first["field"].is_null());
    let values = [&first["shown"], &first["lost"][0]];
    let long = values.iter().find(|it| it["bytes"] == 1_000).unwrap();
    assert_eq!(long["value"].as_str().unwrap().len(), 256);
    assert!(values.iter().any(|it| it["value"] == "first"));
    let city = conflicts.iter().find(|it| it["field"] == "city").unwrap();
    let (won, lost) = (&city["shown"], &city["lost"][0]);
    assert!(won["stamp"].as_str().unwrap() >= lost["stamp"].as_str().unwrap());
    assert_ne!(won["replica"], lost["replica"]);
    let read = app[0].map("user:1").get("city").await.unwrap().unwrap();
    let shown = won["value"].as_str().unwrap();
    assert_eq!(read, shown.as_bytes(), "what is shown is what readers get");

    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/conflicts?namespace=app&limit=1{after}");
        let page = json(&admin, &path).await;
        paged.extend(page["conflicts"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(&paged, conflicts);
    let under = json(&admin, "/v1/conflicts?namespace=app&prefix=user:").await;
    assert_eq!(under["conflicts"].as_array().unwrap().len(), 1);

    for (path, code) in [
        ("/v1/conflicts?namespace=other", 404),
        ("/v1/conflicts", 400),
        ("/v1/conflicts?namespace=app&after=zz", 400),
        ("/v1/ranges?namespace=other", 404),
    ] {
        assert_eq!(get(&admin, path).await.code, code, "{path}");
    }
    assert_eq!(cluster[0].namespaces(), ["app"], "asking makes none");
}

#[tokio::test]
async fn sessions_show_which_parts_of_the_range_moved() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let app = cluster.namespaces("app").unwrap();
    let fill = app[0].transaction(|t| (0..640).try_for_each(|n| t.put(format!("k{n:03}"), "x")));
    fill.await.unwrap();
    cluster.sync_all().await.unwrap();
    app[0].put("k005", "y").await.unwrap();
    cluster[0].sync_with(&cluster[1]).await.unwrap();
    let admin = shown(&cluster[0]).await;

    let told = json(&admin, "/v1/sessions").await;
    let session = &told["sessions"][0];
    assert_eq!(session["peer"], cluster[1].id().to_string());
    assert_eq!(
        (&session["state"], &session["namespace"]),
        (&"agreed".into(), &"app".into())
    );
    assert_eq!(session["cost"]["rows_sent"], 1);
    let parts = session["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 64);
    assert_eq!(
        (&parts[0]["key"], &parts[0]["sent"]),
        (&"".into(), &1.into())
    );
    assert!(parts[1..].iter().all(|part| part["sent"] == 0));

    let ranges = json(&admin, "/v1/ranges?namespace=app").await;
    assert_eq!(ranges["parts"].as_array().unwrap().len(), 64);
    let root = app[0].read(|view| view.root()).await.unwrap();
    assert_eq!(ranges["root"], root.to_string());
    assert_eq!(ranges["parts"][1]["key"], "k010");
}

#[tokio::test]
async fn the_past_is_there_for_who_comes_late() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    app.put("motto", "merge").await.unwrap();
    let admin = shown(&node).await;
    let sample = loop {
        let history = json(&admin, "/v1/history").await;
        if let Some(sample) = history["samples"].as_array().unwrap().first() {
            break sample.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(sample["transactions"], 1);
    let times = sample["transaction_ms"].as_array().unwrap();
    assert_eq!(
        times.iter().map(|it| it[1].as_u64().unwrap()).sum::<u64>(),
        1
    );
    let at = sample["at_ms"].as_u64().unwrap();
    let later = json(&admin, &format!("/v1/history?since={}", at + 1_000_000)).await;
    assert_eq!(later["samples"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn the_dashboard_loads_nothing_from_elsewhere_and_may_not() {
    let admin = shown(&Node::in_memory().await.unwrap()).await;
    let page = get(&admin, "/").await.body;
    let mut files = vec!["/".to_owned()];
    for (mark, end) in [("src=\"", '"'), ("href=\"/", '"')] {
        let named = page
            .match_indices(mark)
            .map(|(at, _)| &page[at + mark.len()..]);
        let named = named.filter_map(|rest| rest.split(end).next());
        files.extend(named.map(|path| format!("/{}", path.trim_start_matches('/'))));
    }
    let mut seen = 0;
    while let Some(path) = files.get(seen).cloned() {
        seen += 1;
        let answer = get(&admin, &path).await;
        assert_eq!(answer.code, 200, "{path}");
        let header = |name: &str| {
            let found = answer.headers.iter().find(|(it, _)| it == name);
            found
                .unwrap_or_else(|| panic!("{path} has no {name}"))
                .1
                .clone()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        // The only address in them is the name of SVG.
        let text = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
        for danger in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(danger), "{path} has {danger}");
        }
        assert!(
            !text.contains(" style=\"") && !text.contains("<script>"),
            "{path}"
        );
        let imported = text
            .match_indices("from \"./")
            .map(|(at, mark)| &text[at + mark.len()..]);
        for file in imported.filter_map(|rest| rest.split('"').next()) {
            let file = format!("/dashboard/{file}");
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    assert!(files.len() >= 10, "{files:?}");
}

#[tokio::test]
async fn keys_and_values_are_shown_to_this_machine_alone() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let app = cluster.namespaces("app").unwrap();
    let fill = app[0].transaction(|t| (0..100).try_for_each(|n| t.put(format!("secret:{n}"), "x")));
    fill.await.unwrap();
    app[1].put("secret:1", "y").await.unwrap();
    cluster.sync_all().await.unwrap();
    let options = Options {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        exposed: true,
        data: "nowhere".into(),
        version: "1.2.3",
    };
    let wide = Admin::start(cluster[0].clone(), options).await.unwrap();
    let near = shown(&cluster[0]).await;
    let conflicts = "/v1/conflicts?namespace=app";
    assert_eq!(get(&wide, conflicts).await.code, 403);
    assert!(get(&near, conflicts).await.body.contains("secret:1"));
    for path in ["/v1/sessions", "/v1/ranges?namespace=app"] {
        assert!(get(&near, path).await.body.contains("secret:"), "{path}");
        let told = get(&wide, path).await;
        assert!(told.code == 200 && !told.body.contains("secret:"), "{path}");
    }
}
