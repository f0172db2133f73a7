//! What a node tells of its cluster.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use syncline_crdt::{CarrierId, Context};
use syncline_gossip::Stats;
use syncline_gossip::convergence::{PeerReport, WhoHas};
use syncline_gossip::membership::{self, Event, State};
use syncline_sync::quic::NodeId;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::driver::{Command, Meeting, Question};
use super::links::LinkStats;
use crate::error::Error;
use crate::node::Node;
use crate::publications::Announcer;

/// How a member is doing, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It does not answer, and has some time to object to being taken for dead.
    Suspect,
    /// It has not answered for too long.
    Down,
    /// It has said goodbye.
    Left,
}

/// Another member of the cluster; see [`Node::members`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Who it is: the hash of its public key.
    pub node: NodeId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How it is doing.
    pub state: MemberState,
    /// Which of its lives: rises with each start.
    pub generation: u64,
    /// Where it stands, as its operator calls it. Empty if that was not said, or is not known yet.
    pub zone: String,
    /// The namespaces that it carries, as far as is known.
    pub namespaces: BTreeSet<String>,
    /// The version of its program. Empty while it is not known.
    pub version: String,
    /// The time that a packet takes to it and back, where there is a connection.
    pub round_trip: Option<Duration>,
}

impl Member {
    pub(super) fn new(member: membership::Member<NodeId>, round_trip: Option<Duration>) -> Self {
        let card = member.card.as_deref();
        Self {
            node: member.id,
            address: member.address,
            state: match member.state {
                State::Alive => MemberState::Alive,
                State::Suspect => MemberState::Suspect,
                State::Down => MemberState::Down,
                State::Left => MemberState::Left,
            },
            generation: member.generation,
            zone: card.map(|card| card.zone.clone()).unwrap_or_default(),
            namespaces: card.map(|card| card.namespaces.clone()).unwrap_or_default(),
            version: card.map(|card| card.version.clone()).unwrap_or_default(),
            round_trip,
        }
    }
}

/// A change of the members; see [`Node::member_events`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// One is there that was not.
    Up(Member),
    /// One does not answer.
    Suspect(NodeId),
    /// One has not answered for too long.
    Down(NodeId),
    /// One has said goodbye.
    Left(NodeId),
    /// One has moved, was started again, carries other namespaces, or is no suspect any more.
    Changed(Member),
}

impl From<Event<NodeId>> for MemberEvent {
    fn from(event: Event<NodeId>) -> Self {
        match event {
            Event::Up(member) => Self::Up(Member::new(member, None)),
            Event::Suspect(node) => Self::Suspect(node),
            Event::Down(node) => Self::Down(node),
            Event::Left(node) => Self::Left(node),
            Event::Changed(member) => Self::Changed(Member::new(member, None)),
        }
    }
}

/// The changes of the members, from when it was made on; see [`Node::member_events`].
#[derive(Debug)]
pub struct MemberEvents(broadcast::Receiver<MemberEvent>);

/// So many changes were not kept for whoever took too long. [`Node::members`] tells how things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} changes of the members were missed; look at all members anew")]
pub struct MissedEvents(pub u64);

impl MemberEvents {
    /// The next change; `None` once the node is shut down. Cancellation safe.
    ///
    /// # Errors
    /// [`MissedEvents`]; the next call goes on after them.
    pub async fn next(&mut self) -> Result<Option<MemberEvent>, MissedEvents> {
        match self.0.recv().await {
            Ok(event) => Ok(Some(event)),
            Err(broadcast::error::RecvError::Closed) => Ok(None),
            Err(broadcast::error::RecvError::Lagged(missed)) => Err(MissedEvents(missed)),
        }
    }
}

/// A link along which rumours of a namespace are pushed, from this node; see [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Branch {
    /// The namespace.
    pub namespace: String,
    /// Where it leads to.
    pub to: NodeId,
}

/// What has become of the rumours of a namespace since the node began to spread them; see [`Topology`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rumours {
    /// The namespace.
    pub namespace: String,
    /// What the dissemination has seen.
    pub stats: Stats,
    /// Rumours that came and did not go into the store at once: it had no time, or had yet to meet who wrote. Sessions bring what they said.
    pub late: u64,
}

/// What has become of the publications of a namespace since the node began to carry it; see [`Topology`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicationStats {
    /// The namespace.
    pub namespace: String,
    /// What their dissemination has seen.
    pub stats: Stats,
    /// Publications that others had and that did not come in time.
    pub lost: u64,
}

/// The cluster as this node sees it: the members, how far they are, and its own edges of the trees along which rumours spread.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Topology {
    /// The other members.
    pub members: Vec<Member>,
    /// The branches from this node.
    pub branches: Vec<Branch>,
    /// What has passed over its links.
    pub traffic: LinkStats,
    /// What has become of rumours, for each namespace.
    pub rumours: Vec<Rumours>,
    /// What has become of publications, for each namespace.
    pub publications: Vec<PublicationStats>,
}

