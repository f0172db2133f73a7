//! Giving the whole log up, where it cannot be believed.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::{all_up_to_the_last_of, rewrite_missing};
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format::{self, LogState};
use crate::group::Mend;
use crate::{StoreError, View};

/// Empties the log: the removals of all dots seen so far may be missing from it. It is a hint, and
/// sessions do without.
pub(crate) fn forget<E: Engine>(base: &View<E>, mend: &mut Mend) -> Result<(), StoreError> {
    let (end, ranges) = ([format::MISSING], [format::RANGES]);
    for log in [
        (Bound::Unbounded, Bound::Excluded(&end[..])),
        (Bound::Included(&ranges[..]), Bound::Unbounded),
    ] {
        let direction = Direction::Forward;
        base.snapshot
            .visit(Table::Removals, log, direction, &mut |key, _| {
                mend.batch.remove(Table::Removals, key);
                ControlFlow::Continue(())
            })?;
    }
    let missing = all_up_to_the_last_of(base.context());
    rewrite_missing(&base.snapshot, &missing, &mut mend.batch)?;
    mend.head.missing = Arc::new(missing);
    let end = mend.head.state.log.end;
    mend.head.state.log = LogState {
        start: end,
        end,
        bytes: 0,
    };
    Ok(())
}
