//! The store itself: opening, views, and the one writer.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use syncline_crdt::{Context, Delta, Dot, RowKey, Stamp};
use syncline_merkle::sketch::SketchKey;
use syncline_merkle::{DigestKey, KeyRange};

use crate::carriers::Carriers;
use crate::engine::{Batch, Durability, Engine, EngineError, EngineSize, Snapshot, Table};
use crate::format::{DepartureState, State, meta};
use crate::seal::Seal;
use crate::sketch::Sketch;
use crate::watch::openings::Openings;
use crate::watch::{Changed, Feed};
use crate::{
    Arrival, Environment, Group, Incoming, Joined, Listener, OpenError, RemovalLogBounds,
    StoreError, SystemEnvironment, Transaction, View, Withdrawn, opening,
};

/// What a store is opened with.
#[derive(Clone)]
pub struct Config {
    /// The name of the replicated key space. A store belongs to one for good.
    pub namespace: String,
    /// The cluster's secret, from which the digest keys are derived. It lives as long as the data.
    pub secret: [u8; 32],
    /// Time and entropy.
    pub environment: Arc<dyn Environment>,
    /// How much is remembered of removals, for peers that missed them.
    pub removal_log: RemovalLogBounds,
    /// How many bytes are remembered of rows that went, for those who follow the
    /// [changes](View::changes) from a bookmark: some 20 a row. Who was away for longer begins anew.
    pub departure_bytes: u64,
}

impl Config {
    /// A configuration with the operating system's clock and entropy.
    pub fn new(namespace: impl Into<String>, secret: [u8; 32]) -> Self {
        Self {
            namespace: namespace.into(),
            secret,
            environment: Arc::new(SystemEnvironment),
            removal_log: RemovalLogBounds::default(),
            departure_bytes: 16 << 20,
        }
    }
}

/// Leaves out the secret.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// One replica of one namespace.
///
/// Cloning gives another handle to the same store. Reads go through a [`View`] and never wait;
/// writes, of any thread, follow one another. Everything that a write touches, the row, the dot
/// index, the digests, the context and the counters, is in one atomic commit.
///
/// ```
/// use syncline_crdt::RowKey;
/// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
///
/// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// let name = RowKey::cell(b"name");
/// let (dot, delta) = store.transact(Durability::Durable, |txn| txn.put(&name, b"Ada".to_vec()))?;
///
/// let view = store.view()?;
/// let row = view.get(&name)?.expect("it was just written");
/// assert_eq!(row.winner().map(|sibling| sibling.payload.as_slice()), Some(&b"Ada"[..]));
/// assert!(view.context().contains(&dot));
/// assert_eq!((view.row_count(), view.key_count(), view.root()?.count()), (1, 1, 1));
///
/// // Another replica learns of it by joining the delta; lost, doubled or reordered ones do no harm.
/// let other = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// other.join_delta(&delta, Durability::Durable)?;
/// assert_eq!(other.view()?.root()?, view.root()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store<E: Engine> {
    pub(crate) shared: Arc<Shared<E>>,
}

impl<E: Engine> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// What all handles, views and groups of one open store have in common.
pub(crate) struct Shared<E: Engine> {
    pub(crate) engine: E,
    pub(crate) digest_key: DigestKey,
    pub(crate) sketch_key: SketchKey,
    pub(crate) removal_log: RemovalLogBounds,
    pub(crate) departure_bytes: u64,
    pub(crate) openings: Openings,
    pub(crate) feed: Arc<Feed>,
    /// Each view has one of these.
    pub(crate) viewing: Arc<()>,
    pub(crate) namespace: String,
    pub(crate) environment: Arc<dyn Environment>,
    /// The first commit or sync that failed; none is tried after it.
    failed: OnceLock<String>,
    /// The row that is damaged beyond repair, because of which nobody is served.
    condemned: OnceLock<Vec<u8>>,
    writer: Mutex<Writer>,
    /// Nobody waits for the right to write while holding it.
    carriers: Mutex<Carriers>,
    /// Moves with each commit. Only who holds the right to write takes it for longer than to copy it.
    seal: Mutex<Seal>,
    published: Mutex<Published>,
}

