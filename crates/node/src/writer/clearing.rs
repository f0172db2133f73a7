//! A chunk of a removal of a whole range, as the writer's thread makes it.

use std::sync::Arc;

use syncline_store::{ChunkLimit, Durability, Group, Removing, StoreError};
use tokio::sync::oneshot;

use super::{Message, Queue, Request, Work};
use crate::core::lock;
use crate::engine::AnyEngine;
use crate::error::Error;
use crate::ops::key;
use crate::outbox::{Deed, Outbox, Publication};
use crate::room::Room;
use crate::token::{Record, Token};

/// What a chunk has come to.
pub(crate) struct Cleared {
    /// How many rows are gone that a reader could see.
    pub(crate) shown: u64,
    /// The removal after the chunk.
    pub(crate) removing: Removing,
}

impl Queue {
    /// Has the next chunk of a removal made, and waits until it is committed. Other writes go on between two chunks.
    pub(crate) async fn remove_chunk(
        self,
        durability: Durability,
        removing: Removing,
        record: Option<Record>,
        keep: impl Send + 'static,
    ) -> Result<Cleared, Error> {
        let (reply, outcome) = oneshot::channel();
        let request = Request {
            work: Box::new(Clearing {
                removing,
                outcome: None,
                record: record.map(|record| (record, Token::default())),
                outbox: self.outbox,
                publication: None,
                reply,
            }),
            durability,
            _keep: Box::new(keep),
        };
        let sent = self.requests.send(Message::Write(request)).await;
        sent.map_err(|_| Error::Closed)?;
        outcome.await.unwrap_or(Err(Error::Closed))
    }
}

struct Clearing {
    removing: Removing,
    outcome: Option<Result<Cleared, Error>>,
    record: Option<(Record, Token)>,
    outbox: Outbox,
    publication: Option<Publication>,
    reply: oneshot::Sender<Result<Cleared, Error>>,
}

impl Work for Clearing {
    fn run(&mut self, group: &mut Group<'_, AnyEngine>, room: &Room) -> usize {
        if let Err(error) = room.admit_removal() {
            self.outcome = Some(Err(error));
            return 0;
        }
        let limit = ChunkLimit::default();
        let mut shown = 0;
        let before = group.last_dot();
        let chunk = group.remove_chunk(&self.removing, limit, &mut |key, row, observed| {
            let (was_shown, remnant) = key::clear_observed(key, row, observed);
            shown += u64::from(was_shown);
            remnant
        });
        self.outcome = Some(match chunk {
            Ok(chunk) => {
                if let (Some((_, token)), Some(delta)) = (&mut self.record, &chunk.delta) {
                    *token = Token::of_range(delta);
                }
                if let Some(delta) = chunk.delta {
                    let deed = || Deed::Range(delta);
                    self.publication = self.outbox.publication(before, group, deed);
                }
                let mut removing = self.removing.clone();
                removing.go_on(chunk.rest);
                Ok(Cleared { shown, removing })
            }
            Err(error) => Err(error.into()),
        });
        limit.rows
    }

    fn count(&self) -> u64 {
        1
    }

    fn succeeded(&self) -> u64 {
        u64::from(matches!(self.outcome, Some(Ok(_))))
    }

    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(Error::Store(error)),
            (Some(done), Ok(())) => {
                if let Some((record, token)) = &self.record {
                    lock(record).add(token);
                }
                done
            }
            (None, Ok(())) => Err(Error::Closed),
        };
        // Nobody waits any more when the caller's future was dropped; what is committed stays so.
        let _unheard = self.reply.send(outcome);
    }
}
