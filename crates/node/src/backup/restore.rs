//! From a backup to a namespace.

use std::sync::Arc;

use syncline_crdt::Context;
use syncline_merkle::{DigestKey, KeyRange, RangeDigest};
use syncline_store::{MemoryDisk, Store, StoreError};
use syncline_sync::{Incoming, ReplicaError};

use super::{Head, RowBytes, checked, digest_key};
use crate::blocking;
use crate::core::Core;
use crate::data_dir::Aside;
use crate::engine::AnyEngine;
use crate::error::Error;
use crate::name::{NameError, check_name};
use crate::namespace::Namespace;
use crate::node::Node;
use crate::replica::{InUse, Place};
use crate::room::Room;

/// Why a backup did not become a namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is something in the namespace.
    #[error(
        "namespace {namespace:?} is not empty; join the backup into it, drop it, or restore on another node"
    )]
    NotEmpty {
        /// The namespace.
        namespace: String,
    },
    /// The namespace is misnamed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Rows are not those that the backup says.
    #[error("rows of the backup are damaged: they do not add up to their digest")]
    Damaged,
    /// Ranges are missing, or doubled.
    #[error("the ranges of the backup do not make up the whole of it")]
    Incomplete,
    /// The namespace has come to another digest than the backup's.
    #[error(
        "what was restored has digest {found}, and the backup {expected}; the backup is damaged"
    )]
    Differs {
        /// The digest of what is there.
        found: RangeDigest,
        /// The digest in the backup.
        expected: RangeDigest,
    },
    /// The store cannot take in a backup of this carrier.
    #[error(transparent)]
    Origin(StoreError),
    /// The rows cannot be joined.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The files cannot be moved into place.
    #[error("{0}; see to the permissions of the data directory and the room on the disk")]
    Files(#[source] std::io::Error),
    /// The namespace cannot be used.
    #[error(transparent)]
    Node(#[from] Error),
}

/// What a restore has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Rows that the namespace holds.
    pub rows: u64,
    /// User keys that it holds.
    pub keys: u64,
    /// The digest of them.
    pub root: RangeDigest,
}

/// A namespace that is being made from a backup, or into which one is joined: range by range, in key order.
///
/// Of a namespace that is made nothing can be seen before [`finish`](Self::finish), which also compares its digest with the
/// backup's. Dropped before, or after a crash, it leaves nothing.
pub struct Restore {
    core: Arc<Core>,
    name: String,
    target: Target,
    head: Arc<Head>,
    digest_key: DigestKey,
    room: Arc<Room>,
    /// Where the next range begins; `None` when there is no more.
    next: Option<Vec<u8>>,
    /// The digest of the ranges so far.
    sum: RangeDigest,
    /// How many rows had been withdrawn when it began.
    withdrawals: u64,
}

enum Target {
    /// A store that nobody else knows of yet, where it lies, and its directory, unless that is in memory.
    New(Store<AnyEngine>, Place, Option<Aside>),
    /// One in use.
    Joined(Arc<InUse>),
}

impl Node {
    /// Begins to make a namespace from a backup. The node must not carry one of this name, or hold nothing in it.
    ///
    /// The new replica is a carrier of its own, under a new name; whose backup it is goes on being counted, until somebody
    /// [forgets](Namespace::forget_carrier) it. No replica id is reused: the first write after an opening mints one.
    ///
    /// # Errors
    /// [`RestoreError::NotEmpty`], and whatever keeps the store from being made.
    pub async fn restore(&self, name: &str, head: Head) -> Result<Restore, RestoreError> {
        check_name(name)?;
        if self.core.carried().contains_key(name) {
            let namespace = self.namespace(name)?;
            let open = namespace.replica().open().await?;
            let is_empty = blocking(move || {
                let view = open.store.view()?;
                let alone = open.store.carriers().counted().len() == 1;
                Ok(alone && view.row_count() == 0 && view.context().is_empty())
            });
            if !is_empty.await? {
                let namespace = name.to_owned();
                return Err(RestoreError::NotEmpty { namespace });
            }
        }
        let aside = self.core.storage.aside(name).map_err(RestoreError::Files)?;
        let place = match &aside {
            Some(aside) => Place::File {
                path: aside.store(),
                cache_bytes: self.core.settings.cache_bytes,
            },
            None => Place::Memory(MemoryDisk::new()),
        };
        let settings = self.core.replica_settings(name, place.clone());
        let store = blocking(move || settings.open_store()).await?;
        let target = Target::New(store, place, aside);
        Restore::begin(self.core.clone(), name, target, head).await
    }
}

