//! Several transactions and joins in one commit.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use syncline_crdt::{CarrierId, Context, Delta, Dot, Edit, RowKey};

use crate::commit::{Prepared, prepare, write_context};
use crate::engine::{Batch, Engine, Table};
use crate::format::meta;
use crate::staging::Staging;
use crate::store::{Head, Writer};
use crate::watch::Changed;
use crate::{Durability, Incoming, Joined, StoreError, Transaction, View, Withdrawn};

/// A commit in the making: made by [`Store::group`](crate::Store::group), it holds the store's
/// write lock.
///
/// Each transaction and join sees what those before it in the group have done. Nothing is visible
/// outside, and nothing may be acknowledged, until [`commit`](Self::commit) has returned; dropping
/// the group forgets it all.
///
/// ```
/// use syncline_crdt::RowKey;
/// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
///
/// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// let mut group = store.group()?;
/// group.transact(|txn| txn.put(&RowKey::cell(b"a"), b"1".to_vec()))?;
/// let failed = group.transact(|txn| {
///     txn.put(&RowKey::cell(b"b"), b"2".to_vec())?;
///     txn.put(&RowKey::cell(b"c"), vec![0; 17 << 20])
/// });
/// assert!(matches!(failed, Err(StoreError::ValueTooLarge { .. })));
/// group.commit(Durability::Durable)?;
///
/// let view = store.view()?;
/// assert_eq!(view.row_count(), 1, "the transaction that failed has left no trace, the other is there");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<'s, E: Engine> {
    writer: MutexGuard<'s, Writer>,
    pub(crate) staging: Staging<E>,
}

impl<'s, E: Engine> Group<'s, E> {
    pub(crate) fn new(writer: MutexGuard<'s, Writer>, base: View<E>) -> Self {
        let staging = Staging::new(base, writer.last);
        Self { writer, staging }
    }

    /// The last dot made since the store was opened, by this group or one before it. `None` while there is none.
    #[must_use]
    pub fn last_dot(&self) -> Option<Dot> {
        self.staging.last
    }

    /// The name of the store among the carriers of its namespace.
    #[must_use]
    pub fn carrier(&self) -> CarrierId {
        self.staging.base.shared.lock_carriers().me
    }

    /// What the group has done so far, to do more.
    pub(crate) fn staging(&mut self) -> &mut Staging<E> {
        &mut self.staging
    }

    /// Runs a transaction within the group. When `body` fails, or panics, the group is as it was
    /// before.
    ///
    /// # Errors
    /// What `body` fails with.
    pub fn transact<T, X: From<StoreError>>(
        &mut self,
        body: impl FnOnce(&mut Transaction<'_, E>) -> Result<T, X>,
    ) -> Result<(T, Delta), X> {
        let mut transaction = Transaction::new(&mut self.staging);
        let done = body(&mut transaction)?;
        Ok((done, transaction.finish()))
    }

    /// Joins rows received from another replica.
    ///
    /// # Errors
    /// As [`Store::join`](crate::Store::join). After an error of the engine the group cannot be
    /// committed.
    pub fn join(&mut self, incoming: Incoming<'_>) -> Result<Joined, StoreError> {
        self.staging.join(incoming)
    }

    /// Joins a delta of another replica.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_delta(&mut self, delta: &Delta) -> Result<Joined, StoreError> {
        self.staging.join_delta(delta)
    }

    /// Withdraws those of the rows that are damaged.
    ///
    /// # Errors
    /// As [`Store::withdraw`](crate::Store::withdraw).
    pub fn withdraw(&mut self, keys: &[RowKey]) -> Result<Withdrawn, StoreError> {
        self.staging.withdraw(keys)
    }

    /// Withdraws the damaged ones of these rows, and those of these dots that the index lists under
    /// what is no key.
    pub(crate) fn withdraw_all(
        &mut self,
        keys: &BTreeSet<RowKey>,
        unplaced: &BTreeSet<Dot>,
    ) -> Result<Withdrawn, StoreError> {
        self.staging.withdraw_all(keys, unplaced)
    }

