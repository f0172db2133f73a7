//! Who else carries a namespace, and what all of them have seen.

use syncline_crdt::{CarrierId, Roster};
use syncline_store::StabilityStatus;

use crate::blocking;
use crate::error::Error;
use crate::namespace::Namespace;

/// The carriers of the namespace: the replicas of it in the cluster, each under a name that it was given when it was
/// created empty. They get to know each other when they sync.
///
/// What is *causally stable*, known to every carrier for good, can be cleaned up: the rows of expired keys, the remnants
/// of deleted counters. So a carrier that is away holds that up, and one that is gone for good has to be
/// [forgotten](Namespace::forget_carrier).
impl Namespace {
    /// The name of this node's replica among the carriers.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn carrier(&self) -> Result<CarrierId, Error> {
        let open = self.replica().open().await?;
        Ok(open.store.carrier())
    }

    /// The carriers that this node knows of, itself included, and those that were forgotten.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// assert_eq!(app.carriers().await?.counted().len(), 1, "it has met nobody yet");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn carriers(&self) -> Result<Roster, Error> {
        let open = self.replica().open().await?;
        Ok(open.store.carriers())
    }

    /// Counts no more with a carrier that is gone for good; whether that is news. The others hear of it when they sync.
    ///
    /// What only the forgotten one had is lost. Nothing is taken from it any more, since it could hold what was written in
    /// ignorance of what has been cleaned up since: it is refused, and comes back only as an empty replica.
    ///
    /// # Errors
    /// [`Error::Store`] for this node's own replica; see also [`Namespace`].
    pub async fn forget_carrier(&self, carrier: CarrierId) -> Result<bool, Error> {
        let open = self.replica().open().await?;
        blocking(move || {
            let _turn = open.turn();
            Ok(open.store.forget_carrier(carrier)?)
        })
        .await
    }

    /// Gives this node's replica another name among the carriers, durably, and returns it: for a copy of a node's data that
    /// is to go on beside the original, which refuses it under its own name. Call it before the copy meets anybody.
    ///
    /// The original must be known to whoever the copy meets, and must not have been forgotten: what the copy holds is known to
    /// be told by that one.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn rename_carrier(&self) -> Result<CarrierId, Error> {
        let open = self.replica().open().await?;
        blocking(move || {
            let _turn = open.turn();
            Ok(open.store.rename_carrier()?)
        })
        .await
    }

    /// How far causal stability has come, and which carriers hold it up. O(n) in the replicas that ever wrote.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn stability(&self) -> Result<StabilityStatus, Error> {
        let open = self.replica().open().await?;
        blocking(move || Ok(open.store.stability()?)).await
    }
}
