//! The rows of the benchmarks, and the ways in which two replicas are made to differ. All of it follows from a seed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_crdt::RowKey;
use syncline_crdt::cell::Cell;
use syncline_merkle::KeyRange;
use syncline_store::{Config, Durability, Engine, RedbEngine, RedbOptions, Store, StoreError};

use super::timed::{Commits, TimedEngine};
use crate::args::Kind;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::seeded::Seeded;

pub(crate) const NAMESPACE: &str = "bench";
pub(crate) const SECRET: [u8; 32] = *b"a secret of benchmarks and of no";

/// Bytes of a value.
const VALUE: usize = 100;

/// What a user has; padded, so that all keys have one length.
const ATTRIBUTES: [&str; 10] = [
    "address-------",
    "email---------",
    "language------",
    "last-login----",
    "preferences---",
    "profile-image-",
    "profile-name--",
    "session-------",
    "shopping-cart-",
    "subscription--",
];
const TENANTS: u64 = 16;
const HUNDRED: u64 = 100;

/// Rows per transaction while a store is built.
const BATCH: u64 = 10_000;
/// Rows per transaction while replicas are made to differ.
const CHANGES: usize = 1_000;

/// Rows in key order: the `index`-th of `rows`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    pub(crate) seed: u64,
}

impl Rows {
    /// 40 bytes such as `tenant-03/user/0000123456/profile-name--`: rows of a user and users of a tenant are
    /// neighbours.
    pub(crate) fn key(&self, index: u64) -> Vec<u8> {
        let of_user = ATTRIBUTES.len() as u64;
        let user = index / of_user;
        let hundreds = self.count.div_ceil(of_user * HUNDRED).max(1);
        // Every hundred users belong to one tenant, so that their rows share a prefix.
        let tenant = u128::from(user / HUNDRED) * u128::from(TENANTS) / u128::from(hundreds);
        let attribute = ATTRIBUTES[(index % ATTRIBUTES.len() as u64) as usize];
        format!("tenant-{tenant:02}/user/{user:010}/{attribute}").into_bytes()
    }

    /// A key that is none of these, right behind the `index`-th.
    pub(crate) fn new_key(&self, index: u64) -> Vec<u8> {
        let mut key = self.key(index);
        if let Some(last) = key.last_mut() {
            *last = b'~';
        }
        key
    }

    /// 100 bytes; `version` 0 is the first value of a row.
    pub(crate) fn value(&self, index: u64, version: u64) -> Vec<u8> {
        let mut random = Seeded::stream(self.seed ^ version.rotate_left(32), index);
        let mut value = vec![0; VALUE];
        random.fill(&mut value);
        value
    }
}

/// The payload of a plain SET.
pub(crate) fn payload(value: Vec<u8>) -> Vec<u8> {
    let cell = Cell::Base {
        value: Some(value),
        baselines: Default::default(),
    };
    cell.to_bytes()
}

pub(crate) fn config() -> Config {
    Config::new(NAMESPACE, SECRET)
}

/// Opens a store of the benchmarks whose commits are timed.
pub(crate) fn open(
    path: &Path,
    options: RedbOptions,
) -> Result<(Store<TimedEngine>, Arc<Commits>), Failure> {
    open_as(path, options, config())
}

/// The same with settings of its own.
pub(crate) fn open_as(
    path: &Path,
    options: RedbOptions,
    config: Config,
) -> Result<(Store<TimedEngine>, Arc<Commits>), Failure> {
    let opening = || format!("cannot open {}", path.display());
    let engine = RedbEngine::open_or_create(path, options).doing(opening)?;
    let commits = Arc::<Commits>::default();
    let engine = TimedEngine::new(engine, Arc::clone(&commits));
    Ok((Store::open(engine, config).doing(opening)?, commits))
}

/// A file with all the rows, made in `scratch` or taken from where an earlier benchmark left it.
pub(crate) fn base(rows: Rows, scratch: &Path, reuse: Option<&Path>) -> Result<PathBuf, Failure> {
    let directory = match reuse {
        None => scratch,
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .doing(|| format!("cannot make {}", directory.display()))?;
            directory
        }
    };
    let path = directory.join(format!("base-{}-{}.redb", rows.count, rows.seed));
    if path.exists() {
        return Ok(path);
    }
    // Under another name until it is whole: an interrupted build must not be taken for a store of fewer rows.
    let unfinished = path.with_extension("unfinished");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)
            .doing(|| format!("cannot remove {}", unfinished.display()))?;
    }
    build(rows, &unfinished)?;
    std::fs::rename(&unfinished, &path).doing(|| format!("cannot name {}", path.display()))?;
    Ok(path)
}

