//! One suite for every engine, and a model to hold them against.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use proptest::prelude::*;

use super::*;

/// Makes a test of each function for each engine.
macro_rules! over_all_engines {
    ($($test:ident)*) => {
        mod memory_engine {
            $(#[test] fn $test() { super::$test(&crate::MemoryEngine::new()); })*
        }
        mod redb_engine {
            $(#[test] fn $test() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("store");
                super::$test(&crate::RedbEngine::create(path, crate::RedbOptions::default()).unwrap());
            })*
        }
        mod logged_engine {
            $(#[test] fn $test() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("store");
                let (options, log) = Default::default();
                super::$test(&crate::LoggedEngine::create(path, options, log).unwrap());
            })*
        }
        /// With so little room that groups are applied all the time.
        mod applying_engine {
            $(#[test] fn $test() {
                let log = crate::LogOptions { max_unapplied_bytes: 300, ..Default::default() };
                super::$test(&crate::MemoryDisk::new().mount_logged(log).unwrap());
            })*
        }
    };
}

over_all_engines! {
    an_empty_engine_holds_nothing
    bounds_are_kept_to
    visits_go_either_way_and_stop_when_told
    a_snapshot_does_not_see_later_commits
    tables_do_not_mix
    runs_and_scattered_edits_come_to_the_same
    behaves_like_a_map
}

fn commit<E: Engine>(engine: &E, edits: &[(&[u8], Option<&[u8]>)]) {
    let mut batch = Batch::new();
    for (key, value) in edits {
        match value {
            Some(value) => batch.put(Table::Rows, key, value),
            None => batch.remove(Table::Rows, key),
        }
    }
    engine.commit(batch, Durability::Durable).unwrap();
}

fn keys_within<E: Engine>(engine: &E, bounds: Bounds<'_>) -> Vec<Vec<u8>> {
    let snapshot = engine.snapshot().unwrap();
    let entries = snapshot.range(Table::Rows, bounds);
    entries.map(|entry| entry.unwrap().0).collect()
}

fn an_empty_engine_holds_nothing<E: Engine>(engine: &E) {
    let snapshot = engine.snapshot().unwrap();
    for table in Table::ALL {
        assert_eq!(snapshot.get(table, b"a").unwrap(), None);
        let all = (Bound::Unbounded, Bound::Unbounded);
        assert!(snapshot.range(table, all).next().is_none());
        let mut visitor = |_: &[u8], _: &[u8]| panic!("nothing to visit");
        snapshot
            .visit(table, all, Direction::Backward, &mut visitor)
            .unwrap();
    }
    commit(engine, &[(b"a", None)]);
    engine.commit(Batch::new(), Durability::Durable).unwrap();
}

fn bounds_are_kept_to<E: Engine>(engine: &E) {
    commit(
        engine,
        &[
            (b"a", Some(b"1")),
            (b"b", Some(b"2")),
            (b"c", Some(b"")),
            (b"", Some(b"0")),
        ],
    );
    let within = |lower, upper| keys_within(engine, (lower, upper));
    let (a, b, c) = (&b"a"[..], &b"b"[..], &b"c"[..]);
    assert_eq!(within(Bound::Unbounded, Bound::Unbounded), [b"", a, b, c]);
    assert_eq!(within(Bound::Included(a), Bound::Included(b)), [a, b]);
    assert_eq!(within(Bound::Included(a), Bound::Excluded(b)), [a]);
    assert_eq!(within(Bound::Excluded(a), Bound::Unbounded), [b, c]);
    assert_eq!(within(Bound::Included(b"aa"), Bound::Excluded(b"bb")), [b]);
    let nothing: [&[u8]; 0] = [];
    assert_eq!(within(Bound::Excluded(a), Bound::Excluded(b)), nothing);
    assert_eq!(within(Bound::Excluded(a), Bound::Excluded(a)), nothing);
    assert_eq!(within(Bound::Included(a), Bound::Excluded(a)), nothing);
    assert_eq!(within(Bound::Included(a), Bound::Included(a)), [a]);
    assert_eq!(
        within(Bound::Included(c), Bound::Included(a)),
        nothing,
        "ends before it begins"
    );
    assert_eq!(within(Bound::Unbounded, Bound::Excluded(b"")), nothing);
    assert_eq!(
        engine.snapshot().unwrap().get(Table::Rows, c).unwrap(),
        Some(Vec::new())
    );
}

