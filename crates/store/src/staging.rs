//! What a group has done so far: rows read and changed, dots seen, the clock. Memory only, until it
//! is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Context, Dot, Edit, Hlc, Row, RowKey};
use syncline_merkle::ItemDigest;
use syncline_merkle::sketch::Prefix;

use crate::counted::{Changes, Index};
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::removals::NewRemovals;
use crate::{StoreError, View};
use crate::{counted, due, format};

pub(crate) struct Staging<E: Engine> {
    /// The store before the group.
    pub(crate) base: View<E>,
    /// Rows read for writing, changed or not.
    pub(crate) rows: BTreeMap<RowKey, Staged>,
    /// The live context, with what the group has added.
    pub(crate) context: Context,
    /// How the persisted intervals change, in order.
    pub(crate) context_edits: Vec<Edit>,
    pub(crate) clock: Hlc,
    /// The last dot made since the store was opened, once one was. The context does not tell: a
    /// withdrawal takes dots out of it that other replicas have seen.
    pub(crate) last: Option<Dot>,
    /// Damaged rows withdrawn by the group.
    pub(crate) withdrawn: u64,
    /// The symbols of the snapshot's dot index, if it was read for a withdrawal and may be mended.
    pub(crate) index: Option<Prefix>,
    /// Dots that were withdrawn without a row that listed them; the index may have them elsewhere.
    pub(crate) orphans: BTreeSet<Dot>,
    /// What the removal log gains.
    pub(crate) removals: NewRemovals,
    /// The leaves of the digest tree whose unaccounted part was given to a withdrawn row.
    pub(crate) settled_leaves: BTreeSet<Vec<u8>>,
    /// Whether any key may have a deadline, once somebody has asked.
    pub(crate) has_deadlines: Option<bool>,
    /// Whether a join failed half way, so that rows may be here whose dots are not.
    pub(crate) torn: bool,
    /// Whether anything in it came from another replica.
    pub(crate) is_joined: bool,
    /// Counts transactions, to tell which has touched a row first.
    pub(crate) transactions: u32,
    /// The dots that changed rows hold and the snapshot's index does not. Made when first asked
    /// for: most groups join only dots that nobody has seen before, and never ask.
    new_dots: Option<BTreeMap<Dot, RowKey>>,
    /// What the rows change in the counted index. Made when first asked for.
    counted: Option<Changes>,
    /// What the rows of the user key last looked up begin with, if there are any in the snapshot.
    peopled: Vec<u8>,
    /// The row last read and not yet loaded, as the snapshot has it: what is read is mostly written next.
    read: Option<(RowKey, Found)>,
}

/// A row as the group sees it.
pub(crate) struct Staged {
    pub(crate) before: Before,
    pub(crate) row: Row,
    /// Whether the row may differ from what the snapshot holds.
    pub(crate) changed: bool,
    /// The last transaction that noted, for its undoing, what it found.
    pub(crate) touched_by: u32,
}

/// What the snapshot holds at a row's key.
#[derive(Default)]
pub(crate) struct Before {
    /// Whether there is a row, sound or not.
    pub(crate) present: bool,
    /// Whether the row passed its checksum and is what the indexes say.
    pub(crate) sound: bool,
    /// What the digest tree counts for it, as do the counters.
    pub(crate) digest: Option<ItemDigest>,
    /// The dots that the index lists under the key, ascending.
    pub(crate) dots: Vec<Dot>,
    /// Whether the user key has other rows. Only known, and only of use, where this one is absent.
    pub(crate) neighbours: bool,
    /// Under what a sound row is listed as due.
    pub(crate) due: Option<Vec<u8>>,
    /// Under what the row is listed in the counted index.
    pub(crate) counted: Option<Vec<u8>>,
}

/// What a look-up of a row found.
pub(crate) enum Found {
    Absent { neighbours: bool },
    Sound(ItemDigest, Row),
    Damaged,
}

impl<E: Engine> Staging<E> {
    pub(crate) fn new(base: View<E>, last: Option<Dot>) -> Self {
        Self {
            rows: BTreeMap::new(),
            context: base.context().clone(),
            context_edits: Vec::new(),
            clock: Hlc::new(base.clock()),
            last,
            withdrawn: 0,
            index: None,
            orphans: BTreeSet::new(),
            removals: NewRemovals::default(),
            settled_leaves: BTreeSet::new(),
            has_deadlines: None,
            torn: false,
            is_joined: false,
            transactions: 0,
            new_dots: None,
            counted: None,
            peopled: Vec::new(),
            read: None,
            base,
        }
    }

