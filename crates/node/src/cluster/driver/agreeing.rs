//! Who has what: the driver's part in it. It says where the stores of this node stand, and has others asked for writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use syncline_crdt::{CarrierId, Context};
use syncline_gossip::budget::Class;
use syncline_gossip::convergence::{
    Config, Convergence, Found, Input, Message, Output, Standing, WhoHas, Write,
};
use syncline_gossip::schedule;
use syncline_sync::Report;
use syncline_sync::quic::NodeId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::super::links::{Carriage, Parcel};
use super::super::status::{ClusterView, Epoch, Member, NamespaceConvergence};
use super::super::wire;
use super::{Alarm, Driver};
use crate::blocking;
use crate::error::Error;
use crate::net::{SyncError, SyncOptions};
use crate::replica::Replica;
use crate::token::Token;

/// How long a write that a peer asks for may take to come before the peer is told that it is not here yet.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long it is waited for; the peer asks again, as long as it waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// What may be waited for on this node at a time.
const WAITS: usize = 1024;
/// What tasks have found, and the driver has yet to hear.
const STEPS: usize = 1024;

/// What a task has found.
pub(in super::super) enum Step {
    /// Where a store stands, by the commit of this number; nothing if it has not moved.
    Measured(Arc<str>, Option<(u64, Standing)>),
    /// For the machine.
    Input(Input<NodeId>),
}

/// Who has answered to have a write, and who not to have it yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) holders: Vec<(NodeId, CarrierId)>,
    pub(crate) lacking: Vec<(NodeId, CarrierId)>,
}

/// A question to the other carriers of a namespace. It is over when the receiver of its answers is dropped.
pub(crate) struct Question {
    pub(crate) namespace: Arc<str>,
    pub(crate) write: Write,
    pub(crate) wanted: usize,
    pub(crate) answers: watch::Sender<Answers>,
}

/// A session to be had with a member.
pub(crate) struct Meeting {
    pub(crate) peer: NodeId,
    pub(crate) replica: Replica,
    pub(crate) options: SyncOptions,
    pub(crate) outcome: oneshot::Sender<Result<Report, SyncError>>,
}

pub(super) struct Agreement {
    machine: Convergence<NodeId>,
    steps: mpsc::Sender<Step>,
    /// The commit by which a namespace's store was measured last, if it was.
    measured: BTreeMap<Arc<str>, Option<u64>>,
    measuring: BTreeSet<Arc<str>>,
    waits: BTreeMap<u64, watch::Sender<Answers>>,
    begun: u64,
    /// How often the members have changed.
    changes: u64,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
}

impl Agreement {
    /// Of a node that knows nothing yet. What its tasks find comes out of the receiver.
    pub(super) fn new(me: NodeId, generation: u64) -> (Self, mpsc::Receiver<Step>) {
        let (steps, found) = mpsc::channel(STEPS);
        let agreement = Self {
            machine: Convergence::new(me, generation, Config::default()),
            steps,
            measured: BTreeMap::new(),
            measuring: BTreeSet::new(),
            waits: BTreeMap::new(),
            begun: 0,
            changes: 0,
            tasks: JoinSet::new(),
        };
        (agreement, found)
    }

    /// The members are others than they were.
    pub(super) const fn members_changed(&mut self) {
        self.changes += 1;
    }

    pub(super) fn who_has(&self, namespace: &str, dots: &Context) -> WhoHas<NodeId> {
        self.machine.who_has(namespace, dots)
    }

    /// The other members that carry a namespace, and what their stores are called.
    pub(super) fn carriers(&self, namespace: &str) -> Vec<(NodeId, Option<CarrierId>)> {
        self.machine.carriers(namespace).collect()
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }
}

