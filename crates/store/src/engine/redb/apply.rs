//! Sorted edits into a B-tree.

use std::ops::Bound;

use redb::StorageError;

use super::Bytes;

/// Writes sorted edits. A run of new keys that all fall between the same two neighbours goes
/// through a cursor, which fills pages in order, some three times faster than inserts that each
/// descend from the root: the dot index, which is appended to, and a bootstrap in key order are all
/// runs. Scattered keys find no runs, and soon stop looking.
pub(super) fn apply<'e>(
    table: &mut redb::Table<'_, Bytes, Bytes>,
    edits: impl Iterator<Item = (&'e [u8], Option<&'e [u8]>)>,
) -> Result<(), StorageError> {
    /// After how many fruitless searches in a row, doubling, the next one is made.
    const MAX_PATIENCE: u32 = 64;
    let mut edits = edits.peekable();
    let (mut wait, mut patience) = (0, 1);
    while let Some((key, value)) = edits.next() {
        let Some(value) = value else {
            table.remove(key)?;
            continue;
        };
        if wait > 0 {
            wait -= 1;
            table.insert(key, value)?;
            continue;
        }
        let mut cursor = table.lower_bound_mut(Bound::Included(key))?;
        let next = cursor.peek_next()?.map(|(next, _)| next.value().to_vec());
        let in_gap = |key: &[u8]| next.as_deref().is_none_or(|next| key < next);
        let follows = |edit: &(&[u8], Option<&[u8]>)| edit.1.is_some() && in_gap(edit.0);
        if !in_gap(key) || !edits.peek().is_some_and(follows) {
            drop(cursor);
            table.insert(key, value)?;
            (wait, patience) = (patience, (patience * 2).min(MAX_PATIENCE));
            continue;
        }
        patience = 1;
        cursor_insert(&mut cursor, key, value)?;
        while let Some((key, value)) = edits.next_if(follows) {
            cursor_insert(&mut cursor, key, value.expect("only puts follow"))?;
        }
        cursor.close()?;
    }
    Ok(())
}

fn cursor_insert(
    cursor: &mut redb::CursorMut<'_, Bytes, Bytes>,
    key: &[u8],
    value: &[u8],
) -> Result<(), StorageError> {
    cursor
        .insert_before(key, value)
        .map_err(|error| match error {
            redb::CursorError::Storage(error) => error,
            other => StorageError::Corrupted(other.to_string()),
        })
}