/// What only the holder of the write lock knows.
pub(crate) struct Writer {
    /// The last dot made since the store was opened; its counter is zero before the first. The
    /// replica id is minted at the first write, and never one that an earlier opening used.
    pub(crate) last: Option<Dot>,
}

/// The part of a commit that is held in memory. It is set only when the engine has taken the
/// commit, so the two never disagree.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) state: State,
    pub(crate) context: Arc<Context>,
    pub(crate) sketch: Arc<Sketch>,
    /// The dots whose removals may be missing from the log.
    pub(crate) missing: Arc<Context>,
    /// Whether the sketch knows of the live dots what the index may have lost. Not if it was made from
    /// the index, until that was checked.
    pub(crate) sketch_testifies: bool,
    /// Rows withdrawn since the store was opened.
    pub(crate) withdrawals: u64,
    pub(crate) departures: DepartureState,
}

/// The head of the last commit, and of the one that the engine is being given. A snapshot taken now
/// is of one or the other, and its own count of commits tells which.
struct Published {
    current: Head,
    coming: Option<Head>,
}

impl<E: Engine> Store<E> {
    /// Opens the store in an engine; an empty engine becomes a new store.
    ///
    /// Reads the context and the sketch and nothing else: neither rows nor digests are looked at,
    /// whatever happened before. Only where the sketch cannot be read, or the store is of an older
    /// format that had none, the dot index is read once, to make it anew.
    ///
    /// # Errors
    /// [`OpenError::NewerFormat`], [`OpenError::OtherNamespace`], [`OpenError::OtherSecret`],
    /// [`OpenError::DamagedTables`], or what the engine fails with.
    pub fn open(engine: E, config: Config) -> Result<Self, OpenError> {
        let digest_key = DigestKey::derive(&config.secret);
        let sketch_key = SketchKey::derive(&config.secret);
        let (head, past, carriers, seal) =
            opening::open(&engine, &digest_key, &sketch_key, &config)?;
        let openings = Openings::new(past, head.state.commits, &*config.environment);
        tracing::debug!(
            namespace = config.namespace,
            rows = head.state.rows,
            intervals = head.context.interval_count(),
            "store opened"
        );
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                digest_key,
                sketch_key,
                removal_log: config.removal_log,
                departure_bytes: config.departure_bytes,
                openings,
                viewing: Arc::new(()),
                feed: Feed::new(head.state.commits, Arc::clone(&head.context)),
                namespace: config.namespace,
                environment: config.environment,
                failed: OnceLock::new(),
                condemned: OnceLock::new(),
                writer: Mutex::new(Writer { last: None }),
                carriers: Mutex::new(carriers),
                seal: Mutex::new(seal),
                published: Mutex::new(Published {
                    current: head,
                    coming: None,
                }),
            }),
        })
    }

    /// The namespace that the store holds.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// The store as of its last commit. Costs one snapshot of the engine, some microseconds, and
    /// waits for nobody.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn view(&self) -> Result<View<E>, StoreError> {
        Shared::view(&self.shared)
    }

    /// Runs one transaction and commits it. When `body` fails, nothing has happened.
    ///
    /// Returns what `body` returned, and the delta to be sent to other replicas.
    ///
    /// The store's write lock is held meanwhile: a `body` that wrote to the same store by another
    /// handle would wait for itself for ever. Reading through views is fine.
    ///
    /// # Errors
    /// What `body` fails with, or [`StoreError::Failed`] and whatever else keeps the commit from
    /// being made.
    pub fn transact<T, X: From<StoreError>>(
        &self,
        durability: Durability,
        body: impl FnOnce(&mut Transaction<'_, E>) -> Result<T, X>,
    ) -> Result<(T, Delta), X> {
        let mut group = self.group()?;
        let done = group.transact(body)?;
        group.commit(durability)?;
        Ok(done)
    }

    /// Joins rows received from another replica, in one commit.
    ///
    /// # Errors
    /// [`StoreError::KeyTooLong`] and its like for rows over the limits, of which then none is
    /// joined; [`StoreError::Failed`], or whatever else keeps the commit from being made.
    pub fn join(
        &self,
        incoming: Incoming<'_>,
        durability: Durability,
    ) -> Result<Joined, StoreError> {
        let mut group = self.group()?;
        let joined = group.join(incoming)?;
        group.commit(durability)?;
        Ok(joined)
    }

    /// Joins a delta of another replica, with its context, in one commit. It may be one that was
    /// lost and comes late, or one that was joined before.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_delta(&self, delta: &Delta, durability: Durability) -> Result<Joined, StoreError> {
        let mut group = self.group()?;
        let joined = group.join_delta(delta)?;
        group.commit(durability)?;
        Ok(joined)
    }

    /// Begins a group: any number of transactions and joins that share one commit. Waits for the
    /// writer before.
    ///
    /// # Errors
    /// [`StoreError::Failed`] after a failed commit; whatever keeps the engine from being read.
    pub fn group(&self) -> Result<Group<'_, E>, StoreError> {
        let writer = self.shared.lock_writer()?;
        Ok(Group::new(writer, self.view()?))
    }

    /// Withdraws damaged rows, durably and in one commit: the row goes, and its dots leave the
    /// context as gaps, so that the next session fetches them from another replica. Rows that are
    /// sound stay as they are, so this is safe to call on suspicion, and late. The indexes of a row
    /// are made to agree with it on the way.
    ///
    /// Reads the whole dot index once, because nothing else tells what a damaged row held.
    ///
    /// # Errors
    /// [`StoreError::Irreparable`] for a row whose dots nothing tells; then none is withdrawn.
    /// Otherwise as [`join`](Self::join).
    pub fn withdraw(&self, keys: &[RowKey]) -> Result<Withdrawn, StoreError> {
        let mut group = self.group()?;
        let withdrawn = group.withdraw(keys)?;
        group.commit(Durability::Durable)?;
        Ok(withdrawn)
    }

    /// Makes durable every commit that a view may have shown. Waits for no writer.
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the engine from syncing.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shared.flush()
    }

    /// Whether every commit that can be seen is durable. Never waits.
    pub fn is_durable(&self) -> bool {
        self.shared.is_durable()
    }

    /// Listens to the commits that change rows of a range.
    pub fn listen(&self, range: KeyRange) -> Listener {
        Listener::new(&self.shared.feed, range, false)
    }

    /// Listens to the commits that change rows of a range by what came from other replicas: not to
    /// those of this store's own transactions. Its [`keys`](Listener::keys) are what to ask for;
    /// [`changes`](Listener::changes) would pass over the others.
    pub fn listen_to_joins(&self, range: KeyRange) -> Listener {
        Listener::new(&self.shared.feed, range, true)
    }

    /// Waits until the store has seen all of a context, and a commit after the one of this number
    /// can be read.
    pub fn arrival(&self, wanted: impl Into<Arc<Context>>, after: u64) -> Arrival {
        Arrival::new(&self.shared.feed, wanted.into(), after)
    }

    /// Whether anybody holds a view, which keeps the engine open.
    pub fn is_viewed(&self) -> bool {
        Arc::strong_count(&self.shared.viewing) > 1
    }

    /// Tells those who listen and wait that nothing will come any more.
    pub fn close_feed(&self) {
        self.shared.feed.close();
    }

    /// How much room the store takes.
    ///
    /// # Errors
    /// Whatever keeps the engine from being measured.
    pub fn size(&self) -> Result<EngineSize, StoreError> {
        Ok(self.shared.engine.size()?)
    }
}

