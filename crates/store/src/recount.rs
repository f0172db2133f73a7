//! The audit: everything that a commit keeps up to date, counted anew from the rows.

use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Context, Dot, RowKey};
use syncline_merkle::{KeyRange, RangeDigest, tree};

use crate::counted;
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::error::show;
use crate::format;
use crate::opening::read_context;
use crate::scrub::{identity_is_sound, seal_is_sound};
use crate::{StoreError, View};

/// What a [`View::recount`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recount {
    /// Sound rows.
    pub rows: u64,
    /// User keys with a sound row.
    pub keys: u64,
    /// Live dots.
    pub dots: u64,
    /// The root digest as the rows make it.
    pub root: RangeDigest,
    /// What does not fit, the first [`MAX_MISMATCHES`] of it.
    pub mismatches: Vec<Mismatch>,
    /// How many mismatches there are in all.
    pub mismatch_count: u64,
}

/// How many mismatches a recount lists.
pub const MAX_MISMATCHES: usize = 100;

impl Recount {
    /// Whether everything fits.
    pub fn is_sound(&self) -> bool {
        self.mismatch_count == 0
    }

    fn note(&mut self, mismatch: Mismatch) {
        self.mismatch_count += 1;
        if self.mismatches.len() < MAX_MISMATCHES {
            self.mismatches.push(mismatch);
        }
    }
}

/// A place where the store contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A row fails its checksum, or its key is none.
    #[error("the row at key {} is damaged", show(key))]
    Damaged {
        /// The bytes of the key.
        key: Vec<u8>,
    },
    /// A live dot is missing from the dot index, or listed under another row.
    #[error("dot {dot} of the row at key {} is not in the index", show(key.as_bytes()))]
    NotIndexed {
        /// The row that holds the dot.
        key: RowKey,
        /// The dot.
        dot: Dot,
    },
    /// The dot index lists a dot that is not live there.
    #[error("the index lists a dot under key {} that is not live there", show(key))]
    StrayDot {
        /// The row that the index names.
        key: Vec<u8>,
        /// The dot; `None` if the index's key is no dot.
        dot: Option<Dot>,
    },
    /// A live dot is not in the context.
    #[error("dot {dot} of the row at key {} is not in the context", show(key.as_bytes()))]
    NotSeen {
        /// The row that holds the dot.
        key: RowKey,
        /// The dot.
        dot: Dot,
    },
    /// A node of the digest tree is missing, wrong, or left over.
    #[error("the digest of level {level} from key {} on is wrong", show(fence))]
    Digest {
        /// The level of the node.
        level: u8,
        /// Where it begins.
        fence: Vec<u8>,
    },
    /// The counter of rows is wrong.
    #[error("the counter of rows is wrong")]
    RowCount {
        /// What the counter says.
        counted: u64,
    },
    /// The counter of user keys is wrong.
    #[error("the counter of keys is wrong")]
    KeyCount {
        /// What the counter says.
        counted: u64,
    },
    /// The context in memory is not the one in the tables.
    #[error("the context in the file is not the one in use")]
    Context,
    /// The sketch is not of the dots in the index, or in memory it is another than in the table.
    #[error("the sketch is not of the live dots")]
    Sketch,
    /// The removal log does not hold what it is said to.
    #[error("the removal log contradicts itself")]
    RemovalLog,
    /// The log of departures does not hold what it is said to.
    #[error("the log of departures contradicts itself")]
    Departures,
    /// Format, namespace or fingerprint are not those with which the store was opened.
    #[error("format, namespace or fingerprint in the file have changed")]
    Identity,
    /// The seal is not that of the context, the counters and what is said of the store and its
    /// carriers.
    #[error("context, counters or carriers in the file are not what was committed")]
    Seal,
    /// The list of rows that are due is not that of the rows.
    #[error("the list of what is due is not that of the rows")]
    Due,
    /// The counted index is not that of the rows.
    #[error("the counted index is not that of the rows")]
    Counted,
    /// A row is stamped later than the clock knows.
    #[error("the row at key {} is stamped later than the clock knows", show(key.as_bytes()))]
    Clock {
        /// The row.
        key: RowKey,
    },
}