    /// Reads the row at a key. A damaged one is withdrawn and counts as absent.
    pub(crate) fn read(&mut self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        if !self.rows.contains_key(key) {
            match self.find(key)? {
                Found::Damaged => self.load(key)?,
                found => {
                    let row = match &found {
                        Found::Sound(_, row) => Some(row.clone()),
                        _ => None,
                    };
                    self.read = Some((key.clone(), found));
                    return Ok(row);
                }
            }
        }
        let staged = self.rows.get(key);
        Ok(staged
            .map(|staged| staged.row.clone())
            .filter(|row| !row.is_empty()))
    }

    /// Reads the row at a key for writing. A damaged one is withdrawn and counts as absent.
    pub(crate) fn load(&mut self, key: &RowKey) -> Result<(), StoreError> {
        if self.rows.contains_key(key) {
            return Ok(());
        }
        let found = match self.read.take() {
            Some((read, found)) if read == *key => found,
            _ => self.find(key)?,
        };
        match found {
            Found::Damaged => {
                let keys = BTreeSet::from([key.clone()]);
                self.withdraw_all(&keys, &BTreeSet::new()).map(drop)
            }
            found => {
                self.rows.insert(key.clone(), Staged::new(key, found));
                Ok(())
            }
        }
    }

    /// Reads the rows at keys that ascend, as [`load`](Self::load) does. All that are damaged are
    /// withdrawn together, since a withdrawal reads the whole dot index.
    pub(crate) fn load_all<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k RowKey>,
    ) -> Result<(), StoreError> {
        let mut damaged = BTreeSet::new();
        for key in keys {
            if !self.rows.contains_key(key) {
                match self.find(key)? {
                    Found::Damaged => {
                        damaged.insert(key.clone());
                    }
                    found => {
                        self.rows.insert(key.clone(), Staged::new(key, found));
                    }
                }
            }
        }
        if !damaged.is_empty() {
            self.withdraw_all(&damaged, &BTreeSet::new())?;
        }
        Ok(())
    }

    /// Changes a row that was loaded. `change` returns whether it did.
    pub(crate) fn edit(
        &mut self,
        key: &RowKey,
        change: impl FnOnce(&mut Row, &Context) -> bool,
    ) -> bool {
        let staged = self
            .rows
            .get_mut(key)
            .expect("every row is loaded before it is edited");
        let dots: Vec<Dot> = match self.new_dots {
            Some(_) => staged.row.dots().collect(),
            None => Vec::new(),
        };
        let was_counted = match self.counted {
            Some(_) => counted::entry(key, &staged.row),
            None => None,
        };
        let changed = change(&mut staged.row, &self.context);
        staged.changed |= changed;
        if let Some(new_dots) = &mut self.new_dots {
            dots.iter().for_each(|dot| {
                new_dots.remove(dot);
            });
            new_dots.extend(staged.new_dots().map(|dot| (dot, key.clone())));
        }
        if let Some(changes) = &mut self.counted {
            let base = staged.before.counted.as_deref();
            let now = counted::entry(key, &staged.row);
            changes.note(base, was_counted.as_deref(), now);
        }
        changed
    }

    /// The counted index as the group has made it.
    pub(crate) fn counted(&mut self) -> Index<'_, E> {
        let changes = || Changes::of(&self.rows);
        Index {
            changes: self.counted.get_or_insert_with(changes),
            base: &self.base,
        }
    }

    /// Stages a row that was withdrawn.
    pub(crate) fn replace(&mut self, key: RowKey, staged: Staged) {
        self.rows.insert(key, staged);
        self.counted = None;
    }

    /// Where a dot is live now.
    pub(crate) fn row_of(&mut self, dot: Dot) -> Result<Option<RowKey>, StoreError> {
        if let Some(key) = self.new_dots().get(&dot) {
            return Ok(Some(key.clone()));
        }
        let key = self.base.indexed(dot)?;
        // The index is of before the group, which may have superseded the dot meanwhile.
        Ok(key.filter(|key| self.still_holds(key, &dot)))
    }

    /// The keys of all rows in which a dot of `context` is live now, ascending.
    pub(crate) fn rows_of(&mut self, context: &Context) -> Result<BTreeSet<RowKey>, StoreError> {
        let mut keys = BTreeSet::new();
        for (replica, first, last) in context.intervals() {
            let (first, last) = (Dot::new(replica, first), Dot::new(replica, last));
            keys.extend(
                self.new_dots()
                    .range(first..=last)
                    .map(|(_, key)| key.clone()),
            );
            let mut outcome = Ok(());
            self.base
                .visit_dots(first, last, |dot, key| match format::read_row_key(key) {
                    Ok(key) => {
                        if self.still_holds(&key, &dot) {
                            keys.insert(key);
                        }
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        outcome = Err(error);
                        ControlFlow::Break(())
                    }
                })?;
            outcome?;
        }
        Ok(keys)
    }

    /// Whether a dot that the snapshot's index lists under a key is still live there.
    fn still_holds(&self, key: &RowKey, dot: &Dot) -> bool {
        self.rows
            .get(key)
            .is_none_or(|staged| staged.row.get(dot).is_some())
    }

    fn new_dots(&mut self) -> &BTreeMap<Dot, RowKey> {
        self.new_dots.get_or_insert_with(|| {
            let changed = self.rows.iter().filter(|(_, staged)| staged.changed);
            changed
                .flat_map(|(key, staged)| staged.new_dots().map(|dot| (dot, key.clone())))
                .collect()
        })
    }

    /// Puts a transaction's rows back as it found them.
    pub(crate) fn restore(&mut self, key: &RowKey, row: Row, changed: bool) {
        self.edit(key, |now, _| {
            *now = row;
            true
        });
        if let Some(staged) = self.rows.get_mut(key) {
            staged.changed = changed;
        }
    }

    /// Looks a row up in the snapshot, and learns in the same search whether its user key has any
    /// other row.
    pub(crate) fn find(&mut self, key: &RowKey) -> Result<Found, StoreError> {
        let bytes = key.as_bytes();
        let user = format::user_part(key);
        let digest_key = &self.base.shared.digest_key;
        let read = |value: &[u8]| match format::read_row(digest_key, bytes, value) {
            Some((digest, row)) => Found::Sound(digest, row),
            None => Found::Damaged,
        };
        if user != self.peopled.as_slice() {
            let mut first = None;
            let after = successor(user);
            let bounds = (Bound::Included(user), Bound::Excluded(after.as_slice()));
            self.base.snapshot.visit(
                Table::Rows,
                bounds,
                Direction::Forward,
                &mut |found, value| {
                    // Rows of the user key begin at or before this one; only if before is a second
                    // search needed.
                    first = Some(match found.cmp(bytes) {
                        std::cmp::Ordering::Less => None,
                        std::cmp::Ordering::Equal => Some(read(value)),
                        std::cmp::Ordering::Greater => Some(Found::Absent { neighbours: true }),
                    });
                    ControlFlow::Break(())
                },
            )?;
            let Some(first) = first else {
                return Ok(Found::Absent { neighbours: false });
            };
            self.peopled.clear();
            self.peopled.extend_from_slice(user);
            if let Some(found) = first {
                return Ok(found);
            }
        }
        let value = self.base.snapshot.get(Table::Rows, bytes)?;
        Ok(value.map_or(Found::Absent { neighbours: true }, |value| read(&value)))
    }
}

