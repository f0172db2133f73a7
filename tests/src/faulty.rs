//! Replicas that break one rule of the design each, to show that the scenarios can fail: [`Faulty`].

use syncline_crdt::{CarrierId, Context, Roster, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Engine, Store};
use syncline_sync::{Attendance, Incoming, Replica, ReplicaError, Statement, View as _};

/// Which rule is broken. Each loses data, or resurrects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The peer's context is merged with the first rows of it instead of the last.
    ContextEarly,
    /// The context merged at a session's end is the peer's as of then, not as of its start.
    ContextAtEnd,
    /// All rows of a transaction are written under one dot.
    SharedDot,
    /// What comes is not joined when its dots are known.
    SkipKnown,
    /// Peers are told of writes that are not durable.
    TellUnsynced,
}

/// A store, as sessions see it, that follows all the rules but one; or all of them.
#[derive(Clone)]
pub struct Faulty<E: Engine> {
    store: Store<E>,
    peer: Store<E>,
    wrong: Option<Wrong>,
}

impl<E: Engine> Faulty<E> {
    /// The store, in a session with `peer`.
    pub const fn new(store: Store<E>, peer: Store<E>, wrong: Option<Wrong>) -> Self {
        Self { store, peer, wrong }
    }
}

impl<E: Engine> Replica for Faulty<E> {
    type View = <Store<E> as Replica>::View;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        Replica::view(&self.store)
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        Replica::begin(&self.store)
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        Replica::enrol(&self.store, roster)
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        Replica::hear(&self.store, roster, said);
    }

    fn join(&self, mut incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        match self.wrong {
            Some(Wrong::ContextEarly) => incoming.learned = Some(incoming.context.clone()),
            Some(Wrong::ContextAtEnd) => {
                if let Some(learned) = incoming
                    .learned
                    .as_mut()
                    .filter(|learned| **learned == *incoming.context)
                {
                    learned.merge(Replica::view(&self.peer)?.context());
                }
            }
            Some(Wrong::SkipKnown) => {
                let view = Replica::view(&self.store)?;
                let known = |dot| view.context().contains(&dot);
                incoming
                    .rows
                    .retain(|(_, row)| row.is_empty() || !row.dots().all(known));
            }
            Some(Wrong::SharedDot | Wrong::TellUnsynced) | None => {}
        }
        Replica::join(&self.store, incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        if self.wrong == Some(Wrong::TellUnsynced) {
            return Ok(());
        }
        Replica::flush(&self.store)
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        Replica::drop_observed(&self.store, range, observed, since)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        Replica::withdraw(&self.store, key)
    }
}
