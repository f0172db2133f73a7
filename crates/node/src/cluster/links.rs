//! The connections that gossip and scheduled sessions pass over, one for each peer that is talked to.
//!
//! ```text
//!  send ─▶ a peer's queue ─▶ its courier ─▶ the newest connection with it, dialled if there is none
//!                                           every connection ─▶ its listener ─▶ heard, and sessions served
//! ```
//!
//! A queue is bounded, and what does not fit is dropped and counted: whatever travels here may get lost. So a peer that is
//! slow, or gone, costs the memory of its queue and delays nobody else. How it gets to the peer is the [courier]'s business; here
//! is who is connected, and what is heard.

mod courier;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use syncline_sync::quic::{Connection, Inlet, Lost, NodeId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::wire::{self, MAX_FRAME};
use crate::core::{Core, lock};
use crate::net::{Doorkeeper, SyncError};

/// Parcels that may wait for one peer.
const QUEUE: usize = 256;
/// Connections kept of those that were made from here, most of them for pings: those that were used the longest ago are
/// closed beyond it.
const KEPT: usize = 96;
/// Connections with one peer that are kept in mind: both may dial at the same time, and one may be left from before a restart.
const WITH_ONE: usize = 4;
/// Connections with a peer that was restarted are of its present life if they are not older than that, for all that is known: news of a
/// restart travel faster.
const RENEWED: Duration = Duration::from_secs(5);
/// How often it is looked at whether all has been sent.
const SETTLING: Duration = Duration::from_millis(5);
/// How long a peer that could not be reached is not dialled again.
const DIAL_AGAIN: Duration = Duration::from_secs(1);
/// How long what was heard may wait for its turn before the peer's stream is held up.
const HEARD: usize = 1024;

/// What has come from a peer.
#[derive(Debug)]
pub(super) enum Heard {
    /// A datagram, or a frame of a channel.
    Message { from: NodeId, bytes: Vec<u8> },
    /// Nobody answers at the peer's address, or somebody else.
    Unreachable { peer: NodeId, error: SyncError },
}

/// How a parcel may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    /// At once or not at all. What is too large for it goes as a frame.
    Datagram,
    /// In order.
    Frame,
}

/// Something to be carried to a peer.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) carriage: Carriage,
    pub(super) bytes: Vec<u8>,
}

impl Parcel {
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// All of a node's links. Cloning is cheap and yields the same ones.
#[derive(Clone)]
pub(crate) struct Links(Arc<Shared>);

/// Links as somebody knows them who does not keep them.
pub(super) struct WeakLinks(Weak<Shared>);

impl WeakLinks {
    pub(super) fn upgrade(&self) -> Option<Links> {
        self.0.upgrade().map(Links)
    }
}

struct Shared {
    core: Arc<Core>,
    doorkeeper: Arc<Doorkeeper>,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
    heard: mpsc::Sender<Heard>,
    tasks: Mutex<JoinSet<()>>,
    traffic: Counters,
}

#[derive(Default)]
struct Peer {
    /// The newest last.
    connections: Vec<Known>,
    /// Shared with whoever has a session with the peer.
    session: Arc<()>,
    queue: Option<mpsc::Sender<Parcel>>,
    used: Option<Instant>,
    unreached: Option<Instant>,
}

struct Known {
    connection: Connection,
    /// Whether it was made from here, and so is ours to close.
    dialled: bool,
    made: Instant,
}

/// A connection that is kept for as long as this lives.
pub(super) struct Held {
    pub(super) connection: Connection,
    _session: Arc<()>,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    unreached: AtomicU64,
    /// Parcels that couriers have yet to deliver.
    waiting: AtomicU64,
}

/// What has passed over the links since the node was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Bytes of gossip that went out, without those of the transport.
    pub bytes_sent: u64,
    /// All bytes that the connections which there are now have sent, those of sessions and of the transport included.
    pub transport_bytes: u64,
    /// Messages that were dropped, since the peer was too slow or could not be reached.
    pub dropped: u64,
    /// How often a member could not be connected with.
    pub unreached: u64,
}

impl Links {
    /// None yet; what is heard on them comes out of the receiver.
    pub(super) fn new(
        core: Arc<Core>,
        doorkeeper: Arc<Doorkeeper>,
    ) -> (Self, mpsc::Receiver<Heard>) {
        let (heard, ears) = mpsc::channel(HEARD);
        let shared = Shared {
            core,
            doorkeeper,
            peers: Mutex::default(),
            heard,
            tasks: Mutex::default(),
            traffic: Counters::default(),
        };
        (Self(Arc::new(shared)), ears)
    }

    pub(super) fn downgrade(&self) -> WeakLinks {
        WeakLinks(Arc::downgrade(&self.0))
    }