impl Staged {
    pub(crate) fn new(key: &RowKey, found: Found) -> Self {
        let (before, row) = match found {
            Found::Sound(digest, row) => {
                let before = Before {
                    present: true,
                    sound: true,
                    digest: Some(digest),
                    dots: row.dots().collect(),
                    neighbours: false,
                    due: due::entry(key, &row),
                    counted: counted::entry(key, &row),
                };
                (before, row)
            }
            Found::Absent { neighbours } => {
                let before = Before {
                    sound: true,
                    neighbours,
                    ..Before::default()
                };
                (before, Row::new())
            }
            Found::Damaged => (Before::default(), Row::new()),
        };
        Self {
            before,
            row,
            changed: false,
            touched_by: 0,
        }
    }

    /// The dots of the row that the snapshot's index does not have.
    pub(crate) fn new_dots(&self) -> impl Iterator<Item = Dot> {
        self.row
            .dots()
            .filter(|dot| self.before.dots.binary_search(dot).is_err())
    }

    /// The dots that the snapshot's index has and the row no longer.
    pub(crate) fn gone_dots(&self) -> impl Iterator<Item = Dot> {
        self.before
            .dots
            .iter()
            .copied()
            .filter(|dot| self.row.get(dot).is_none())
    }
}

/// The end of the range of keys that begin with a user key's part, which ends with the terminator
/// `00 01`.
fn successor(user: &[u8]) -> Vec<u8> {
    let mut end = user.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
