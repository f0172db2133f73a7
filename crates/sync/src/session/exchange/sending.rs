//! Our rows: what goes into the next frame of them, and where the one after it begins.

use alloc::vec::Vec;

use syncline_crdt::{Dot, Nothing};
use syncline_merkle::{KeyRange, after};

use super::{Exchange, Outgoing};
use crate::error::SessionError;
use crate::frame::Purpose;
use crate::replica::{Replica, View};
use crate::session::Next;
use crate::session::ground::Ground;
use crate::session::removals;
use crate::session::wire::{Shipment, Wire};

impl Exchange {
    pub(super) fn send_additions<R: Replica>(
        &mut self,
        after: Option<Dot>,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let theirs = ground.theirs()?;
        let bound = ground.config.batch_bytes;
        let mut additions =
            ground.read_since_start(|start, now| start.lacking(now, theirs, after, bound))?;
        // The frontier speaks for the frame as a whole, so its rows may come in any order; in this one they share most of
        // their keys, and are joined page by page.
        additions.rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let purpose = Purpose::Addition(additions.frontier.map(Into::into));
        let mut shipment = Shipment::new(wire, self.flight);
        let start = &ground.start.context;
        for (key, row) in additions.rows {
            self.sent_rows = true;
            let unseen = row
                .dots()
                .filter(|dot| start.contains(dot) && !theirs.contains(dot));
            self.dead = self.dead.saturating_sub(unseen.count() as u128);
            ground.sends(&key);
            shipment.push(&key, row, theirs);
        }
        shipment.flush(purpose);
        self.ours = match additions.complete {
            false => Outgoing::Additions(additions.frontier),
            // What else it has not seen were removals, or was replaced since.
            true if self.dead > 0 => Outgoing::Removals(None),
            true => return self.end(ground, wire),
        };
        Ok(Next::More)
    }

    pub(super) fn send_removals<R: Replica>(
        &mut self,
        after: Option<Dot>,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let Some(logged) = removals::logged(self.log, after, ground)? else {
            return self.end(ground, wire);
        };
        // The additions are sent, so the peer has all that lived here at the start.
        let known = (ground.theirs()?, &ground.start.context);
        let mut shipment = Shipment::new(wire, self.flight);
        for (key, row) in logged.rows {
            self.sent_rows = true;
            ground.sends(&key);
            shipment.push(&key, row, &known);
        }
        match self.hands_on {
            // That nothing was removed is worth telling too.
            true => shipment.flush_even_if_empty(Purpose::RemovedBy(logged.by)),
            false => shipment.flush(Purpose::Removed),
        }
        match logged.rest {
            Some(rest) => {
                self.ours = Outgoing::Removals(Some(rest));
                Ok(Next::More)
            }
            None => self.end(ground, wire),
        }
    }

    pub(super) fn send_copy<R: Replica>(
        &mut self,
        from: Vec<u8>,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let bound = ground.config.batch_bytes;
        let rest = KeyRange::new(from, ground.range.upper.clone());
        let read = ground.read(|view| view.rows(&rest, bound))?;
        let next = match read.complete {
            true => None,
            false => read.rows.last().map(|(key, _)| after(key.as_bytes())),
        };
        let (ours, theirs) = (&ground.start.context, ground.theirs()?);
        let mut shipment = Shipment::new(wire, self.flight);
        for (key, row) in read.rows {
            // What we did not hold at the start and the peer had seen by then has come from it or goes the round: not
            // what it lacks. To leave it out says nothing that is wrong: as absence it speaks of our start context only.
            let is_theirs = |dot: &Dot| theirs.contains(dot) && !ours.contains(dot);
            if !row.dots().all(|dot| is_theirs(&dot)) {
                ground.sends(&key);
                shipment.push(&key, row, &Nothing);
            }
        }
        shipment.flush_even_if_empty(Purpose::Copy(next.clone()));
        // A frame without rows too: it says what is not there, and may have dropped something.
        self.sent_rows = true;
        match next {
            Some(next) => {
                self.ours = Outgoing::Copy(next);
                Ok(Next::More)
            }
            None => self.end(ground, wire),
        }
    }
}