pub(crate) fn recount<E: Engine>(view: &View<E>) -> Result<Recount, StoreError> {
    let mut found = Recount::default();
    count_rows(view, &mut found)?;
    check_index(view, &mut found)?;
    let digests = tree::recount(&view.shared.digest_key, view)?;
    found.root = digests.root;
    for node in digests.repairs {
        found.note(Mismatch::Digest {
            level: node.level,
            fence: node.fence,
        });
    }
    if view.row_count() != found.rows {
        found.note(Mismatch::RowCount {
            counted: view.row_count(),
        });
    }
    if view.key_count() != found.keys {
        found.note(Mismatch::KeyCount {
            counted: view.key_count(),
        });
    }
    let stored: Option<Context> = read_context(&view.snapshot).ok();
    if stored.as_ref() != Some(view.context()) {
        found.note(Mismatch::Context);
    }
    if !view.sketch_is_sound()? {
        found.note(Mismatch::Sketch);
    }
    if !view.removal_log_is_sound()? {
        found.note(Mismatch::RemovalLog);
    }
    if !view.due_is_sound()? {
        found.note(Mismatch::Due);
    }
    if !counted::repairs(view)?.is_empty() {
        found.note(Mismatch::Counted);
    }
    if !view.departures_are_sound()? {
        found.note(Mismatch::Departures);
    }
    if !identity_is_sound(view)? {
        found.note(Mismatch::Identity);
    }
    if !seal_is_sound(view)? {
        found.note(Mismatch::Seal);
    }
    Ok(found)
}

/// Reads every row, and looks each of its dots up.
fn count_rows<E: Engine>(view: &View<E>, found: &mut Recount) -> Result<(), StoreError> {
    let mut user: Option<Vec<u8>> = None;
    for row in view.scan(&KeyRange::ALL) {
        let (key, row) = match row {
            Ok(row) => row,
            Err(StoreError::Damaged { key }) => {
                found.note(Mismatch::Damaged { key });
                continue;
            }
            Err(error) => return Err(error),
        };
        found.rows += 1;
        if user.as_deref() != Some(format::user_part(&key)) {
            found.keys += 1;
            user = Some(format::user_part(&key).to_vec());
        }
        for sibling in &row {
            let dot = sibling.dot;
            found.dots += 1;
            if view.indexed(dot)?.as_ref() != Some(&key) {
                found.note(Mismatch::NotIndexed {
                    key: key.clone(),
                    dot,
                });
            }
            if !view.context().contains(&dot) {
                found.note(Mismatch::NotSeen {
                    key: key.clone(),
                    dot,
                });
            }
            if sibling.stamp > view.clock() {
                found.note(Mismatch::Clock { key: key.clone() });
            }
        }
    }
    Ok(())
}

/// Reads the dot index, and looks each row up that it names. Each entry then stands for a live dot,
/// and with each live dot found in the index, no dot can be live in two rows.
fn check_index<E: Engine>(view: &View<E>, found: &mut Recount) -> Result<(), StoreError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut strays = Vec::new();
    let mut outcome = Ok(());
    view.snapshot
        .visit(Table::Dots, all, Direction::Forward, &mut |dot, key| {
            let dot = format::read_dot_key(dot);
            match is_live(view, dot, key) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => {
                    strays.push((dot, key.to_vec()));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
    for (dot, key) in strays {
        found.note(Mismatch::StrayDot { key, dot });
    }
    outcome
}

fn is_live<E: Engine>(view: &View<E>, dot: Option<Dot>, key: &[u8]) -> Result<bool, StoreError> {
    let (Some(dot), Ok(key)) = (dot, format::read_row_key(key)) else {
        return Ok(false);
    };
    match view.get(&key) {
        Ok(row) => Ok(row.is_some_and(|row| row.get(&dot).is_some())),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
