//! Waiting until enough replicas have a write, and reading what enough of them have.

mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_crdt::{CarrierId, Roster};
use syncline_gossip::convergence::WhoHas;
use syncline_sync::Report;
use syncline_sync::quic::NodeId;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cluster::{Answers, Handle, Meeting, MemberState, Question, durable};
use crate::error::Error;
use crate::namespace::Namespace;
use crate::net::{SyncError, SyncOptions};
use crate::token::Token;

pub use self::missing::{MissingCarrier, MissingPeer, QuorumError};

/// How often it is looked who counts, while others are waited for.
const RECOUNT: Duration = Duration::from_secs(1);

/// How many of the carriers of a namespace are enough, the node's own replica included. Those that are away count; those that
/// were [forgotten](Namespace::forget_carrier) do not. How many there are is told by the [roster](Namespace::carriers), or by the members that say that
/// they carry the namespace, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replicas {
    /// So many.
    N(usize),
    /// More than half.
    Majority,
    /// Every one.
    All,
}

impl Replicas {
    /// How many that are, of so many carriers.
    ///
    /// ```
    /// use syncline::Replicas;
    ///
    /// assert_eq!([1, 2, 3, 4, 5].map(|carriers| Replicas::Majority.of(carriers)), [1, 2, 2, 3, 3]);
    /// assert_eq!((Replicas::N(2).of(3), Replicas::All.of(3)), (2, 3));
    /// ```
    #[must_use]
    pub const fn of(self, carriers: usize) -> usize {
        match self {
            Self::N(count) => count,
            Self::Majority => carriers / 2 + 1,
            Self::All => carriers,
        }
    }
}

/// Who has a write durably; see [`Namespace::wait_replicated`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replicated {
    /// The carriers that have it, this node's own among them, and others that have not said it in time to be waited for.
    pub holders: BTreeSet<CarrierId>,
    /// How many carriers there are.
    pub carriers: usize,
}

/// What has come of [`Namespace::gather`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gathered {
    /// The nodes that it was gathered from, without this one.
    pub nodes: BTreeSet<NodeId>,
    /// How many rows this node got, being behind.
    pub rows_received: u64,
    /// How many rows the others got.
    pub rows_sent: u64,
}

/// Who has seen a write, as far as they have said; see [`Namespace::holders`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holders {
    /// These have.
    pub has: Vec<NodeId>,
    /// These had not when they last said something.
    pub lacks: Vec<NodeId>,
    /// Nothing is known of these.
    pub unknown: Vec<NodeId>,
}

/// Who carries a namespace, as far as this node knows.
#[derive(Default)]
struct Carriers {
    /// The stores, and whose they are.
    stores: BTreeMap<CarrierId, Option<NodeId>>,
    /// The members that have not said yet what their stores are called.
    strangers: BTreeSet<NodeId>,
    forgotten: BTreeSet<CarrierId>,
}

impl Carriers {
    fn new(roster: &Roster, members: Vec<(NodeId, Option<CarrierId>)>) -> Self {
        let forgotten = roster.forgotten().clone();
        let counted = roster.counted().iter();
        let mut stores: BTreeMap<_, _> = counted.map(|carrier| (*carrier, None)).collect();
        let mut strangers = BTreeSet::new();
        for (node, carrier) in members {
            match carrier {
                Some(carrier) if forgotten.contains(&carrier) => {}
                Some(carrier) => {
                    stores.insert(carrier, Some(node));
                }
                None => {
                    strangers.insert(node);
                }
            }
        }
        Self {
            stores,
            strangers,
            forgotten,
        }
    }

    fn count(&self) -> usize {
        self.stores.len() + self.strangers.len()
    }

    /// How many of them are wanted.
    fn wanted(&self, replicas: Replicas) -> Result<usize, QuorumError> {
        let (wanted, carriers) = (replicas.of(self.count()), self.count());
        match wanted <= carriers {
            true => Ok(wanted),
            false => Err(QuorumError::TooFew { wanted, carriers }),
        }
    }
}

/// How far it has come.
#[derive(Default)]
struct Progress {
    carriers: Carriers,
    wanted: usize,
    own: Option<CarrierId>,
    answers: Answers,
}

impl Progress {
    fn holders(&self) -> BTreeSet<CarrierId> {
        let said = self.answers.holders.iter().map(|(_, carrier)| *carrier);
        let all = said.chain(self.own);
        all.filter(|carrier| !self.carriers.forgotten.contains(carrier))
            .collect()
    }

    fn is_enough(&self) -> bool {
        self.holders().len() >= self.wanted
    }

    fn replicated(self) -> Replicated {
        Replicated {
            holders: self.holders(),
            carriers: self.carriers.count(),
        }
    }

