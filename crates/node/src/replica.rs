//! A node's copy of one namespace: opened when it is first used, closed by the node's shutdown.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use syncline_crdt::{CarrierId, Context, Roster, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    Compaction, Config, Environment, LogOptions, LoggedEngine, MemoryDisk, OpenError, RedbEngine,
    RedbOptions, Store,
};
use syncline_sync::{Attendance, Incoming, ReplicaError, Statement};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::time::timeout;

use crate::blocking;
use crate::engine::AnyEngine;
use crate::error::Error;
use crate::measure::{Picture, Worked};
use crate::outbox::Outbox;
use crate::room::Room;
use crate::writer::{Turn, Writer};

/// Where a replica lies and what it takes to open it. Cloning is cheap and yields the same replica.
#[derive(Clone)]
pub(crate) struct Replica {
    settings: Arc<Settings>,
    /// Whoever uses the replica holds this lock for reading, so that closing waits for them and they for opening.
    state: Arc<RwLock<State>>,
}

pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) secret: [u8; 32],
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) place: Place,
    pub(crate) outbox: Outbox,
    pub(crate) room: Arc<Room>,
    pub(crate) worked: Arc<Worked>,
}

/// What a replica's rows lie on.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File {
        path: PathBuf,
        cache_bytes: usize,
    },
    Memory(MemoryDisk),
    #[cfg(test)]
    Failing(tests::FailingPlace),
}

enum State {
    Unopened,
    Open(Open),
    Closed,
    /// For good: its files are gone, or about to go.
    Dropped,
}

/// How long a drop waits for those who use the replica. Sessions end by themselves, or at the next thing they ask for.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// A replica in use.
pub(crate) struct Open {
    pub(crate) store: Store<AnyEngine>,
    pub(crate) writer: Writer,
    pub(crate) room: Arc<Room>,
    pub(crate) worked: Arc<Worked>,
    turn: Turn,
    _feed: Feed,
}

/// Those who watch and wait hold nothing open, and are told when this is dropped.
struct Feed(Store<AnyEngine>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.close_feed();
    }
}

/// Holds a replica open: as long as one of these lives, closing waits. Sessions work on it.
pub(crate) struct InUse {
    open: OwnedRwLockReadGuard<State, Open>,
    /// What is to live as long.
    _guarded: Option<Box<dyn Send + Sync>>,
    /// Where it is noted what a session exchanges.
    picture: Option<Arc<Picture>>,
}

impl InUse {
    /// Notes what the session exchanges that works on it.
    #[cfg(feature = "net")]
    pub(crate) fn drawing(self, picture: Arc<Picture>) -> Self {
        Self {
            picture: Some(picture),
            ..self
        }
    }

    /// Keeps something else alive as long.
    pub(crate) fn guarding(self, guarded: impl Send + Sync + 'static) -> Self {
        Self {
            _guarded: Some(Box::new(guarded)),
            ..self
        }
    }
}

impl Open {
    /// Waits for the turn to write to the store directly.
    pub(crate) fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.take()
    }
}

impl Deref for InUse {
    type Target = Open;

    fn deref(&self) -> &Open {
        &self.open
    }
}

impl syncline_sync::Replica for InUse {
    type View = <Store<AnyEngine> as syncline_sync::Replica>::View;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        syncline_sync::Replica::view(&self.store)
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        syncline_sync::Replica::begin(&self.store)
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        let _turn = self.turn.take();
        syncline_sync::Replica::enrol(&self.store, roster)
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        syncline_sync::Replica::hear(&self.store, roster, said);
    }

    fn sends(&self, key: &RowKey) {
        if let Some(picture) = &self.picture {
            picture.sends(&self.store, key);
        }
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        let rows = incoming.rows.len() as u64;
        if let Some(picture) = &self.picture {
            picture.receives(&self.store, incoming.rows.iter().map(|(key, _)| key));
        }
        if !incoming.rows.is_empty() {
            let admitted = self.room.admit_write();
            admitted.map_err(|error| ReplicaError::Failed(Box::new(error)))?;
        }
        let _turn = self.turn.take();
        let joined = syncline_sync::Replica::join(&self.store, incoming);
        match joined {
            Ok(()) => self.worked.rows_received.add(rows),
            Err(_) => self.writer.look_after(&self.store),
        }
        joined
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        // No turn is taken: the writer goes on meanwhile, and what it waits for is synced, too.
        let flushed = syncline_sync::Replica::flush(&self.store);
        if flushed.is_err() {
            self.writer.look_after(&self.store);
        }
        flushed
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        if let Some(picture) = &self.picture {
            picture.removes(&self.store, range);
        }
        let _turn = self.turn.take();
        let dropped = syncline_sync::Replica::drop_observed(&self.store, range, observed, since);
        if dropped.is_err() {
            self.writer.look_after(&self.store);
        }
        dropped
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        let _turn = self.turn.take();
        syncline_sync::Replica::withdraw(&self.store, key)
    }
}

