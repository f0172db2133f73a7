//! Who else carries the namespace, what they have said, and what is stable by that.
//!
//! The roster is durable before anything rests on it: rows of a carrier that nobody counts could be
//! news after everything was thought to be known. What carriers have said is kept in memory and
//! written from time to time: what a crash takes of it is said again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use syncline_crdt::{Advert, Canonical, CarrierId, Context, Roster, Stability, Stamp};

use crate::engine::{Batch, Durability, Engine, Snapshot, Table};
use crate::format::{self, meta};
use crate::restoring::Origins;
use crate::store::Shared;
use crate::watch::Changed;
use crate::{OpenError, Store, StoreError, View};

/// What the store knows of the carriers of its namespace, itself included.
pub(crate) struct Carriers {
    pub(crate) me: CarrierId,
    roster: Roster,
    stability: Stability<CarrierId>,
    /// What of the above is written.
    written: BTreeMap<CarrierId, u64>,
    /// The starts of the sessions under way, in the order in which they began. What their peers are
    /// told is told under these, so nothing later may be called known.
    running: BTreeMap<u64, Statement>,
    begun: u64,
    /// Whose rows came with a backup, as long as nobody is known to count with this store.
    pub(crate) origins: Origins,
}

/// What a carrier says of itself: an [`Advert`] without those that it counts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it has durably seen.
    pub context: Arc<Context>,
    /// All that it made until this time, by its clock, in Unix milliseconds, is in the context, and
    /// its clock shows no earlier time any more.
    pub as_of_ms: u64,
}

/// A session's part in a store: its start, and what it may say of the carriers. As long as it lives,
/// the store says of itself no more than it had seen then.
pub struct Attendance<E: Engine> {
    /// The session's start.
    pub view: View<E>,
    /// The store's name.
    pub carrier: CarrierId,
    /// Who counts, and who was forgotten.
    pub roster: Roster,
    /// What the store may say of itself once [flushed](Store::flush): no more than the oldest
    /// session under way began with.
    pub own: Statement,
    /// What the others were heard to say, all of whom count with this roster.
    pub others: Vec<(CarrierId, Statement)>,
    /// Ends the session's part when it is dropped.
    pub guard: SessionGuard<E>,
}

/// Holds the store to what a session has begun with.
pub struct SessionGuard<E: Engine> {
    shared: Arc<Shared<E>>,
    number: u64,
}

impl<E: Engine> Drop for SessionGuard<E> {
    fn drop(&mut self) {
        self.shared.lock_carriers().running.remove(&self.number);
    }
}

/// How far stability has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StabilityStatus {
    /// A time that every carrier had reached in the knowledge of everything stable, in Unix
    /// milliseconds; 0 as long as nothing is known.
    pub as_of_ms: u64,
    /// How many dots the store has seen that are not stable yet.
    pub unstable_dots: u64,
    /// The carriers that are waited for: to be heard of, or to have seen what others have made.
    pub awaited: Vec<CarrierId>,
}

impl Carriers {
    /// Of a store that has met nobody.
    pub(crate) fn alone(me: CarrierId) -> Self {
        Self::with(me, Roster::new(me))
    }

    fn with(me: CarrierId, roster: Roster) -> Self {
        Self {
            me,
            stability: Stability::new(roster.counted().iter().copied()),
            roster,
            written: BTreeMap::new(),
            running: BTreeMap::new(),
            begun: 0,
            origins: Origins::default(),
        }
    }

