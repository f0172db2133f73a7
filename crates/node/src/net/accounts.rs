//! What has passed between a node and each of its peers, and the sessions that are under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use syncline_sync::quic::NodeId;
use syncline_sync::{Report, Traffic};

use crate::core::lock;
use crate::measure::{Exchanged, Picture};
use crate::node::Node;

/// Peers of which there are accounts. What passes with more is not counted.
const PEERS: usize = 1_024;
/// Sessions that are remembered after their end, of those in which something was exchanged, or that failed.
const RECENT: usize = 32;
/// After so long a session that was let go of, and whose end nobody has told, is taken for cut off.
const LOST: Duration = Duration::from_secs(60);
/// Characters of an error that are kept.
const ERROR: usize = 256;

/// What has passed with a peer since the node was started; see [`Node::traffic`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerTraffic {
    /// Sessions that this node began.
    pub begun: Outcomes,
    /// Sessions that the peer began.
    pub served: Outcomes,
    /// Messages that depended on one another, in all sessions; two are a round trip.
    pub flights: u64,
    /// Bytes of sessions that were sent. Of those that failed nothing is known.
    pub sent: Traffic,
    /// The same for what was received.
    pub received: Traffic,
    /// Rows that sessions have sent.
    pub rows_sent: u64,
    /// Rows that they have received.
    pub rows_received: u64,
    /// Ranges whose digests were compared.
    pub ranges_compared: u64,
    /// Ranges that walks could not settle.
    pub ranges_unsettled: u64,
    /// Bytes of gossip that were sent: of membership, rumours, standings, notices.
    pub gossip_sent: u64,
    /// Bytes of gossip that were received.
    pub gossip_received: u64,
}

/// How sessions have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcomes {
    /// With equal roots.
    pub agreed: u64,
    /// Well, but with different roots, as under constant writes.
    pub differed: u64,
    /// With an error.
    pub failed: u64,
}

/// A session with a peer; see [`Node::sessions`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Who it is with.
    pub peer: NodeId,
    /// What is synced.
    pub namespace: String,
    /// Whether this node began it.
    pub began_here: bool,
    /// When it began.
    pub began: SystemTime,
    /// How long it took, or has taken so far.
    pub lasted: Duration,
    /// How it ended; `None` while it is under way.
    pub ended: Option<Result<Report, String>>,
    /// In which parts of the key range rows were exchanged, in order. Empty while none were.
    pub parts: Vec<Exchanged>,
}

#[derive(Default)]
pub(crate) struct Accounts(Mutex<Books>);

#[derive(Default)]
struct Books {
    peers: BTreeMap<NodeId, PeerTraffic>,
    /// In the order in which they began.
    running: BTreeMap<u64, Running>,
    /// The newest first.
    recent: VecDeque<SessionStatus>,
    begun: u64,
}

struct Running {
    peer: NodeId,
    namespace: String,
    began_here: bool,
    began: SystemTime,
    clock: Instant,
    /// Shared with the session, until it lets go of its replica.
    picture: Arc<Picture>,
    let_go: Option<Instant>,
}

/// Ends the account of a session that this node began, however it ends.
pub(crate) struct Ticket {
    accounts: Arc<Accounts>,
    number: u64,
    pub(crate) picture: Arc<Picture>,
}

impl Ticket {
    pub(crate) fn end<E: ToString>(self, outcome: &Result<Report, E>) {
        lock(&self.accounts.0).end(self.number, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Nothing, if it was told before.
        lock(&self.accounts.0).end(self.number, &Err(CUT_OFF));
    }
}

const CUT_OFF: &str = "it was cut off";

impl Accounts {
    /// A session that this node begins.
    pub(crate) fn begins(self: &Arc<Self>, peer: NodeId, namespace: &str) -> Ticket {
        let (number, picture) = lock(&self.0).begin(peer, namespace, true);
        Ticket {
            accounts: self.clone(),
            number,
            picture,
        }
    }

    /// A session that a peer begins. It is over when that is [told](Self::served), or a while after the picture was let go of.
    pub(crate) fn serves(&self, peer: NodeId, namespace: &str) -> Arc<Picture> {
        lock(&self.0).begin(peer, namespace, false).1
    }

    /// A session that a peer began is over.
    pub(crate) fn served<E: ToString>(
        &self,
        peer: NodeId,
        namespace: &str,
        outcome: &Result<Report, E>,
    ) {
        let mut books = lock(&self.0);
        let is_it = |it: &Running| !it.began_here && it.peer == peer && it.namespace == namespace;
        // Of several with one peer, one that has let go of its replica.
        let mut its = books.running.iter().filter(|(_, it)| is_it(it));
        let number = its
            .find(|(_, it)| it.is_let_go())
            .map(|(number, _)| *number);
        match number {
            Some(number) => books.end(number, outcome),
            // It was turned away before it had begun.
            None => books.count(peer, false, outcome),
        }
    }

    pub(crate) fn gossip_sent(&self, peer: NodeId, bytes: u64) {
        if let Some(peer) = lock(&self.0).peer(peer) {
            peer.gossip_sent += bytes;
        }
    }

    pub(crate) fn gossip_received(&self, peer: NodeId, bytes: u64) {
        if let Some(peer) = lock(&self.0).peer(peer) {
            peer.gossip_received += bytes;
        }
    }

    fn traffic(&self) -> BTreeMap<NodeId, PeerTraffic> {
        lock(&self.0).peers.clone()
    }