    fn missed(self, timeout: Duration) -> QuorumError {
        let holders = self.holders();
        let lacking = &self.answers.lacking;
        let stores = self.carriers.stores.iter();
        let stores = stores.filter(|(carrier, _)| !holders.contains(carrier));
        let stores = stores.map(|(carrier, node)| MissingCarrier {
            carrier: Some(*carrier),
            node: *node,
            lacks: lacking.iter().any(|(_, it)| it == carrier),
        });
        let has_answered = |node: &&NodeId| {
            let mut said = self.answers.holders.iter().chain(lacking);
            said.any(|(it, _)| it == *node)
        };
        let strangers = self.carriers.strangers.iter();
        let strangers = strangers.filter(|node| !has_answered(node));
        let strangers = strangers.map(|node| MissingCarrier {
            carrier: None,
            node: Some(*node),
            lacks: false,
        });
        QuorumError::NotReplicated {
            wanted: self.wanted,
            carriers: self.carriers.count(),
            missing: stores.chain(strangers).collect(),
            holders,
            timeout,
        }
    }
}

/// The namespace among its carriers (feature `net`).
///
/// There is no leader, so a quorum decides nothing. What it tells is which disks hold a write, and what it reads is what a number of
/// them have been told. Two that overlap make a write that is known to be on the one to be found by the other, and no more than that: writes
/// are not put in an order, and one that was *not* confirmed may be seen by some readers and not by others, and come to all in the end.
impl Namespace {
    /// Waits until so many carriers have durably what a [token](crate::Recorded::token) names, this one included. They are asked
    /// themselves, and look into their stores; nothing is concluded from what others say of them, nor from what was said before
    /// they went away.
    ///
    /// A carrier that has answered, and loses its disk afterwards, had it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use syncline::{Node, QuorumError, Replicas};
    ///
    /// let app = Node::in_memory().await?.namespace("app")?.recorded();
    /// app.put("motto", "merge, do not fork").await?;
    /// let written = app.token();
    /// // It is the only carrier.
    /// let second = Duration::from_secs(1);
    /// assert_eq!(app.wait_replicated(&written, Replicas::Majority, second).await?.carriers, 1);
    /// let two = app.wait_replicated(&written, Replicas::N(2), second).await;
    /// assert!(matches!(two, Err(QuorumError::TooFew { wanted: 2, carriers: 1 })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`QuorumError::NotReplicated`] after the timeout says who is missing. The write stays, and goes on to spread.
    pub async fn wait_replicated(
        &self,
        token: &Token,
        replicas: Replicas,
        timeout: Duration,
    ) -> Result<Replicated, QuorumError> {
        let mut progress = Progress::default();
        let waiting = self.replicate(token, replicas, &mut progress);
        match tokio::time::timeout(timeout, waiting).await {
            Ok(Ok(())) => Ok(progress.replicated()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(progress.missed(timeout)),
        }
    }

    async fn replicate(
        &self,
        token: &Token,
        replicas: Replicas,
        progress: &mut Progress,
    ) -> Result<(), QuorumError> {
        let replica = self.replica();
        progress.carriers = self.known_carriers().await?;
        progress.wanted = progress.carriers.wanted(replicas)?;
        token.arrival(&replica).await?;
        progress.own = Some(durable(&replica).await?);
        if progress.is_enough() {
            return Ok(());
        }
        let Some(cluster) = self.core.network.cluster.get() else {
            // Nobody will come.
            return std::future::pending().await;
        };
        let (sender, mut answers) = watch::channel(Answers::default());
        let question = Question {
            namespace: self.name().into(),
            write: token.write().ok_or(QuorumError::TooLarge)?,
            wanted: progress.wanted - 1,
            answers: sender,
        };
        cluster.question(question).await?;
        loop {
            tokio::select! {
                changed = answers.changed() => if changed.is_err() {
                    return match self.core.is_refusing() {
                        true => Err(Error::Closed.into()),
                        false => Err(QuorumError::Busy),
                    };
                },
                // Those who count may be others by then.
                () = sleep(RECOUNT) => {}
            }
            progress.answers = answers.borrow_and_update().clone();
            progress.carriers = self.known_carriers().await?;
            progress.wanted = progress.carriers.wanted(replicas)?;
            if progress.is_enough() {
                return Ok(());
            }
        }
    }

    async fn known_carriers(&self) -> Result<Carriers, Error> {
        let members = match self.core.network.cluster.get() {
            Some(cluster) => cluster.carriers(self.name()).await?,
            None => Vec::new(),
        };
        Ok(Carriers::new(&self.carriers().await?, members))
    }

    /// Brings together what so many carriers have under a key, this one included, and leaves it with all of them: by a session over the key's
    /// rows with each of the others, the nearest first. Whoever was behind is not any more, and what is read here from now on has all of it.
    ///
    /// # Errors
    /// [`QuorumError::NotGathered`] when too few could be reached; what the others had is here nevertheless.
    pub async fn gather(
        &self,
        key: impl AsRef<[u8]>,
        replicas: Replicas,
        timeout: Duration,
    ) -> Result<Gathered, QuorumError> {
        let wanted = self.known_carriers().await?.wanted(replicas)?;
        let mut gathering = Gathering::new(wanted.saturating_sub(1));
        if gathering.wanted > 0
            && let Some(cluster) = self.core.network.cluster.get()
        {
            let options = SyncOptions::default().key(key);
            let gathered = gathering.run(self, cluster, options);
            // After the timeout, those under way are missing.
            if let Ok(outcome) = tokio::time::timeout(timeout, gathered).await {
                outcome?;
            }
        }
        gathering.finish()
    }

    /// The value of `key` as so many carriers have it together: [`gather`](Self::gather), then [`get`](Self::get).
    ///
    /// # Errors
    /// Those of the two.
    pub async fn get_from(
        &self,
        key: impl AsRef<[u8]>,
        replicas: Replicas,
        timeout: Duration,
    ) -> Result<Option<Vec<u8>>, QuorumError> {
        self.gather(key.as_ref(), replicas, timeout).await?;
        Ok(self.get(key).await?)
    }

    /// Who else has seen what a token names, by what they have said last, without asking anybody: for monitoring. It may be some seconds old, and a
    /// carrier that has seen a removal may still have to find the row. What must be certain is to be
    /// [waited for](Self::wait_replicated).
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn holders(&self, token: &Token) -> Result<Holders, Error> {
        let Some(cluster) = self.core.network.cluster.get() else {
            return Ok(Holders::default());
        };
        let WhoHas {
            has,
            lacks,
            unknown,
            ..
        } = cluster.who_has(self.name(), token.dots()).await?;
        Ok(Holders {
            has,
            lacks,
            unknown,
        })
    }
}

/// Sessions over one key.
struct Gathering {
    wanted: usize,
    gathered: Gathered,
    under_way: BTreeSet<NodeId>,
    failed: Vec<MissingPeer>,
}

impl Gathering {
    const fn new(wanted: usize) -> Self {
        Self {
            wanted,
            gathered: Gathered {
                nodes: BTreeSet::new(),
                rows_received: 0,
                rows_sent: 0,
            },
            under_way: BTreeSet::new(),
            failed: Vec::new(),
        }
    }

