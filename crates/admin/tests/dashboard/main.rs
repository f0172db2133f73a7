//! The dashboard in a real browser: three nodes that are there, and one that is gone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{Builder, MemberState, Namespace, Node};
use syncline_admin::{Admin, Options};

use browser::{Browser, Page};

mod browser;

/// What would be run, or stand in the page as markup, if it were taken for more than text.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><b>";

async fn shown(node: &Node) -> Admin {
    let options = Options {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        exposed: false,
        data: "/var/lib/syncline".into(),
        version: "1.2.3",
    };
    Admin::start(node.clone(), options).await.unwrap()
}

async fn settled(what: &str, is: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to this: {what}");
}

async fn rows(namespace: &Namespace) -> u64 {
    namespace.read(|view| Ok(view.row_count())).await.unwrap()
}

/// Writes to one node and, at the same time, to another, until neither has seen the other's.
async fn conflict(ours: &Namespace, theirs: &Namespace) {
    settled("a conflict", async || {
        let write = async |namespace: &Namespace, value: &'static str| {
            let write = namespace.transaction(move |t| {
                t.put("motto", value)?;
                t.map("user:1").set("city", value)?;
                t.put(HOSTILE, value)
            });
            write.await.unwrap();
        };
        tokio::join!(write(ours, "merge, do not fork"), write(theirs, HOSTILE));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let found = ours.conflicts("").await.unwrap().collect().await.unwrap();
        found.len() == 3
    })
    .await;
}

