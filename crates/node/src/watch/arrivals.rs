//! What comes from other nodes, for who is told of this node's own writes by other ways.

use std::collections::BTreeSet;
use std::fmt;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{Listener, Signal};

use super::Change;
use crate::blocking;
use crate::error::Error;
use crate::ops::scan;
use crate::registers::Registers;
use crate::replica::{InUse, Replica};
use crate::view::View;

/// Tells what has come from other nodes, by rumours and in sessions, and changed something under a prefix. Made by
/// [`Namespace::arrivals`](crate::Namespace::arrivals).
///
/// It begins now, and keeps nothing: there is no going on from where an earlier one ended, and where much comes at once it passes over some and
/// [says so](Arrived::has_missed). Who must miss nothing [watches](super::Watch).
///
/// ```
/// use syncline::watch::Change;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = syncline::testing::cluster(2).await?;
/// let carts = cluster.namespaces("carts")?;
/// let mut arrivals = carts[0].arrivals("").await?;
/// carts[0].put("mine", "tea").await?;
/// carts[1].put("theirs", "scones").await?;
/// cluster.sync_all().await?;
/// let arrived = arrivals.next().await?;
/// let changed: Vec<&[u8]> = arrived.changes.iter().map(Change::key).collect();
/// assert_eq!(changed, [b"theirs"]);
/// # Ok(())
/// # }
/// ```
pub struct Arrivals {
    replica: Replica,
    registers: Registers,
    range: KeyRange,
    listener: Option<Listener>,
    /// Whether something was missed that was not yet told.
    has_missed: bool,
}

/// What has come since it was told last.
#[derive(Debug)]
#[non_exhaustive]
pub struct Arrived {
    /// The places that were changed, as they are now: what was written here since shows as well.
    pub changes: Vec<Change>,
    /// Whether more has come than could be kept until it was told, which is not among them.
    pub has_missed: bool,
}

impl Arrivals {
    pub(crate) async fn begin(
        replica: Replica,
        registers: Registers,
        prefix: &[u8],
    ) -> Result<Self, Error> {
        let mut arrivals = Self {
            replica,
            registers,
            range: scan::with_prefix(prefix),
            listener: None,
            has_missed: false,
        };
        let open = arrivals.replica.open().await?;
        arrivals.listener = Some(open.store.listen_to_joins(arrivals.range.clone()));
        Ok(arrivals)
    }

    /// What has come next; waits until there is something. What a call has found that was given up counts as
    /// [missed](Arrived::has_missed).
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown; see also [`Namespace`](crate::Namespace). What was found with a row that is damaged counts as missed.
    pub async fn next(&mut self) -> Result<Arrived, Error> {
        loop {
            // Nothing is held open while there is nothing.
            if let Some(listener) = &mut self.listener
                && listener.due().await == Signal::Closed
            {
                self.listener = None;
            }
            let open = self.replica.open().await?;
            let listener = self.listener.get_or_insert_with(|| {
                // The store was closed meanwhile, and opened again.
                self.has_missed = true;
                open.store.listen_to_joins(self.range.clone())
            });
            let view = open.store.view()?;
            let keys = listener.keys(&view);
            self.has_missed |= keys.is_none();
            let keys = keys.unwrap_or_default();
            if !self.has_missed && keys.is_empty() {
                continue;
            }
            let has_missed = std::mem::replace(&mut self.has_missed, true);
            let changes = self.read(open, keys).await?;
            self.has_missed = false;
            return Ok(Arrived {
                changes,
                has_missed,
            });
        }
    }

    async fn read(&self, open: InUse, keys: BTreeSet<RowKey>) -> Result<Vec<Change>, Error> {
        let registers = self.registers.clone();
        let read = blocking(move || {
            let view = View::new(open.store.view()?, registers);
            let change = |key: &RowKey| {
                let row = view.store().get(key)?.unwrap_or_default();
                Change::of(&view, key, &row)
            };
            keys.iter().map(change).collect::<Result<Vec<_>, Error>>()
        });
        match read.await {
            Ok(changes) => Ok(changes),
            Err(error) => Err(self.replica.heal(error).await),
        }
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}