impl Driver {
    pub(super) fn agree(&mut self, input: Input<NodeId>) {
        let now = self.began.elapsed();
        let outputs = self.agreement.machine.handle(input, now, &mut self.random);
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let parcel = Parcel {
                        carriage: Carriage::Datagram,
                        bytes: wire::convergence(&message.to_bytes()),
                    };
                    let address = self.membership.member(to).map(|it| it.address);
                    self.postage.send(to, address, Class::Pull, parcel);
                }
                Output::Wake { timer, after } => {
                    self.timers.set(Instant::now() + after, Alarm::Agree(timer));
                }
                Output::Agrees { namespace, peer } => {
                    tracing::debug!(%peer, namespace = &*namespace, "agrees");
                }
                Output::Disagrees { namespace, peer } => {
                    tracing::debug!(%peer, namespace = &*namespace, "disagrees");
                }
                Output::Overdue { namespace, peer } => {
                    tracing::debug!(%peer, namespace = &*namespace, "disagrees for longer than rumours explain");
                    self.schedule(schedule::Input::Disagrees(peer));
                }
                Output::Held(wait) => self.tell(wait),
                Output::Look {
                    from,
                    ask,
                    namespace,
                    write,
                } => self.look(from, ask, &namespace, write),
            }
        }
    }

    /// A peer says something about who has what.
    pub(super) fn told(&mut self, from: NodeId, bytes: &[u8]) {
        match Message::from_bytes(bytes) {
            Ok(message) => self.agree(Input::Received { from, message }),
            Err(error) => tracing::warn!(peer = %from, %error, "gossip cannot be read"),
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Measured(namespace, found) => {
                self.agreement.measuring.remove(&namespace);
                let Some((commit, standing)) = found else {
                    return;
                };
                if let Some(measured) = self.agreement.measured.get_mut(&namespace) {
                    *measured = Some(commit);
                    self.agree(Input::Standing(standing));
                }
            }
            Step::Input(input) => {
                if let Input::Looked {
                    from,
                    found: Found::NotYet,
                    ..
                } = input
                {
                    // Who waits for it has it.
                    self.schedule(schedule::Input::Lagging(from));
                }
                self.agree(input);
            }
        }
    }

    /// Has every store measured that may have moved.
    pub(super) fn measure(&mut self) {
        let carried = self.core.carried();
        let gone = |namespace: &Arc<str>| !carried.contains_key(&**namespace);
        let measured = self.agreement.measured.keys();
        let gone: Vec<Arc<str>> = measured.filter(|it| gone(it)).cloned().collect();
        for namespace in gone {
            self.agreement.measured.remove(&namespace);
            self.agree(Input::Dropped(namespace));
        }
        for (namespace, replica) in carried {
            let namespace: Arc<str> = namespace.into();
            let agreement = &mut self.agreement;
            if !agreement.measuring.insert(namespace.clone()) {
                continue;
            }
            let last = agreement.measured.entry(namespace.clone()).or_default();
            let (last, steps) = (*last, agreement.steps.clone());
            agreement.spawn(async move {
                let found = standing(&replica, &namespace, last).await;
                let found = found.unwrap_or_else(|error| {
                    tracing::warn!(namespace = &*namespace, %error, "where the store stands cannot be told");
                    None
                });
                // Nobody listens any more when the node ends.
                let _ended = steps.send(Step::Measured(namespace, found)).await;
            });
        }
        let spreads = self.spreads.values();
        let branches: Vec<_> = spreads.map(|it| (it.namespace(), it.branches())).collect();
        for (namespace, peers) in branches {
            self.agree(Input::Branches { namespace, peers });
        }
        self.forget_waits();
    }

    /// Looks whether our store has what a peer asks for.
    fn look(&mut self, from: NodeId, ask: u64, namespace: &str, write: Write) {
        let Some(replica) = self.core.carried().remove(namespace) else {
            return;
        };
        let steps = self.agreement.steps.clone();
        self.agreement.spawn(async move {
            let token = Token::of_write(&write);
            let answer = async |carrier, found| {
                let input = Input::Looked {
                    from,
                    ask,
                    carrier,
                    found,
                };
                // Nobody listens any more when the node ends.
                let _ended = steps.send(Step::Input(input)).await;
            };
            let looked = async {
                let carrier = replica.open().await?.store.carrier();
                let mut arrival = std::pin::pin!(token.arrival(&replica));
                let arrived = match timeout(AT_ONCE, &mut arrival).await {
                    Ok(arrived) => Some(arrived),
                    Err(_) => {
                        answer(carrier, Found::NotYet).await;
                        timeout(PATIENCE, arrival).await.ok()
                    }
                };
                if arrived.transpose()?.is_none() {
                    return Ok(None);
                }
                // It may be another one than at the beginning, if that was dropped and is carried anew.
                durable(&replica).await.map(Some)
            };
            match looked.await {
                Ok(Some(carrier)) => answer(carrier, Found::Here).await,
                Ok(None) => answer(CarrierId::from_bytes([0; 16]), Found::GivenUp).await,
                Err(error) => {
                    tracing::warn!(peer = %from, %error, "what a peer asks for cannot be looked for");
                    answer(CarrierId::from_bytes([0; 16]), Found::GivenUp).await;
                }
            }
        });
    }

    pub(super) fn question(&mut self, question: Question) {
        self.forget_waits();
        let agreement = &mut self.agreement;
        if agreement.waits.len() >= WAITS {
            // The one who asks sees the sender dropped.
            return;
        }
        agreement.begun += 1;
        let wait = agreement.begun;
        agreement.waits.insert(wait, question.answers);
        self.agree(Input::Ask {
            wait,
            namespace: question.namespace,
            write: question.write,
            wanted: question.wanted,
        });
    }

    fn tell(&mut self, wait: u64) {
        let agreement = &self.agreement;
        if let Some(answers) = agreement.waits.get(&wait) {
            answers.send_replace(Answers {
                holders: agreement.machine.holders(wait).collect(),
                lacking: agreement.machine.lacking(wait).collect(),
            });
        }
    }

    /// Asks no more for what nobody waits for.
    fn forget_waits(&mut self) {
        let waits = self.agreement.waits.iter();
        let over = waits.filter(|(_, answers)| answers.is_closed());
        let over: Vec<u64> = over.map(|(wait, _)| *wait).collect();
        for wait in over {
            self.agreement.waits.remove(&wait);
            self.agree(Input::Withdraw(wait));
        }
    }

    pub(super) fn meet(&mut self, meeting: Meeting) {
        let Some(member) = self.membership.member(meeting.peer) else {
            let error = SyncError::Address {
                peer: meeting.peer.to_string().into(),
                reason: "it is no member any more".to_owned(),
            };
            // Whoever has asked may have gone.
            return drop(meeting.outcome.send(Err(error)));
        };
        let (core, links) = (self.core.clone(), self.links.clone());
        self.agreement.spawn(async move {
            let Meeting {
                peer,
                replica,
                options,
                mut outcome,
            } = meeting;
            let session = async {
                let held = links.connection(peer, member.address).await?;
                core.session(&held.connection, &replica, &options).await
            };
            tokio::select! {
                done = session => drop(outcome.send(done)),
                () = outcome.closed() => {}
            }
        });
    }

    pub(super) fn convergence(&self) -> Vec<NamespaceConvergence> {
        let now = self.began.elapsed();
        let report = |namespace: &Arc<str>| NamespaceConvergence {
            namespace: namespace.to_string(),
            peers: self.agreement.machine.peers(namespace, now),
        };
        self.agreement.measured.keys().map(report).collect()
    }

    pub(super) fn view(&self) -> ClusterView {
        let me = self.membership.identity();
        let members = self.membership.members();
        ClusterView {
            epoch: Epoch {
                generation: me.generation(),
                change: self.agreement.changes,
            },
            node: me.id(),
            namespaces: self.core.carried().into_keys().collect(),
            members: members.map(|it| Member::new(it.clone(), None)).collect(),
        }
    }
}

/// Where a store stands, durably; nothing if that is by the same commit as before.
async fn standing(
    replica: &Replica,
    namespace: &Arc<str>,
    last: Option<u64>,
) -> Result<Option<(u64, Standing)>, Error> {
    let (open, namespace) = (replica.open().await?, namespace.clone());
    blocking(move || {
        let view = open.store.view()?;
        if last == Some(view.commit()) {
            return Ok(None);
        }
        // What was seen is made durable before anybody hears of it.
        if !open.store.is_durable() {
            open.store.flush()?;
        }
        let standing = Standing {
            namespace,
            carrier: open.store.carrier(),
            root: view.root()?.to_bytes(),
            durable: view.shared_context(),
        };
        Ok(Some((view.commit(), standing)))
    })
    .await
}

/// Makes durable what the store shows; its name.
pub(crate) async fn durable(replica: &Replica) -> Result<CarrierId, Error> {
    let open = replica.open().await?;
    blocking(move || {
        if !open.store.is_durable() {
            open.store.flush()?;
        }
        Ok(open.store.carrier())
    })
    .await
}
