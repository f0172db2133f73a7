//! Which carriers were met at which nodes, so that those of a node that is gone for good can be forgotten.
//!
//! A roster knows carriers, which are stores; people know nodes. What sessions show of the one and the other is kept in the data
//! directory. Somebody has met every carrier that counts, and whoever forgets it tells the others when they sync.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use syncline_crdt::CarrierId;
use syncline_sync::Report;
use syncline_sync::quic::NodeId;

use crate::core::{Core, lock};
use crate::error::Error;
use crate::replica::Replica;

/// The most that is kept; a member that came with ever new stores could make it grow.
const MOST: usize = 100_000;
const FILE: &str = "carriers";

/// A store, as the node met it.
type Meeting = (NodeId, String, CarrierId);

/// What was met.
#[derive(Debug, Default)]
pub(super) struct Met(Mutex<Option<BTreeSet<Meeting>>>);

impl Core {
    /// Notes what a session has shown: how long it took, and the peer's store.
    pub(crate) fn met(&self, peer: NodeId, replica: &Replica, report: &Report) {
        let took = Duration::from_millis(report.elapsed_ms);
        replica.worked().session_time.record(took);
        let namespace = replica.namespace();
        let Some(carrier) = report.peer_carrier else {
            return;
        };
        let mut met = lock(&self.network.met.0);
        let met = met.get_or_insert_with(|| self.read_met());
        if met.len() < MOST && met.insert((peer, namespace.to_owned(), carrier)) {
            self.write_met(met);
        }
    }

    /// Counts no more with the stores of nodes that are gone for good.
    pub(crate) async fn forget_the_gone(&self) {
        let gone = self.trust.gone();
        if gone.is_empty() {
            return;
        }
        let forgettable: Vec<Meeting> = {
            let mut met = lock(&self.network.met.0);
            let met = met.get_or_insert_with(|| self.read_met());
            met.iter()
                .filter(|(node, ..)| gone.contains(node))
                .cloned()
                .collect()
        };
        for meeting in forgettable {
            let (node, namespace, carrier) = &meeting;
            match self.forget(namespace, *carrier).await {
                Ok(true) => {
                    tracing::warn!(%node, namespace, %carrier, "a carrier is gone for good and was forgotten");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%node, namespace, %carrier, %error, "a carrier could not be forgotten, which will be tried again");
                    continue;
                }
            }
            let mut met = lock(&self.network.met.0);
            let met = met.get_or_insert_with(|| self.read_met());
            met.remove(&meeting);
            self.write_met(met);
        }
    }

    /// Whether it was news.
    async fn forget(&self, namespace: &str, carrier: CarrierId) -> Result<bool, Error> {
        // A namespace that is not carried here is for others.
        let Some(replica) = self.carried().remove(namespace) else {
            return Ok(false);
        };
        let open = replica.open().await?;
        crate::blocking(move || {
            let _turn = open.turn();
            Ok(open.store.forget_carrier(carrier)?)
        })
        .await
    }

    fn met_file(&self) -> Option<PathBuf> {
        Some(self.identity_home()?.parent()?.join(FILE))
    }

    fn read_met(&self) -> BTreeSet<Meeting> {
        // A file that is not there, or cannot be read, is made again by the sessions to come.
        let text = self.met_file().map(fs::read_to_string);
        let text = text.and_then(Result::ok).unwrap_or_default();
        let meeting = |line: &str| {
            let mut words = line.split(' ');
            let node = words.next()?.parse().ok()?;
            let namespace = words.next()?.to_owned();
            Some((node, namespace, words.next()?.parse().ok()?))
        };
        text.lines().filter_map(meeting).collect()
    }

    fn write_met(&self, met: &BTreeSet<Meeting>) {
        let Some(path) = self.met_file() else {
            return;
        };
        let text: String = met
            .iter()
            .map(|(node, namespace, carrier)| format!("{node} {namespace} {carrier}\n"))
            .collect();
        let made = path.with_extension("new");
        let written = fs::write(&made, text).and_then(|()| fs::rename(&made, &path));
        if let Err(error) = written {
            tracing::error!(%error, path = %path.display(), "which carriers were met cannot be kept");
        }
    }
}