    pub(crate) fn read(snapshot: &impl Snapshot) -> Result<Self, OpenError> {
        let damaged = |what: &str| OpenError::DamagedTables(format!("its {what} cannot be read"));
        let me = snapshot.get(Table::Meta, meta::CARRIER)?;
        let me = me.and_then(|bytes| bytes.try_into().ok());
        let me = CarrierId::from_bytes(me.ok_or_else(|| damaged("name among the carriers"))?);
        let roster = snapshot.get(Table::Meta, meta::ROSTER)?;
        let roster = roster.and_then(|bytes| Roster::from_bytes(&bytes).ok());
        let mut carriers = Self::with(me, roster.ok_or_else(|| damaged("roster of carriers"))?);
        if let Some(origins) = snapshot.get(Table::Meta, meta::ORIGINS)? {
            let origins = Origins::from_bytes(&origins);
            carriers.origins = origins.ok_or_else(|| damaged("origins"))?;
        }
        let after = [&meta::HEARD[..meta::HEARD.len() - 1], b"e"].concat();
        let heard = (Bound::Included(meta::HEARD), Bound::Excluded(&after[..]));
        for entry in snapshot.range(Table::Meta, heard) {
            let (key, value) = entry?;
            let heard = format::read_heard(&key, &value);
            let (carrier, context, as_of_ms) = heard.ok_or_else(|| damaged("carriers' words"))?;
            carriers.written.insert(carrier, as_of_ms);
            carriers.hear(
                carrier,
                &Statement {
                    context: Arc::new(context),
                    as_of_ms,
                },
            );
        }
        Ok(carriers)
    }

    pub(crate) const fn stability(&self) -> &Stability<CarrierId> {
        &self.stability
    }

    /// Takes in what a carrier says, one of those that count as we do.
    fn hear(&mut self, carrier: CarrierId, said: &Statement) {
        let advert = Advert {
            carriers: self.roster.counted().clone(),
            context: Context::clone(&said.context),
            as_of_ms: said.as_of_ms,
        };
        self.stability.hear(carrier, &advert);
    }

    /// What the store may say of itself, given what it has durably seen.
    fn own(&self, durable: Statement) -> Statement {
        let oldest = self.running.values().next();
        oldest.cloned().unwrap_or(durable)
    }

    /// Goes on with another roster, which has grown. Everybody is to be heard anew: what was said
    /// was said counting with others.
    fn take_up(&mut self, roster: Roster) {
        self.written.clear();
        for carrier in roster.counted() {
            self.stability.add(*carrier);
        }
        for carrier in roster.forgotten() {
            self.stability.forget(*carrier);
        }
        self.roster = roster;
    }

    /// Writes what was heard since it was last written.
    fn write_heard(&mut self, batch: &mut Batch) {
        for (carrier, context, as_of_ms) in self.stability.heard() {
            if self.written.get(carrier) != Some(&as_of_ms) {
                let value = format::heard_value(context, as_of_ms);
                batch.put(Table::Meta, &format::heard_key(*carrier), &value);
                self.written.insert(*carrier, as_of_ms);
            }
        }
    }
}

impl Carriers {
    /// What is in the `meta` table under a key of the carriers', as it is in memory. None for what a
    /// carrier was heard to say, which is to be written again.
    pub(crate) fn as_written(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        match key {
            meta::CARRIER => Some(self.me.as_bytes().to_vec()),
            meta::ROSTER => Some(self.roster.to_bytes()),
            meta::ORIGINS => self.origins.as_written(),
            _ => {
                let name = key.strip_prefix(meta::HEARD)?.try_into().ok()?;
                self.written.remove(&CarrierId::from_bytes(name));
                None
            }
        }
    }
}

/// What a store without carriers begins with.
pub(crate) fn write_new(me: CarrierId, batch: &mut Batch) {
    batch.put(Table::Meta, meta::CARRIER, me.as_bytes());
    write_roster(&Roster::new(me), batch);
}

fn write_roster(roster: &Roster, batch: &mut Batch) {
    batch.put(Table::Meta, meta::ROSTER, &roster.to_bytes());
}

impl<E: Engine> View<E> {
    fn statement(&self) -> Statement {
        Statement {
            context: self.shared_context(),
            as_of_ms: self.head.state.as_of_ms,
        }
    }
}