fn visits_go_either_way_and_stop_when_told<E: Engine>(engine: &E) {
    commit(
        engine,
        &[(b"a", Some(b"1")), (b"b", Some(b"2")), (b"c", Some(b"3"))],
    );
    let snapshot = engine.snapshot().unwrap();
    let visit = |direction, limit: usize, bounds| {
        let mut seen = Vec::new();
        let mut visitor = |key: &[u8], value: &[u8]| {
            seen.push((key.to_vec(), value.to_vec()));
            if seen.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        snapshot
            .visit(Table::Rows, bounds, direction, &mut visitor)
            .unwrap();
        seen
    };
    let all = (Bound::Unbounded, Bound::Unbounded);
    let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    assert_eq!(
        visit(Direction::Forward, 2, all),
        [entry(b"a", b"1"), entry(b"b", b"2")]
    );
    assert_eq!(
        visit(Direction::Backward, 2, all),
        [entry(b"c", b"3"), entry(b"b", b"2")]
    );
    let before_c = (Bound::Unbounded, Bound::Excluded(&b"c"[..]));
    assert_eq!(visit(Direction::Backward, 1, before_c), [entry(b"b", b"2")]);
    let backwards = (Bound::Included(&b"c"[..]), Bound::Excluded(&b"a"[..]));
    assert_eq!(visit(Direction::Backward, 9, backwards), []);
}

fn a_snapshot_does_not_see_later_commits<E: Engine>(engine: &E) {
    commit(engine, &[(b"a", Some(b"1"))]);
    let before = engine.snapshot().unwrap();
    let mut entries = before.range(Table::Rows, (Bound::Unbounded, Bound::Unbounded));
    commit(engine, &[(b"a", Some(b"2")), (b"b", Some(b"2"))]);
    commit(engine, &[(b"a", None)]);
    assert_eq!(
        entries.next().unwrap().unwrap(),
        (b"a".to_vec(), b"1".to_vec())
    );
    assert!(entries.next().is_none());
    assert_eq!(before.get(Table::Rows, b"b").unwrap(), None);
    assert_eq!(
        engine.snapshot().unwrap().get(Table::Rows, b"a").unwrap(),
        None
    );
}

fn tables_do_not_mix<E: Engine>(engine: &E) {
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, b"key", table.name().as_bytes());
    }
    engine.commit(batch, Durability::Memory).unwrap();
    let snapshot = engine.snapshot().unwrap();
    for table in Table::ALL {
        let value = snapshot.get(table, b"key").unwrap();
        assert_eq!(value.as_deref(), Some(table.name().as_bytes()));
    }
}

/// Long runs between two neighbours, overwrites and removals within them, runs that end at a
/// neighbour, and scattered keys.
fn runs_and_scattered_edits_come_to_the_same<E: Engine>(engine: &E) {
    let mut model = BTreeMap::new();
    let key = |n: u32| n.to_be_bytes();
    let mut step = |edits: Vec<(u32, Option<u32>)>| {
        let mut batch = Batch::new();
        for (at, value) in edits {
            match value {
                Some(value) => {
                    batch.put(Table::Rows, &key(at), &key(value));
                    model.insert(key(at).to_vec(), key(value).to_vec());
                }
                None => {
                    batch.remove(Table::Rows, &key(at));
                    model.remove(&key(at)[..]);
                }
            }
        }
        engine.commit(batch, Durability::Durable).unwrap();
        let snapshot = engine.snapshot().unwrap();
        let entries = snapshot.range(Table::Rows, (Bound::Unbounded, Bound::Unbounded));
        assert!(entries.map(Result::unwrap).eq(model.clone()));
    };
    step((0..5_000).map(|n| (n * 10, Some(n))).collect());
    step((0..500).map(|n| (20_001 + n % 9, Some(n))).collect());
    step((10_000..12_000).map(|n| (n, Some(n + 1))).collect());
    step(
        (10_000..12_000)
            .step_by(3)
            .map(|n| (n, (n % 2 == 0).then_some(7)))
            .collect(),
    );
    step((60_000..61_000).map(|n| (n, Some(n))).collect());
    step((60_500..61_500).map(|n| (n, Some(n + 2))).collect());
    step(
        (0..70_000)
            .step_by(7)
            .map(|n| (n, (n % 5 != 0).then_some(n)))
            .collect(),
    );
}