/// A cluster with data, conflicts and a member that has gone without a word, and one of its nodes shown.
async fn company() -> (Vec<Node>, Admin) {
    let cluster = Cluster::throwaway().unwrap();
    let member = |zone: &str| -> Builder {
        let node = Node::builder().in_memory().cluster(&cluster).zone(zone);
        let node = node
            .listen("127.0.0.1:0")
            .sync_every(Duration::from_secs(1));
        node.carry("app").carry("sessions")
    };
    let ada = member("berlin").start().await.unwrap();
    let app = ada.namespace("app").unwrap();
    let fill =
        app.transaction(|t| (0..4_000).try_for_each(|n| t.put(format!("order:{n:05}"), "open")));
    fill.await.unwrap();
    let sessions = ada.namespace("sessions").unwrap();
    let fill = sessions.transaction(|t| (0..500).try_for_each(|n| t.put(format!("s:{n:04}"), "1")));
    fill.await.unwrap();
    let admin = shown(&ada).await;
    let mut nodes = vec![ada];
    for zone in ["oslo", "turin", "lisbon"] {
        nodes.push(member(zone).join(&nodes[0]).start().await.unwrap());
    }
    for node in &nodes {
        let theirs = node.namespace("app").unwrap();
        settled("all have all", async || rows(&theirs).await == 4_000).await;
    }
    conflict(&app, &nodes[1].namespace("app").unwrap()).await;
    // Too much for a rumour: a session brings it, of which there is a picture then.
    let wide = "x".repeat(1_000);
    let change = app.transaction(move |t| {
        (1_200..2_000).try_for_each(|n| t.put(format!("order:{n:05}"), &wide))
    });
    change.await.unwrap();
    let gone = nodes.pop().unwrap();
    let name = gone.id();
    drop(gone);
    settled("one is down", async || {
        let members = nodes[0].members().await.unwrap();
        members
            .iter()
            .any(|it| it.node == name && it.state == MemberState::Down)
    })
    .await;
    for number in 0..400 {
        app.put(format!("order:{number:05}"), "paid").await.unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    settled("the others agree", async || {
        nodes[0].accord().await.unwrap().agrees == Some(true)
    })
    .await;
    (nodes, admin)
}

/// What is asked of the page until it is true.
const IS_THERE: &str = "document.getElementById('link').textContent === 'Live' \
    && document.querySelectorAll('.conflict').length === 3 \
    && document.querySelectorAll('.chart .line').length === 9 \
    && document.querySelector('.range .sent') !== null";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium"]
async fn it_shows_a_cluster_in_a_real_browser() {
    let (nodes, admin) = company().await;
    let url = format!("http://{}/", admin.local_addr());
    let browser = tokio::task::spawn_blocking(move || look(&url, &nodes));
    let mut browser = browser.await.unwrap();

    // The node is gone, and the page says so, whatever it still shows.
    admin.stop().await;
    let lost = tokio::task::spawn_blocking(move || {
        let mut page = browser.page();
        page.until("document.getElementById('link').textContent === 'Disconnected'");
        page.until("document.getElementById('lost').textContent.includes('What is shown is from')");
        page.text("document.getElementById('lost').getAttribute('role')")
    });
    assert_eq!(lost.await.unwrap(), "alert");
}

fn look(url: &str, nodes: &[Node]) -> Browser {
    let mut browser = Browser::start();
    let mut page = browser.page();
    page.size(1400, 900);
    page.colours("light");
    page.open(url);
    page.until(IS_THERE);

    // Who is there, and who is not.
    let shown = page.text("document.body.innerText");
    for node in nodes {
        assert!(shown.contains(&node.id().to_string()[..12]), "{shown}");
    }
    let count = |page: &mut Page<'_>, selector: &str| {
        page.number(&format!("document.querySelectorAll('{selector}').length"))
    };
    assert_eq!(count(&mut page, ".map [data-state=alive]"), 2.0);
    assert_eq!(count(&mut page, ".map [data-state=down]"), 1.0);
    assert!(count(&mut page, ".map .branch") >= 1.0);
    for told in [
        "oslo",
        "turin",
        "down · lisbon",
        "3 of 4",
        "All agree",
        "✓ agrees",
        "gone",
    ] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    // Which parts of the key range a session has touched, and which not.
    assert!(shown.contains("of 64 parts of the key range"), "{shown}");
    // What lost, as text; nothing of it was made into an element or run.
    for told in ["motto", "merge, do not fork", "user:1 → city", HOSTILE] {
        assert!(shown.contains(told), "{told} in {shown}");
    }
    assert_eq!(
        count(&mut page, "main img, main b:not(.keys b), main script"),
        0.0
    );
    assert!(page.text("document.title").contains("Syncline"));
    // A node is chosen by the keyboard, and stays chosen when the page is drawn anew.
    page.run("document.querySelector('.map g[tabindex]').focus()");
    page.press("Enter", 13);
    page.until("document.getElementById('picked').textContent.includes('carries app, sessions')");
    page.run("document.dispatchEvent(new Event('again'))");
    page.until("document.activeElement.getAttribute('aria-pressed') === 'true'");
    // Everything that can be used has a name.
    let nameless = "[...document.querySelectorAll('button, input, select, [role=button], [role=img], [role=group]')] \
        .filter((it) => !(it.getAttribute('aria-label') || it.labels?.length || it.textContent.trim())).length";
    assert_eq!(page.number(nameless), 0.0);

    for (name, width, colours) in [
        ("dashboard.png", 1400, "light"),
        ("dashboard-dark.png", 1400, "dark"),
        ("dashboard-phone.png", 390, "light"),
        ("dashboard-dark-phone.png", 390, "dark"),
    ] {
        page.size(width, if width < 600 { 844 } else { 900 });
        page.colours(colours);
        page.open(url);
        page.until(IS_THERE);
        let wide = page.number("document.documentElement.scrollWidth");
        assert!(wide <= f64::from(width), "{name} is {wide} wide");
        let background = page.text("getComputedStyle(document.body).backgroundColor");
        let is_dark = background == "rgb(14, 16, 20)";
        assert_eq!(is_dark, colours == "dark", "{background}");
        let picture = page.picture();
        assert!(
            picture.len() > 30_000,
            "{name} looks empty: {} bytes",
            picture.len()
        );
        std::fs::write(pictures().join(name), picture).unwrap();
    }
    let faults = page.browser.faults.join("\n");
    assert!(faults.is_empty(), "{faults}");
    browser
}

/// Where pictures are left for people to look at.
fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