/// The carriers of the namespace, and what is stable by what they say.
///
/// ```
/// use std::sync::Arc;
/// use syncline_crdt::RowKey;
/// use syncline_store::{Config, Durability, MemoryEngine, Statement, Store};
///
/// let [ada, bob] = [(), ()].map(|()| Store::open(MemoryEngine::new(), Config::new("app", [7; 32])).unwrap());
/// let (_, delta) = ada.transact(Durability::Durable, |txn| txn.put(&RowKey::cell(b"name"), b"Ada".to_vec()))?;
/// // What a session does: they get to know each other, and what each has is told to the other.
/// ada.enrol(&bob.carriers())?;
/// bob.enrol(&ada.carriers())?;
/// bob.join_delta(&delta, Durability::Durable)?;
/// ada.tend()?;
/// assert_eq!(ada.stability()?.awaited, [bob.carrier()]);
/// let said = bob.begin()?;
/// ada.hear(&said.roster, [(bob.carrier(), said.own)]);
/// assert_eq!(ada.stability()?.unstable_dots, 0);
/// # Ok::<(), syncline_store::StoreError>(())
/// ```
impl<E: Engine> Store<E> {
    /// The store's own name among the carriers, which it was given when it was created empty.
    pub fn carrier(&self) -> CarrierId {
        self.shared.lock_carriers().me
    }

    /// The carriers that the store knows of, itself included.
    pub fn carriers(&self) -> Roster {
        self.shared.lock_carriers().roster.clone()
    }

    /// Whether the carrier is known, and counted.
    pub fn counts(&self, carrier: &CarrierId) -> bool {
        self.shared.lock_carriers().roster.counts(carrier)
    }

    /// Whether the carrier was forgotten.
    pub fn has_forgotten(&self, carrier: &CarrierId) -> bool {
        self.shared.lock_carriers().roster.has_forgotten(carrier)
    }

    /// Begins a session's part in the store; see [`Attendance`].
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn begin(&self) -> Result<Attendance<E>, StoreError> {
        let mut carriers = self.shared.lock_carriers();
        // The view is taken while nobody else can begin: else one who began later could say more
        // than this session speaks under.
        let view = self.view()?;
        let number = carriers.begun;
        carriers.begun += 1;
        carriers.running.insert(number, view.statement());
        let own = carriers.own(view.statement());
        let me = carriers.me;
        let heard = carriers.stability.heard();
        let others = heard.filter(|(carrier, ..)| **carrier != me);
        let others = others.map(|(carrier, context, as_of_ms)| {
            let context = Arc::new(context.clone());
            (*carrier, Statement { context, as_of_ms })
        });
        Ok(Attendance {
            view,
            carrier: me,
            roster: carriers.roster.clone(),
            own,
            others: others.collect(),
            guard: SessionGuard {
                shared: Arc::clone(&self.shared),
                number,
            },
        })
    }

    /// Gives the store another name, durably, and returns that. For a copy of the files of a store that
    /// goes on: under one name, others would take them for one. To be done before the copy meets
    /// anybody. The store that it was copied from has to be known to whoever it meets, and must not
    /// have been forgotten: what the copy has is known to be told by that one.
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the commit from being made.
    pub fn rename_carrier(&self) -> Result<CarrierId, StoreError> {
        let environment = &self.shared.environment;
        let name = CarrierId::mint(environment.wall_ms(), environment.entropy());
        let _writer = self.shared.lock_writer()?;
        let mut roster = self.carriers();
        roster.merge(&Roster::new(name));
        self.commit_roster(roster, Some(name), None, Stamp::ZERO)?;
        Ok(name)
    }

    /// Gets to know carriers, durably. Has to be done before anything is joined that one of them
    /// has made. Returns whether any of it was news.
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the commit from being made.
    pub fn enrol(&self, roster: &Roster) -> Result<bool, StoreError> {
        self.change_roster(|ours, origins| {
            let grown = ours.merge(roster);
            origins.check(ours).map(|()| grown)
        })
    }

    /// Counts no more with a carrier that is gone for good, durably. Whatever only it had seen is
    /// lost; nothing is taken in from it any more, and it comes back only as an empty store.
    /// Returns whether that is news.
    ///
    /// # Errors
    /// [`StoreError::OwnCarrier`] for the store's own name; else as [`enrol`](Self::enrol).
    pub fn forget_carrier(&self, carrier: CarrierId) -> Result<bool, StoreError> {
        if carrier == self.carrier() {
            return Err(StoreError::OwnCarrier);
        }
        self.change_roster(|roster, origins| {
            // Here what it had is known, as far as anybody knows it.
            origins.remove(carrier);
            Ok(roster.forget(carrier))
        })
    }

