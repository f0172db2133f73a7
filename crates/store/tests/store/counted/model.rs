//! What an index is to say, worked out from the rows without it, and random edits of rows.

use std::collections::BTreeSet;

use proptest::prelude::*;

use syncline_crdt::cell::{self as cells, Cell};
use syncline_crdt::{Family, Row, RowKey, Score, Siblings, score};
use syncline_merkle::KeyRange;
use syncline_store::{
    Direction, Engine, StoreError, Transaction, View, read_score_entry, score_entry,
};

/// Zeros of both signs, infinities, numbers that no decimal holds, and some that are equal.
const SCORES: [f64; 9] = [
    0.0,
    -0.0,
    1.5,
    1.5,
    -2.0,
    1e300,
    -1e-30,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// One of them ends in bytes that are escaped, and begins as the other does.
pub(super) const KEYS: [&[u8]; 2] = [b"game", b"game\0\xff"];

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Score {
        member: u8,
        score: usize,
    },
    Add {
        member: u8,
        by: i64,
    },
    Remove {
        member: u8,
    },
    /// A field is set, or added to and deleted, which leaves a remnant.
    Field {
        field: u8,
        is_left: bool,
    },
    /// What no reader understands.
    Strange {
        member: u8,
        payload: Vec<u8>,
    },
}

pub(super) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let member = 0..40u8;
    let edit = prop_oneof![
        6 => (member.clone(), 0..SCORES.len()).prop_map(|(member, score)| Edit::Score { member, score }),
        4 => (member.clone(), -3..4i64).prop_map(|(member, by)| Edit::Add { member, by }),
        3 => member.clone().prop_map(|member| Edit::Remove { member }),
        2 => (member.clone(), any::<bool>()).prop_map(|(field, is_left)| Edit::Field { field, is_left }),
        1 => (member, prop::sample::select(vec![vec![], vec![0x7f], b"\x01ten".to_vec(), b"\x01nan".to_vec()]))
            .prop_map(|(member, payload)| Edit::Strange { member, payload }),
    ];
    prop::collection::vec(edit, 1..40)
}

fn member_key(member: u8) -> RowKey {
    RowKey::score(KEYS[usize::from(member % 2)], &[member / 2])
}

pub(super) fn edit<E: Engine>(txn: &mut Transaction<'_, E>, edit: &Edit) -> Result<(), StoreError> {
    let observed =
        |txn: &mut Transaction<'_, E>, key: &RowKey| -> Result<Siblings<Cell>, StoreError> {
            let row = txn.get(key)?.unwrap_or_default();
            Ok(row.try_map(|it| Cell::from_bytes(it)).unwrap_or_default())
        };
    match edit {
        Edit::Score { member, score } => {
            let key = member_key(*member);
            let text = Score::new(SCORES[*score]).unwrap().to_text();
            let set = cells::assign(&observed(txn, &key)?, Some(text));
            txn.put(&key, set.to_bytes())?;
        }
        Edit::Add { member, by } => {
            let key = member_key(*member);
            let more = score::add(&observed(txn, &key)?, txn.replica(), (*by).into()).unwrap();
            txn.put_superseding(&key, more.cell.to_bytes(), &more.supersedes)?;
        }
        Edit::Remove { member } => {
            let key = member_key(*member);
            match cells::assign(&observed(txn, &key)?, None) {
                Cell::Base { baselines, .. } if baselines.is_empty() => drop(txn.remove(&key)?),
                remnant => drop(txn.put(&key, remnant.to_bytes())?),
            }
        }
        Edit::Field { field, is_left } => {
            let key = RowKey::field(KEYS[0], &[*field]);
            let more = cells::add(&observed(txn, &key)?, txn.replica(), 1).ok();
            let Some(more) = more else { return Ok(()) };
            txn.put_superseding(&key, more.cell.to_bytes(), &more.supersedes)?;
            if *is_left {
                let delete = cells::assign(&observed(txn, &key)?, None);
                txn.put(&key, delete.to_bytes())?;
            }
        }
        Edit::Strange { member, payload } => {
            txn.put(&member_key(*member), payload.clone())?;
        }
    }
    Ok(())
}