/// How the other carriers of a namespace stand to this node; see [`Node::convergence`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamespaceConvergence {
    /// The namespace.
    pub namespace: String,
    /// The members that carry it, with those that have failed, in the order of their names.
    pub peers: Vec<PeerReport<NodeId>>,
}

/// Numbers the views that a node has had of its cluster: the later, the greater, across its restarts. Those of two nodes have nothing to do with each
/// other, since nobody decides who is a member *now*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Which life of the node.
    pub generation: u64,
    /// How many changes of the members it has seen.
    pub change: u64,
}

/// Who is there, as one node sees it: what a quorum manager outside of it would go by. See [`Node::cluster_view`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterView {
    /// Which view. Two of one node with the same epoch are the same, but for suspicions and round trips.
    pub epoch: Epoch,
    /// This node.
    pub node: NodeId,
    /// What it carries.
    pub namespaces: BTreeSet<String>,
    /// The other members.
    pub members: Vec<Member>,
}

/// The cluster around the node (feature `net`). A node that does not listen is in none, and knows nobody.
impl Node {
    /// The other members that this node knows of, those included who are gone.
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(self.topology().await?.members)
    }

    /// The members, and the ways between them and this node.
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn topology(&self) -> Result<Topology, Error> {
        match self.running.cluster() {
            Some(cluster) => cluster.ask(Command::Topology).await,
            None => Ok(Topology::default()),
        }
    }

    /// How far the other carriers of each namespace are behind this node, and it behind them, by what they have said last; for people and
    /// monitoring. Whether a *write* is safe, [`Namespace::wait_replicated`](crate::Namespace::wait_replicated) tells.
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn convergence(&self) -> Result<Vec<NamespaceConvergence>, Error> {
        match self.running.cluster() {
            Some(cluster) => cluster.ask(Command::Convergence).await,
            None => Ok(Vec::new()),
        }
    }

    /// Who is there, under a number that grows with every change, for a quorum manager outside of the node. What such a one needs besides are the
    /// [changes](Self::member_events), the [roster](crate::Namespace::carriers) of a namespace, which is who a majority is a majority of,
    /// and [`Namespace::holders`](crate::Namespace::holders).
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn cluster_view(&self) -> Result<ClusterView, Error> {
        match self.running.cluster() {
            Some(cluster) => cluster.ask(Command::View).await,
            None => Ok(ClusterView {
                epoch: Epoch::default(),
                node: self.id(),
                namespaces: self.namespaces().into_iter().collect(),
                members: Vec::new(),
            }),
        }
    }

    /// The changes of the members from now on, for other programs to follow. What is not taken is kept up to a bound, beyond which it is
    /// said how much was missed.
    pub fn member_events(&self) -> MemberEvents {
        match self.running.cluster() {
            Some(cluster) => MemberEvents(cluster.events.subscribe()),
            // Its sender is gone at once.
            None => MemberEvents(broadcast::channel(1).1),
        }
    }
}

/// The way to the driver.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(crate) announcer: Announcer,
    pub(super) events: broadcast::Sender<MemberEvent>,
}

impl Handle {
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// The other members.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(self.ask(Command::Topology).await?.members)
    }

    /// The other members that carry a namespace, those that have failed included, and what their stores are called if they have said so.
    pub(crate) async fn carriers(
        &self,
        namespace: &str,
    ) -> Result<Vec<(NodeId, Option<CarrierId>)>, Error> {
        let namespace = namespace.to_owned();
        self.ask(|reply| Command::Carriers(namespace, reply)).await
    }

    /// Asks other carriers whether they have a write.
    pub(crate) async fn question(&self, question: Question) -> Result<(), Error> {
        let sent = self.commands.send(Command::Ask(question)).await;
        sent.map_err(|_| Error::Closed)
    }

    /// Has a session with a member.
    pub(crate) async fn meet(&self, meeting: Meeting) -> Result<(), Error> {
        let sent = self.commands.send(Command::Meet(meeting)).await;
        sent.map_err(|_| Error::Closed)
    }

    /// Who has seen these dots, as far as they have said.
    pub(crate) async fn who_has(
        &self,
        namespace: &str,
        dots: Context,
    ) -> Result<WhoHas<NodeId>, Error> {
        let namespace = namespace.to_owned();
        let command = |reply| Command::WhoHas(namespace, dots, reply);
        self.ask(command).await
    }

    /// Says goodbye to the others.
    pub(crate) async fn leave(&self) {
        // It has ended by itself otherwise.
        let _ended = self.ask(Command::Leave).await;
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
