//! Limits of keys and values, and disks that are full.

use std::env;
use std::path::Path;
use std::process::Command;

use syncline_crdt::{Family, RowKey, limits};
use syncline_store::{
    Config, Durability, EngineError, FailingEngine, Fault, MemoryDisk, MemoryEngine, RedbEngine,
    RedbOptions, Store, StoreError,
};
use syncline_sync::{Request, Strategy};
use syncline_tests::link::Link;
use syncline_tests::rng::Rng;

fn config() -> Config {
    Config::new("app", [7; 32])
}

#[test]
fn keys_and_values_over_the_limits_are_refused_and_those_at_them_travel() {
    let here = Store::open(MemoryEngine::new(), config()).unwrap();
    let put = |key: &RowKey, value: Vec<u8>| {
        here.transact(Durability::Durable, |txn| txn.put(key, value))
    };
    let long = |length: usize| vec![b'k'; length];

    let error = put(&RowKey::cell(&long(limits::MAX_KEY + 1)), Vec::new()).unwrap_err();
    assert!(
        matches!(error, StoreError::KeyTooLong { .. }) && error.to_string().contains("shorten"),
        "{error}"
    );
    let error = put(
        &RowKey::member(b"s", &long(limits::MAX_FIELD + 1)),
        Vec::new(),
    )
    .unwrap_err();
    assert!(
        matches!(error, StoreError::FieldTooLong { .. }) && error.to_string().contains("shorten"),
        "{error}"
    );
    let error = put(&RowKey::cell(b"k"), vec![0; limits::MAX_PAYLOAD + 1]).unwrap_err();
    assert!(
        matches!(error, StoreError::ValueTooLarge { .. }) && error.to_string().contains("split"),
        "{error}"
    );
    assert_eq!(here.view().unwrap().row_count(), 0);
    assert!(
        here.view().unwrap().context().is_empty(),
        "what was refused has left no trace"
    );

    // The largest row there can be, with zeros in its key, which take two bytes each.
    let largest = RowKey::new(
        &vec![0; limits::MAX_KEY],
        Family::FIELD,
        &long(limits::MAX_FIELD),
    );
    put(&largest, vec![1; limits::MAX_PAYLOAD]).unwrap();
    for strategy in Strategy::ALL {
        let there = Store::open(MemoryEngine::new(), config()).unwrap();
        let request = Request::new([1; 16]).by(strategy);
        let mut link = Link::open(there.clone(), here.clone(), "app", request, 256 << 10).unwrap();
        link.run(&mut Rng::new(1)).unwrap();
        assert!(link.reports()[0].agreed, "{strategy}");
        assert_eq!(
            there.view().unwrap().get(&largest).unwrap(),
            here.view().unwrap().get(&largest).unwrap()
        );
    }
}

/// Several concurrent values of the largest size do not fit a frame together.
#[test]
fn a_row_larger_than_any_frame_travels() {
    let stores: Vec<_> = (0..3)
        .map(|_| Store::open(MemoryEngine::new(), config()).unwrap())
        .collect();
    let key = RowKey::cell(b"k");
    let mut deltas = Vec::new();
    for (n, store) in stores.iter().enumerate() {
        let value = vec![n as u8; limits::MAX_PAYLOAD];
        deltas.push(
            store
                .transact(Durability::Durable, |txn| txn.put(&key, value))
                .unwrap()
                .1,
        );
    }
    for delta in &deltas {
        stores[0].join_delta(delta, Durability::Durable).unwrap();
    }
    for strategy in Strategy::ALL {
        let there = Store::open(MemoryEngine::new(), config()).unwrap();
        let request = Request::new([1; 16]).by(strategy);
        let mut link =
            Link::open(stores[0].clone(), there.clone(), "app", request, 256 << 10).unwrap();
        link.run(&mut Rng::new(1)).unwrap();
        assert!(link.reports()[1].agreed, "{strategy}");
        assert_eq!(there.view().unwrap().get(&key).unwrap().unwrap().len(), 3);
        assert!(there.view().unwrap().recount().unwrap().is_sound());
    }
}