    fn change_roster(
        &self,
        change: impl FnOnce(&mut Roster, &mut Origins) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        // Rosters change under the right to write, so nothing of a carrier is joined while it is
        // being forgotten.
        let _writer = self.shared.lock_writer()?;
        let mut roster = self.carriers();
        let mut origins = self.shared.lock_carriers().origins.clone();
        if !change(&mut roster, &mut origins)? {
            return Ok(false);
        }
        self.commit_roster(roster, None, Some(origins), Stamp::ZERO)?;
        Ok(true)
    }

    /// Makes a roster the store's own, maybe a name and origins, and observes the clock. Whoever calls it holds the right to
    /// write.
    pub(crate) fn commit_roster(
        &self,
        roster: Roster,
        name: Option<CarrierId>,
        origins: Option<Origins>,
        clock: Stamp,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        write_roster(&roster, &mut batch);
        if let Some(origins) = &origins {
            origins.write(&mut batch);
        }
        if let Some(name) = name {
            batch.put(Table::Meta, meta::CARRIER, name.as_bytes());
        }
        for carrier in self.shared.lock_carriers().written.keys() {
            batch.remove(Table::Meta, &format::heard_key(*carrier));
        }
        self.shared
            .commit_alone(batch, clock, Durability::Buffered)?;
        self.flush()?;
        // Only what is durable is told to anybody.
        let mut carriers = self.shared.lock_carriers();
        carriers.me = name.unwrap_or(carriers.me);
        if let Some(origins) = origins {
            carriers.origins = origins;
        }
        carriers.take_up(roster);
        Ok(())
    }

    /// Takes in what carriers have said to somebody who counts with the carriers of this roster. It
    /// says nothing here if we count with others by now.
    pub fn hear(&self, roster: &Roster, said: impl IntoIterator<Item = (CarrierId, Statement)>) {
        let mut carriers = self.shared.lock_carriers();
        if carriers.roster == *roster {
            carriers.origins.met(roster);
            for (carrier, statement) in said {
                carriers.hear(carrier, &statement);
            }
        }
    }

    /// Moves the time as of which everything made here is known, makes it durable with all else,
    /// and writes what carriers were heard to say. To be called from time to time, for time to pass
    /// in what the store says of itself where nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the commit from being made.
    pub fn tend(&self) -> Result<(), StoreError> {
        let said = {
            let _writer = self.shared.lock_writer()?;
            let mut batch = Batch::new();
            let mut carriers = self.shared.lock_carriers();
            carriers.write_heard(&mut batch);
            carriers.origins.write_met(&mut batch);
            drop(carriers);
            self.shared
                .commit_alone(batch, Stamp::ZERO, Durability::Buffered)?;
            self.view()?.statement()
        };
        self.flush()?;
        let mut carriers = self.shared.lock_carriers();
        let (me, own) = (carriers.me, carriers.own(said));
        carriers.hear(me, &own);
        Ok(())
    }

    /// How far stability has come, and who holds it up. O(n) in the context.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn stability(&self) -> Result<StabilityStatus, StoreError> {
        let view = self.view()?;
        let carriers = self.shared.lock_carriers();
        let stability = &carriers.stability;
        let unstable = view.context().difference(stability.stable()).len();
        Ok(StabilityStatus {
            as_of_ms: stability.as_of_ms(),
            unstable_dots: u64::try_from(unstable).unwrap_or(u64::MAX),
            awaited: stability.awaited().copied().collect(),
        })
    }
}

impl<E: Engine> Shared<E> {
    /// Commits what changes no row. Whoever calls it holds the right to write.
    fn commit_alone(
        &self,
        batch: Batch,
        clock: Stamp,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut head = self.head();
        head.state.clock = head.state.clock.max(clock);
        head.state.commits += 1;
        let wall_ms = self.environment.wall_ms();
        head.state.as_of_ms = head.state.as_of_ms.max(wall_ms);
        self.commit(batch, head, Changed::NOTHING, durability)
    }
}