    /// Commits what `work` finds to be mended in tables that are made from others, in place of
    /// anything else that the group could do.
    pub(crate) fn mend(
        self,
        work: impl FnOnce(&View<E>, &mut Mend) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { writer, staging } = self;
        let base = staging.base;
        let mut mend = Mend {
            batch: Batch::new(),
            head: base.head.clone(),
            context: None,
        };
        work(&base, &mut mend)?;
        let Mend {
            mut batch,
            mut head,
            context,
        } = mend;
        if let Some((context, edits)) = context {
            write_context(&edits, &mut batch);
            head.context = Arc::new(context);
        }
        if batch.is_empty() && head.state == base.head.state {
            return Ok(());
        }
        head.state.commits += 1;
        let shared = Arc::clone(&base.shared);
        drop(base);
        if let Some(openings) = shared.openings.to_remember(head.state.commits) {
            batch.put(Table::Meta, meta::OPENINGS, &openings);
        }
        // No row has changed.
        shared.commit(batch, head, Changed::NOTHING, Durability::Buffered)?;
        drop(writer);
        Ok(())
    }

    /// Commits a note that nothing else depends on, in place of anything else that the group could do.
    pub(crate) fn note(self, batch: Batch) -> Result<(), StoreError> {
        let Self { writer, staging } = self;
        let View { shared, head, .. } = staging.base;
        shared.commit(batch, head, Changed::NOTHING, Durability::Memory)?;
        drop(writer);
        Ok(())
    }

    /// Commits everything that the group has done, atomically. If nothing has changed, nothing is
    /// written but what earlier commits have kept back: whoever was told that a row is there, or
    /// gone, may rely on it as if he had made it so. Damaged rows that it comes across are withdrawn
    /// with it.
    ///
    /// Others may write while a durable commit waits for its sync, and see what it has written.
    /// Those who then wait, too, share the next.
    ///
    /// # Errors
    /// Whatever the engine fails with. The store then refuses writes until it is opened again;
    /// whether the group is in it will be seen then. [`StoreError::Torn`] if a join of the group
    /// failed half way.
    pub fn commit(self, durability: Durability) -> Result<(), StoreError> {
        let Self {
            mut writer,
            mut staging,
        } = self;
        let prepared = loop {
            match prepare(&staging)? {
                Prepared::Unchanged => break None,
                Prepared::Changes(batch, head, keys) => break Some((batch, head, keys)),
                Prepared::Damaged(keys) => {
                    staging.withdraw_all(&keys, &BTreeSet::new()).map(drop)?;
                }
            }
        };
        let shared = Arc::clone(&staging.base.shared);
        let (last, is_joined) = (staging.last, staging.is_joined);
        // The snapshot goes before the commit, so that pages which it alone still needs can be used
        // again at once.
        drop(staging);
        let unchanged = prepared.is_none();
        if let Some((batch, head, keys)) = prepared {
            let durability = durability.min(Durability::Buffered);
            let changed = Changed {
                keys: keys.as_deref(),
                is_joined,
            };
            shared.commit(*batch, head, changed, durability)?;
        }
        writer.last = last;
        drop(writer);
        match durability {
            Durability::Durable => shared.flush(),
            Durability::Buffered if unchanged => shared.write_out(),
            Durability::Buffered | Durability::Memory => Ok(()),
        }
    }
}

/// What is mended: a batch, and the head that goes with it.
pub(crate) struct Mend {
    pub(crate) batch: Batch,
    /// Its commit is counted when it is made.
    pub(crate) head: Head,
    /// The context, if it changes, and how.
    context: Option<(Context, Vec<Edit>)>,
}

impl Mend {
    /// Adds a dot to the context, if it is not there.
    pub(crate) fn see(&mut self, dot: Dot) {
        let head = &self.head;
        let (context, edits) = self
            .context
            .get_or_insert_with(|| (Context::clone(&head.context), Vec::new()));
        context.insert_recording(dot.replica, dot.counter, dot.counter, edits);
    }
}
