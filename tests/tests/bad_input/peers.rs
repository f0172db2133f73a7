//! Peers that should not be spoken to, and frames that should not be.

use syncline_crdt::{Context, RowKey};
use syncline_store::{Config as StoreConfig, Durability, Incoming, MemoryEngine, Store};
use syncline_sync::frame::MAX_FRAME;
use syncline_sync::{Config, Opening, RefusalCode, Request, Session, SessionError};

fn store() -> Store<MemoryEngine> {
    let store = Store::open(MemoryEngine::new(), StoreConfig::new("app", [7; 32])).unwrap();
    store
        .transact(Durability::Durable, |txn| {
            txn.put(&RowKey::cell(b"k"), b"v".to_vec())
        })
        .unwrap();
    store
}

const NOW: u64 = 1_700_000_000_000;

/// What the two sides say to each other's greetings: the refusal of the responder, or else of the initiator.
fn refusal(ours: Config, theirs: Config) -> Option<(RefusalCode, String)> {
    let (here, there) = (store(), store());
    let before = [
        here.view().unwrap().root().unwrap(),
        there.view().unwrap().root().unwrap(),
    ];
    let mut initiator = Session::initiate(here.clone(), ours, Request::new([1; 16])).unwrap();
    let greeting = initiator.poll_frame().unwrap().unwrap();
    let outcome = Session::respond(there.clone(), theirs, Opening::read(&greeting).unwrap());
    match outcome {
        Ok(_) => None,
        Err(error) => {
            let farewell = error.farewell().unwrap();
            let told = initiator
                .handle_frame(&syncline_sync::frame::refusal(farewell.clone()))
                .unwrap_err();
            assert!(
                matches!(&told, SessionError::Refused(refusal) if *refusal == farewell),
                "{told}"
            );
            assert_eq!(
                before,
                [
                    here.view().unwrap().root().unwrap(),
                    there.view().unwrap().root().unwrap()
                ]
            );
            Some((farewell.code, told.to_string()))
        }
    }
}

#[test]
fn peers_of_another_cluster_namespace_or_time_are_refused_with_a_remedy() {
    let config = |cluster: u8, node: u8, namespace: &str, clock_ms: u64| {
        Config::new([cluster; 16], [node; 32], namespace, clock_ms)
    };
    let ours = || config(1, 1, "app", NOW);
    assert_eq!(refusal(ours(), config(1, 2, "app", NOW + 59_000)), None);

    let (code, text) = refusal(ours(), config(2, 2, "app", NOW)).unwrap();
    assert!(
        code == RefusalCode::Cluster && text.contains("export and import"),
        "{text}"
    );
    let (code, text) = refusal(ours(), config(1, 2, "other", NOW)).unwrap();
    assert!(
        code == RefusalCode::Namespace && text.contains("check the configuration"),
        "{text}"
    );
    let (code, text) = refusal(ours(), config(1, 1, "app", NOW)).unwrap();
    assert!(
        code == RefusalCode::Itself && text.contains("check the peer's address"),
        "{text}"
    );
    for far in [NOW + 61_000, NOW - 61_000, 0, u64::MAX] {
        let (code, text) = refusal(ours(), config(1, 2, "app", far)).unwrap();
        assert_eq!(code, RefusalCode::Clock);
        assert!(
            text.contains(&NOW.to_string()) && text.contains(&far.to_string()),
            "both times: {text}"
        );
    }
    let mut lenient = config(1, 2, "app", 0);
    lenient.max_clock_skew_ms = 0;
    assert_eq!(refusal(ours(), lenient), None, "0 allows any distance");
}

#[test]
fn frames_over_the_bound_are_refused() {
    let frame = vec![0xff; MAX_FRAME + 1];
    assert!(matches!(
        Opening::read(&frame),
        Err(SessionError::FrameTooLarge {
            bound: MAX_FRAME,
            ..
        })
    ));
    let config = Config::new([1; 16], [1; 32], "app", NOW);
    let mut session = Session::initiate(store(), config, Request::new([1; 16])).unwrap();
    let error = session.handle_frame(&frame).unwrap_err();
    assert!(
        matches!(error, SessionError::FrameTooLarge { .. }),
        "{error}"
    );
    assert!(
        matches!(session.handle_frame(&[]), Err(SessionError::Over)),
        "the session is over"
    );
}

/// A member of the cluster that lies about what it has seen of us can kill what we wrote. It cannot make us use a dot twice, or stop
/// writing.
#[test]
fn lies_about_our_own_dots_do_not_stop_us() {
    let store = store();
    let replica = store.view().unwrap().context().replicas().next().unwrap();
    for last in [5, u64::MAX - 1, u64::MAX] {
        let mut lie = Context::new();
        lie.insert_range(replica, 1, last);
        let incoming = Incoming {
            learned: lie.clone(),
            ..Incoming::from_peer(&lie)
        };
        store.join(incoming, Durability::Durable).unwrap();
        for n in 0..3u8 {
            let seen = store.view().unwrap().shared_context();
            let put = |txn: &mut syncline_store::Transaction<'_, _>| {
                Ok::<_, syncline_store::StoreError>([
                    txn.put(&RowKey::cell(&[n]), Vec::new())?,
                    txn.put(&RowKey::cell(b"x"), Vec::new())?,
                ])
            };
            let (dots, _) = store.transact(Durability::Durable, put).unwrap();
            assert!(
                dots[0] != dots[1] && dots.iter().all(|dot| !seen.contains(dot)),
                "a dot was used twice"
            );
        }
        assert!(store.view().unwrap().recount().unwrap().is_sound());
    }
}
