//! Keys drawn by chance.

use std::ops::Bound;

use syncline_merkle::KeyRange;

use super::{key, keys};
use crate::error::Error;
use crate::rows::ReadRows;

/// Rows that are drawn at most before it is given up to be fair.
const DRAWS: usize = 64;

/// A key that shows something, by chance; `None` where none does. `below(n)` is to give a number below `n`, each as likely as the others.
///
/// Rows are drawn by their rank until one is the first of a key that shows something, so each key is as likely as any other. Where all but a few of the
/// rows are those of large collections, some dozens of draws may find no such row; then the key of the last one is taken, or the next that shows
/// something. O(log n) for each draw; O(n) in the keys that have expired and are not yet collected, where there is little else.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let app = node.namespace("app")?;
/// app.put("a", "1").await?;
/// app.put("b", "2").await?;
/// let second = app.read(|view| syncline::ops::random_key(view, |rows| rows - 1)).await?;
/// assert_eq!(second.unwrap(), b"b");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Store`] when reading fails.
pub fn random_key(
    rows: &(impl ReadRows + ?Sized),
    mut below: impl FnMut(u64) -> u64,
) -> Result<Option<Vec<u8>>, Error> {
    let count = rows.count_rows(&KeyRange::ALL)?;
    let mut from = Bound::Unbounded;
    for _ in 0..if count == 0 { 0 } else { DRAWS } {
        let Some(row) = rows.row_at(&KeyRange::ALL, below(count))? else {
            continue;
        };
        let key = row.user_key();
        let first = rows.row_at(&key::rows_of(&key), 0)?;
        if first.as_ref() == Some(&row) && key::kind(rows, &key)?.is_some() {
            return Ok(Some(key));
        }
        from = Bound::Included(key);
    }
    let mut rest = keys(rows, (from, Bound::Unbounded))?;
    let next = match rest.next() {
        None => keys::<&[u8]>(rows, ..)?.next(),
        next => next,
    };
    Ok(next.transpose()?.map(|(key, _)| key))
}
