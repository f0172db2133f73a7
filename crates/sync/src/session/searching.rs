//! The search for what still differs when all rows that need none have crossed: by which means it is begun, on either side.

use alloc::boxed::Box;

use syncline_merkle::RangeDigest;

use super::sketching::Sketching;
use super::walking::Walking;
use super::{Next, Phase, Session};
use crate::config::Strategy;
use crate::error::SessionError;
use crate::hello::features;
use crate::replica::Replica;

impl<R: Replica> Session<R> {
    /// Begins the search that should cost least.
    pub(super) fn search(&mut self, theirs: RangeDigest) -> Result<(), SessionError> {
        let sketching = match self.request.strategy {
            strategy @ (Strategy::Auto | Strategy::Sketch) if self.has_sketch() => {
                let insist = strategy == Strategy::Sketch;
                Sketching::tell(theirs, insist, &self.ground, &mut self.wire)?
            }
            _ => None,
        };
        match sketching {
            Some(sketching) => {
                self.phase = Phase::Sketching(Box::new(sketching));
                Ok(())
            }
            None => self.begin_walk(theirs),
        }
    }

    /// How many differences the walk may find: a guess that saves flights where it is good.
    fn expected(&self, theirs: RangeDigest) -> Result<u64, SessionError> {
        let removals = self.ground.root()?.count().abs_diff(theirs.count());
        // After an exchange only removals are left. Without one, what either has seen and the other has not is to be
        // found too.
        let unshared = match self.request.strategy {
            Strategy::Walk if self.ground.is_whole() => self.ground.unshared_dots(),
            _ => 0,
        };
        Ok(removals.max(unshared))
    }

    /// Begins the walk.
    pub(super) fn begin_walk(&mut self, theirs: RangeDigest) -> Result<(), SessionError> {
        let mut walking = Walking::new(self.request.salt, self.ground.range.clone());
        walking.start(self.expected(theirs)?, &self.ground, &self.wire)?;
        self.phase = Phase::Walking(Box::new(walking));
        Ok(())
    }

    /// The peer begins the walk.
    pub(super) fn walk(&mut self, message: &[u8]) -> Result<(), SessionError> {
        let mut walking = Walking::new(self.request.salt, self.ground.range.clone());
        walking.message(message, &self.ground, &mut self.wire)?;
        self.phase = Phase::Walking(Box::new(walking));
        Ok(())
    }

    /// The peer begins to tell its sketch.
    pub(super) fn listen(&mut self, symbols: &[u8]) -> Result<Next, SessionError> {
        if !self.has_sketch() {
            return Err(self.unexpected("symbols of its sketch"));
        }
        match Sketching::listen(&self.ground)? {
            Some(mut sketching) => {
                let (ground, wire) = (&mut self.ground, &mut self.wire);
                let next = sketching.symbols(symbols, self.their_root, ground, wire)?;
                self.phase = Phase::Sketching(Box::new(sketching));
                Ok(next)
            }
            None => Ok(Next::Walk(self.their_root)),
        }
    }

    /// Whether the live dots of both sides can be compared by sketches.
    pub(super) fn has_sketch(&self) -> bool {
        self.features & features::SKETCH != 0
    }
}
