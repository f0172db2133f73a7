//! How a side tells what it has removed: which way costs least, and the log's entries as statements.
//!
//! # What each way costs
//!
//! | | bytes for each removal | flights on top | as long as |
//! |---|---|---|---|
//! | log | half a row key, and 7 | 0 | it reaches back to what the peer has seen |
//! | sketch | 1.45 symbols of 17 bytes | 1 | there are at most two for each three symbols that are kept |
//! | walk | 60 to 90 scattered, 2 to 20 side by side | 2 to 4 | always |
//!
//! Row keys that are stated in order share about half of their bytes with their neighbours. A flight is worth what the
//! link carries meanwhile, [`FLIGHT`]. So the log is taken where it reaches, unless its keys are long and the removals
//! few enough for the sketch; what the log is not taken for, the sketch is, and what that is not, the walk. Whatever is
//! taken, it is a hint, and roots that still differ are searched on.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, Context, Dot, Row, RowKey};

use super::ground::Ground;
use crate::config::Strategy;
use crate::error::SessionError;
use crate::frame::RemovedBy;
use crate::replica::{Removal, Removals, Replica, View};
use crate::rows::removers::{self, RemoversWriter};

/// Bytes that a flight is worth: half a round trip of some milliseconds at a megabyte a second.
const FLIGHT: usize = 4 << 10;

/// Bytes of a removal in a sketch.
const SKETCHED: usize = 25;

/// Bytes of a stated removal beside its key: its frame's share, and its dot.
const STATED: usize = 7;

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
        let count = removals.removals.len();
        let keys = removals.removals.iter();
        let keys: usize = keys.map(|removal| removal.key.as_bytes().len()).sum();
        let sketched = sketch && removals.complete && count <= SKETCHED_MAX;
        let reaches = removals.missing.is_empty();
        reaches && (!sketched || keys / 2 + count * STATED <= count * SKETCHED + FLIGHT)
    }
}

/// Some of what the log names.
#[derive(Debug)]
pub(super) struct Logged {
    /// What is held now where something was removed, in key order.
    pub(super) rows: Vec<(RowKey, Row)>,
    /// By which removals, and of how many that is all.
    pub(super) by: RemovedBy,
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
        if !view.keeps_removals() {
            return Ok(None);
        }
        let removals = view.removals(theirs, &ground.start.context, after, bound)?;
        // Once begun, it is gone through with.
        if after.is_none() && !log.pays(&removals) {
            return Ok(None);
        }
        let mut keys: BTreeMap<RowKey, Vec<Dot>> = BTreeMap::new();
        for Removal { dot, key } in removals.removals {
            keys.entry(key).or_default().push(dot);
        }
        let mut by = RemoversWriter::default();
        keys.values().for_each(|dots| by.push(dots));
        let rows = keys.into_keys().map(|key| {
            let row = view.row(&key)?.unwrap_or_default();
            Ok((key, row))
        });
        let rest = removals.frontier.filter(|_| !removals.complete);
        Ok(Some(Logged {
            rows: rows.collect::<Result<_, crate::ReplicaError>>()?,
            by: RemovedBy {
                frontier: rest.map(Into::into),
                missing: part(&removals.missing, after, rest).to_bytes(),
                removers: by.into_bytes(),
            },
            rest,
        }))
    })
}

/// What a frame says that was removed, for our own log.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) removals: Vec<Removal>,
    /// The dots all of whose removals these are.
    pub(super) all_of: Context,
    /// What may be called seen with it: additions were sent before.
    pub(super) learned: Context,
    /// Where the next frame goes on, unless this was the last.
    pub(super) frontier: Option<Dot>,
}

impl Told {
    /// Reads what is said of rows at these keys in a frame that goes on after `after`, and holds it against what the peer
    /// can know.
    pub(super) fn read<'k, R: Replica>(
        by: &RemovedBy,
        keys: impl ExactSizeIterator<Item = &'k RowKey>,
        after: Option<Dot>,
        ground: &Ground<R>,
    ) -> Result<Self, SessionError> {
        let theirs = ground.theirs()?;
        let frontier: Option<Dot> = by.frontier.map(Into::into);
        if frontier.is_some() && frontier <= after {
            return Err(SessionError::Malformed("what it removed does not go on"));
        }
        let missing = Context::from_bytes(&by.missing)
            .map_err(|_| SessionError::Malformed("what its log lacks is no context"))?;
        let spoken_of = part(&theirs.difference(&ground.start.context), after, frontier);
        let keys: Vec<&RowKey> = keys.collect();
        let removals = removers::read(&by.removers, keys.len())?
            .into_iter()
            .map(|(row, dot)| Removal {
                dot,
                key: keys[row].clone(),
            })
            .collect::<Vec<_>>();
        if !removals
            .iter()
            .all(|removal| spoken_of.contains(&removal.dot))
        {
            return Err(SessionError::Malformed(
                "it names removals out of turn, or that it had not seen",
            ));
        }
        Ok(Self {
            removals,
            all_of: spoken_of.difference(&missing),
            learned: frontier.map_or_else(|| theirs.clone(), |frontier| theirs.up_to(frontier)),
            frontier,
        })
    }
}

/// The part of a context after a dot and up to another, in dot order; without them, from the beginning and to the end.
fn part(context: &Context, after: Option<Dot>, upto: Option<Dot>) -> Context {
    let context = match upto {
        Some(upto) => context.up_to(upto),
        None => context.clone(),
    };
    match after {
        Some(after) => context.difference(&context.up_to(after)),
        None => context,
    }
}

#[cfg(test)]
mod tests {
    use syncline_crdt::ReplicaId;

    use super::*;

    fn dot(counter: u64) -> Dot {
        Dot::new(ReplicaId::from_bytes([1; 16]), counter)
    }

    #[test]
    fn parts_make_up_the_whole() {
        let other = ReplicaId::from_bytes([2; 16]);
        let whole: Context = (1..=9).map(dot).chain([Dot::new(other, 4)]).collect();
        for upto in [dot(1), dot(5), dot(9), Dot::new(other, 1)] {
            let (first, rest) = (
                part(&whole, None, Some(upto)),
                part(&whole, Some(upto), None),
            );
            assert_eq!(first, whole.up_to(upto));
            assert_eq!(rest, whole.difference(&first));
        }
        assert_eq!(part(&whole, None, None), whole);
        let middle: Context = (4..=6).map(dot).collect();
        assert_eq!(part(&whole, Some(dot(3)), Some(dot(6))), middle);
    }

    fn removals(count: usize, key: usize) -> Removals {
        let removal = |at: usize| Removal {
            dot: dot(at as u64 + 1),
            key: RowKey::cell(&[&at.to_be_bytes()[..], &alloc::vec![1; key]].concat()),
        };
        Removals {
            removals: (0..count).map(removal).collect(),
            complete: true,
            ..Removals::default()
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
            missing: [dot(5)].into_iter().collect(),
            ..removals(10, 20)
        };
        assert!(!with.pays(&short) && !without.pays(&short));
        assert!(LogUse::of(Strategy::Log, true).pays(&short));
        assert!(!LogUse::of(Strategy::Sketch, true).pays(&removals(1, 1)));
    }
}
