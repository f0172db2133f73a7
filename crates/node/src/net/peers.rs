//! The peers that a node was given, and how syncing with each has gone.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use syncline_sync::quic::NodeId;

use super::peer_addr::PeerAddr;
use super::sync::{SyncError, SyncReport};

/// A peer that the node syncs with on a schedule; see [`Node::peers`](crate::Node::peers).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The address that the node was given.
    pub address: PeerAddr,
    /// Who answered there last.
    pub node: Option<NodeId>,
    /// When a sync with it last went well.
    pub last_success: Option<SystemTime>,
    /// What that one did.
    pub last_report: Option<SyncReport>,
    /// How many have failed since.
    pub failures: u32,
    /// Why the last one failed; `None` when it went well, or none was tried yet.
    pub last_error: Option<String>,
}

/// All of them, in the order in which they were given.
pub(crate) struct Peers(Mutex<Vec<PeerStatus>>);

impl Peers {
    pub(crate) fn new(addresses: Vec<PeerAddr>) -> Self {
        let untried = addresses.into_iter().map(|address| PeerStatus {
            address,
            node: None,
            last_success: None,
            last_report: None,
            failures: 0,
            last_error: None,
        });
        Self(Mutex::new(untried.collect()))
    }

    pub(crate) fn all(&self) -> Vec<PeerStatus> {
        self.with(|peers| peers.clone())
    }

    /// Notes how a sync went; returns how many have failed in a row now.
    pub(crate) fn record(&self, index: usize, outcome: Result<SyncReport, SyncError>) -> u32 {
        self.with(|peers| {
            let peer = &mut peers[index];
            match outcome {
                Ok(report) => {
                    peer.node = Some(report.peer);
                    peer.last_success = Some(SystemTime::now());
                    peer.last_report = Some(report);
                    peer.failures = 0;
                    peer.last_error = None;
                }
                Err(error) => {
                    peer.failures = peer.failures.saturating_add(1);
                    peer.last_error = Some(error.to_string());
                }
            }
            peer.failures
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<PeerStatus>) -> T) -> T {
        // Each change is a few assignments that cannot panic half way.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