fn build(rows: Rows, path: &Path) -> Result<(), Failure> {
    let (store, _) = open(path, RedbOptions::default())?;
    let progress = Progress::bar("building the store", rows.count);
    let mut next = 0;
    while next < rows.count {
        let batch = next..(next + BATCH).min(rows.count);
        next = batch.end;
        let last = next == rows.count;
        insert(
            &store,
            rows,
            batch.clone(),
            if last {
                Durability::Durable
            } else {
                Durability::Memory
            },
        )
        .doing(|| "cannot build the store".to_owned())?;
        progress.add(batch.end - batch.start);
    }
    Ok(())
}

/// Writes rows that are not there yet, in one transaction.
pub(crate) fn insert<E: Engine>(
    store: &Store<E>,
    rows: Rows,
    batch: Range<u64>,
    durability: Durability,
) -> Result<(), StoreError> {
    store.transact(durability, |transaction| {
        for index in batch {
            let key = RowKey::cell(&rows.key(index));
            transaction.put(&key, payload(rows.value(index, 0)))?;
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(())
}

/// Reads every row and the root digest.
pub(crate) fn warm<E: Engine>(store: &Store<E>) -> Result<(), Failure> {
    let reading = || "cannot read a replica".to_owned();
    let view = store.view().doing(reading)?;
    for row in view.scan(&KeyRange::ALL) {
        row.doing(reading)?;
    }
    view.root().doing(reading)?;
    Ok(())
}

/// How many rows a peer needs that held what the other held before the differences were made.
pub(crate) fn rows_needed(kind: Kind, rows: Rows, differences: u64) -> u64 {
    match kind {
        Kind::Adds | Kind::Overwrites | Kind::Skewed | Kind::Growing => differences,
        Kind::Deletes | Kind::Clustered | Kind::None => 0,
        Kind::Bootstrap => rows.count,
    }
}

/// Makes a store differ in the way of `kind` from the others of the same rows.
pub(crate) fn make_differ<E: Engine>(
    store: &Store<E>,
    kind: Kind,
    rows: Rows,
    differences: u64,
) -> Result<(), Failure> {
    let indices: Vec<u64> = match kind {
        Kind::None | Kind::Bootstrap => return Ok(()),
        Kind::Clustered => clustered(rows, differences).collect(),
        Kind::Growing => (rows.count..rows.count + differences).collect(),
        Kind::Skewed => skewed(rows, differences),
        Kind::Adds | Kind::Overwrites | Kind::Deletes => scattered(rows, differences),
    };
    let mut version = 0;
    for chunk in indices.chunks(CHANGES) {
        let changed = store.transact(Durability::Durable, |transaction| {
            for &index in chunk {
                version += 1;
                match kind {
                    Kind::Adds => {
                        let key = RowKey::cell(&rows.new_key(index));
                        transaction.put(&key, payload(rows.value(index, 1)))?;
                    }
                    Kind::Overwrites => {
                        let key = RowKey::cell(&rows.key(index));
                        transaction.put(&key, payload(rows.value(index, 1)))?;
                    }
                    Kind::Growing => {
                        let key = RowKey::cell(&rows.key(index));
                        transaction.put(&key, payload(rows.value(index, 1)))?;
                    }
                    Kind::Skewed => {
                        let key = RowKey::cell(&rows.key(index));
                        transaction.put(&key, payload(rows.value(index, version)))?;
                    }
                    _ => {
                        transaction.remove(&RowKey::cell(&rows.key(index)))?;
                    }
                }
            }
            Ok::<_, StoreError>(())
        });
        changed.doing(|| "cannot make the replicas differ".to_owned())?;
    }
    Ok(())
}

/// Different indices anywhere, in the order in which they were drawn, as writes come.
fn scattered(rows: Rows, count: u64) -> Vec<u64> {
    let mut random = Seeded::stream(rows.seed, u64::MAX);
    let mut drawn = BTreeSet::new();
    let mut indices = Vec::new();
    while (indices.len() as u64) < count.min(rows.count) {
        let index = random.below(rows.count);
        if drawn.insert(index) {
            indices.push(index);
        }
    }
    indices
}

/// As many different indices, most of them several times. Rank r is drawn about in proportion to 1/r: as many draws fall
/// between a power of two and the next as between any other and its next. (Whole numbers only: what a library makes of
/// powers may differ between machines.) Ranks are scattered over the key space.
fn skewed(rows: Rows, count: u64) -> Vec<u64> {
    let mut random = Seeded::stream(rows.seed, u64::MAX);
    let octaves = u64::from(rows.count.max(1).ilog2()) + 1;
    let mut drawn = BTreeSet::new();
    let mut indices = Vec::new();
    while (drawn.len() as u64) < count.min(rows.count) {
        let first = 1 << random.below(octaves);
        let rank = (first + random.below(first)).min(rows.count) - 1;
        let index = scattered_rank(rank, rows.count);
        drawn.insert(index);
        indices.push(index);
    }
    indices
}

/// A place for each rank, of its own: multiplying by what has no divisor in common with the count permutes.
fn scattered_rank(rank: u64, count: u64) -> u64 {
    let mut factor = (count as f64 * 0.618) as u64 | 1;
    while gcd(factor, count) != 1 {
        factor += 2;
    }
    (u128::from(rank) * u128::from(factor) % u128::from(count)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Neighbours. They begin where the number of the user is a multiple of 100, so that a thousand are exactly those of one
/// prefix.
fn clustered(rows: Rows, count: u64) -> Range<u64> {
    let aligned = HUNDRED * ATTRIBUTES.len() as u64;
    let room = (rows.count - count.min(rows.count)) / aligned;
    let begin = Seeded::stream(rows.seed, u64::MAX).below(room + 1) * aligned;
    begin..(begin + count).min(rows.count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use syncline_store::MemoryEngine;

    const ROWS: Rows = Rows {
        count: 5_000,
        seed: 3,
    };

    #[test]
    fn keys_are_of_one_length_in_order_and_share_prefixes() {
        let keys: Vec<Vec<u8>> = (0..ROWS.count).map(|index| ROWS.key(index)).collect();
        assert!(keys.iter().all(|key| key.len() == 40));
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(keys[0], b"tenant-00/user/0000000000/address-------");
        let last = ROWS.count - 1;
        assert_eq!(ROWS.key(last), b"tenant-12/user/0000000499/subscription--");
        assert!(!keys.contains(&ROWS.new_key(7)));
        assert_eq!(ROWS.new_key(7).len(), 40);
    }

    #[test]
    fn values_follow_from_seed_index_and_version() {
        assert_eq!(ROWS.value(1, 0), ROWS.value(1, 0));
        assert_eq!(ROWS.value(1, 0).len(), VALUE);
        assert_ne!(ROWS.value(1, 0), ROWS.value(1, 1));
        assert_ne!(ROWS.value(1, 0), ROWS.value(2, 0));
    }

    #[test]
    fn a_thousand_neighbours_are_those_of_one_prefix() {
        let range = clustered(ROWS, 1_000);
        assert_eq!(range.end - range.start, 1_000);
        let prefix = &ROWS.key(range.start)[..b"tenant-00/user/00000000".len()];
        assert!(
            range
                .clone()
                .all(|index| ROWS.key(index).starts_with(prefix))
        );
    }

    #[test]
    fn skewed_writes_go_mostly_to_few_rows_anywhere() {
        let writes = skewed(ROWS, 1_000);
        let mut times = std::collections::BTreeMap::<u64, usize>::new();
        writes
            .iter()
            .for_each(|index| *times.entry(*index).or_default() += 1);
        assert_eq!(times.len(), 1_000);
        let mut most: Vec<(usize, u64)> = times.iter().map(|(index, n)| (*n, *index)).collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        let top: usize = most[..10].iter().map(|(times, _)| times).sum();
        assert!(top * 5 > writes.len(), "{top} of {}", writes.len());
        let places: BTreeSet<u64> = most[..10].iter().map(|(_, index)| index / 1_000).collect();
        assert!(places.len() > 3, "{places:?}");
        let all: BTreeSet<u64> = (0..5_000).map(|rank| scattered_rank(rank, 5_000)).collect();
        assert_eq!(all.len(), 5_000);
    }

    #[test]
    fn growth_is_behind_all_rows() {
        let new: Vec<Vec<u8>> = (5_000..5_100).map(|index| ROWS.key(index)).collect();
        assert!(new.is_sorted() && new[0] > ROWS.key(4_999));
    }

    #[test]
    fn each_kind_changes_as_many_rows_as_asked() {
        for (kind, rows) in [
            (Kind::Adds, 5_100),
            (Kind::Overwrites, 5_000),
            (Kind::Skewed, 5_000),
            (Kind::Growing, 5_100),
            (Kind::Deletes, 4_900),
            (Kind::Clustered, 4_900),
            (Kind::None, 5_000),
        ] {
            let store = Store::open(MemoryEngine::new(), config()).unwrap();
            insert(&store, ROWS, 0..ROWS.count, Durability::Durable).unwrap();
            let before = store.view().unwrap().root().unwrap();
            make_differ(&store, kind, ROWS, 100).unwrap();
            let view = store.view().unwrap();
            assert_eq!(view.row_count(), rows, "{kind:?}");
            assert_eq!(view.root().unwrap() == before, kind == Kind::None);
        }
    }
}
