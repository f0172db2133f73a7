//! Serves the sessions that peers begin.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use syncline_sync::quic::{Arrival, DriveError, Endpoint, Host, Incoming, NodeId};
use syncline_sync::{Config, Report};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cluster::Links;
use crate::core::{Core, lock};
use crate::replica::InUse;

/// Lets peers in until the node closes. Begins no session then, and returns when the last one under way has ended.
pub(crate) async fn serve(
    endpoint: Endpoint,
    links: Links,
    doorkeeper: Arc<Doorkeeper>,
    mut closing: watch::Receiver<bool>,
) {
    let drained = async {
        // The sender is gone when the node was dropped without a shutdown, and this task with it.
        drop(closing.wait_for(|closing| *closing).await);
        doorkeeper.drained().await;
    };
    let let_in = async {
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => drop(handshakes.spawn(admit(incoming, links.clone()))),
                    None => return,
                },
                Some(_ended) = handshakes.join_next() => {}
            }
        }
    };
    tokio::select! {
        () = let_in => {}
        () = drained => {}
    }
}

async fn admit(incoming: Incoming, links: Links) {
    let from = incoming.remote_addr();
    match incoming.established().await {
        Ok(Arrival::Member(connection)) => links.adopt(connection),
        Ok(Arrival::Petitioner(petition)) => {
            if let Err(error) = petition.answer().await {
                tracing::info!(%from, %error, "a petition failed");
            }
        }
        // It was logged where it was refused.
        Ok(_) | Err(_) => {}
    }
}

/// Finds the replicas that peers ask for.
pub(crate) struct Doorkeeper {
    core: Arc<Core>,
    /// Copied for each session; taken away to let nobody in any more.
    token: Mutex<Option<mpsc::Sender<Infallible>>>,
    /// Ends when the last copy is gone.
    tokens: tokio::sync::Mutex<mpsc::Receiver<Infallible>>,
}

impl Doorkeeper {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let (token, tokens) = mpsc::channel(1);
        Self {
            core,
            token: Mutex::new(Some(token)),
            tokens: tokio::sync::Mutex::new(tokens),
        }
    }

    /// Lets nobody in any more, and waits for the end of the sessions under way.
    async fn drained(&self) {
        drop(lock(&self.token).take());
        // Nothing is ever sent: this is the moment when the last token is dropped.
        let _none = self.tokens.lock().await.recv().await;
    }
}

impl Host for Doorkeeper {
    type Replica = InUse;

    fn ended(&self, namespace: &str, peer: NodeId, outcome: &Result<Report, DriveError>) {
        let accounts = &self.core.network.accounts;
        accounts.served(peer, namespace, outcome);
        match outcome {
            Ok(report) => {
                tracing::debug!(namespace, %peer, agreed = report.agreed, "served");
                if let Some(replica) = self.core.carried().remove(namespace) {
                    self.core.met(peer, &replica, report);
                }
            }
            Err(error) => tracing::info!(namespace, %peer, %error, "a session failed"),
        }
    }

    fn open(&self, namespace: &str, peer: NodeId) -> Option<(InUse, Config)> {
        let token = lock(&self.token).clone()?;
        let replica = self.core.carried().remove(namespace)?;
        match Handle::current().block_on(replica.open()) {
            Ok(open) => {
                let picture = self.core.network.accounts.serves(peer, namespace);
                let open = open.guarding(token).drawing(picture);
                Some((open, self.core.session_config(namespace)))
            }
            Err(error) => {
                tracing::error!(namespace, %peer, %error, "a peer was turned away");
                None
            }
        }
    }
}
