//! Failed commits and killed processes: nothing acknowledged as durable is lost, nothing half done
//! is seen.

use std::collections::BTreeSet;

use syncline_store::{Durability, FailingEngine, Fault, MemoryDisk, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    a_crash_loses_what_was_not_synced_and_nothing_else
    flushing_makes_all_before_it_durable
    ids_of_lost_writes_are_not_used_again
    after_a_failed_commit_writes_are_refused
    a_commit_that_was_applied_and_reported_failed_is_not_torn
    after_a_failed_sync_writes_are_refused
    what_is_not_synced_is_not_called_durable
}

fn put_in_memory<E: syncline_store::Engine>(store: &Store<E>, key: &str) -> Result<(), StoreError> {
    store
        .transact(Durability::Memory, |txn| txn.put(&cell(key), b"x".to_vec()))
        .map(drop)
}

fn a_crash_loses_what_was_not_synced_and_nothing_else<H: Harness>() {
    let harness = H::new();
    let mut durable = BTreeSet::new();
    for round in 0..5 {
        let store = harness.open();
        assert_sound(&store);
        let found: BTreeSet<_> = rows(&store.view().unwrap())
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(found, durable, "round {round}");
        for n in 0..20 {
            let key = format!("{round}-{n}");
            if n < 10 {
                put_in_memory(&store, &key).unwrap();
                durable.insert(cell(&key));
            } else if n == 10 {
                put(&store, &key, "x");
                durable.insert(cell(&key));
            } else {
                put_in_memory(&store, &key).unwrap();
            }
        }
        assert_sound(&store);
        harness.crash();
        std::mem::forget(store);
    }
}

fn flushing_makes_all_before_it_durable<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put_in_memory(&store, "a").unwrap();
    store.flush().unwrap();
    put_in_memory(&store, "b").unwrap();
    harness.crash();
    std::mem::forget(store);
    let store = harness.open();
    assert_eq!(store.view().unwrap().row_count(), 1);
    assert_sound(&store);
}

fn ids_of_lost_writes_are_not_used_again<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put_in_memory(&store, "a").unwrap();
    let lost = store.view().unwrap().context().clone();
    harness.crash();
    std::mem::forget(store);
    let store = harness.open();
    let dot = put(&store, "a", "2");
    assert!(
        lost.replicas().all(|id| id != dot.replica),
        "somebody may have received the lost write"
    );
}

fn after_a_failed_commit_writes_are_refused<H: Harness>() {
    for (fault, named) in [
        (Fault::DiskFull, "the disk is full"),
        (Fault::Io, "reading or writing the store failed"),
    ] {
        let harness = H::new();
        let (engine, faults) = FailingEngine::new(harness.mount());
        let store = Store::open(engine, config()).unwrap();
        let kept = put(&store, "a", "1");
        faults.after(0, fault);
        let failed = store.transact(Durability::Durable, |txn| txn.put(&cell("b"), Vec::new()));
        let error = failed.unwrap_err() as StoreError;
        assert!(error.to_string().starts_with(named), "{error}");

        let error = store.group().err().unwrap();
        assert!(matches!(&error, StoreError::Failed { cause } if cause.starts_with(named)));
        assert!(
            error.to_string().contains("open the store again"),
            "{error}"
        );
        assert!(store.flush().is_err() && put_in_memory(&store, "c").is_err());
        let view = store.view().unwrap();
        assert_eq!(payloads(&view, "a"), ["1"], "reads go on");
        assert_eq!(view.row_count(), 1);
        assert_sound(&store);
        drop((store, view));

        let store = harness.open();
        assert_eq!(payloads(&store.view().unwrap(), "a"), ["1"]);
        assert_ne!(put(&store, "c", "3").replica, kept.replica);
        assert_sound(&store);
    }
}

fn a_commit_that_was_applied_and_reported_failed_is_not_torn<H: Harness>() {
    let harness = H::new();
    let (engine, faults) = FailingEngine::new(harness.mount());
    let store = Store::open(engine, config()).unwrap();
    put(&store, "a", "1");
    faults.after(0, Fault::AppliedButReported);
    let failed = store.transact(Durability::Durable, |txn| txn.put(&cell("b"), Vec::new()));
    assert!((failed.err() as Option<StoreError>).is_some());
    // Views of either outcome are whole.
    assert_sound(&store);
    drop(store);
    let store = harness.open();
    assert_eq!(store.view().unwrap().row_count(), 2);
    assert_sound(&store);
}

fn after_a_failed_sync_writes_are_refused<H: Harness>() {
    let harness = H::new();
    let (engine, faults) = FailingEngine::new(harness.mount());
    let store = Store::open(engine, config()).unwrap();
    put(&store, "a", "1");
    faults.fail_flush();
    let failed = store.transact(Durability::Durable, |txn| txn.put(&cell("b"), Vec::new()));
    assert!(matches!(failed.err(), Some(StoreError::Engine(_))));
    // The next sync would succeed, and say nothing about what this one was to sync.
    assert!(!store.is_durable());
    assert!(matches!(store.flush(), Err(StoreError::Failed { .. })));
    assert!(matches!(
        put_in_memory(&store, "c"),
        Err(StoreError::Failed { .. })
    ));
    assert_sound(&store);
    drop(store);
    let store = harness.open();
    assert_eq!(store.view().unwrap().row_count(), 2);
    put(&store, "c", "3");
    assert_sound(&store);
}

fn what_is_not_synced_is_not_called_durable<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    assert!(store.is_durable());
    put_in_memory(&store, "a").unwrap();
    assert!(!store.is_durable());
    store.flush().unwrap();
    assert!(store.is_durable());
    put_in_memory(&store, "b").unwrap();
    put(&store, "c", "3");
    assert!(store.is_durable());
}

/// An answer that nothing had to be done rests on what others have done.
#[test]
fn what_changes_nothing_makes_what_it_found_survive() {
    let disk = MemoryDisk::new();
    let store = Store::open(disk.mount().unwrap(), config()).unwrap();
    put(&store, "a", "1");
    let remove = |durability| {
        store.transact(durability, |txn| txn.remove(&cell("a"))) as Result<(bool, _), StoreError>
    };
    assert!(remove(Durability::Memory).unwrap().0);
    assert!(!remove(Durability::Buffered).unwrap().0, "it is gone");
    disk.kill();
    drop(store);
    let store = Store::open(disk.mount().unwrap(), config()).unwrap();
    assert_eq!(store.view().unwrap().row_count(), 0);
}
