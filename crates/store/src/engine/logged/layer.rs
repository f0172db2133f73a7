//! Commits that are in the log and not yet in the tables below: ordered tables in memory.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};
use imbl::OrdMap;
use imbl::ordmap::RangedIter;
use syncline_crdt::DecodeError;

use super::record::{Edit, Payload};
use crate::engine::{Batch, Bounds, Direction, Table};

/// What an entry takes in memory beside its bytes, about.
const ENTRY: usize = 100;

/// The last edit of every key, over any number of commits.
///
/// Keys and values lie in the records that they came with, which are shared, so an entry costs no
/// allocation of its own. A clone is O(1).
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    tables: [OrdMap<Key, Value>; Table::ALL.len()],
    /// What its records take in the log, without their headers.
    pub(super) bytes: usize,
    entries: usize,
}

/// A key, within the record that set it last.
#[derive(Debug, Clone)]
struct Key {
    /// What the key begins with, padded with zeros. Most comparisons end there, and need no look at
    /// the record, which is seldom in a cache.
    prefix: Prefix,
    record: Arc<[u8]>,
    start: usize,
    len: u32,
}

/// Bytes as numbers, which order as the bytes do. Keys of equal prefixes may differ, those of
/// different ones do.
type Prefix = [u64; 4];

fn prefix(key: &[u8]) -> Prefix {
    let mut prefix = Prefix::default();
    for (word, bytes) in prefix.iter_mut().zip(key.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_be_bytes(padded);
    }
    prefix
}

/// A key that is searched for, or that ends a search.
struct Sought<'k> {
    prefix: Prefix,
    bytes: Cow<'k, [u8]>,
}

impl<'k> Sought<'k> {
    fn new(bytes: &'k [u8]) -> Self {
        Self {
            prefix: prefix(bytes),
            bytes: Cow::Borrowed(bytes),
        }
    }

    fn into_owned(self) -> Sought<'static> {
        Sought {
            prefix: self.prefix,
            bytes: Cow::Owned(self.bytes.into_owned()),
        }
    }
}

impl Equivalent<Key> for Sought<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.compare(key).is_eq()
    }
}

impl Comparable<Key> for Sought<'_> {
    fn compare(&self, key: &Key) -> Ordering {
        self.prefix
            .cmp(&key.prefix)
            .then_with(|| (*self.bytes).cmp(key.bytes()))
    }
}

/// The length of the value, which follows the key; `None` hides the key. An insertion replaces key
/// and value together, so the two are always of one record.
type Value = Option<u32>;

impl Key {
    fn bytes(&self) -> &[u8] {
        &self.record[self.start..][..self.len as usize]
    }

    fn value(&self, value: Value) -> Option<&[u8]> {
        let start = self.start + self.len as usize;
        value.map(|len| &self.record[start..][..len as usize])
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.prefix
            .cmp(&other.prefix)
            .then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl Layer {
    /// Takes a record's edits, which are later than all that are here.
    ///
    /// # Errors
    /// When another version wrote the record. Part of it may have been taken.
    pub(super) fn absorb(&mut self, payload: &Payload) -> Result<(), DecodeError> {
        payload.edits(|edit| {
            let Edit {
                table,
                start,
                key_len,
                value_len,
            } = edit;
            let key = Key {
                prefix: prefix(&payload.bytes[start..start + key_len as usize]),
                record: Arc::clone(&payload.bytes),
                start,
                len: key_len,
            };
            self.tables[table as usize].insert(key, value_len);
            self.entries += 1;
        })?;
        self.bytes += payload.range.len();
        Ok(())
    }

    /// Bytes of memory, about, counted as if no key had come twice.
    pub(super) fn weight(&self) -> usize {
        self.bytes + self.entries * ENTRY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(OrdMap::is_empty)
    }

    /// The edit of a key: a value, or `None` for a removal; no edit leaves what is below.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        let (key, value) = self.tables[table as usize].get_key_value(&Sought::new(key))?;
        Some(key.value(*value))
    }

    /// All edits as one batch, sorted.
    pub(super) fn to_batch(&self) -> Batch {
        let mut batch = Batch::new();
        for table in Table::ALL {
            for (key, value) in &self.tables[table as usize] {
                match key.value(*value) {
                    Some(value) => batch.put(table, key.bytes(), value),
                    None => batch.remove(table, key.bytes()),
                }
            }
        }
        batch
    }

    fn entries<'l, 'b>(
        &'l self,
        table: Table,
        bounds: Bounds<'b>,
        direction: Direction,
    ) -> Entries<'l, 'b> {
        // Most visits end with their first entry. So only the bound at which they begin is searched
        // for, and the other held against each key.
        let (from, end) = match direction {
            Direction::Forward => ((bounds.0, Bound::Unbounded), bounds.1),
            Direction::Backward => ((Bound::Unbounded, bounds.1), bounds.0),
        };
        let mut entries = Entries {
            rest: self.tables[table as usize]
                .range::<_, Sought<'_>>((from.0.map(Sought::new), from.1.map(Sought::new))),
            direction,
            end: end.map(Sought::new),
            next: None,
        };
        entries.advance();
        entries
    }
}

/// The edits of a layer within bounds, one after the other.
struct Entries<'l, 'b> {
    rest: RangedIter<'l, Key, Value, imbl::shared_ptr::DefaultSharedPtr>,
    direction: Direction,
    end: Bound<Sought<'b>>,
    next: Option<(&'l Key, Value)>,
}

impl<'l> Entries<'l, '_> {
    fn into_owned(self) -> Entries<'l, 'static> {
        Entries {
            rest: self.rest,
            direction: self.direction,
            end: self.end.map(Sought::into_owned),
            next: self.next,
        }
    }