    async fn run(
        &mut self,
        namespace: &Namespace,
        cluster: &Handle,
        options: SyncOptions,
    ) -> Result<(), Error> {
        let members = cluster.members().await?;
        let is_there = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let mut peers: Vec<_> = members
            .into_iter()
            .filter(|it| is_there(it.state) && it.namespaces.contains(namespace.name()))
            .map(|it| (it.round_trip.unwrap_or(Duration::MAX), it.node))
            .collect();
        peers.sort_unstable();
        let (mut peers, mut sessions) = (peers.into_iter(), JoinSet::new());
        loop {
            while self.gathered.nodes.len() + self.under_way.len() < self.wanted {
                let Some((_, peer)) = peers.next() else { break };
                let (outcome, met) = oneshot::channel();
                let meeting = Meeting {
                    peer,
                    replica: namespace.replica(),
                    options: options.clone(),
                    outcome,
                };
                cluster.meet(meeting).await?;
                self.under_way.insert(peer);
                sessions.spawn(async move { (peer, met.await) });
            }
            let Some(met) = sessions.join_next().await else {
                return Ok(());
            };
            // None of them panics.
            if let Ok((peer, outcome)) = met {
                let gone = |_| Err(Error::Closed.into());
                self.met(peer, outcome.unwrap_or_else(gone));
            }
        }
    }

    fn met(&mut self, peer: NodeId, outcome: Result<Report, SyncError>) {
        self.under_way.remove(&peer);
        match outcome {
            Ok(report) => {
                self.gathered.nodes.insert(peer);
                self.gathered.rows_received += report.rows_received;
                self.gathered.rows_sent += report.rows_sent;
            }
            Err(error) => self.failed.push(MissingPeer {
                node: peer,
                error: Some(error),
            }),
        }
    }

    fn finish(self) -> Result<Gathered, QuorumError> {
        if self.gathered.nodes.len() >= self.wanted {
            return Ok(self.gathered);
        }
        let late = self.under_way.into_iter();
        let late = late.map(|node| MissingPeer { node, error: None });
        Err(QuorumError::NotGathered {
            wanted: self.wanted,
            nodes: self.gathered.nodes,
            missing: self.failed.into_iter().chain(late).collect(),
        })
    }
}