impl Namespace {
    /// Begins to join a backup into the namespace, as if it were a peer: what it holds and nobody here has seen comes in, what
    /// it had seen removed goes, and what was written here since stays. A join that is broken off keeps what has come so far.
    ///
    /// # Errors
    /// [`RestoreError::Origin`] when the carrier of the backup was forgotten, or had forgotten this one.
    pub async fn join_backup(&self, head: Head) -> Result<Restore, RestoreError> {
        let open = self.replica().open().await?;
        let target = Target::Joined(Arc::new(open));
        Restore::begin(self.core.clone(), self.name(), target, head).await
    }
}

impl Restore {
    async fn begin(
        core: Arc<Core>,
        name: &str,
        target: Target,
        head: Head,
    ) -> Result<Self, RestoreError> {
        let origins = [&head.origins[..], &[head.carrier]].concat();
        let (roster, clock) = (head.roster.clone(), head.clock);
        let adopted = target.run(move |store| {
            store.adopt(&origins, &roster, clock)?;
            Ok(store.view()?.withdrawals())
        });
        let withdrawals = match adopted.await? {
            Ok(withdrawals) => withdrawals,
            Err(error @ (StoreError::OriginForgotten { .. } | StoreError::Forgotten)) => {
                return Err(RestoreError::Origin(error));
            }
            Err(error) => return Err(Error::from(error).into()),
        };
        Ok(Self {
            digest_key: digest_key(&core),
            room: core.room.clone(),
            core,
            name: name.to_owned(),
            target,
            head: Arc::new(head),
            next: Some(Vec::new()),
            sum: RangeDigest::ZERO,
            withdrawals,
        })
    }

