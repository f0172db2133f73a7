//! Damaged rows go, and their dots leave the context, so that other replicas' copies count as news
//! again.
//!
//! Damage must never enter a join: its dots would stand for a row that nobody wrote. Once a row
//! fails its checksum none of its bytes is believed, so what it held is taken from elsewhere: its
//! dots from the dot index, its share of the digest tree from the sum of its leaf, less what the
//! leaf's other rows make up.
//!
//! The index may be damaged as well. A dot of the row that it no longer lists would stay in the
//! context, and stand for a removal that nobody made. So the index is held against the sketch. Where
//! they differ, or a row that the tree counts has no dot in the index, all rows are read: what is
//! live by the sketch and in no sound row is what was lost. If the sketch, too, is past reading, what
//! the damaged row itself says of its dots is better than nothing. Where it says nothing, the damage
//! is beyond repair, and the store says so rather than guess.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Dot, ReplicaId, Row, RowKey};
use syncline_merkle::sketch::Prefix;
use syncline_merkle::{ItemDigest, KeyRange, Nodes, RangeDigest};

use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format;
use crate::sketch::Elements;
use crate::staging::{Before, Found, Staged, Staging};
use crate::witness::Witness;
use crate::{SKETCH_SYMBOLS, StoreError, View};

/// What a withdrawal took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withdrawn {
    /// Rows that were damaged, or not what the indexes said.
    pub rows: u64,
    /// Dots that left the context.
    pub dots: u64,
}

impl std::ops::AddAssign for Withdrawn {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.dots += other.dots;
    }
}

/// A key that is to be withdrawn, and what is known of it.
struct Suspect {
    key: RowKey,
    found: Found,
    /// What the index lists under it, ascending.
    dots: Vec<Dot>,
    /// What the digest tree counts for it.
    digest: Option<ItemDigest>,
    /// Whether the index lists a dot that it can have held.
    is_told: bool,
    /// Under what the counted index lists it.
    counted: Option<Vec<u8>>,
}

impl Suspect {
    fn is_damaged(&self) -> bool {
        matches!(self.found, Found::Damaged)
    }

    /// Whether there is a row whose dots the index does not tell.
    fn is_untold(&self) -> bool {
        self.is_damaged() && !self.is_told && self.digest.is_some()
    }

    /// Whether the digest tree counts just what is there.
    fn is_as_counted(&self) -> bool {
        match &self.found {
            Found::Sound(digest, _) => self.digest.as_ref() == Some(digest),
            Found::Absent { .. } => self.digest.is_none(),
            Found::Damaged => false,
        }
    }
}

impl<E: Engine> Staging<E> {
    /// Withdraws those of the rows that are damaged, and makes the indexes agree with the others.
    pub(crate) fn withdraw(&mut self, keys: &[RowKey]) -> Result<Withdrawn, StoreError> {
        // A row that the group has loaded was withdrawn then, if it was damaged.
        let keys = keys
            .iter()
            .filter(|key| !self.rows.contains_key(*key))
            .cloned()
            .collect::<BTreeSet<_>>();
        if keys.is_empty() {
            return Ok(Withdrawn::default());
        }
        self.withdraw_all(&keys, &BTreeSet::new())
    }