    fn advance(&mut self) {
        let next = match self.direction {
            Direction::Forward => self.rest.next(),
            Direction::Backward => self.rest.next_back(),
        };
        let before = |key: &Key, end: &Sought<'_>| match self.direction {
            Direction::Forward => end.compare(key).reverse(),
            Direction::Backward => end.compare(key),
        };
        let within = |key: &Key| match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => before(key, end).is_le(),
            Bound::Excluded(end) => before(key, end).is_lt(),
        };
        let next = next.filter(|(key, _)| within(key));
        self.next = next.map(|(key, value)| (key, *value));
    }
}

/// The edits of a newer layer over those of an older one, within bounds, in order.
pub(super) struct Stack<'l, 'b> {
    newer: Entries<'l, 'b>,
    older: Option<Entries<'l, 'b>>,
    direction: Direction,
    /// The next key, which is looked at more often than taken.
    next: Option<&'l [u8]>,
}

/// A key and its edit.
pub(super) type Edited<'l> = (&'l [u8], Option<&'l [u8]>);

impl<'l, 'b> Stack<'l, 'b> {
    /// The bounds must not be of an empty range.
    pub(super) fn new(
        newer: &'l Layer,
        older: Option<&'l Layer>,
        table: Table,
        bounds: Bounds<'b>,
        direction: Direction,
    ) -> Self {
        let mut stack = Self {
            newer: newer.entries(table, bounds, direction),
            older: older.map(|older| older.entries(table, bounds, direction)),
            direction,
            next: None,
        };
        stack.next = stack.first();
        stack
    }

    /// The same without the bounds that it was made of.
    pub(super) fn into_owned(self) -> Stack<'l, 'static> {
        Stack {
            newer: self.newer.into_owned(),
            older: self.older.map(Entries::into_owned),
            direction: self.direction,
            next: self.next,
        }
    }

    /// The next key.
    pub(super) fn peek(&self) -> Option<&'l [u8]> {
        self.next
    }

    /// Takes the next key and its last edit.
    pub(super) fn take(&mut self) -> Option<Edited<'l>> {
        let key = self.next?;
        let mut edited = None;
        if let Some(older) = &mut self.older
            && let Some((found, value)) = older.next
            && found.bytes() == key
        {
            edited = Some((key, found.value(value)));
            older.advance();
        }
        if let Some((found, value)) = self.newer.next
            && found.bytes() == key
        {
            edited = Some((key, found.value(value)));
            self.newer.advance();
        }
        self.next = self.first();
        edited
    }

    /// The first key of either layer.
    fn first(&self) -> Option<&'l [u8]> {
        let newer = self.newer.next.map(|(key, _)| key.bytes());
        let older = self.older.as_ref().and_then(|older| older.next);
        let older = older.map(|(key, _)| key.bytes());
        match (newer, older) {
            (Some(newer), Some(older)) if order(self.direction, older, newer).is_lt() => {
                Some(older)
            }
            (newer, older) => newer.or(older),
        }
    }
}

/// Which of two keys comes first.
pub(super) fn order(direction: Direction, a: &[u8], b: &[u8]) -> Ordering {
    match direction {
        Direction::Forward => a.cmp(b),
        Direction::Backward => b.cmp(a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys whose differences lie before, at and behind the ends of a prefix and of its words, and
    /// such as differ only by zeros.
    #[test]
    fn keys_order_as_their_bytes_do() {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for len in [0, 1, 7, 8, 9, 31, 32, 33, 40] {
            for last in [0, 1, 0x7f, 0xff] {
                for fill in [0, b'a', 0xff] {
                    let mut key = vec![fill; len];
                    keys.push(key.clone());
                    key.push(last);
                    keys.push(key);
                }
            }
        }
        let key = |bytes: &[u8]| Key {
            prefix: prefix(bytes),
            record: bytes.into(),
            start: 0,
            len: bytes.len() as u32,
        };
        for a in &keys {
            for b in &keys {
                assert_eq!(key(a).cmp(&key(b)), a.cmp(b), "{a:?}, {b:?}");
                assert_eq!(Sought::new(a).compare(&key(b)), a.cmp(b), "{a:?}, {b:?}");
            }
        }
    }
}
