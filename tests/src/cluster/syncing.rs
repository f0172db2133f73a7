//! Sessions: many at once, a few frames at a time, cut at any of them.

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_sync::{Request, Strategy};

use super::{Cluster, NAMESPACE, said};
use crate::faulty::Faulty;
use crate::link::Link;
use crate::media::{Medium, Tapped};
use crate::rng::Choices;

/// A session under way between two members.
pub(super) struct Running<M: Medium> {
    pub(super) between: [usize; 2],
    link: Between<M>,
}

pub(super) type Between<M> = Link<Faulty<Tapped<<M as Medium>::Engine>>>;

impl<M: Medium> Cluster<M> {
    pub(super) fn link(
        &mut self,
        from: usize,
        to: usize,
        request: Request,
    ) -> Result<Between<M>, String> {
        let side = |at: usize, peer: usize| {
            Faulty::new(
                self.members[at].store.clone(),
                self.members[peer].store.clone(),
                self.wrong,
            )
        };
        let batch_bytes = [1, 200, 3_000, 256 << 10][self.rng.below(4)];
        Link::open(
            side(from, to),
            side(to, from),
            NAMESPACE,
            request,
            batch_bytes,
        )
        .map_err(said)
    }

    pub(super) fn request(&mut self) -> Request {
        let salt = self.rng.bytes(16).try_into().unwrap();
        let strategy = Strategy::ALL[self.rng.below(Strategy::ALL.len())];
        Request::new(salt).by(strategy)
    }

    pub(super) fn begin_session(&mut self, from: usize) -> Result<(), String> {
        let to = (from + 1 + self.rng.below(self.members.len() - 1)) % self.members.len();
        let mut request = self.request();
        if self.rng.chance(12) {
            let prefix = RowKey::user_prefix(&self.rng.pick(&self.keys).user_key());
            request = request.within(KeyRange::prefix(&prefix));
        }
        match self.link(from, to, request) {
            Ok(link) => self.sessions.push(Running {
                between: [from, to],
                link,
            }),
            Err(_) if self.damage => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn advance_session(&mut self) -> Result<(), String> {
        if self.sessions.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.sessions.len());
        for _ in 0..1 + self.rng.below(6) {
            match self.sessions[at].link.step(&mut self.rng) {
                Ok(true) => {}
                Ok(false) => {
                    self.sessions.remove(at);
                    return Ok(());
                }
                // Whoever finds damage withdraws the row and ends the session.
                Err(_) if self.damage => {
                    self.sessions.remove(at);
                    return Ok(());
                }
                Err(error) => return Err(format!("a session failed: {error}")),
            }
        }
        Ok(())
    }

    /// The connection breaks; frames under way are lost.
    pub(super) fn abort_session(&mut self) {
        if !self.sessions.is_empty() {
            let at = self.rng.below(self.sessions.len());
            self.sessions.remove(at);
        }
    }

    /// Complete sessions, all ways, until nothing is left to be told.
    pub(super) fn quiesce(&mut self) -> Result<(), String> {
        self.scrub()?;
        let count = self.members.len();
        for round in 0..3 {
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    self.meet(from, to, round)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn meet(&mut self, from: usize, to: usize, round: usize) -> Result<(), String> {
        // A session that finds damage ends; each finds at least one row.
        for _ in 0..20 {
            let request = self.request();
            let outcome = self.link(from, to, request.clone()).and_then(|mut link| {
                link.run(&mut self.rng).map_err(said)?;
                Ok(link)
            });
            match outcome {
                Ok(link) => {
                    let [ours, theirs] = link.reports();
                    if !(ours.agreed && theirs.agreed) {
                        return Err(format!(
                            "{from} and {to} do not agree after a session by {}",
                            request.strategy
                        ));
                    }
                    if round > 0
                        && ours.rows_sent + ours.rows_received > 0
                        && request.strategy != Strategy::Full
                        && !self.damage
                    {
                        return Err(format!(
                            "{from} and {to} sent rows though they agreed before"
                        ));
                    }
                    return Ok(());
                }
                Err(error) if !self.damage => return Err(format!("a session failed: {error}")),
                Err(_) => {}
            }
        }
        Err(format!("{from} and {to} never get through a session"))
    }
}
