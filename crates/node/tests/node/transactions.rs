//! Several operations at once, and many transactions in one commit.

use std::panic::AssertUnwindSafe;

use syncline::{Error, Node};

#[tokio::test]
async fn a_transaction_happens_as_a_whole() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.put("stays", "here").await.unwrap();
    let sum = app
        .transaction(|t| {
            t.put("v", "1")?;
            t.set("s").insert("x")?;
            t.map("m").set("f", "y")?;
            t.register("r").set("z")?;
            assert!(t.delete("stays")?);
            // It reads its own writes.
            assert_eq!(t.get("stays")?, None);
            assert!(t.set("s").contains("x")?);
            assert_eq!(t.set("s").len()?, 1);
            assert_eq!(t.map("m").get("f")?.as_deref(), Some(&b"y"[..]));
            t.counter("v").add(41)
        })
        .await
        .unwrap();
    assert_eq!(sum, 42);
    let view = app.view().await.unwrap();
    assert_eq!(view.count().unwrap(), 4);
    assert_eq!(view.counter("v").value().unwrap(), 42);
}

#[tokio::test]
async fn a_failing_transaction_leaves_no_trace() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.counter("c").add(5).await.unwrap();
    let before = super::pair::root(&app).await;
    let outcome = app.transaction(|t| {
        t.counter("c").add(1)?;
        t.set("s").insert("x")?;
        t.delete("c")?;
        Err::<(), _>(Error::abort("changed our mind"))
    });
    let error = outcome.await.unwrap_err();
    assert!(error.to_string().contains("changed our mind"), "{error}");
    let outcome = app.transaction(|t| {
        t.put("p", "x")?;
        t.counter("p").add(1)
    });
    assert!(matches!(outcome.await, Err(Error::NotANumber { .. })));
    assert_eq!(super::pair::root(&app).await, before);
}

#[tokio::test]
async fn a_panic_in_a_transaction_is_its_callers_own() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    let call = tokio::spawn({
        let app = app.clone();
        async move {
            app.transaction(|t| -> Result<(), Error> {
                t.put("half", "done")?;
                std::panic::panic_any("a bug of the caller");
            })
            .await
        }
    });
    let panic = AssertUnwindSafe(call).await.unwrap_err();
    assert!(panic.is_panic());
    assert_eq!(app.get("half").await.unwrap(), None);
    app.put("whole", "done").await.unwrap();
}

#[tokio::test]
async fn a_view_stays_as_it_was() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.put("k", "old").await.unwrap();
    let view = app.view().await.unwrap();
    app.put("k", "new").await.unwrap();
    app.set("s").insert("x").await.unwrap();
    assert_eq!(view.get("k").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!((view.count().unwrap(), view.kind("s").unwrap()), (1, None));
    let all: Vec<_> = view.scan("").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(all, [(b"k".to_vec(), b"old".to_vec())]);
    let range: Vec<_> = view.range("a".."z").unwrap().collect();
    assert_eq!(range.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_the_same_time_share_commits() {
    const WRITERS: i64 = 64;
    const WRITES: i64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let builder = Node::builder().data_dir(directory.path());
    let node = builder.start().await.unwrap();
    let app = node.namespace("app").unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let app = app.clone();
            tokio::spawn(async move {
                for write in 0..WRITES {
                    app.put(format!("{writer}:{write}"), "x").await.unwrap();
                    app.counter("total").increment().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        app.counter("total").value().await.unwrap(),
        WRITERS * WRITES
    );
    let stats = app.write_stats().await.unwrap();
    assert_eq!(stats.transactions, (WRITERS * WRITES * 2) as u64);
    assert!(stats.commits * 4 < stats.transactions, "{stats:?}");
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_large_key_goes_in_several_transactions() {
    const MEMBERS: usize = 250_000;
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.transaction(|t| {
        for i in 0..MEMBERS {
            t.set("s").insert((i as u32).to_be_bytes())?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(app.set("s").len().await.unwrap(), MEMBERS as u64);
    let before = app.write_stats().await.unwrap().transactions;
    assert_eq!(app.set("s").clear().await.unwrap(), MEMBERS as u64);
    let transactions = app.write_stats().await.unwrap().transactions - before;
    assert_eq!(transactions, MEMBERS.div_ceil(4_096) as u64);
    assert_eq!(app.read(|view| Ok(view.row_count())).await.unwrap(), 0);
}
