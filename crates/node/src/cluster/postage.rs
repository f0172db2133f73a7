//! Bytes per second: what this node sends to members goes out in the order of its importance, and no faster than it may.
//!
//! Gossip is handed over whole. What sessions send is too much to be held here: each frame asks, and
//! [waits](Pacer::admit) in its session until its bytes have come to their turn.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use syncline_gossip::budget::{Budget, Class, Input, Limits, Output, Spent};
use syncline_sync::BATCH_BYTES;
use syncline_sync::quic::{NodeId, Pacer};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::links::{Links, Parcel, WeakLinks};
use crate::core::lock;
use crate::node::Node;

/// After how long a frame that found no place in the queue tries again.
const AGAIN: Duration = Duration::from_millis(50);

/// What waits to be sent.
enum Item {
    /// Gossip, to a peer that may have to be dialled.
    Parcel(Option<SocketAddr>, Parcel),
    /// A frame of a session.
    Frame(oneshot::Sender<()>),
}

/// The budget of a node. Cloning is cheap and yields the same one.
#[derive(Clone)]
pub(crate) struct Postage(Arc<Shared>);

struct Shared {
    budget: Mutex<Budget<NodeId, Item>>,
    /// How many bytes of rows a session is to put into a frame.
    frame_bytes: usize,
    began: Instant,
    /// Where parcels go out, once there is one. It does not keep the node.
    links: OnceLock<WeakLinks>,
}

impl Postage {
    /// At most so many bytes in a second, to all peers together and to each.
    pub(crate) fn new(node: Option<u64>, peer: Option<u64>) -> Self {
        let limits = Limits {
            node,
            peer,
            ..Limits::new()
        };
        let frame_bytes = limits.item_bytes(BATCH_BYTES);
        Self(Arc::new(Shared {
            budget: Mutex::new(Budget::new(limits)),
            frame_bytes,
            began: Instant::now(),
            links: OnceLock::new(),
        }))
    }

    /// How many bytes of rows a session is to put into a frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.0.frame_bytes
    }

    /// Sends parcels by these links from now on.
    pub(super) fn send_by(&self, links: &Links) {
        // The driver does it once.
        let _first = self.0.links.set(links.downgrade());
    }

    /// Sends a parcel when its time has come, or never: too many may be waiting.
    pub(super) fn send(
        &self,
        to: NodeId,
        address: Option<SocketAddr>,
        class: Class,
        parcel: Parcel,
    ) {
        let bytes = framed(parcel.len());
        let item = Item::Parcel(address, parcel);
        self.0.handle(Input::Offer {
            to,
            class,
            bytes,
            item,
        });
    }

    /// What waits for a peer that has gone is dropped.
    pub(super) fn gone(&self, peer: NodeId) {
        self.0.handle(Input::Gone(peer));
    }
}

/// What a node sends to members, by its importance; see [`Node::budget`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// Bytes per second that may go to all peers together; `None` for as many as there are.
    pub rate: Option<u64>,
    /// Bytes per second that may go to each peer.
    pub peer_rate: Option<u64>,
    /// What was sent of each class, the most important first.
    pub classes: Vec<ClassStatus>,
}

/// What was sent of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStatus {
    /// `membership`, `rumour`, `pull`, `walk` or `bootstrap`.
    pub name: &'static str,
    /// Bytes that wait for their turn.
    pub waiting: u64,
    /// What was sent and dropped since the node was started. Frames of sessions, which are `walk` and `bootstrap`, are only counted where there is a rate.
    pub spent: Spent,
}

impl Node {
    /// What goes out to members by its importance, and how much of it waits (feature `net`).
    pub fn budget(&self) -> BudgetStatus {
        let budget = lock(&self.core.network.postage.0.budget);
        let (rate, peer_rate) = budget.rates();
        let class = |class: Class| ClassStatus {
            name: class.name(),
            waiting: budget.waiting_of(class),
            spent: budget.spent(class),
        };
        BudgetStatus {
            rate,
            peer_rate,
            classes: Class::ALL.map(class).into(),
        }
    }
}

impl Shared {
    fn handle(self: &Arc<Self>, input: Input<NodeId, Item>) {
        let outputs = {
            let mut budget = lock(&self.budget);
            budget.handle(input, self.began.elapsed())
        };
        for output in outputs {
            match output {
                Output::Send { to, item, .. } => match item {
                    Item::Parcel(address, parcel) => {
                        if let Some(links) = self.links.get().and_then(WeakLinks::upgrade) {
                            links.send(to, address, parcel);
                        }
                    }
                    // Its session may have ended.
                    Item::Frame(admitted) => drop(admitted.send(())),
                },
                // Whoever waits finds out by the end of the channel; a parcel is healed by sessions.
                Output::Dropped { .. } => {}
                Output::Wake { after } => {
                    let shared = Arc::downgrade(self);
                    drop(tokio::spawn(wake(shared, after)));
                }
            }
        }
    }
}

async fn wake(shared: Weak<Shared>, after: Duration) {
    sleep(after).await;
    if let Some(shared) = shared.upgrade() {
        shared.handle(Input::Timer);
    }
}

/// What so many bytes take on the way: about 50 in 1,200 are headers and seals of packets, and each thing sent begins a packet of its own, or
/// is acknowledged.
const fn framed(bytes: u64) -> u64 {
    bytes + bytes / 24 + 50
}

impl Pacer for Postage {
    fn admit<'a>(
        &'a self,
        to: NodeId,
        bytes: usize,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        // What fills frames is the bulk of a session: the rows of whoever has few. Less is the search for differences.
        let class = match bytes >= self.frame_bytes() / 2 {
            true => Class::Bootstrap,
            false => Class::Walk,
        };
        let bytes = framed(bytes as u64);
        Box::pin(async move {
            loop {
                let (admitted, admission) = oneshot::channel();
                let item = Item::Frame(admitted);
                self.0.handle(Input::Offer {
                    to,
                    class,
                    bytes,
                    item,
                });
                if admission.await.is_ok() {
                    return;
                }
                sleep(AGAIN).await;
            }
        })
    }
}

impl fmt::Debug for Postage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postage").finish_non_exhaustive()
    }
}