    /// [`withdraw`](Self::withdraw) of keys that were not loaded yet, and of dots that the index may
    /// list under what is no key. Reads the whole dot index, and all rows where that contradicts the
    /// sketch or leaves a row's dots untold; then all that is damaged goes.
    pub(crate) fn withdraw_all(
        &mut self,
        keys: &BTreeSet<RowKey>,
        unplaced: &BTreeSet<Dot>,
    ) -> Result<Withdrawn, StoreError> {
        let mut index = self.base.index_of(keys)?;
        let witness = Witness::of(&self.base, &index.symbols, &index.strangers);
        let mut settled = self.settled_leaves.clone();
        let mut suspects = self.suspects(keys, &mut index, &mut settled)?;
        let mut orphans = BTreeSet::new();
        for dot in unplaced {
            if self
                .base
                .indexed(*dot)
                .is_err_and(|error| error.is_damage())
            {
                orphans.insert(*dot);
            }
        }
        if witness.is_none() {
            for suspect in suspects.iter().filter(|suspect| suspect.is_damaged()) {
                orphans.extend(self.base.unlisted_dots_of(&suspect.key)?);
            }
        }
        let none = BTreeSet::new();
        let missing = witness.as_ref().map_or(&none, |witness| &witness.missing);
        if !missing.is_empty() || suspects.iter().any(Suspect::is_untold) {
            let all = self.base.read_all(missing)?;
            // Where the digest tree counts what is there and nothing else, nothing was lost: then it
            // is the sketch that is damaged.
            let lost = Witness::of(&self.base, &all.symbols, &index.strangers);
            let is_certain = lost.is_some();
            if self.base.root().ok() != Some(all.digest) {
                orphans.extend(missing.iter().filter(|dot| !all.placed.contains_key(dot)));
                orphans.extend(lost.into_iter().flat_map(|lost| lost.missing));
            }
            let mut keys = keys.clone();
            keys.extend(all.damaged);
            keys.extend(all.placed.into_values());
            for dot in &orphans {
                match self.base.indexed(*dot) {
                    Ok(key) => keys.extend(key),
                    // The index names what is no key, which has no row either.
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error),
                }
            }
            keys.retain(|key| !self.rows.contains_key(key));
            index = self.base.index_of(&keys)?;
            settled = self.settled_leaves.clone();
            suspects = self.suspects(&keys, &mut index, &mut settled)?;
            let listed = |suspects: &[Suspect], by: fn(&Suspect) -> bool| -> BTreeSet<Dot> {
                let by = suspects.iter().filter(|suspect| by(suspect));
                by.flat_map(|suspect| suspect.dots.iter().copied())
                    .collect()
            };
            // Dots of rows that are listed under no key, or under one that has all that is its own:
            // there must be one at least for each row whose dots are untold.
            let placed = listed(&suspects, |suspect| !suspect.is_as_counted());
            let unplaced = orphans.difference(&placed).count();
            let untold: Vec<&Suspect> = suspects.iter().filter(|it| it.is_untold()).collect();
            if let [first, ..] = untold[..]
                && !is_certain
                && unplaced < untold.len()
            {
                let key = first.key.clone();
                return Err(self.base.shared.condemn(&self.base.head, &key));
            }
            orphans = &orphans - &listed(&suspects, |_| true);
        }
        // Nothing was changed until here, so a withdrawal that fails leaves the group as it was.
        self.settled_leaves = settled;
        self.index = Some(index.symbols);
        let strays = witness.map_or(none, |witness| witness.strays);
        let mut withdrawn = Withdrawn::default();
        for suspect in suspects {
            withdrawn += self.withdraw_one(suspect, &strays);
        }
        for dot in orphans {
            self.context.remove_recording(dot, &mut self.context_edits);
            self.orphans.insert(dot);
            withdrawn.dots += 1;
        }
        // Whoever was told of the dots has to begin anew, whether or not there was a row.
        self.withdrawn += withdrawn.rows.max(withdrawn.dots.min(1));
        Ok(withdrawn)
    }

    fn suspects(
        &mut self,
        keys: &BTreeSet<RowKey>,
        index: &mut IndexOf,
        settled: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Vec<Suspect>, StoreError> {
        let mut suspects = Vec::with_capacity(keys.len());
        for key in keys {
            let dots = index.dots.remove(key.as_bytes()).unwrap_or_default();
            suspects.push(Suspect {
                key: key.clone(),
                found: self.find(key)?,
                is_told: dots.iter().any(|dot| self.base.context().contains(dot)),
                dots,
                digest: self.base.counted_digest(key, settled)?,
                counted: self.base.entry_of(key)?,
            });
        }
        Ok(suspects)
    }

    fn withdraw_one(&mut self, suspect: Suspect, strays: &BTreeSet<Dot>) -> Withdrawn {
        let is_damaged = suspect.is_damaged();
        let is_as_counted = suspect.is_as_counted();
        let Suspect {
            key,
            found,
            dots,
            digest,
            is_told: _,
            counted,
        } = suspect;
        let present = !matches!(found, Found::Absent { .. });
        let neighbours = matches!(found, Found::Absent { neighbours: true });
        let row = match found {
            Found::Sound(_, row) => row,
            Found::Absent { .. } | Found::Damaged => Row::new(),
        };
        // A dot that only the index knows, while tree and sketch agree with the row, was never live:
        // that it was seen may well be true, and so may be its end.
        let is_stray = |dot: &Dot| is_as_counted && strays.contains(dot);
        let lost: Vec<Dot> = dots
            .iter()
            .copied()
            .filter(|dot| row.get(dot).is_none() && !is_stray(dot))
            .collect();
        for dot in &lost {
            self.context.remove_recording(*dot, &mut self.context_edits);
        }
        for dot in row.dots() {
            self.context.insert_recording(
                dot.replica,
                dot.counter,
                dot.counter,
                &mut self.context_edits,
            );
        }
        let mut withdrawn = Withdrawn::default();
        if is_damaged || !lost.is_empty() {
            tracing::warn!(
                namespace = self.base.shared.namespace,
                ?key,
                dots = lost.len(),
                "a damaged row was withdrawn; the next sync will fetch it again"
            );
            withdrawn.rows = 1;
            withdrawn.dots = lost.len() as u64;
        }
        let staged = Staged {
            before: Before {
                present,
                sound: false,
                digest,
                dots,
                neighbours,
                due: None,
                counted,
            },
            row,
            changed: true,
            touched_by: 0,
        };
        self.replace(key, staged);
        withdrawn
    }
}