    /// Sends to a peer over a connection that there is, or that is made to its address. Never waits.
    pub(super) fn send(&self, to: NodeId, address: Option<SocketAddr>, parcel: Parcel) {
        let mut peers = lock(&self.0.peers);
        let peer = peers.entry(to).or_default();
        peer.used = Some(Instant::now());
        let parcel = match &peer.queue {
            None => parcel,
            Some(queue) => match queue.try_send(parcel) {
                Ok(()) => return self.0.waits(),
                Err(mpsc::error::TrySendError::Full(_)) => return self.drop_parcels(1),
                // Its courier is just going.
                Err(mpsc::error::TrySendError::Closed(parcel)) => parcel,
            },
        };
        let is_connected = peer.newest().is_some();
        let was_unreached = peer.unreached.is_some_and(|at| at.elapsed() < DIAL_AGAIN);
        if !is_connected && (address.is_none() || was_unreached) {
            return self.drop_parcels(1);
        }
        let (queue, parcels) = mpsc::channel(QUEUE);
        // There is room: it is new.
        if queue.try_send(parcel).is_ok() {
            peer.queue = Some(queue);
            self.0.waits();
            let courier = Arc::downgrade(&self.0);
            self.spawn(courier::carry(courier, to, address, parcels));
        }
    }

    /// A connection with a peer for a session: one that there is, or a new one to its address.
    pub(super) async fn connection(
        &self,
        to: NodeId,
        address: SocketAddr,
    ) -> Result<Held, SyncError> {
        let connection = match self.newest(to) {
            Some(connection) => connection,
            None => self.dial(Some(to), address).await?,
        };
        let mut peers = lock(&self.0.peers);
        let _session = peers.entry(to).or_default().session.clone();
        Ok(Held {
            connection,
            _session,
        })
    }

    /// Connects to an address, to find out who is there.
    pub(super) async fn dial(
        &self,
        expected: Option<NodeId>,
        address: SocketAddr,
    ) -> Result<Connection, SyncError> {
        let dialled = self.0.core.dial(&[address]).await;
        let connection = dialled.inspect_err(|_| {
            self.0.traffic.unreached.fetch_add(1, Ordering::Relaxed);
        })?;
        let peer = connection.peer();
        if let Some(expected) = expected.filter(|expected| *expected != peer) {
            connection.close();
            return Err(SyncError::SomebodyElse {
                address,
                expected,
                found: peer,
            });
        }
        self.take_in(connection.clone(), true);
        Ok(connection)
    }

    /// Takes a connection in that a peer has made: listens to it, and serves the sessions that the peer begins on it.
    pub(crate) fn adopt(&self, connection: Connection) {
        self.take_in(connection, false);
    }

    fn take_in(&self, connection: Connection, dialled: bool) {
        let mut peers = lock(&self.0.peers);
        let peer = peers.entry(connection.peer()).or_default();
        peer.connections.retain(|it| !it.connection.is_closed());
        if peer.connections.len() >= WITH_ONE {
            // It lives on for whoever uses it.
            drop(peer.connections.remove(0));
        }
        peer.connections.push(Known {
            connection: connection.clone(),
            dialled,
            made: Instant::now(),
        });
        peer.used = Some(Instant::now());
        peer.unreached = None;
        close_superfluous(&mut peers);
        drop(peers);
        let shared = Arc::downgrade(&self.0);
        self.spawn(listen(shared, connection));
    }

    /// Lets go of what was said to an earlier run of a peer, whose connections nobody answers any more.
    pub(super) fn renew(&self, peer: NodeId) {
        let mut peers = lock(&self.0.peers);
        if let Some(peer) = peers.get_mut(&peer) {
            peer.unreached = None;
            // Whoever else uses one of them finds out for himself.
            peer.connections.retain(|it| it.made.elapsed() < RENEWED);
        }
    }

    /// Waits until all that was sent has left this node, as far as it can be told, or for so long.
    pub(super) async fn settle(&self, patience: Duration) {
        let settled = async {
            while !self.is_settled() {
                sleep(SETTLING).await;
            }
        };
        if timeout(patience, settled).await.is_err() {
            tracing::debug!("not all that was to be sent has left");
        }
    }

    fn is_settled(&self) -> bool {
        let peers = lock(&self.0.peers);
        let mut connections = peers.values().flat_map(|peer| &peer.connections);
        self.0.traffic.waiting.load(Ordering::Relaxed) == 0
            && connections.all(|it| it.connection.has_sent_datagrams())
    }

    /// The round-trip times to the peers that there are connections with.
    pub(super) fn round_trips(&self) -> Vec<(NodeId, Duration)> {
        let peers = lock(&self.0.peers);
        let times = peers
            .iter()
            .filter_map(|(peer, it)| Some((*peer, it.newest()?.rtt())));
        times.collect()
    }

    pub(super) fn stats(&self) -> LinkStats {
        let Counters {
            sent,
            dropped,
            unreached,
            ..
        } = &self.0.traffic;
        let peers = lock(&self.0.peers);
        let connections = peers.values().flat_map(|peer| &peer.connections);
        let transport_bytes = connections.map(|it| it.connection.bytes_sent()).sum();
        LinkStats {
            bytes_sent: sent.load(Ordering::Relaxed),
            transport_bytes,
            dropped: dropped.load(Ordering::Relaxed),
            unreached: unreached.load(Ordering::Relaxed),
        }
    }