impl Replica {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_state(settings, State::Unopened)
    }

    /// One that cannot be opened, of a node that was shut down.
    pub(crate) fn closed(settings: Settings) -> Self {
        Self::with_state(settings, State::Closed)
    }

    fn with_state(settings: Settings, state: State) -> Self {
        Self {
            settings: Arc::new(settings),
            state: Arc::new(RwLock::new(state)),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    pub(crate) fn worked(&self) -> &Worked {
        &self.settings.worked
    }

    /// The time by the node's clock, in Unix milliseconds.
    #[cfg(feature = "net")]
    pub(crate) fn wall_ms(&self) -> u64 {
        self.settings.environment.wall_ms()
    }

    /// The replica, opened if it is not. An opening that failed is tried again by the next call, and a store that refuses
    /// writes since a commit failed is opened anew, so that a full disk needs nothing but room.
    pub(crate) async fn open(&self) -> Result<InUse, Error> {
        loop {
            let state = self.state.clone().read_owned().await;
            match OwnedRwLockReadGuard::try_map(state, State::as_open) {
                Ok(open) if !open.writer.has_failed() => {
                    return Ok(InUse {
                        open,
                        _guarded: None,
                        picture: None,
                    });
                }
                Ok(_failed) => {}
                Err(state) => match *state {
                    State::Closed => return Err(Error::Closed),
                    State::Dropped => return Err(self.dropped()),
                    State::Unopened | State::Open(_) => {}
                },
            }
            let mut state = self.state.clone().write_owned().await;
            if !state.wants_opening() {
                continue;
            }
            let settings = self.settings.clone();
            // The lock goes along: a caller who gives up half way must not let another one open the file twice.
            blocking(move || {
                if let State::Open(failed) = std::mem::replace(&mut *state, State::Unopened) {
                    tracing::warn!(
                        namespace = settings.namespace,
                        "opened again after a failed commit"
                    );
                    failed.writer.stop();
                }
                *state = State::Open(settings.open()?);
                Ok(())
            })
            .await?;
        }
    }

    /// The replica if it is open, and nobody is about to close it.
    pub(crate) fn if_open(&self) -> Option<InUse> {
        let state = self.state.clone().try_read_owned().ok()?;
        let open = OwnedRwLockReadGuard::try_map(state, State::as_open).ok()?;
        (!open.writer.has_failed()).then(|| InUse {
            open,
            _guarded: None,
            picture: None,
        })
    }

    /// Looks after a failed read. A row that is damaged is withdrawn, so that the next sync fetches it from another replica;
    /// until then it reads as absent.
    pub(crate) async fn heal(&self, error: Error) -> Error {
        let Some(key) = error.damaged_row() else {
            return error;
        };
        let user_key = key.user_key();
        tracing::error!(
            namespace = self.namespace(),
            ?key,
            "a damaged row is withdrawn"
        );
        let open = match self.open().await {
            Ok(open) => open,
            Err(error) => return error,
        };
        let withdrawn = blocking(move || {
            let _turn = open.turn.take();
            Ok(open.store.withdraw(&[key])?)
        });
        match withdrawn.await {
            Ok(_) => Error::Damaged { key: user_key },
            Err(error) => error,
        }
    }

    /// Closes the replica, has its file give back room that it no longer needs, and lets in those who came meanwhile. `None`
    /// for one in memory.
    pub(crate) async fn compact(&self) -> Result<Option<Compaction>, Error> {
        let settings = self.settings.clone();
        let Place::File { path, cache_bytes } = settings.place.clone() else {
            return Ok(None);
        };
        let mut state = self.state.clone().write_owned().await;
        match &*state {
            State::Closed => return Err(Error::Closed),
            State::Open(open) if open.store.is_viewed() => return Err(Error::InView),
            State::Dropped => return Err(self.dropped()),
            State::Open(_) | State::Unopened => {}
        }
        // The lock goes along, as it does in opening.
        blocking(move || {
            if let State::Open(open) = std::mem::replace(&mut *state, State::Unopened) {
                open.writer.stop();
            }
            let options = RedbOptions { cache_bytes };
            // What a crash or a failure has left in the log goes to the file first.
            let compacted = settings.place.engine().and_then(|engine| {
                drop(engine);
                RedbEngine::compact(path, options)
            });
            compacted
                .map(Some)
                .map_err(|source| settings.unopened(source))
        })
        .await
    }

    fn dropped(&self) -> Error {
        Error::Dropped {
            namespace: self.namespace().to_owned(),
        }
    }

    /// Lets nobody in any more, has the store closed, and calls `remove` for its files.
    ///
    /// Fails with [`Error::InUse`], and leaves it as it was, when somebody does not let go in time.
    pub(crate) async fn drop_files(
        &self,
        remove: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let in_use = || Error::InUse {
            namespace: self.namespace().to_owned(),
        };
        let waited = timeout(DROP_PATIENCE, self.state.clone().write_owned()).await;
        let mut state = waited.map_err(|_| in_use())?;
        match &*state {
            State::Closed => return Err(Error::Closed),
            // As long as there is a view, the engine lives, and may write to its files.
            State::Open(open) if open.store.is_viewed() => return Err(in_use()),
            State::Open(_) | State::Unopened | State::Dropped => {}
        }
        // The lock goes along: whoever is let in next finds it dropped, or as it was.
        blocking(move || {
            if let State::Open(open) = std::mem::replace(&mut *state, State::Unopened) {
                open.writer.stop();
            }
            remove()?;
            *state = State::Dropped;
            Ok(())
        })
        .await
    }

    /// Lets nobody in any more, waits for those inside, has everything accepted committed and made durable.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let mut state = self.state.clone().write_owned().await;
        if let State::Dropped = *state {
            return Ok(());
        }
        let State::Open(open) = std::mem::replace(&mut *state, State::Closed) else {
            return Ok(());
        };
        drop(state);
        blocking(move || {
            open.writer.stop();
            Ok(open.store.flush()?)
        })
        .await
    }
}

