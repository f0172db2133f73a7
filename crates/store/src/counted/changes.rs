//! The counted index with changes that are not committed yet.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use syncline_crdt::RowKey;
use syncline_merkle::{KeyRange, tree};

use super::{Counts, entry};
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::staging::Staged;
use crate::{StoreError, View, ranked};

/// The entries in which an index differs from the one in a snapshot, each with whether it is there.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<Vec<u8>, bool>);

impl Changes {
    /// What a group's rows come to.
    pub(crate) fn of(rows: &BTreeMap<RowKey, Staged>) -> Self {
        let mut changes = Self::default();
        for (key, staged) in rows.iter().filter(|(_, staged)| staged.changed) {
            let base = staged.before.counted.as_deref();
            changes.note(base, base, entry(key, &staged.row));
        }
        changes
    }

    /// Lists a row under `now` instead of `was`. In the snapshot it is listed under `base`.
    pub(crate) fn note(&mut self, base: Option<&[u8]>, was: Option<&[u8]>, now: Option<Vec<u8>>) {
        if was == now.as_deref() {
            return;
        }
        if let Some(was) = was {
            match base == Some(was) {
                true => self.0.insert(was.to_vec(), false),
                false => self.0.remove(was),
            };
        }
        if let Some(now) = now {
            match base == Some(now.as_slice()) {
                true => self.0.remove(&now),
                false => self.0.insert(now, true),
            };
        }
    }

    /// Notes an entry by itself.
    pub(super) fn set(&mut self, entry: Vec<u8>, is_there: bool) {
        self.0.insert(entry, is_there);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.0
            .iter()
            .map(|(entry, is_there)| (&entry[..], *is_there))
    }

    fn within(&self, range: &KeyRange, direction: Direction) -> Box<Within<'_>> {
        let bounds = range.bounds().unwrap_or(crate::view::NOTHING);
        let changes = self.0.range::<[u8], _>(bounds);
        let changes = changes.map(|(entry, is_there)| (&entry[..], *is_there));
        match direction {
            Direction::Forward => Box::new(changes),
            Direction::Backward => Box::new(changes.rev()),
        }
    }
}

type Within<'c> = dyn Iterator<Item = (&'c [u8], bool)> + 'c;

/// An index as it would be if changes were committed.
pub(crate) struct Index<'v, E: Engine> {
    pub(crate) base: &'v View<E>,
    pub(crate) changes: &'v Changes,
}

impl<'v, E: Engine> Index<'v, E> {
    /// Without any.
    pub(crate) fn of(base: &'v View<E>) -> Self {
        const NONE: &Changes = &Changes(BTreeMap::new());
        let changes = NONE;
        Self { base, changes }
    }

    /// How many entries a range holds. O(log n), and O(m) in the changes there.
    pub(crate) fn count(&self, range: &KeyRange) -> Result<u64, StoreError> {
        let changes = self.changes.within(range, Direction::Forward);
        let net = changes.map(|(_, is_there)| net(is_there)).sum();
        Ok(self.count_base(range)?.saturating_add_signed(net))
    }

    fn count_base(&self, range: &KeyRange) -> Result<u64, StoreError> {
        Ok(tree::digest(&Counts(self.base), range)?.count())
    }

    /// The entry that has `n` others of the range before it. O(log n), and with m changes there O(m + log m log n).
    pub(crate) fn nth(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let changes: Vec<_> = self.changes.within(range, Direction::Forward).collect();
        let count = |range: &KeyRange| self.count_base(range);
        let nth = |n| tree::nth(&Counts(self.base), range, n);
        ranked::nth(&changes, range, n, count, nth)
    }

    /// The entries of a range from one of its ends, at most `limit`.
    pub(crate) fn page(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut page = Vec::new();
        let Some(bounds) = range.bounds().filter(|_| limit > 0) else {
            return Ok(page);
        };
        let comes_before = |change: &[u8], entry: &[u8]| match direction {
            Direction::Forward => change < entry,
            Direction::Backward => change > entry,
        };
        let mut changes = self.changes.within(range, direction).peekable();
        self.base
            .snapshot
            .visit(Table::Counted, bounds, direction, &mut |entry, _| {
                while page.len() < limit
                    && let Some((change, is_there)) =
                        changes.next_if(|(change, _)| comes_before(change, entry))
                {
                    page.extend(is_there.then(|| change.to_vec()));
                }
                if page.len() < limit {
                    let change = changes.next_if(|(change, _)| *change == entry);
                    let is_there = change.is_none_or(|(_, is_there)| is_there);
                    page.extend(is_there.then(|| entry.to_vec()));
                }
                match page.len() < limit {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
        let added = changes.filter(|(_, is_there)| *is_there);
        let left = limit - page.len();
        page.extend(added.take(left).map(|(change, _)| change.to_vec()));
        Ok(page)
    }
}

const fn net(is_there: bool) -> i64 {
    if is_there { 1 } else { -1 }
}
