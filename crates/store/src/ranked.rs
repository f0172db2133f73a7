//! The item at a rank, among items of a commit and what a group has changed of them since.

use syncline_merkle::KeyRange;

use crate::StoreError;

/// The item that has `n` others of the range before it. `changes` are those within the range, in key order: what has come since the commit,
/// `true`, and what is gone. `count` counts items of the commit, and `nth` finds the one at a rank among those of the range. With
/// m changes, O(m), and O(log m) counts.
pub(crate) fn nth(
    changes: &[(&[u8], bool)],
    range: &KeyRange,
    n: u64,
    count: impl Fn(&KeyRange) -> Result<u64, StoreError>,
    nth: impl Fn(u64) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<Option<Vec<u8>>, StoreError> {
    // How much the changes before each of them come to, and last, all of them.
    let mut before = vec![0i64];
    for (_, is_there) in changes {
        before.push(before[before.len() - 1] + if *is_there { 1 } else { -1 });
    }
    let rank = |at: usize| -> Result<u64, StoreError> {
        let below = KeyRange {
            lower: range.lower.clone(),
            upper: Some(changes[at].0.to_vec()),
        };
        Ok(count(&below)?.saturating_add_signed(before[at]))
    };
    // The changes that lie at or before the place wanted: ranks do not descend.
    let (mut passed, mut end) = (0, changes.len());
    while passed < end {
        let middle = passed + (end - passed) / 2;
        match rank(middle)? <= n {
            true => passed = middle + 1,
            false => end = middle,
        }
    }
    if let Some(last) = passed.checked_sub(1)
        && let (item, true) = changes[last]
        && rank(last)? == n
    {
        return Ok(Some(item.to_vec()));
    }
    nth(n.saturating_add_signed(-before[passed]))
}