/// The dot index, read whole.
struct IndexOf {
    /// The dots listed under each of the keys asked for, ascending.
    dots: BTreeMap<Vec<u8>, Vec<Dot>>,
    /// The symbols of all dots.
    symbols: Prefix,
    /// Ids that the context does not know.
    strangers: BTreeSet<ReplicaId>,
}

/// The rows, read whole.
struct AllRows {
    /// The symbols of the dots of all sound rows.
    symbols: Prefix,
    /// The digest of all sound rows.
    digest: RangeDigest,
    damaged: BTreeSet<RowKey>,
    /// Where those of the dots asked for are live.
    placed: BTreeMap<Dot, RowKey>,
}

impl<E: Engine> View<E> {
    /// Reads the dot index, for the dots listed under each of the keys and the symbols of all.
    fn index_of(&self, keys: &BTreeSet<RowKey>) -> Result<IndexOf, StoreError> {
        let keys: BTreeSet<&[u8]> = keys.iter().map(RowKey::as_bytes).collect();
        let mut elements = Elements::new(&self.shared.sketch_key);
        let mut index = IndexOf {
            dots: BTreeMap::new(),
            symbols: Prefix::new(SKETCH_SYMBOLS),
            strangers: BTreeSet::new(),
        };
        let mut last = None;
        let all = (Bound::Unbounded, Bound::Unbounded);
        self.snapshot
            .visit(Table::Dots, all, Direction::Forward, &mut |dot, key| {
                // What is no dot lists nothing; a scrub takes it out.
                if let Some(dot) = format::read_dot_key(dot) {
                    index.symbols.insert(&elements.of(dot));
                    if last.replace(dot.replica) != Some(dot.replica)
                        && self.context().intervals_of(dot.replica).next().is_none()
                    {
                        index.strangers.insert(dot.replica);
                    }
                    if keys.contains(key) {
                        index.dots.entry(key.to_vec()).or_default().push(dot);
                    }
                }
                ControlFlow::Continue(())
            })?;
        Ok(index)
    }