fn behaves_like_a_map<E: Engine>(engine: &E) {
    let edits = proptest::collection::vec((0u8..40, proptest::option::of(any::<u8>())), 0..60);
    let model = std::cell::RefCell::new(BTreeMap::<Vec<u8>, Vec<u8>>::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let bounds = (any::<(u8, u8)>(), 0u8..40, 0u8..40);
    let outcome = runner.run(
        &(edits, bounds),
        |(edits, ((lower_kind, upper_kind), lower, upper))| {
            let mut model = model.borrow_mut();
            let mut batch = Batch::new();
            for (key, value) in &edits {
                // Some keys are prefixes of others.
                let key = vec![*key / 2; 1 + usize::from(*key % 2)];
                match value {
                    Some(value) => {
                        batch.put(Table::Rows, &key, &[*value]);
                        model.insert(key, vec![*value]);
                    }
                    None => {
                        batch.remove(Table::Rows, &key);
                        model.remove(&key);
                    }
                }
            }
            let durability = [
                Durability::Memory,
                Durability::Buffered,
                Durability::Durable,
            ][edits.len() % 3];
            engine.commit(batch, durability).unwrap();
            let (lower, upper) = ([lower / 2], [upper / 2]);
            let bound = |kind: u8, key| match kind % 3 {
                0 => Bound::Unbounded,
                1 => Bound::Included(key),
                _ => Bound::Excluded(key),
            };
            let bounds = (bound(lower_kind, &lower[..]), bound(upper_kind, &upper[..]));
            let within = |key: &Vec<u8>| {
                use std::ops::RangeBounds;
                bounds.contains(key.as_slice())
            };
            let expected: Vec<_> = model.keys().filter(|key| within(key)).cloned().collect();
            prop_assert_eq!(keys_within(engine, bounds), expected);
            Ok(())
        },
    );
    outcome.unwrap();
}

#[test]
fn a_memory_disk_keeps_what_a_kill_leaves() {
    let disk = MemoryDisk::new();
    let engine = disk.mount().unwrap();
    let durabilities = [
        Durability::Durable,
        Durability::Buffered,
        Durability::Memory,
    ];
    for (key, durability) in [b"a", b"b", b"c"].into_iter().zip(durabilities) {
        let mut batch = Batch::new();
        batch.put(Table::Rows, key, b"");
        engine.commit(batch, durability).unwrap();
        assert_eq!(engine.is_durable(), durability == Durability::Durable);
    }
    let all = (Bound::Unbounded, Bound::Unbounded);
    disk.kill();
    assert!(engine.flush().is_err() && !engine.is_durable());
    let engine = disk.mount().unwrap();
    assert_eq!(keys_within(&engine, all), [b"a", b"b"]);
    assert!(!engine.is_durable(), "nothing has synced it since");
    disk.crash();
    let engine = disk.mount().unwrap();
    assert_eq!(keys_within(&engine, all), [b"a"]);
    assert!(engine.is_durable());
}

/// Who is answered that nothing had to be done relies on what was done before.
#[test]
fn an_empty_commit_takes_along_those_before_it() {
    fn check<E: Engine>(disk: &MemoryDisk, mount: impl Fn() -> E) {
        let outcomes = [
            (Durability::Memory, false, false),
            (Durability::Buffered, true, false),
            (Durability::Durable, true, true),
        ];
        for (durability, survives_kill, survives_crash) in outcomes {
            for (end, survives) in [
                (MemoryDisk::kill as fn(&MemoryDisk), survives_kill),
                (MemoryDisk::crash, survives_crash),
            ] {
                let engine = mount();
                let mut batch = Batch::new();
                batch.put(Table::Rows, b"a", b"");
                engine.commit(batch, Durability::Memory).unwrap();
                engine.commit(Batch::new(), durability).unwrap();
                end(disk);
                drop(engine);
                let engine = mount();
                let found = engine.snapshot().unwrap().get(Table::Rows, b"a").unwrap();
                assert_eq!(found.is_some(), survives, "{durability:?}");
                commit(&engine, &[(b"a", None)]);
            }
        }
    }
    let log = LogOptions {
        sync_interval: std::time::Duration::from_secs(3_600),
        ..LogOptions::default()
    };
    let disk = MemoryDisk::new();
    check(&disk, || disk.mount().unwrap());
    let disk = MemoryDisk::new();
    check(&disk, || disk.mount_logged(log).unwrap());
}

#[test]
fn a_memory_disk_crashes_to_its_last_synced_commit() {
    let disk = MemoryDisk::new();
    let engine = disk.mount().unwrap();
    assert!(matches!(
        disk.mount(),
        Err(crate::OpenError::AlreadyOpen { .. })
    ));
    commit(&engine, &[(b"a", Some(b"synced"))]);
    let mut batch = Batch::new();
    batch.put(Table::Rows, b"b", b"not synced");
    engine.commit(batch, Durability::Memory).unwrap();
    disk.crash();
    assert!(
        matches!(engine.snapshot(), Err(EngineError::Stopped(_))),
        "its process is gone"
    );
    assert!(matches!(
        engine.commit(Batch::new(), Durability::Durable),
        Err(EngineError::Stopped(_))
    ));
    drop(engine);

    let engine = disk.mount().unwrap();
    assert_eq!(
        keys_within(&engine, (Bound::Unbounded, Bound::Unbounded)),
        [b"a"]
    );
    let mut batch = Batch::new();
    batch.put(Table::Rows, b"c", b"closed in order");
    engine.commit(batch, Durability::Memory).unwrap();
    drop(engine);
    disk.crash();
    let engine = disk.mount().unwrap();
    assert_eq!(
        keys_within(&engine, (Bound::Unbounded, Bound::Unbounded)),
        [b"a", b"c"]
    );
}

#[test]
fn faults_strike_once_and_when_planned() {
    let disk = MemoryDisk::new();
    let (engine, faults) = FailingEngine::new(disk.mount().unwrap());
    let put = |key: &[u8]| {
        let mut batch = Batch::new();
        batch.put(Table::Rows, key, b"");
        engine.commit(batch, Durability::Durable)
    };
    faults.after(1, Fault::DiskFull);
    put(b"1").unwrap();
    assert!(matches!(put(b"2"), Err(EngineError::DiskFull(_))));
    put(b"3").unwrap();
    faults.after(0, Fault::AppliedButReported);
    assert!(matches!(put(b"4"), Err(EngineError::Io(_))));
    faults.after(0, Fault::Io);
    assert!(matches!(put(b"5"), Err(EngineError::Io(_))));
    assert_eq!(
        keys_within(&engine, (Bound::Unbounded, Bound::Unbounded)),
        [b"1", b"3", b"4"]
    );
    faults.after(0, Fault::NotSynced);
    put(b"6").unwrap();
    assert_eq!(faults.commits(), 6);
    disk.crash();
    let engine = disk.mount().unwrap();
    assert_eq!(
        keys_within(&engine, (Bound::Unbounded, Bound::Unbounded)),
        [b"1", b"3", b"4"]
    );
}