    /// Whether the namespace holds just this in a range, so that its rows need not be fetched.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub async fn holds(&self, range: KeyRange, digest: RangeDigest) -> Result<bool, RestoreError> {
        let held = self.target.run(move |store| store.view()?.digest(&range));
        Ok(held.await?.map_err(Error::from)? == digest)
    }

    /// Whether rows are those that a digest is of.
    ///
    /// # Errors
    /// [`RestoreError::Damaged`] if not.
    pub async fn check(
        &self,
        range: KeyRange,
        digest: RangeDigest,
        rows: Vec<RowBytes>,
    ) -> Result<(), RestoreError> {
        let key = self.digest_key.clone();
        let sound = blocking(move || Ok(checked(&key, &digest, &range, rows).is_some()));
        sound.await?.then_some(()).ok_or(RestoreError::Damaged)
    }

    /// Goes past the next range, if the namespace [holds](Self::holds) just this; if not, it is to be [joined](Self::join).
    ///
    /// # Errors
    /// [`RestoreError::Incomplete`] when it is not the next range; whatever keeps it from being read.
    pub async fn pass(
        &mut self,
        range: &KeyRange,
        digest: RangeDigest,
    ) -> Result<bool, RestoreError> {
        self.expect(range)?;
        let holds = self.holds(range.clone(), digest).await?;
        if holds {
            self.go_on(range, digest);
        }
        Ok(holds)
    }

    /// Joins all that the backup holds in the next range.
    ///
    /// # Errors
    /// [`RestoreError::Damaged`] when the rows are not those of the digest, and then none is joined;
    /// [`RestoreError::Incomplete`] when it is not the next range; whatever keeps them from being written.
    pub async fn join(
        &mut self,
        range: KeyRange,
        digest: RangeDigest,
        rows: Vec<RowBytes>,
    ) -> Result<(), RestoreError> {
        self.expect(&range)?;
        let (key, head) = (self.digest_key.clone(), self.head.clone());
        let (since, covers) = (self.withdrawals, range.clone());
        let room = self.room.clone();
        let joined = self.target.join(move |join| {
            let Some(rows) = checked(&key, &digest, &covers, rows) else {
                return Err(RestoreError::Damaged);
            };
            room.admit_write()?;
            let incoming = Incoming {
                rows,
                covers: Some(covers),
                ..told_by(&head, since)
            };
            Ok(join(incoming)?)
        });
        joined.await?;
        self.go_on(&range, digest);
        Ok(())
    }

    /// Says that the backup holds no rows at all.
    ///
    /// # Errors
    /// [`RestoreError::Incomplete`] when there were some.
    pub fn nothing(&mut self) -> Result<(), RestoreError> {
        self.expect(&KeyRange::ALL)?;
        self.next = None;
        Ok(())
    }

    /// Merges what the backup's replica had seen, which makes the restore whole, durably; a namespace that is made appears.
    ///
    /// # Errors
    /// [`RestoreError::Incomplete`] when not all ranges have come, [`RestoreError::Differs`] when what was made is not what
    /// the backup is of; whatever keeps it from being written.
    pub async fn finish(self) -> Result<Restored, RestoreError> {
        if self.next.is_some() || self.sum != self.head.root {
            return Err(RestoreError::Incomplete);
        }
        let (head, since) = (self.head.clone(), self.withdrawals);
        let joined = self.target.join(move |join| {
            let incoming = Incoming {
                learned: Some(head.context.as_ref().clone()),
                durable: true,
                ..told_by(&head, since)
            };
            Ok(join(incoming)?)
        });
        joined.await?;
        let restored = self.target.run(|store| {
            store.flush()?;
            let view = store.view()?;
            Ok(Restored {
                rows: view.row_count(),
                keys: view.key_count(),
                root: view.root()?,
            })
        });
        let restored = restored.await?.map_err(Error::from)?;
        if let Target::New(store, place, aside) = self.target {
            if restored.root != self.head.root {
                return Err(RestoreError::Differs {
                    found: restored.root,
                    expected: self.head.root,
                });
            }
            if self.core.carried().contains_key(&self.name) {
                self.core.drop_namespace(&self.name).await?;
            }
            let moved = blocking(move || {
                drop(store);
                Ok(aside.map_or(Ok(()), Aside::into_place))
            });
            moved.await?.map_err(RestoreError::Files)?;
            // A file was moved to where files lie.
            match place {
                Place::File { .. } => self.core.carry(&self.name),
                place => self.core.carry_at(&self.name, place),
            };
        }
        Ok(restored)
    }

    fn expect(&self, range: &KeyRange) -> Result<(), RestoreError> {
        let is_next = self.next.as_ref() == Some(&range.lower) && !range.is_empty();
        is_next.then_some(()).ok_or(RestoreError::Incomplete)
    }

    fn go_on(&mut self, range: &KeyRange, digest: RangeDigest) {
        self.next.clone_from(&range.upper);
        self.sum += digest;
    }
}

impl Target {
    /// Does something with the store, on a thread where it may wait, when it is its turn to write.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store<AnyEngine>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Result<T, StoreError>, Error> {
        match self {
            Self::New(store, ..) => {
                let store = store.clone();
                blocking(move || Ok(work(&store))).await
            }
            Self::Joined(open) => {
                let open = open.clone();
                blocking(move || {
                    let _turn = open.turn();
                    Ok(work(&open.store))
                })
                .await
            }
        }
    }

    /// Joins rows, as a session does.
    async fn join(
        &self,
        work: impl FnOnce(&dyn Fn(Incoming<'_>) -> Result<(), ReplicaError>) -> Result<(), RestoreError>
        + Send
        + 'static,
    ) -> Result<(), RestoreError> {
        let joined = match self {
            Self::New(store, ..) => {
                let store = store.clone();
                blocking(move || {
                    Ok(work(&|incoming| {
                        syncline_sync::Replica::join(&store, incoming)
                    }))
                })
                .await
            }
            Self::Joined(open) => {
                let open = open.clone();
                blocking(move || {
                    Ok(work(&|incoming| {
                        syncline_sync::Replica::join(&*open, incoming)
                    }))
                })
                .await
            }
        };
        joined?
    }
}

/// No rows yet, of a backup as of a peer.
fn told_by(head: &Head, since: u64) -> Incoming<'_> {
    Incoming {
        rows: Vec::new(),
        covers: None,
        context: &head.context,
        learned: None,
        removals: Vec::new(),
        ranges: Vec::new(),
        logged: Context::new(),
        since,
        from: Some(head.carrier),
        durable: false,
    }
}

impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore")
            .field("namespace", &self.name)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
