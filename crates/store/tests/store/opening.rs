//! What is refused, and what opening keeps.

use syncline_store::{Config, OpenError, Store, Table, format};

use crate::harness::*;

crate::over_all_engines! {
    a_new_store_is_empty_and_sound
    everything_is_there_after_closing
    another_namespace_is_refused
    another_secret_is_refused
    a_newer_format_is_refused
    content_without_a_format_is_refused
    broken_meta_rows_are_refused
    a_broken_context_is_refused
}

fn a_new_store_is_empty_and_sound<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    assert_sound(&store);
    let view = store.view().unwrap();
    assert_eq!((view.row_count(), view.key_count()), (0, 0));
    assert!(view.context().is_empty() && view.root().unwrap().is_zero());
    assert_eq!(store.namespace(), "test");
}

fn everything_is_there_after_closing<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    put(&store, "b", "2");
    remove(&store, "a");
    let before = store.view().unwrap();
    let (context, root, clock) = (
        before.context().clone(),
        before.root().unwrap(),
        before.clock(),
    );
    drop((store, before));

    let store = harness.open();
    let after = store.view().unwrap();
    assert_eq!(after.context(), &context);
    assert_eq!((after.root().unwrap(), after.clock()), (root, clock));
    assert_eq!((after.row_count(), after.key_count()), (1, 1));
    assert_sound(&store);
}

fn refused<H: Harness>(harness: &H, config: Config) -> OpenError {
    match Store::open(harness.mount(), config) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

fn another_namespace_is_refused<H: Harness>() {
    let harness = H::new();
    drop(harness.open());
    let error = refused(&harness, Config::new("other", SECRET));
    assert!(matches!(&error, OpenError::OtherNamespace { found, .. } if found == "test"));
    assert!(
        error.to_string().contains("check the data directory"),
        "{error}"
    );
}

fn another_secret_is_refused<H: Harness>() {
    let harness = H::new();
    drop(harness.open());
    let error = refused(&harness, Config::new("test", [8; 32]));
    assert!(matches!(&error, OpenError::OtherSecret { .. }));
    assert!(error.to_string().contains("export and import"), "{error}");
}

fn a_newer_format_is_refused<H: Harness>() {
    let harness = H::new();
    drop(harness.open());
    let newer = (format::FORMAT + 1).to_be_bytes();
    harness.tamper(|batch| batch.put(Table::Meta, b"format", &newer));
    let error = refused(&harness, config());
    assert!(matches!(error, OpenError::NewerFormat { found, known } if found == known + 1));
    assert!(
        error
            .to_string()
            .contains("use the version of Syncline that wrote it"),
        "{error}"
    );
}

fn content_without_a_format_is_refused<H: Harness>() {
    let harness = H::new();
    harness.tamper(|batch| batch.put(Table::Rows, b"stray", b"row"));
    assert!(matches!(
        refused(&harness, config()),
        OpenError::DamagedTables(_)
    ));
    // An engine that was made, and whose store's first commit never came, is a new store.
    let harness = H::new();
    drop(harness.mount());
    harness.open();
}

fn broken_meta_rows_are_refused<H: Harness>() {
    for key in [&b"format"[..], b"namespace", b"secret", b"state"] {
        for value in [None, Some(&b"\xff"[..]), Some(b"")] {
            let harness = H::new();
            put(&harness.open(), "a", "1");
            harness.tamper(|batch| match value {
                Some(value) => batch.put(Table::Meta, key, value),
                None => batch.remove(Table::Meta, key),
            });
            let error = refused(&harness, config());
            let named = match &error {
                OpenError::DamagedTables(_) => true,
                OpenError::OtherSecret { .. } => key == b"secret",
                OpenError::OtherNamespace { .. } => key == b"namespace",
                _ => false,
            };
            assert!(named, "{}: {error}", key.escape_ascii());
        }
    }
}

fn a_broken_context_is_refused<H: Harness>() {
    let interval = |start: u64| [&[1; 16][..], &start.to_be_bytes()].concat();
    let broken: [&[(Vec<u8>, u64)]; 4] = [
        &[(interval(5), 4)],
        &[(interval(1), 4), (interval(5), 9)],
        &[(interval(1), 9), (interval(5), 6)],
        &[(b"no dot".to_vec(), 1)],
    ];
    for intervals in broken {
        let harness = H::new();
        put(&harness.open(), "a", "1");
        harness.tamper(|batch| {
            for (first, end) in intervals {
                batch.put(Table::Context, first, &end.to_be_bytes());
            }
        });
        let error = refused(&harness, config());
        assert!(
            error.to_string().contains("restore it from a backup"),
            "{error}"
        );
    }
}

#[test]
fn opening_reads_neither_rows_nor_digests() {
    let harness = Memory::new();
    put(&harness.open(), "a", "1");
    // Were they read, this would be noticed.
    harness.tamper(|batch| {
        batch.put(Table::Rows, cell("a").as_bytes(), b"garbage");
        batch.put(Table::Digests, b"\x00", b"garbage");
    });
    let store = harness.open();
    assert!(store.view().unwrap().root().is_err());
}
