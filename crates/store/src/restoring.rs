//! Stores that begin with a backup of another.
//!
//! A restored store is a carrier of its own, and yet it begins with rows. What makes that sound is that whoever made the
//! rows is still counted: nothing can have been cleaned up in ignorance of what the backup's store had yet to tell. So the
//! store remembers of whom its rows are, its *origins*, until another carrier counts with it by name. If it hears before that
//! that one of them was forgotten, it goes no further.

use syncline_crdt::{CarrierId, Roster, Stamp};

use crate::engine::{Batch, Engine, Table};
use crate::format::meta;
use crate::{Store, StoreError};

/// Whose rows came with a backup, as long as it matters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    carriers: Vec<CarrierId>,
    /// Whether others count with this store by now, which is yet to be written.
    met: bool,
}

impl Origins {
    fn new(carriers: &[CarrierId]) -> Self {
        let mut carriers = carriers.to_vec();
        carriers.sort_unstable();
        carriers.dedup();
        Self {
            carriers,
            met: false,
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (names, rest) = bytes.as_chunks::<16>();
        let carriers = names.iter().copied().map(CarrierId::from_bytes).collect();
        (rest.is_empty() && !names.is_empty()).then_some(Self {
            carriers,
            met: false,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let names = self.carriers.iter().map(CarrierId::as_bytes);
        names.flatten().copied().collect()
    }

    /// As it is in the table.
    pub(crate) fn as_written(&self) -> Option<Vec<u8>> {
        (!self.carriers.is_empty()).then(|| self.to_bytes())
    }

    /// Somebody counts with the carriers of this roster, as this store does.
    pub(crate) fn met(&mut self, roster: &Roster) {
        self.met |= roster.counted().len() > 1;
    }

    /// One of them matters no more.
    pub(crate) fn remove(&mut self, carrier: CarrierId) {
        self.carriers.retain(|origin| *origin != carrier);
    }

    pub(crate) fn write(&self, batch: &mut Batch) {
        match self.as_written() {
            Some(bytes) => batch.put(Table::Meta, meta::ORIGINS, &bytes),
            None => batch.remove(Table::Meta, meta::ORIGINS),
        }
    }

    /// Writes that they do not matter any more, once that is so.
    pub(crate) fn write_met(&mut self, batch: &mut Batch) {
        if self.met && !self.carriers.is_empty() {
            self.carriers.clear();
            self.write(batch);
        }
    }

    /// Whether a roster may become the store's.
    pub(crate) fn check(&self, roster: &Roster) -> Result<(), StoreError> {
        let unmet = self.carriers.iter().filter(|_| !self.met);
        let mut forgotten = unmet.filter(|origin| roster.has_forgotten(origin));
        match forgotten.next() {
            Some(origin) => Err(StoreError::OriginForgotten { origin: *origin }),
            None => Ok(()),
        }
    }
}

impl<E: Engine> Store<E> {
    /// Prepares for the rows of a backup, durably: gets to know its carriers, and observes its clock. Has to be done before
    /// the first of its rows is joined. `origins` are the carrier of which the backup is, and what were that one's
    /// [origins](Self::origins).
    ///
    /// ```
    /// use syncline_crdt::{CarrierId, Roster, Stamp};
    /// use syncline_store::{Config, MemoryEngine, Store, StoreError};
    ///
    /// let lost = CarrierId::from_bytes([1; 16]);
    /// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// store.adopt(&[lost], &Roster::new(lost), Stamp::ZERO)?;
    /// assert!(store.counts(&lost), "it is waited for until it is forgotten");
    /// assert_eq!(store.origins(), [lost]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::OriginForgotten`] when this store has forgotten one of the origins, [`StoreError::Forgotten`] when the
    /// backup's roster has forgotten this store; [`StoreError::Failed`], or whatever keeps the commit from being made.
    pub fn adopt(
        &self,
        origins: &[CarrierId],
        roster: &Roster,
        clock: Stamp,
    ) -> Result<(), StoreError> {
        let _writer = self.shared.lock_writer()?;
        let me = self.carrier();
        if roster.has_forgotten(&me) {
            return Err(StoreError::Forgotten);
        }
        let mut merged = self.carriers();
        let alone = merged.counted().len() == 1;
        merged.merge(roster);
        let known = self.origins();
        let mut all = Origins::new(&[origins, &known].concat());
        all.remove(me);
        all.check(&merged)?;
        // Whoever was met before waits for this store anyway.
        if !alone && known.is_empty() {
            all = Origins::default();
        }
        self.commit_roster(merged, None, Some(all), clock)
    }

    /// Whose rows came with a backup, as long as no other carrier is known to count with this store.
    pub fn origins(&self) -> Vec<CarrierId> {
        self.shared.lock_carriers().origins.carriers.clone()
    }
}
