//! Files that are not what they should be.

use std::fs;
use std::path::{Path, PathBuf};

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{
    Batch, Config, Durability, Engine, OpenError, RedbEngine, RedbOptions, Store, StoreError,
    Table, format,
};
use syncline_tests::rng::{Choices, Rng};

const ROWS: u32 = 500;
const OPTIONS: RedbOptions = RedbOptions {
    cache_bytes: 4 << 20,
};

fn config() -> Config {
    Config::new("app", [7; 32])
}

fn key(n: u32) -> RowKey {
    RowKey::cell(format!("user:{n}").as_bytes())
}

fn value(n: u32) -> Vec<u8> {
    format!("\x01a value that takes some room, number {n}").into_bytes()
}

fn open(path: &Path) -> Result<Store<RedbEngine>, OpenError> {
    Store::open(RedbEngine::open(path, OPTIONS)?, config())
}

/// A store of some rows, closed in order.
fn written(directory: &Path) -> PathBuf {
    let path = directory.join("good.store");
    let store = Store::open(RedbEngine::create(&path, OPTIONS).unwrap(), config()).unwrap();
    for from in (0..ROWS).step_by(100) {
        let put = |txn: &mut syncline_store::Transaction<'_, _>| {
            (from..from + 100).try_for_each(|n| txn.put(&key(n), value(n)).map(drop))
        };
        store
            .transact::<_, StoreError>(Durability::Durable, put)
            .unwrap();
    }
    path
}

/// What becomes of a damaged file.
#[derive(Debug, Default)]
struct Outcomes {
    refused: usize,
    known: usize,
    whole: usize,
}

impl Outcomes {
    /// Opens the file and reads it all. Each row is there, or an error says that something is wrong.
    fn note(&mut self, path: &Path, what: &str) {
        let store = match open(path) {
            Ok(store) => store,
            Err(error) => {
                has_remedy(&error);
                self.refused += 1;
                return;
            }
        };
        match whole(&store) {
            Ok(true) => self.whole += 1,
            Ok(false) => panic!("{what}: rows are missing, and nothing says so"),
            Err(error) => {
                assert!(!error.is_empty());
                self.known += 1;
            }
        }
    }
}

/// Whether all rows are there; an error if the store knows better.
fn whole(store: &Store<RedbEngine>) -> Result<bool, String> {
    let view = store.view().map_err(|error| error.to_string())?;
    let recount = view.recount().map_err(|error| error.to_string())?;
    if !recount.is_sound() {
        return Err(format!("{:?}", recount.mismatches));
    }
    let rows: Vec<_> = view
        .scan(&KeyRange::ALL)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let right = (0..ROWS).all(|n| {
        let row = view.get(&key(n)).ok().flatten();
        row.is_some_and(|row| {
            row.winner()
                .is_some_and(|winner| winner.payload == value(n))
        })
    });
    Ok(rows.len() == ROWS as usize && right)
}

/// The text says what to do, not only what is wrong.
fn has_remedy(error: &OpenError) {
    let text = error.to_string();
    let remedies = [
        "restore", "check", "remove", "stop", "use the", "choose", "open it", "free",
    ];
    assert!(
        remedies.iter().any(|remedy| text.contains(remedy)),
        "no remedy in: {text}"
    );
}

#[test]
fn truncated_files_are_refused_or_known_to_be_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let good = fs::read(written(directory.path())).unwrap();
    let mut lengths = vec![0, 1, 8, 9, 64, 320, 511, 4_095, 4_096, 4_097, 8_192];
    lengths.extend((1..16).map(|part| good.len() * part / 16));
    lengths.extend([good.len() - 4_096, good.len() - 1]);
    let mut outcomes = Outcomes::default();
    for length in lengths {
        let path = directory.path().join(format!("{length}.store"));
        fs::write(&path, &good[..length]).unwrap();
        outcomes.note(&path, &format!("truncated to {length} bytes"));
        fs::remove_file(path).unwrap();
    }
    assert!(outcomes.refused > 20, "{outcomes:?}");
}

#[test]
fn files_with_flipped_bits_are_refused_or_known_to_be_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let good = fs::read(written(directory.path())).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut rng = Rng::new(1);
    let mut outcomes = Outcomes::default();
    for seed in 0..150 {
        let mut bad = good.clone();
        // The header and the roots of the trees every other time: they are small, and matter most.
        let at = match seed % 2 {
            0 => rng.below(512),
            _ => rng.next() as usize % used,
        };
        bad[at] ^= 1 << rng.below(8);
        let path = directory.path().join(format!("{seed}.store"));
        fs::write(&path, &bad).unwrap();
        outcomes.note(&path, &format!("a bit flipped in byte {at}"));
        fs::remove_file(path).unwrap();
    }
    println!("{outcomes:?}");
    assert!(outcomes.refused > 0 && outcomes.whole > 0, "{outcomes:?}");
}

#[test]
fn files_of_other_kinds_are_refused_and_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    let sqlite = [&b"SQLite format 3\0"[..], &[0; 4_080]].concat();
    for content in [&b"just some text\n"[..], &sqlite, &[0; 100_000]] {
        fs::write(&path, content).unwrap();
        let error = open(&path).err().unwrap();
        assert!(
            matches!(
                error,
                OpenError::NotAStore { .. } | OpenError::Damaged { .. }
            ),
            "{error}"
        );
        has_remedy(&error);
        assert_eq!(fs::read(&path).unwrap(), content, "nothing was changed");
    }
    let missing = directory.path().join("missing");
    assert!(matches!(open(&missing), Err(OpenError::Missing { .. })));
    assert!(!missing.exists());
    assert!(open(directory.path()).is_err(), "a directory is no store");
}

#[test]
fn a_store_that_is_open_is_refused_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    let store = open(&path).unwrap();
    for _ in 0..3 {
        let error = open(&path).err().unwrap();
        assert!(matches!(error, OpenError::AlreadyOpen { .. }), "{error}");
        has_remedy(&error);
    }
    store
        .transact(Durability::Durable, |txn| txn.put(&key(0), value(0)))
        .unwrap();
    drop(store);
    assert!(whole(&open(&path).unwrap()).unwrap());
}

#[test]
fn stores_of_another_format_namespace_or_secret_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path());
    let engine = || RedbEngine::open(&path, OPTIONS).unwrap();
    let refusal = |config: Config| {
        let error = Store::open(engine(), config).err().unwrap();
        has_remedy(&error);
        error
    };
    assert!(matches!(
        refusal(Config::new("other", [7; 32])),
        OpenError::OtherNamespace { .. }
    ));
    assert!(matches!(
        refusal(Config::new("app", [8; 32])),
        OpenError::OtherSecret { .. }
    ));

    let newer = engine();
    let mut batch = Batch::new();
    let newer_format = (format::FORMAT + 1).to_be_bytes();
    batch.put(Table::Meta, b"format", &newer_format);
    newer.commit(batch, Durability::Durable).unwrap();
    drop(newer);
    assert!(matches!(
        refusal(config()),
        OpenError::NewerFormat { found, known: format::FORMAT } if found == format::FORMAT + 1
    ));

    // All of these left the store as it was.
    let engine_again = engine();
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"format", &format::FORMAT.to_be_bytes());
    engine_again.commit(batch, Durability::Durable).unwrap();
    drop(engine_again);
    assert!(whole(&open(&path).unwrap()).unwrap());
}