#[test]
fn after_a_full_disk_nothing_acknowledged_is_lost() {
    for fault in [Fault::DiskFull, Fault::Io, Fault::AppliedButReported] {
        let disk = MemoryDisk::new();
        let (engine, faults) = FailingEngine::new(disk.mount().unwrap());
        let store = Store::open(engine, config()).unwrap();
        let put = |n: u8| {
            store.transact(Durability::Durable, |txn| {
                txn.put(&RowKey::member(b"s", &[n]), Vec::new())
            })
        };
        for n in 0..10 {
            put(n).unwrap();
        }
        faults.after(0, fault);
        let error = put(10).unwrap_err();
        assert!(matches!(error, StoreError::Engine(_)), "{error}");
        assert!(
            error.to_string().contains("open the store again"),
            "{error}"
        );
        // What failed may be there or not, so nothing is written on top of it. Reading goes on.
        let error = put(11).unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{error}");
        assert!(
            error.to_string().contains("open the store again"),
            "{error}"
        );
        assert!(store.view().unwrap().row_count() >= 10);
        drop(store);

        let store = Store::open(disk.mount().unwrap(), config()).unwrap();
        let view = store.view().unwrap();
        assert_eq!(
            view.row_count(),
            if fault == Fault::AppliedButReported {
                11
            } else {
                10
            }
        );
        assert!(view.recount().unwrap().is_sound());
        store
            .transact(Durability::Durable, |txn| {
                txn.put(&RowKey::member(b"s", b"again"), Vec::new())
            })
            .unwrap();
    }
}

const FULL: &str = "SYNCLINE_FULL_DISK";

/// Writes to a file that may not grow beyond a limit, until that is reached. As a test by itself it does nothing.
#[test]
fn fill_the_disk() {
    let Ok(path) = env::var(FULL) else { return };
    let engine = RedbEngine::create(
        &path,
        RedbOptions {
            cache_bytes: 1 << 20,
        },
    )
    .unwrap();
    let store = Store::open(engine, config()).unwrap();
    for n in 0u32.. {
        let key = RowKey::member(b"s", &n.to_be_bytes());
        match store.transact(Durability::Durable, |txn| {
            txn.put(&key, vec![n as u8; 10_000])
        }) {
            Ok(_) => println!("written {n}"),
            Err(StoreError::Engine(error @ EngineError::DiskFull(_))) => {
                println!("full: {error}");
                break;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let refused = store.transact(Durability::Durable, |txn| {
        txn.put(&RowKey::cell(b"k"), Vec::new())
    });
    assert!(matches!(refused, Err(StoreError::Failed { .. })));
}

/// A limit on the size of files is what a full disk looks like to a process that may not fill the disk of others.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.store");
    // Blocks of 512 bytes; the signal is ignored, so that writing fails instead of killing the process.
    let limited =
        "trap '' XFSZ; ulimit -f 4000; exec \"$0\" --exact doors::fill_the_disk --nocapture";
    let output = Command::new("sh")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .env(FULL, &path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let full = told
        .lines()
        .find(|line| line.starts_with("full: "))
        .unwrap();
    assert!(full.contains("free some room"), "{full}");
    let written = told
        .lines()
        .filter(|line| line.starts_with("written "))
        .count();
    assert!(written > 10, "{told}");
    verify(&path, written);
}

fn verify(path: &Path, written: usize) {
    let engine = RedbEngine::open(path, RedbOptions::default()).unwrap();
    let store = Store::open(engine, config()).unwrap();
    let view = store.view().unwrap();
    assert!(view.recount().unwrap().is_sound());
    for n in 0..written as u32 {
        let row = view
            .get(&RowKey::member(b"s", &n.to_be_bytes()))
            .unwrap()
            .unwrap();
        assert_eq!(row.winner().unwrap().payload, vec![n as u8; 10_000]);
    }
    store
        .transact(Durability::Durable, |txn| {
            txn.put(&RowKey::cell(b"k"), Vec::new())
        })
        .unwrap();
}
