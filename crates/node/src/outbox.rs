//! What is committed here and concerns other nodes, on its way to them.

use std::sync::{Arc, OnceLock};

use syncline_crdt::{CarrierId, Delta, Dot};
use syncline_store::{Group, RangeDelta};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::engine::AnyEngine;

/// What a transaction has done, as others need to know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    /// It wrote and removed rows.
    Rows(Delta),
    /// It was a chunk of a removal of a range.
    Range(RangeDelta),
}

/// A deed, under the dots that it made.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "net"),
    expect(dead_code, reason = "there is nobody to read it")
)]
pub(crate) struct Publication {
    pub(crate) namespace: Arc<str>,
    /// Whose it is.
    pub(crate) carrier: CarrierId,
    pub(crate) first: Dot,
    pub(crate) last: u64,
    pub(crate) deed: Deed,
}

/// Where a namespace's deeds are left once they are committed. Nothing is gathered while nobody takes them.
#[derive(Clone)]
pub(crate) struct Outbox {
    namespace: Arc<str>,
    taker: Taker,
}

/// Who takes the deeds of all namespaces, once somebody does.
pub(crate) type Taker = Arc<OnceLock<mpsc::Sender<Publication>>>;

impl Outbox {
    pub(crate) fn new(namespace: &str, taker: Taker) -> Self {
        Self {
            namespace: namespace.into(),
            taker,
        }
    }

    /// Whether anybody takes what is published.
    pub(crate) fn is_open(&self) -> bool {
        self.taker.get().is_some()
    }

    /// Names a deed by the dots that a group has made since its last one was `before`; nothing if it has made none.
    pub(crate) fn publication(
        &self,
        before: Option<Dot>,
        group: &Group<'_, AnyEngine>,
        deed: impl FnOnce() -> Deed,
    ) -> Option<Publication> {
        let after = group.last_dot()?;
        let first = match before {
            Some(before) if before.replica == after.replica => before.counter + 1,
            Some(_) | None => 1,
        };
        (self.is_open() && first <= after.counter).then(|| Publication {
            namespace: self.namespace.clone(),
            carrier: group.carrier(),
            first: Dot::new(after.replica, first),
            last: after.counter,
            deed: deed(),
        })
    }

    /// Leaves a committed deed to be spread. Never waits: where too many wait already, this one has to be found by a session.
    pub(crate) fn publish(&self, publication: Publication) {
        let Some(taker) = self.taker.get() else {
            return;
        };
        match taker.try_send(publication) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::debug!(namespace = &*self.namespace, "too busy to spread a write");
            }
            // The node is shutting down.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}
