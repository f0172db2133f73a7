//! Removals of whole ranges: told before the additions, applied after them.
//!
//! A range of millions of rows was removed under a few dots. The peer's log has an entry for it: the range, and what had
//! been observed there. It is stated first, so that the receiver knows from the beginning which dots it must not call
//! seen with the rest of the peer's context: not before it has dropped what they removed. If the session breaks, the next
//! one then states the entry again, and the receiver goes on where it was, for what is dropped is gone. It is applied last,
//! when all additions have come: the end of a value does not travel without what replaced it.
//!
//! Applying takes a commit for some thousand rows each, between two frames of ours. Where there are none to send,
//! we show the peer now and then that we are at work.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, Context};
use syncline_merkle::KeyRange;

use super::ground::Ground;
use super::wire::Wire;
use crate::error::SessionError;
use crate::forms::ContextForm;
use crate::frame::{Frame, RangeRemoved};
use crate::replica::{RangeRemoval, Replica, View};

/// What the entries that a side states may take, encoded, and half of what those that it takes up may.
const TOLD_BYTES: usize = 1 << 20;

/// How many commits go by without a sign of work.
const QUIET_COMMITS: u32 = 16;

/// What we state to the peer, and in how much of its context that leaves something to tell.
pub(super) fn state<R: Replica>(
    flight: u32,
    ground: &Ground<R>,
    wire: &mut Wire,
) -> Result<bool, SessionError> {
    let (theirs, start) = (ground.theirs()?, &ground.start.context);
    let removals = ground.read(|view| view.range_removals(theirs, start, TOLD_BYTES))?;
    for removal in &removals {
        let frame = Frame::RangeRemoved(RangeRemoved {
            dots: removal.dots.intersection(start).to_bytes(),
            lower: removal.range.lower.clone(),
            upper: removal.range.upper.clone(),
            observed: ContextForm::of(&removal.observed, Some(theirs)),
        });
        wire.send(flight, &frame);
    }
    Ok(!removals.is_empty())
}

/// What the peer has stated.
#[derive(Debug, Default)]
pub(super) struct Stated {
    removals: Vec<RangeRemoval>,
    bytes: usize,
}

impl Stated {
    /// Takes in one more.
    pub(super) fn push<R: Replica>(
        &mut self,
        stated: RangeRemoved,
        bytes: usize,
        ground: &mut Ground<R>,
    ) -> Result<(), SessionError> {
        self.bytes += bytes;
        // The edited form of a context may be longer than the canonical one that our peer has measured.
        if self.bytes > 2 * TOLD_BYTES {
            return Err(SessionError::Malformed("it states too many removals"));
        }
        let theirs = ground.theirs()?;
        let dots = Context::from_bytes(&stated.dots)
            .map_err(|_| SessionError::Malformed("what removed a range is no context"))?;
        let observed = stated.observed.read(&ground.start.context)?;
        if dots.replicas().count() != 1 || !theirs.covers(&dots) {
            return Err(SessionError::Malformed(
                "it names removals that it had not seen",
            ));
        }
        let removal = RangeRemoval {
            range: KeyRange::new(stated.lower, stated.upper),
            // Nobody can say of what he has not seen that it is dead.
            observed: observed.intersection(theirs),
            dots,
        };
        ground.withhold(&removal.dots);
        self.removals.push(removal);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.removals.is_empty()
    }

    /// All of them, to be applied.
    pub(super) fn apply(self) -> Applying {
        Applying {
            due: self.removals.into(),
            rest: None,
            done: Vec::new(),
            quiet: 0,
        }
    }
}

/// Removals of ranges on their way into the replica.
#[derive(Debug)]
pub(super) struct Applying {
    due: VecDeque<RangeRemoval>,
    /// What is left of the first of them, once it was begun.
    rest: Option<KeyRange>,
    done: Vec<RangeRemoval>,
    /// Commits since the peer was last shown that we are at work.
    quiet: u32,
}

impl Applying {
    /// Applies some more; returns whether all is done, and the peer's start context merged.
    pub(super) fn go_on<R: Replica>(
        &mut self,
        flight: u32,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<bool, SessionError> {
        let Some(removal) = self.due.front() else {
            ground.learn_ranges(core::mem::take(&mut self.done))?;
            return Ok(true);
        };
        let range = self.rest.take().unwrap_or_else(|| removal.range.clone());
        self.rest = ground.drop_observed(removal, &range)?;
        if self.rest.is_none() {
            self.done.extend(self.due.pop_front());
        }
        self.quiet += 1;
        if self.quiet == QUIET_COMMITS {
            self.quiet = 0;
            wire.send_uncounted(flight, &Frame::Working);
        }
        Ok(false)
    }
}
