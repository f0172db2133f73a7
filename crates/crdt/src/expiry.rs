//! When a key with a deadline is hidden, and when what is hidden may go.
//!
//! A deadline is a row of its key, written and superseded like any other: its payload is a time in Unix milliseconds, or
//! none for "no deadline" (PERSIST), which has to be live to win over a concurrent deadline. *Expiry only hides*: from
//! the deadline on, each node hides the key by its own clock, and writes nothing. So clocks that disagree make nodes
//! disagree on what to show for as long as they do, and never on what there is.
//!
//! - Of several deadlines the latest is in force, and "none" is later than any. One that was stamped before the winning
//!   SET of its key does not apply to that; so a SET needs to supersede the deadlines that it observed only, and a write
//!   that makes another SET and is to keep the deadline, such as APPEND, writes it again, after itself. An increment and
//!   a member are no SET and leave the deadline alone.
//! - A write to a key that is absent or hidden begins it anew: it supersedes every row and every deadline that it
//!   observed of it, in the same transaction. Another replica may get that transaction row by row, and while the new
//!   row is there and the old deadline too, the key is still hidden there: a write there supersedes the new row as
//!   well. So it is best to tell what became of a key's deadline before its other rows.
//! - Hidden rows are [garbage](is_garbage) when every carrier is known to have passed the deadline with nothing to put it
//!   off. A replica then drops of the key's rows what is [settled](Stability::settled), and nothing else: what is not
//!   was written since, to begin the key anew. It tells nobody; others come to the same result, or learn it in a session.
//!
//! ```
//! use syncline_crdt::expiry::{in_force, is_hidden};
//! use syncline_crdt::{Dot, ReplicaId, Sibling, Siblings, Stamp};
//!
//! let [ada, bob] = [1, 2].map(|id| Dot::new(ReplicaId::from_bytes([id; 16]), 1));
//! // EXPIREAT k 100 by ada, EXPIREAT k 200 by bob, neither aware of the other.
//! let mut deadlines = Siblings::one(ada, Stamp::new(10, 0), Some(100));
//! deadlines.insert(Sibling { dot: bob, stamp: Stamp::new(9, 0), payload: Some(200) });
//! let set = (Stamp::new(5, 0), ada);
//! assert!(!is_hidden(in_force(&deadlines, Some(set)), 150));
//! assert!(is_hidden(in_force(&deadlines, Some(set)), 200));
//!
//! // Bob's does not apply to a SET that was made after it.
//! let set = (Stamp::new(9, 1), bob);
//! assert!(is_hidden(in_force(&deadlines, Some(set)), 150));
//! ```

use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::clock::Stamp;
use crate::dot::Dot;
use crate::siblings::{Row, Sibling, Siblings};
use crate::stability::Stability;

/// A deadline in Unix milliseconds, or a live "no deadline".
pub type Deadline = Option<u64>;

/// The tag of a deadline; its time follows as a varint.
const AT: u8 = 0x01;
/// The tag, and all, of "no deadline".
const NONE: u8 = 0x02;

/// The payload bytes of a deadline: `01` and the time as a varint, or `02` for none.
///
/// ```
/// use syncline_crdt::expiry::{from_bytes, to_bytes};
///
/// assert_eq!(to_bytes(Some(300)), b"\x01\xac\x02");
/// assert_eq!(from_bytes(&to_bytes(None)), Ok(None));
/// ```
#[must_use]
pub fn to_bytes(deadline: Deadline) -> Vec<u8> {
    let mut out = Vec::new();
    match deadline {
        Some(at) => {
            out.push(AT);
            at.encode(&mut out);
        }
        None => out.push(NONE),
    }
    out
}

/// Reads payload bytes.
///
/// # Errors
/// [`DecodeError::UnknownTag`] for a payload of a newer version, which is to be kept and passed on as it is; another one
/// when the bytes are not what [`to_bytes`] writes.
pub fn from_bytes(payload: &[u8]) -> Result<Deadline, DecodeError> {
    let mut input = Input::new(payload);
    let deadline = match input.byte()? {
        AT => Some(u64::decode(&mut input)?),
        NONE => None,
        tag => return Err(DecodeError::UnknownTag(tag)),
    };
    input.finish()?;
    Ok(deadline)
}

/// The deadlines of a row as it is stored. What a newer version wrote is passed over.
#[must_use]
pub fn read(row: &Row) -> Siblings<Deadline> {
    let read = |sibling: &Sibling<Vec<u8>>| {
        Some(Sibling {
            dot: sibling.dot,
            stamp: sibling.stamp,
            payload: from_bytes(&sibling.payload).ok()?,
        })
    };
    row.iter().filter_map(read).collect()
}

/// The deadline that is in force: of those stamped after the winning SET of the key, if it has one, the latest.
///
/// `set` is the winning SET's stamp and dot.
#[must_use]
pub fn in_force(
    deadlines: &Siblings<Deadline>,
    set: Option<(Stamp, Dot)>,
) -> Option<&Sibling<Deadline>> {
    let order = |sibling: &Sibling<Deadline>| (sibling.stamp, sibling.dot);
    deadlines
        .iter()
        .filter(|sibling| set.is_none_or(|set| order(sibling) > set))
        .max_by_key(|sibling| {
            (
                sibling.payload.is_none(),
                sibling.payload,
                sibling.stamp,
                sibling.dot,
            )
        })
}

/// Whether a key with this deadline in force is hidden by a clock that shows `now_ms`.
///
/// The clock must not go back, at least not behind what its node has [advertised](crate::Advert::as_of_ms).
#[must_use]
pub fn is_hidden(in_force: Option<&Sibling<Deadline>>, now_ms: u64) -> bool {
    let deadline = in_force.and_then(|sibling| sibling.payload);
    deadline.is_some_and(|deadline| deadline <= now_ms)
}

/// Whether what is settled of a key's rows, deadlines included, may be dropped: its deadline is stable, and every carrier
/// had passed it in the knowledge of it. So is the leftover "no deadline" of a key that is absent.
#[must_use]
pub fn is_garbage<N: Ord + Clone>(
    in_force: Option<&Sibling<Deadline>>,
    is_absent: bool,
    stability: &Stability<N>,
) -> bool {
    in_force.is_some_and(|sibling| {
        let is_over = match sibling.payload {
            Some(deadline) => deadline <= stability.as_of_ms(),
            None => is_absent,
        };
        is_over && stability.is_stable(&sibling.dot)
    })
}
