//! How a side tells what it has removed: which way costs least, and the log's entries as statements.
//!
//! # What each way costs
//!
//! | | bytes for each removal | flights on top | as long as |
//! |---|---|---|---|
//! | log | half a row key, and 4 | 0 | it reaches back to what the peer has seen |
//! | sketch | 1.45 symbols of 17 bytes | 1 | there are at most two for each three symbols that are kept |
//! | walk | 60 to 90 scattered, 2 to 20 side by side | 2 to 4 | always |
//!
//! Row keys that are stated in order share about half of their bytes with their neighbours. A flight is worth what the
//! link carries meanwhile, [`FLIGHT`]. So the log is taken where it reaches, unless its keys are long and the removals
//! few enough for the sketch; what the log is not taken for, the sketch is, and what that is not, the walk. Whatever is
//! taken, it is a hint, and roots that still differ are searched on.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use syncline_crdt::{Dot, Row, RowKey};

use super::ground::Ground;
use crate::config::Strategy;
use crate::error::SessionError;
use crate::replica::{Removals, Replica, View};

/// Bytes that a flight is worth: half a round trip of some milliseconds at a megabyte a second.
const FLIGHT: usize = 4 << 10;

/// Bytes of a removal in a sketch.
const SKETCHED: usize = 25;

/// Bytes of a stated removal beside its key.
const STATED: usize = 4;

/// Up to so many removals a sketch may tell.
const SKETCHED_MAX: usize = 2_700;

/// Whether a side uses its removal log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogUse {
    Never,
    /// If that should cost least.
    Cheapest {
        /// Whether there is a sketch to be compared with.
        sketch: bool,
    },
    /// However far it reaches and whatever it costs.
    Always,
}

impl LogUse {
    pub(super) fn of(strategy: Strategy, sketch: bool) -> Self {
        match strategy {
            Strategy::Log => Self::Always,
            Strategy::Auto => Self::Cheapest { sketch },
            Strategy::Sketch | Strategy::Walk | Strategy::Full => Self::Never,
        }
    }

    /// Whether it pays to state these removals, the first that the log has for the peer.
    fn pays(self, removals: &Removals) -> bool {
        let sketch = match self {
            Self::Never => return false,
            Self::Always => return true,
            Self::Cheapest { sketch } => sketch,
        };
        let count = removals.keys.len();
        let keys: usize = removals.keys.iter().map(|key| key.as_bytes().len()).sum();
        let sketched = sketch && removals.complete && count <= SKETCHED_MAX;
        removals.reaches && (!sketched || keys / 2 + count * STATED <= count * SKETCHED + FLIGHT)
    }
}

/// Some of what the log names.
#[derive(Debug)]
pub(super) struct Logged {
    /// What is held now where something was removed, in key order.
    pub(super) rows: Vec<(RowKey, Row)>,
    /// Where to go on, if there is more.
    pub(super) rest: Option<Dot>,
}

/// The removals that the peer has not seen, from after `after`, about as many as make a frame; none if they are better
/// told in another way.
pub(super) fn logged<R: Replica>(
    log: LogUse,
    after: Option<Dot>,
    ground: &Ground<R>,
) -> Result<Option<Logged>, SessionError> {
    if log == LogUse::Never {
        return Ok(None);
    }
    let theirs = ground.theirs()?;
    let bound = ground.config.batch_bytes;
    ground.read(|view| {
        let removals = view.removals(theirs, &ground.start.context, after, bound)?;
        // Once begun, it is gone through with.
        if after.is_none() && !log.pays(&removals) {
            return Ok(None);
        }
        let keys: BTreeSet<RowKey> = removals.keys.into_iter().collect();
        let rows = keys.into_iter().map(|key| {
            let row = view.row(&key)?.unwrap_or_default();
            Ok((key, row))
        });
        Ok(Some(Logged {
            rows: rows.collect::<Result<_, crate::ReplicaError>>()?,
            rest: removals.frontier.filter(|_| !removals.complete),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals(count: usize, key: usize) -> Removals {
        let keys = (0..count)
            .map(|at| RowKey::cell(&[&at.to_be_bytes()[..], &alloc::vec![1; key]].concat()));
        Removals {
            keys: keys.collect(),
            frontier: None,
            complete: true,
            reaches: true,
        }
    }

    #[test]
    fn the_log_is_used_where_it_costs_least() {
        let with = LogUse::of(Strategy::Auto, true);
        let without = LogUse::of(Strategy::Auto, false);
        assert!(with.pays(&removals(1_000, 20)));
        assert!(with.pays(&removals(10, 200)), "a flight is worth more");
        assert!(!with.pays(&removals(1_000, 200)), "symbols are shorter");
        assert!(without.pays(&removals(1_000, 200)), "the walk is longer");
        assert!(with.pays(&removals(10_000, 200)), "no sketch tells so many");
        let short = Removals {
            reaches: false,
            ..removals(10, 20)
        };
        assert!(!with.pays(&short) && !without.pays(&short));
        assert!(LogUse::of(Strategy::Log, true).pays(&short));
        assert!(!LogUse::of(Strategy::Sketch, true).pays(&removals(1, 1)));
    }
}