    fn sessions(&self) -> Vec<SessionStatus> {
        let mut books = lock(&self.0);
        books.forget_lost();
        let running = books.running.values().map(|it| it.status(None));
        running.chain(books.recent.iter().cloned()).collect()
    }
}

impl Books {
    fn begin(&mut self, peer: NodeId, namespace: &str, began_here: bool) -> (u64, Arc<Picture>) {
        self.forget_lost();
        let (number, picture) = (self.begun, Arc::<Picture>::default());
        self.begun += 1;
        let running = Running {
            peer,
            namespace: namespace.to_owned(),
            began_here,
            began: SystemTime::now(),
            clock: Instant::now(),
            picture: picture.clone(),
            let_go: None,
        };
        self.running.insert(number, running);
        (number, picture)
    }

    fn end<E: ToString>(&mut self, number: u64, outcome: &Result<Report, E>) {
        let Some(session) = self.running.remove(&number) else {
            return;
        };
        self.count(session.peer, session.began_here, outcome);
        let moved = |report: &Report| report.rows_sent + report.rows_received > 0;
        let status = match outcome {
            Ok(report) if report.agreed && !moved(report) => return,
            Ok(report) => session.status(Some(Ok(report.clone()))),
            Err(error) => {
                let error = error.to_string().chars().take(ERROR).collect();
                session.status(Some(Err(error)))
            }
        };
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(status);
    }

    fn count<E>(&mut self, peer: NodeId, began_here: bool, outcome: &Result<Report, E>) {
        let Some(peer) = self.peer(peer) else {
            return;
        };
        let outcomes = match began_here {
            true => &mut peer.begun,
            false => &mut peer.served,
        };
        let Ok(report) = outcome else {
            outcomes.failed += 1;
            return;
        };
        match report.agreed {
            true => outcomes.agreed += 1,
            false => outcomes.differed += 1,
        }
        peer.flights += u64::from(report.flights);
        peer.sent += report.sent;
        peer.received += report.received;
        peer.rows_sent += report.rows_sent;
        peer.rows_received += report.rows_received;
        peer.ranges_compared += report.ranges_compared;
        peer.ranges_unsettled += report.ranges_unsettled;
    }

    /// The account of a peer, if there is room for one.
    fn peer(&mut self, peer: NodeId) -> Option<&mut PeerTraffic> {
        let has_room = self.peers.len() < PEERS || self.peers.contains_key(&peer);
        has_room.then(|| self.peers.entry(peer).or_default())
    }

    /// Ends sessions whose connections went without a word.
    fn forget_lost(&mut self) {
        let mut lost = Vec::new();
        for (number, session) in &mut self.running {
            if session.is_let_go() && !session.began_here {
                let since = session.let_go.get_or_insert_with(Instant::now);
                if since.elapsed() >= LOST {
                    lost.push(*number);
                }
            }
        }
        for number in lost {
            self.end(number, &Err(CUT_OFF));
        }
    }
}

impl Running {
    fn is_let_go(&self) -> bool {
        Arc::strong_count(&self.picture) == 1
    }

    fn status(&self, ended: Option<Result<Report, String>>) -> SessionStatus {
        SessionStatus {
            peer: self.peer,
            namespace: self.namespace.clone(),
            began_here: self.began_here,
            began: self.began,
            lasted: self.clock.elapsed(),
            ended,
            parts: self.picture.read(),
        }
    }
}

/// What passes between the node and others (feature `net`).
impl Node {
    /// What has passed with each peer since the node was started; of the first 1,024 that it has met.
    pub fn traffic(&self) -> BTreeMap<NodeId, PeerTraffic> {
        self.core.network.accounts.traffic()
    }

    /// The sessions under way; then the last 32 that have ended, the newest first, of those in which rows were exchanged, or roots differed in the
    /// end, or that failed.
    pub fn sessions(&self) -> Vec<SessionStatus> {
        self.core.network.accounts.sessions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn a_session_is_counted_once_however_it_ends() {
        let accounts = Arc::<Accounts>::default();
        let agreed = || {
            let mut report = Report::default();
            report.agreed = true;
            Ok::<_, String>(report)
        };
        drop(accounts.begins(peer(1), "app"));
        accounts.begins(peer(1), "app").end(&agreed());
        let held = accounts.serves(peer(1), "app");
        assert_eq!(accounts.sessions().len(), 2, "one cut off, one under way");
        drop(held);
        accounts.served(peer(1), "app", &agreed());
        // One that was turned away.
        accounts.served(peer(1), "", &Err::<Report, _>("stranger"));
        let traffic = &accounts.traffic()[&peer(1)];
        assert_eq!((traffic.begun.agreed, traffic.begun.failed), (1, 1));
        assert_eq!((traffic.served.agreed, traffic.served.failed), (1, 1));
        let sessions = accounts.sessions();
        assert_eq!(sessions.len(), 1, "what went as always is not remembered");
        assert!(matches!(&sessions[0].ended, Some(Err(error)) if error == CUT_OFF));
    }

    #[test]
    fn neither_peers_nor_sessions_grow_without_end() {
        let accounts = Accounts::default();
        for number in 0..2_000 {
            accounts.served(peer(number), "app", &Err::<Report, _>("x".repeat(10_000)));
            drop(accounts.serves(peer(number), "app"));
            accounts.served(peer(number), "app", &Err::<Report, _>("x".repeat(10_000)));
        }
        assert_eq!(accounts.traffic().len(), PEERS);
        let sessions = accounts.sessions();
        assert_eq!(sessions.len(), RECENT);
        assert!(matches!(&sessions[0].ended, Some(Err(error)) if error.len() == ERROR));
    }
}
