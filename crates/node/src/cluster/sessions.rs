//! The sessions that the driver begins.

use std::net::SocketAddr;
use std::sync::Arc;

use syncline_sync::quic::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::links::Links;
use crate::core::Core;
use crate::net::{SyncError, SyncOptions, SyncReport};

/// Sessions whose outcome may wait to be heard of.
const OUTCOMES: usize = 16;

/// What has come of syncing with a peer.
#[derive(Debug)]
pub(super) struct Synced {
    pub(super) peer: NodeId,
    pub(super) outcome: Result<SyncReport, SyncError>,
}

/// The sessions under way, which are as many as the schedule begins.
pub(super) struct Sessions {
    core: Arc<Core>,
    links: Links,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
    done: mpsc::Sender<Synced>,
}

impl Sessions {
    /// None yet. What comes of them comes out of the receiver.
    pub(super) fn new(core: Arc<Core>, links: Links) -> (Self, mpsc::Receiver<Synced>) {
        let (done, outcomes) = mpsc::channel(OUTCOMES);
        let sessions = Self {
            core,
            links,
            tasks: JoinSet::new(),
            done,
        };
        (sessions, outcomes)
    }

    /// Syncs with a peer all namespaces that both carry.
    pub(super) fn begin(&mut self, peer: NodeId, address: SocketAddr) {
        while self.tasks.try_join_next().is_some() {}
        let (core, links, done) = (self.core.clone(), self.links.clone(), self.done.clone());
        self.tasks.spawn(async move {
            let outcome = sync(&core, &links, peer, address).await;
            // Nobody waits for it any more when the node ends.
            let _ended = done.send(Synced { peer, outcome }).await;
        });
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
