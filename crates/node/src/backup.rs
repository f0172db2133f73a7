//! What a backup reads of a namespace, and how one becomes a namespace again. The format and the place of a backup are not
//! decided here: `syncline-backup` does that.
//!
//! A backup is a replica that has stopped: rows and context of one commit. So restoring is what a session does with a peer,
//! under the same rules: the rows are joined under the backup's context, and that is merged when all of them have been.
//! What a backup adds is that nobody answers: the restored replica is a carrier of its own, which begins with the rows of
//! another ([`Head::carrier`]), and keeps that in mind until somebody counts with it.

use std::sync::Arc;

use syncline_crdt::{Canonical as _, CarrierId, Context, Roster, Row, RowKey, Stamp};
use syncline_merkle::{Cut, DigestKey, KeyRange, RangeDigest, Source as _};
use syncline_store::View;

use crate::blocking;
use crate::core::Core;
use crate::engine::AnyEngine;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::node::Node;

mod restore;

pub use restore::{Restore, RestoreError, Restored};

/// What belongs to the rows of a backup, all of it of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The carrier of which it is. The restored replica never speaks under this name.
    pub carrier: CarrierId,
    /// Of whom that one's rows had come with a backup itself, if nobody had counted with it since.
    pub origins: Vec<CarrierId>,
    /// The carriers that it counted with, and those that it had forgotten.
    pub roster: Roster,
    /// Every dot that it had seen.
    pub context: Arc<Context>,
    /// The greatest stamp that it had made or observed.
    pub clock: Stamp,
    /// The digest of the rows.
    pub root: RangeDigest,
    /// How many user keys they are of.
    pub keys: u64,
}

/// A row as it is kept: its key, and its canonical bytes.
pub type RowBytes = (RowKey, Vec<u8>);

/// Some rows of a range, and how far they reach.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The range that they are all rows of: it begins where the one that was asked for does.
    pub range: KeyRange,
    /// The digest of the rows.
    pub digest: RangeDigest,
    /// The rows, in key order.
    pub rows: Vec<RowBytes>,
}

/// A namespace as of one commit, to be read range by range. Later writes do not show in it.
#[derive(Clone)]
pub struct Source {
    view: Arc<View<AnyEngine>>,
    head: Arc<Head>,
    digest_key: DigestKey,
    namespace: Namespace,
}

impl Namespace {
    /// The namespace as of now, for a backup.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use syncline::Node;
    ///
    /// let node = Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// app.put("motto", "merge, do not fork").await?;
    /// let source = app.backup_source().await?;
    /// app.put("later", "does not show").await?;
    /// assert_eq!((source.head().root.count(), source.head().keys), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn backup_source(&self) -> Result<Source, Error> {
        let open = self.replica().open().await?;
        let digest_key = digest_key(&self.core);
        let namespace = self.clone();
        blocking(move || {
            let origins = open.store.origins();
            // A session's part in the store, given up at once: what the roster says and the view shows belong together.
            let begun = open.store.begin()?;
            let view = begun.view;
            let head = Head {
                carrier: begun.carrier,
                origins,
                roster: begun.roster,
                context: view.shared_context(),
                clock: view.clock(),
                root: view.root()?,
                keys: view.key_count(),
            };
            Ok(Source {
                view: Arc::new(view),
                head: Arc::new(head),
                digest_key,
                namespace,
            })
        })
        .await
    }
}

impl Source {
    /// What belongs to the rows.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Cuts a range at the fences of a level of the digest tree, into at most `limit` parts. What lies between two fences is
    /// the same on every replica that holds the same, so a part whose digest is known needs no reading.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn cut(&self, range: KeyRange, level: u8, limit: usize) -> Result<Cut, Error> {
        let view = self.view.clone();
        blocking(move || Ok(view.cut(&range, level, limit)?)).await
    }

    /// The first rows of a range: all of them, or as many as take `max_bytes`, and one if there is any.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a row that fails its checksum, which is withdrawn then: another try does without it. See also
    /// [`Namespace`].
    pub async fn piece(&self, range: KeyRange, max_bytes: usize) -> Result<Piece, Error> {
        let this = self.clone();
        match blocking(move || this.read(range, max_bytes)).await {
            Ok(piece) => Ok(piece),
            Err(error) => Err(self.namespace.replica().heal(error).await),
        }
    }

    fn read(&self, mut range: KeyRange, max_bytes: usize) -> Result<Piece, Error> {
        let mut rows = Vec::new();
        let (mut digest, mut bytes) = (RangeDigest::ZERO, 0);
        for row in self.view.scan(&range) {
            let (key, row) = row?;
            if bytes >= max_bytes {
                range.upper = Some(key.as_bytes().to_vec());
                break;
            }
            let row = row.to_bytes();
            digest += RangeDigest::of(&self.digest_key.item(key.as_bytes(), &row));
            bytes += key.as_bytes().len() + row.len();
            rows.push((key, row));
        }
        Ok(Piece {
            range,
            digest,
            rows,
        })
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// A key for a purpose that `context` names, globally unique and hard-coded: derived from the cluster's secret, and so the
    /// same on every node of the cluster and known to nobody else. See [`blake3::derive_key`].
    pub fn derive_key(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, self.core.membership.secret())
    }
}

fn digest_key(core: &Core) -> DigestKey {
    DigestKey::derive(core.membership.secret())
}

/// Rows whose bytes are what their digest says.
fn checked(
    digest_key: &DigestKey,
    expected: &RangeDigest,
    range: &KeyRange,
    rows: Vec<RowBytes>,
) -> Option<Vec<(RowKey, Row)>> {
    let (mut digest, mut checked) = (RangeDigest::ZERO, Vec::with_capacity(rows.len()));
    for (key, bytes) in rows {
        digest += RangeDigest::of(&digest_key.item(key.as_bytes(), &bytes));
        let row = Row::from_bytes(&bytes).ok().filter(|row| !row.is_empty())?;
        if !range.contains(key.as_bytes()) {
            return None;
        }
        checked.push((key, row));
    }
    (digest == *expected).then_some(checked)
}