    /// The dots that a damaged row says it held, as far as they were seen and the index has none of
    /// them.
    fn unlisted_dots_of(&self, key: &RowKey) -> Result<Vec<Dot>, StoreError> {
        let value = self.snapshot.get(Table::Rows, key.as_bytes())?;
        let mut unlisted = Vec::new();
        for dot in value
            .as_deref()
            .map(format::damaged_dots)
            .unwrap_or_default()
        {
            let listed = self.snapshot.get(Table::Dots, &format::dot_key(dot))?;
            if self.context().contains(&dot) && listed.is_none() {
                unlisted.push(dot);
            }
        }
        Ok(unlisted)
    }

    /// Reads all rows, and looks for these dots in them.
    fn read_all(&self, wanted: &BTreeSet<Dot>) -> Result<AllRows, StoreError> {
        let mut elements = Elements::new(&self.shared.sketch_key);
        let mut all = AllRows {
            symbols: Prefix::new(SKETCH_SYMBOLS),
            digest: RangeDigest::ZERO,
            damaged: BTreeSet::new(),
            placed: BTreeMap::new(),
        };
        for entry in self
            .snapshot
            .range(Table::Rows, (Bound::Unbounded, Bound::Unbounded))
        {
            let (key, value) = entry?;
            // What is under no key is nobody's row; a scrub takes it out.
            let Ok(row_key) = format::read_row_key(&key) else {
                continue;
            };
            let Some((digest, row)) = format::read_row(&self.shared.digest_key, &key, &value)
            else {
                all.damaged.insert(row_key);
                continue;
            };
            all.digest += RangeDigest::of(&digest);
            for dot in row.dots() {
                all.symbols.insert(&elements.of(dot));
                if wanted.contains(&dot) {
                    all.placed.insert(dot, row_key.clone());
                }
            }
        }
        Ok(all)
    }

    /// What the digest tree counts for a key, whatever is stored with the row: what its leaf's sum
    /// has and the leaf's other rows do not account for. Of several damaged rows in one leaf the
    /// first is given what is unaccounted for, the others (whose leaf is in `settled` then) what is
    /// stored with them: it adds up.
    fn counted_digest(
        &self,
        key: &RowKey,
        settled: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Option<ItemDigest>, StoreError> {
        let leaf = match self.floor(1, key.as_bytes())? {
            Some(leaf) => leaf,
            None => match self.floor(0, b"")? {
                Some(root) => root,
                None => return Ok(None),
            },
        };
        let mut after_fence = leaf.fence.clone();
        after_fence.push(0);
        let next = self.nodes(1, &KeyRange::new(after_fence, None), 1)?.pop();
        let range = KeyRange::new(leaf.fence.clone(), next.map(|next| next.fence));

        let mut others = RangeDigest::ZERO;
        let mut stored = None;
        let mut rest = range;
        loop {
            const CHUNK: usize = 256;
            let items = self.items_as(&rest, CHUNK, |_, value| {
                Ok(format::row_digest_as_it_is(value))
            })?;
            for item in &items {
                if item.key == key.as_bytes() {
                    stored = Some(item.digest);
                } else {
                    others += RangeDigest::of(&item.digest);
                }
            }
            match items.last() {
                Some(last) if items.len() == CHUNK => {
                    rest.lower.clone_from(&last.key);
                    rest.lower.push(0);
                }
                _ => break,
            }
        }
        if !settled.insert(leaf.fence) {
            return Ok(stored);
        }
        let unaccounted = leaf.digest - others;
        Ok(match unaccounted.count() {
            _ if unaccounted.is_zero() => None,
            1 => Some(as_item(&unaccounted)),
            _ => stored,
        })
    }
}

/// The item digest of a range digest of one item.
fn as_item(one: &RangeDigest) -> ItemDigest {
    let bytes = one.to_bytes();
    let (_, sum) = bytes
        .split_last_chunk::<32>()
        .expect("a range digest ends with a sum of 32 bytes");
    ItemDigest::from_bytes(*sum)
}
