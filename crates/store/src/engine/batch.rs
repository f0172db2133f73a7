//! The edits of one commit.

use std::ops::Range;

use super::Table;

/// Puts and removals in any of the tables, applied together or not at all.
///
/// Keys and values live in one buffer per table, so an edit costs no allocation of its own; an
/// engine receives each table's edits in key order, which is what makes large commits cheap for a
/// B-tree.
///
/// ```
/// use syncline_store::{Batch, Durability, Engine, MemoryEngine, Snapshot, Table};
///
/// let engine = MemoryEngine::new();
/// let mut batch = Batch::new();
/// batch.put(Table::Rows, b"ada", b"1");
/// batch.put(Table::Rows, b"ada", b"2");
/// batch.remove(Table::Rows, b"bob");
/// engine.commit(batch, Durability::Durable)?;
/// assert_eq!(engine.snapshot()?.get(Table::Rows, b"ada")?, Some(b"2".to_vec()));
/// # Ok::<(), syncline_store::EngineError>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    tables: [Edits; Table::ALL.len()],
}

#[derive(Debug, Default)]
struct Edits {
    bytes: Vec<u8>,
    edits: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    key: Range<usize>,
    /// Where the value ends, which begins where the key ends; `None` removes the key.
    value_end: Option<usize>,
}

impl Batch {
    /// No edits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value at a key. Of several edits of one key the last counts.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.put_with(table, key, |bytes| bytes.extend_from_slice(value));
    }

    /// As [`put`](Self::put), with the value appended to the buffer by `write`, which must not
    /// touch what is there.
    pub fn put_with(&mut self, table: Table, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let Edits { bytes, edits } = &mut self.tables[table as usize];
        let start = bytes.len();
        bytes.extend_from_slice(key);
        let end = bytes.len();
        write(bytes);
        edits.push(Edit {
            key: start..end,
            value_end: Some(bytes.len()),
        });
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, table: Table, key: &[u8]) {
        let Edits { bytes, edits } = &mut self.tables[table as usize];
        let start = bytes.len();
        bytes.extend_from_slice(key);
        edits.push(Edit {
            key: start..bytes.len(),
            value_end: None,
        });
    }

    /// Whether there are no edits at all.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.edits.is_empty())
    }

    /// The bytes of keys and values of all edits.
    pub fn byte_len(&self) -> usize {
        self.tables.iter().map(|table| table.bytes.len()).sum()
    }

    /// One table's edits, one per key, by ascending key; `None` stands for removal.
    pub fn sorted(
        &mut self,
        table: Table,
    ) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        let Edits { bytes, edits } = &mut self.tables[table as usize];
        // Stable, so that the last edit of a key stays the last; and near linear on the runs that
        // writers produce.
        if !edits.is_sorted_by(|a, b| bytes[a.key.clone()] < bytes[b.key.clone()]) {
            edits.sort_by(|a, b| bytes[a.key.clone()].cmp(&bytes[b.key.clone()]));
            // `dedup_by` keeps the first of equals; the last is moved there.
            edits.dedup_by(|later, kept| {
                let same = bytes[later.key.clone()] == bytes[kept.key.clone()];
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        edits.iter().map(|edit| {
            let value = edit.value_end.map(|end| &bytes[edit.key.end..end]);
            (&bytes[edit.key.clone()], value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_come_out_sorted_and_the_last_of_a_key_counts() {
        let mut batch = Batch::new();
        assert!(batch.is_empty());
        batch.put(Table::Rows, b"b", b"1");
        batch.put(Table::Rows, b"a", b"2");
        batch.remove(Table::Rows, b"b");
        batch.put(Table::Rows, b"c", b"");
        batch.put(Table::Rows, b"b", b"3");
        batch.remove(Table::Rows, b"a");
        batch.put(Table::Dots, b"z", b"9");

        let rows: Vec<_> = batch.sorted(Table::Rows).collect();
        assert_eq!(
            rows,
            [
                (&b"a"[..], None),
                (&b"b"[..], Some(&b"3"[..])),
                (&b"c"[..], Some(&b""[..]))
            ]
        );
        assert_eq!(batch.sorted(Table::Dots).count(), 1);
        assert_eq!(batch.sorted(Table::Meta).count(), 0);
        assert!(!batch.is_empty());
    }
}