impl State {
    fn as_open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Unopened | Self::Closed | Self::Dropped => None,
        }
    }

    fn wants_opening(&self) -> bool {
        match self {
            Self::Unopened => true,
            Self::Open(open) => open.writer.has_failed(),
            Self::Closed | Self::Dropped => false,
        }
    }
}

impl Settings {
    /// Opens the store alone, for nobody but the caller.
    pub(crate) fn open_store(&self) -> Result<Store<AnyEngine>, Error> {
        let engine = self
            .place
            .engine()
            .map_err(|source| self.unopened(source))?;
        let config = Config {
            environment: self.environment.clone(),
            ..Config::new(self.namespace.clone(), self.secret)
        };
        Store::open(engine, config).map_err(|source| self.unopened(source))
    }

    fn open(&self) -> Result<Open, Error> {
        let store = self.open_store()?;
        let turn = Turn::default();
        let (room, worked) = (self.room.clone(), self.worked.clone());
        let writer = Writer::start(
            store.clone(),
            turn.clone(),
            self.outbox.clone(),
            room.clone(),
            worked.clone(),
        );
        let writer = writer.map_err(Error::Thread)?;
        Ok(Open {
            _feed: Feed(store.clone()),
            store,
            writer,
            room,
            worked,
            turn,
        })
    }

    fn unopened(&self, source: OpenError) -> Error {
        Error::Open {
            namespace: self.namespace.clone(),
            source,
        }
    }
}

impl Place {
    fn engine(&self) -> Result<AnyEngine, OpenError> {
        Ok(match self {
            Self::File { path, cache_bytes } => {
                let options = RedbOptions {
                    cache_bytes: *cache_bytes,
                };
                AnyEngine::File(LoggedEngine::open_or_create(
                    path,
                    options,
                    LogOptions::default(),
                )?)
            }
            Self::Memory(disk) => AnyEngine::Memory(disk.mount()?),
            #[cfg(test)]
            Self::Failing(place) => place.engine()?,
        })
    }
}

#[cfg(test)]
mod tests;
