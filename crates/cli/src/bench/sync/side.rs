//! The two replicas.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use syncline_store::{RedbOptions, RemovalLogBounds, Store, StoreError};
use syncline_sync::Config;
use syncline_sync::quic::Connection;
use syncline_sync::{Report, Request, Strategy};

use crate::args::{Kind, Workload};
use crate::bench::copy;
use crate::bench::timed::{Commits, TimedEngine};
use crate::bench::workload::{self, Rows, SECRET};
use crate::failure::{Doing, Failure, chain};
use crate::seeded::Seeded;

/// One side of the session.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) store: Store<TimedEngine>,
    pub(crate) commits: Arc<Commits>,
}

impl Side {
    pub(crate) fn open(path: &Path, arguments: &Workload) -> Result<Self, Failure> {
        let options = RedbOptions {
            cache_bytes: usize::try_from(arguments.cache_mib << 20).unwrap_or(usize::MAX),
        };
        let mut config = workload::config();
        if let Some(bytes) = arguments.removal_log_bytes {
            config.removal_log = RemovalLogBounds {
                bytes,
                ..config.removal_log
            };
        }
        let (store, commits) = workload::open_as(path, options, config)?;
        Ok(Self { store, commits })
    }

    pub(crate) fn rows(&self) -> Result<u64, Failure> {
        let view = self
            .store
            .view()
            .doing(|| "cannot read a replica".to_owned())?;
        Ok(view.row_count())
    }

    /// A session that this side begins.
    pub(crate) async fn sync(
        &self,
        connection: &Connection,
        namespace: &str,
        strategy: Strategy,
        seed: u64,
    ) -> Result<Report, String> {
        let mut salt = [0; 16];
        Seeded::stream(seed, 5).fill(&mut salt);
        let request = Request::new(salt).by(strategy).introducing(true);
        let synced = connection
            .sync(self.store.clone(), config(namespace), request)
            .await;
        synced.map_err(|error| chain(&error))
    }
}

/// The side that begins the session, before anything differs.
pub(crate) fn ours(arguments: &Workload, base: &Path, scratch: &Path) -> Result<Side, Failure> {
    match arguments.kind {
        Kind::Bootstrap => empty(arguments, scratch),
        _ => Side::open(&copy(base, scratch.join("ours.redb"))?, arguments),
    }
}

/// The same without any rows.
pub(crate) fn empty(arguments: &Workload, scratch: &Path) -> Result<Side, Failure> {
    Side::open(&scratch.join("ours.redb"), arguments)
}

/// Its peer, which has made the differences.
pub(crate) fn theirs(arguments: &Workload, base: &Path, scratch: &Path) -> Result<Side, Failure> {
    let theirs = Side::open(&copy(base, scratch.join("theirs.redb"))?, arguments)?;
    let (rows, differing) = (rows(arguments), arguments.differing());
    workload::make_differ(&theirs.store, arguments.kind, rows, differing)?;
    Ok(theirs)
}

/// As if they had met before. One may be a copy of the other.
pub(crate) fn acquaint(ours: &Side, theirs: &Side) -> Result<(), Failure> {
    let (ours, theirs) = (&ours.store, &theirs.store);
    let meet = || {
        if ours.carrier() == theirs.carrier() {
            ours.rename_carrier()?;
        }
        ours.enrol(&theirs.carriers())?;
        theirs.enrol(&ours.carriers())
    };
    let met: Result<_, StoreError> = meet().map(drop);
    met.doing(|| "cannot write a replica".to_owned())
}

/// The file that both begin with.
pub(crate) fn base(arguments: &Workload, scratch: &Path) -> Result<PathBuf, Failure> {
    workload::base(rows(arguments), scratch, arguments.reuse.as_deref())
}

pub(crate) fn rows(arguments: &Workload) -> Rows {
    Rows {
        count: arguments.rows,
        seed: arguments.seed,
    }
}

/// Whether the replicas hold the same, whatever the session says.
pub(crate) fn same(ours: &Side, theirs: &Side) -> Result<bool, Failure> {
    let reading = || "cannot read a root digest".to_owned();
    let root = |side: &Side| {
        side.store
            .view()
            .and_then(|view| view.root())
            .doing(reading)
    };
    Ok(root(ours)? == root(theirs)?)
}

/// `namespace` is what the session calls it.
pub(crate) fn config(namespace: &str) -> Config {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&SECRET[..16]);
    Config::new(cluster, [0; 32], namespace, now)
}