    /// Ends all that goes on by itself.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
        tasks.shutdown().await;
        lock(&self.0.peers).clear();
    }

    fn newest(&self, peer: NodeId) -> Option<Connection> {
        let mut peers = lock(&self.0.peers);
        let peer = peers.get_mut(&peer)?;
        peer.used = Some(Instant::now());
        peer.newest().cloned()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0.tasks);
        // Those that have ended would be kept otherwise.
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a link's task was cut down");
            }
        }
        tasks.spawn(task);
    }

    fn drop_parcels(&self, count: u64) {
        self.0.traffic.dropped.fetch_add(count, Ordering::Relaxed);
    }
}

impl Shared {
    /// A courier has one parcel more.
    fn waits(&self) {
        self.traffic.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Couriers have so many less, of which so many bytes were delivered.
    fn carried(&self, parcels: u64, bytes: u64) {
        self.traffic.waiting.fetch_sub(parcels, Ordering::Relaxed);
        self.traffic.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Peer {
    /// One that was made before the peer was restarted may look sound for a while, so the newest counts.
    fn newest(&self) -> Option<&Connection> {
        let newest = self.connections.iter().rev().map(|it| &it.connection);
        newest.into_iter().find(|it| !it.is_closed())
    }

    /// Whether there is a connection that could be closed.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.session) == 1 && self.connections.iter().any(|it| it.dialled)
    }
}

/// Closes connections until few enough are left, and forgets who has none.
fn close_superfluous(peers: &mut BTreeMap<NodeId, Peer>) {
    peers.retain(|_, peer| {
        peer.connections.retain(|it| !it.connection.is_closed());
        let is_failing = peer.unreached.is_some_and(|at| at.elapsed() < DIAL_AGAIN);
        let is_used = peer.queue.is_some() || Arc::strong_count(&peer.session) > 1;
        is_used || is_failing || !peer.connections.is_empty()
    });
    let dialled = peers.values().flat_map(|peer| &peer.connections);
    for _ in KEPT..dialled.filter(|it| it.dialled).count() {
        let idle = peers.values_mut().filter(|peer| peer.is_idle());
        if let Some(peer) = idle.min_by_key(|peer| peer.used) {
            peer.connections.retain(|it| {
                if it.dialled {
                    it.connection.close();
                }
                !it.dialled
            });
        }
    }
}

/// Whether both nodes may carry what a message is about.
fn may_pass(connection: &Connection, bytes: &[u8]) -> bool {
    let foreign = wire::foreign(bytes, |namespace| connection.may_carry(namespace));
    if let Some(namespace) = &foreign {
        tracing::debug!(peer = %connection.peer(), %namespace, "a certificate does not name the namespace of a message");
    }
    foreign.is_none()
}

/// Hears what a peer says on a connection, and serves its sessions, until the connection ends.
async fn listen(shared: Weak<Shared>, connection: Connection) {
    let Some((doorkeeper, heard)) = shared
        .upgrade()
        .map(|shared| (shared.doorkeeper.clone(), shared.heard.clone()))
    else {
        return;
    };
    let lost = tokio::select! {
        lost = connection.serve(doorkeeper) => lost,
        lost = datagrams(&connection, &heard) => lost,
        lost = channels(&connection, &heard) => lost,
    };
    tracing::debug!(peer = %connection.peer(), %lost, "disconnected");
}

async fn datagrams(connection: &Connection, heard: &mpsc::Sender<Heard>) -> Lost {
    loop {
        match connection.datagram().await {
            // Datagrams may get lost; better these than the time of whoever is busy.
            Ok(bytes) if may_pass(connection, &bytes) => drop(heard.try_send(Heard::Message {
                from: connection.peer(),
                bytes,
            })),
            Ok(_) => {}
            Err(lost) => return lost,
        }
    }
}

async fn channels(connection: &Connection, heard: &mpsc::Sender<Heard>) -> Lost {
    let mut channels = JoinSet::new();
    loop {
        tokio::select! {
            inlet = connection.accept_channel(MAX_FRAME) => match inlet {
                Ok(inlet) => drop(channels.spawn(hear(inlet, connection.clone(), heard.clone()))),
                Err(lost) => return lost,
            },
            Some(_ended) = channels.join_next() => {}
        }
    }
}

async fn hear(mut inlet: Inlet, connection: Connection, heard: mpsc::Sender<Heard>) {
    let from = connection.peer();
    loop {
        match inlet.next().await {
            Ok(Some(bytes)) if !may_pass(&connection, &bytes) => {}
            Ok(Some(bytes)) => {
                // While many wait, the peer does: its stream is held up.
                if heard.send(Heard::Message { from, bytes }).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(peer = %from, %error, "a channel of gossip ended");
                return;
            }
        }
    }
}
