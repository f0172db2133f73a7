//! Stores, and endpoints that serve them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use syncline_crdt::RowKey;
use syncline_store::{Durability, MemoryEngine, Store, StoreError};
use syncline_sync::quic::{
    Connection, DriveError, Endpoint, Forwarder, Host, Identity, Limits, NodeId, Trust,
};
use syncline_sync::{Config, Report, Request, Strategy};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::members::Authority;

pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub const NAMESPACE: &str = "app";
pub const CLUSTER: [u8; 16] = [7; 16];

pub type Replica = Store<MemoryEngine>;
pub type Outcome = Result<Report, DriveError>;

/// Long enough for a slow machine, short enough to notice a hang.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("the test hangs")
}

pub fn store() -> Replica {
    let config = syncline_store::Config::new(NAMESPACE, [3; 32]);
    Store::open(MemoryEngine::new(), config).unwrap()
}

pub fn key(group: &str, number: usize) -> RowKey {
    RowKey::cell(format!("{group}:{number:06}").as_bytes())
}

/// Writes rows of 100-byte values.
pub fn fill(store: &Replica, group: &str, numbers: std::ops::Range<usize>) {
    store
        .transact(Durability::Memory, |txn| {
            for number in numbers.clone() {
                txn.put(&key(group, number), vec![number as u8; 100])?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

pub fn remove(store: &Replica, group: &str, numbers: std::ops::Range<usize>) {
    store
        .transact(Durability::Memory, |txn| {
            for number in numbers.clone() {
                txn.remove(&key(group, number))?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

pub fn rows(store: &Replica) -> u64 {
    store.view().unwrap().row_count()
}

/// Both hold the same, by the rows and not only by the digests; and each one's digests are those of
/// its rows.
pub fn assert_equal(one: &Replica, other: &Replica) {
    let all = |store: &Replica| {
        let view = store.view().unwrap();
        assert!(view.recount().unwrap().is_sound());
        view.scan(&syncline_merkle::KeyRange::ALL)
            .collect::<Result<Vec<_>, _>>()
            .unwrap()
    };
    assert!(all(one) == all(other), "the replicas differ");
    assert_eq!(
        one.view().unwrap().root().unwrap(),
        other.view().unwrap().root().unwrap()
    );
}

pub fn config() -> Config {
    let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Config::new(CLUSTER, [0; 32], NAMESPACE, clock.as_millis() as u64)
}

pub fn request(strategy: Strategy) -> Request {
    let mut salt = [0; 16];
    salt.copy_from_slice(
        &blake3::hash(format!("{:?}", SystemTime::now()).as_bytes()).as_bytes()[..16],
    );
    Request::new(salt).by(strategy)
}

/// Bounds under which a test of bad behaviour ends soon.
pub fn impatient() -> Limits {
    let mut limits = Limits::default();
    limits.stall = Duration::from_secs(2);
    limits.idle = Duration::from_secs(3);
    limits.keep_alive = Duration::from_secs(1);
    limits.slowest = 1 << 30;
    limits
}

struct Serving {
    store: Replica,
    config: fn() -> Config,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl Host for Serving {
    type Replica = Arc<Replica>;

    fn open(&self, namespace: &str, _peer: NodeId) -> Option<(Arc<Replica>, Config)> {
        let config = (self.config)();
        (namespace == config.namespace).then(|| (Arc::new(self.store.clone()), config))
    }

    fn ended(&self, _namespace: &str, _peer: NodeId, outcome: &Outcome) {
        // What matters of an error is its type and text; reports are plain.
        let outcome = match outcome {
            Ok(report) => Ok(report.clone()),
            Err(error) => Err(copy(error)),
        };
        let _gone = self.outcomes.send(outcome);
    }
}

/// Errors are not `Clone`; the parts that tests look at are.
fn copy(error: &DriveError) -> DriveError {
    use syncline_sync::SessionError as S;
    match error {
        DriveError::Session(S::Refused(refusal)) => S::Refused(refusal.clone()).into(),
        DriveError::Session(S::Refusing(refusal)) => S::Refusing(refusal.clone()).into(),
        DriveError::Session(S::Malformed(what)) => S::Malformed(what).into(),
        DriveError::Session(S::Unexpected { frame, phase }) => {
            S::Unexpected { frame, phase }.into()
        }
        DriveError::Session(S::Over) => S::Over.into(),
        DriveError::Stream(stream) => stream.clone().into(),
        DriveError::Silent { seconds } => DriveError::Silent { seconds: *seconds },
        DriveError::EndedEarly => DriveError::EndedEarly,
        DriveError::Trailing => DriveError::Trailing,
        other => panic!("an outcome that no test foresees: {other}"),
    }
}

/// An endpoint that serves a store.
pub struct Server {
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    pub store: Replica,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    _task: JoinHandle<()>,
}

impl Server {
    pub fn start(identity: &Identity, limits: Limits, store: Replica) -> Self {
        Self::with_config(identity, limits, store, config)
    }

    pub fn with_config(
        identity: &Identity,
        limits: Limits,
        store: Replica,
        config: fn() -> Config,
    ) -> Self {
        let trust = Trust::new(identity.clone()).unwrap();
        Self::with_trust(&trust, limits, store, config)
    }

    pub fn with_trust(
        trust: &Trust,
        limits: Limits,
        store: Replica,
        config: fn() -> Config,
    ) -> Self {
        let endpoint = Endpoint::bind_with(LOOPBACK, trust, limits).unwrap();
        let (sender, outcomes) = mpsc::unbounded_channel();
        let host = Arc::new(Serving {
            store: store.clone(),
            config,
            outcomes: sender,
        });
        let serving = endpoint.clone();
        Self {
            address: endpoint.local_addr().unwrap(),
            endpoint,
            store,
            outcomes,
            _task: tokio::spawn(async move { serving.serve(host).await }),
        }
    }

    /// How the next session to end has ended.
    pub async fn outcome(&mut self) -> Outcome {
        in_time(self.outcomes.recv()).await.unwrap()
    }

    /// Whether no session has ended, or come as far as to end.
    pub fn served_nobody(&mut self) -> bool {
        self.outcomes.try_recv().is_err()
    }
}

/// A server and a client of one cluster, connected.
pub struct Pair {
    pub server: Server,
    pub client: Endpoint,
    pub connection: Connection,
    _wire: Option<Forwarder>,
}

impl Pair {
    pub async fn new(store: Replica, limits: Limits) -> Self {
        let authority = Authority::new("ours");
        let server = Server::start(&authority.identity(), limits.clone(), store);
        let client = Endpoint::bind(LOOPBACK, &authority.identity(), limits).unwrap();
        let connection = client.connect(server.address).await.unwrap();
        Self {
            server,
            client,
            connection,
            _wire: None,
        }
    }

    /// A pair between which a megabyte takes a second and more, so that there is time to interfere.
    pub async fn slow(store: Replica) -> Self {
        let mut limits = Limits::default();
        limits.stream_window = 32 << 10;
        let mut pair = Self::new(store, limits).await;
        let wire = Forwarder::start(pair.server.address, Duration::from_millis(15));
        let wire = wire.await.unwrap();
        pair.connection = pair.client.connect(wire.local_addr()).await.unwrap();
        pair._wire = Some(wire);
        pair
    }

    /// One session begun by the client, which goes well on both sides.
    pub async fn sync(&mut self, store: &Replica, strategy: Strategy) -> Report {
        let theirs = in_time(sync(&self.connection, store, strategy))
            .await
            .unwrap();
        let ours = self.server.outcome().await.unwrap();
        assert_eq!(ours.agreed, theirs.agreed);
        assert_eq!(ours.rows_sent, theirs.rows_received);
        assert_eq!(ours.received, theirs.sent);
        theirs
    }
}

pub async fn sync(connection: &Connection, store: &Replica, strategy: Strategy) -> Outcome {
    let store = Arc::new(store.clone());
    let request = request(strategy).introducing(true);
    connection.sync(store, config(), request).await
}
