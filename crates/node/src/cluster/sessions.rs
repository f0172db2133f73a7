//! The sessions that the driver begins: with whom, and never two with one peer at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use syncline_sync::quic::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::links::Links;
use crate::core::Core;
use crate::net::{SyncError, SyncOptions, SyncReport};

/// Sessions begun from here that run at a time. Those of peers are bounded by `Limits::sessions`.
const AT_A_TIME: usize = 4;

/// What has come of syncing with a peer.
#[derive(Debug)]
pub(super) struct Synced {
    pub(super) peer: NodeId,
    pub(super) outcome: Result<SyncReport, SyncError>,
}

/// The sessions under way, and the peers that wait for theirs.
pub(super) struct Sessions {
    core: Arc<Core>,
    links: Links,
    under_way: BTreeSet<NodeId>,
    waiting: BTreeMap<NodeId, SocketAddr>,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
    done: mpsc::Sender<Synced>,
}

impl Sessions {
    /// None yet. What comes of them comes out of the receiver.
    pub(super) fn new(core: Arc<Core>, links: Links) -> (Self, mpsc::Receiver<Synced>) {
        let (done, outcomes) = mpsc::channel(AT_A_TIME);
        let sessions = Self {
            core,
            links,
            under_way: BTreeSet::new(),
            waiting: BTreeMap::new(),
            tasks: JoinSet::new(),
            done,
        };
        (sessions, outcomes)
    }

    /// Syncs with a peer as soon as it can be. One that waits already, or is synced with right now, is asked for once more at most.
    pub(super) fn ask(&mut self, peer: NodeId, address: SocketAddr) {
        self.waiting.insert(peer, address);
        self.begin();
    }

    /// A session is over. Begins what has waited for it.
    pub(super) fn ended(&mut self, peer: NodeId) {
        self.under_way.remove(&peer);
        while self.tasks.try_join_next().is_some() {}
        self.begin();
    }

    fn begin(&mut self) {
        while self.under_way.len() < AT_A_TIME {
            let under_way = &self.under_way;
            let next = self
                .waiting
                .iter()
                .find(|(peer, _)| !under_way.contains(peer));
            let Some((&peer, &address)) = next else {
                return;
            };
            self.waiting.remove(&peer);
            self.under_way.insert(peer);
            let (core, links, done) = (self.core.clone(), self.links.clone(), self.done.clone());
            self.tasks.spawn(async move {
                let outcome = sync(&core, &links, peer, address).await;
                // Nobody waits for it any more when the node ends.
                let _ended = done.send(Synced { peer, outcome }).await;
            });
        }
    }
}

async fn sync(
    core: &Core,
    links: &Links,
    peer: NodeId,
    address: SocketAddr,
) -> Result<SyncReport, SyncError> {
    let held = links.connection(peer, address).await?;
    core.sync_over(&held.connection, &SyncOptions::default())
        .await
}