impl<E: Engine> Shared<E> {
    pub(crate) fn view(shared: &Arc<Self>) -> Result<View<E>, StoreError> {
        shared.check_fate()?;
        // Under the lock neither head moves on, so the snapshot is of one of the two.
        let published = shared.lock_published();
        let snapshot = shared.engine.snapshot()?;
        let state = snapshot.get(Table::Meta, meta::STATE)?;
        let state = state.as_deref().and_then(State::from_sealed);
        let state = state.map(|(state, _)| state);
        let head = [Some(&published.current), published.coming.as_ref()]
            .into_iter()
            .flatten()
            .find(|head| Some(head.state) == state)
            .ok_or(StoreError::DamagedTable {
                table: Table::Meta.name(),
                detail: "its state is of no commit that this process made",
            })?;
        Ok(View::new(Arc::clone(shared), snapshot, head.clone()))
    }

    /// The right to write, unless a commit has failed.
    pub(crate) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        // What the lock guards changes only after a commit, in steps that cannot panic.
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        Ok(writer)
    }

    /// Serves nobody from now on, after a restart neither: a row is gone and nothing tells what it
    /// held, so any join could take its absence for a removal. Whoever calls it holds the right to
    /// write.
    pub(crate) fn condemn(&self, head: &Head, key: &RowKey) -> StoreError {
        let key = key.as_bytes().to_vec();
        let namespace = &self.namespace;
        tracing::error!(
            namespace,
            key = %key.escape_ascii(),
            "a row is damaged beyond repair; the replica is not served until it is removed and fetched from a peer"
        );
        let mut batch = Batch::new();
        batch.put(Table::Meta, meta::CONDEMNED, &key);
        if let Err(error) = self.commit(batch, head.clone(), Changed::NOTHING, Durability::Durable)
        {
            tracing::error!(namespace, %error, "that could not be written down");
        }
        self.condemned.get_or_init(|| key.clone());
        StoreError::Irreparable { key }
    }

    fn check_fate(&self) -> Result<(), StoreError> {
        match self.condemned.get() {
            Some(key) => Err(StoreError::Irreparable { key: key.clone() }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        self.check_fate()?;
        match self.failed.get() {
            Some(cause) => Err(StoreError::Failed {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Remembers the first failure, for all that is tried after it.
    fn fail(&self, error: EngineError) -> StoreError {
        tracing::error!(namespace = self.namespace, %error, "a commit failed; the store refuses further writes");
        self.failed.get_or_init(|| error.to_string());
        error.into()
    }

    /// Gives a batch to the engine and moves the head with it. `changed` are the rows in
    /// it. Whoever calls it holds the right to write.
    pub(crate) fn commit(
        &self,
        mut batch: Batch,
        head: Head,
        changed: Changed<'_>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let sealed = {
            let mut seal = self.lock_seal();
            seal.follow(&mut batch, &self.lock_published().current.context);
            seal.of(&head.state)
        };
        batch.put(Table::Meta, meta::STATE, &head.state.to_sealed(sealed));
        let (commit, context) = (head.state.commits, Arc::clone(&head.context));
        self.feed.announce(commit, changed);
        self.lock_published().coming = Some(head);
        // After an error the engine may have applied it or not. `coming` stays, so that views know
        // either outcome.
        let committed = self.engine.commit(batch, durability);
        committed.map_err(|error| self.fail(error))?;
        let mut published = self.lock_published();
        if let Some(head) = published.coming.take() {
            published.current = head;
        }
        drop(published);
        self.feed.show(commit, context);
        Ok(())
    }

    /// Gives the operating system what was committed, by whoever it was.
    pub(crate) fn write_out(&self) -> Result<(), StoreError> {
        self.check()?;
        let written = self.engine.commit(Batch::new(), Durability::Buffered);
        written.map_err(|error| self.fail(error))
    }

    /// The head of the last commit. Whoever holds the right to write knows that no other is coming.
    pub(crate) fn head(&self) -> Head {
        self.lock_published().current.clone()
    }

    /// Makes durable what was committed, by whoever it was.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.check()?;
        self.engine.flush().map_err(|error| self.fail(error))
    }

    fn is_durable(&self) -> bool {
        self.failed.get().is_none() && self.engine.is_durable()
    }

    /// What is known of the carriers changes in steps that cannot panic.
    pub(crate) fn lock_carriers(&self) -> MutexGuard<'_, Carriers> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seal changes in steps that cannot panic.
    pub(crate) fn lock_seal(&self) -> MutexGuard<'_, Seal> {
        self.seal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_published(&self) -> MutexGuard<'_, Published> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    pub(crate) fn clock(&self) -> Stamp {
        self.state.clock
    }
}