/// What the rows say the index should be, worked out without it.
fn expected(rows: &[(RowKey, Row)]) -> BTreeSet<Vec<u8>> {
    let mut entries = BTreeSet::new();
    for (key, row) in rows {
        let cell = row.try_map(|it| Cell::from_bytes(it)).ok();
        if key.family() == Family::SCORE
            && let Some(score) = cell.as_ref().and_then(score::read)
        {
            entries.insert(score_entry(&key.user_key(), score, key.field_bytes()));
        }
        if key.family() == Family::FIELD && cell.is_some_and(|it| cells::read(&it).is_none()) {
            entries.insert(key.as_bytes().to_vec());
        }
    }
    entries
}

/// Reading an index, of a view or in a transaction.
pub(super) trait Index {
    fn count(&mut self, range: &KeyRange) -> u64;
    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>>;
    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>>;
    fn rows(&mut self, range: &KeyRange) -> u64;
}

impl<E: Engine> Index for View<E> {
    fn count(&mut self, range: &KeyRange) -> u64 {
        self.count_entries(range).unwrap()
    }

    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>> {
        self.entry_at(range, n).unwrap()
    }

    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
        self.entries(range, direction, limit).unwrap()
    }

    fn rows(&mut self, range: &KeyRange) -> u64 {
        self.digest(range).unwrap().count()
    }
}

impl<E: Engine> Index for Transaction<'_, E> {
    fn count(&mut self, range: &KeyRange) -> u64 {
        self.count_entries(range).unwrap()
    }

    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>> {
        self.entry_at(range, n).unwrap()
    }

    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
        self.entries(range, direction, limit).unwrap()
    }

    fn rows(&mut self, range: &KeyRange) -> u64 {
        self.count_rows(range).unwrap()
    }
}

/// Holds all that an index tells of some ranges against the rows.
pub(super) fn check(index: &mut impl Index, rows: &[(RowKey, Row)]) -> Result<(), TestCaseError> {
    let expected = expected(rows);
    let prefix = |user| RowKey::family_prefix(user, Family::SCORE);
    let bound = |number: f64| score_entry(KEYS[0], Score::new(number).unwrap(), b"");
    let ranges = [
        KeyRange::ALL,
        KeyRange::prefix(&prefix(KEYS[0])),
        KeyRange::prefix(&prefix(KEYS[1])),
        KeyRange::prefix(&RowKey::family_prefix(KEYS[0], Family::FIELD)),
        KeyRange::new(bound(0.0), Some(bound(1.5))),
        KeyRange::new(bound(1.5), Some(bound(f64::INFINITY))),
        KeyRange::new(bound(1.5), Some(bound(0.0))),
        KeyRange::new(bound(9.0), None),
    ];
    for range in &ranges {
        let held: Vec<&Vec<u8>> = expected.iter().filter(|it| range.contains(it)).collect();
        prop_assert_eq!(index.count(range), held.len() as u64, "{:?}", range);
        for n in 0..held.len() + 2 {
            let nth = index.nth(range, n as u64);
            prop_assert_eq!(nth.as_ref(), held.get(n).copied(), "{} of {:?}", n, range);
        }
        for limit in [0, 1, 3, held.len(), usize::MAX] {
            let forward = index.page(range, Direction::Forward, limit);
            let wanted: Vec<Vec<u8>> = held.iter().copied().take(limit).cloned().collect();
            prop_assert_eq!(forward, wanted);
            let backward = index.page(range, Direction::Backward, limit);
            let wanted: Vec<Vec<u8>> = held.iter().copied().rev().take(limit).cloned().collect();
            prop_assert_eq!(backward, wanted);
        }
        let rows = rows
            .iter()
            .filter(|(key, _)| range.contains(key.as_bytes()));
        prop_assert_eq!(index.rows(range), rows.count() as u64);
    }
    for entry in &expected {
        let read = read_score_entry(entry);
        prop_assert_eq!(
            read.is_some(),
            entry.contains(&Family::SCORE.0) && is_of_a_set(entry)
        );
        if let Some((score, member)) = read {
            let key = if entry.starts_with(&prefix(KEYS[0])) {
                KEYS[0]
            } else {
                KEYS[1]
            };
            prop_assert_eq!(&score_entry(key, score, member), entry);
        }
    }
    Ok(())
}

fn is_of_a_set(entry: &[u8]) -> bool {
    KEYS.iter()
        .any(|key| entry.starts_with(&RowKey::family_prefix(key, Family::SCORE)))
}

pub(super) fn check_transaction<E: Engine>(
    txn: &mut Transaction<'_, E>,
) -> Result<(), TestCaseError> {
    let rows = txn.scan(&KeyRange::ALL, usize::MAX).unwrap();
    check(txn, &rows)
}
