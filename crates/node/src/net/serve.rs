//! Serves the sessions that peers begin.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_sync::Config;
use syncline_sync::quic::{Endpoint, Host, NodeId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::core::Core;
use crate::replica::InUse;

/// Serves until the node closes. Begins no session then, and returns when the last one under way has ended.
pub(crate) async fn serve(core: Arc<Core>, endpoint: Endpoint, mut closing: watch::Receiver<bool>) {
    let (token, mut tokens) = mpsc::channel(1);
    let host = Arc::new(Doorkeeper {
        core,
        token: Mutex::new(Some(token)),
    });
    let drained = async {
        // The sender is gone when the node was dropped without a shutdown, and this task with it.
        drop(closing.wait_for(|closing| *closing).await);
        host.close();
        tokens.recv().await
    };
    tokio::select! {
        () = endpoint.serve(host.clone()) => {}
        // Nothing is ever sent: this is the moment when the last token is dropped.
        _none = drained => {}
    }
}

/// Finds the replicas that peers ask for.
struct Doorkeeper {
    core: Arc<Core>,
    /// Copied for each session; taken away to let nobody in any more.
    token: Mutex<Option<mpsc::Sender<Infallible>>>,
}

impl Doorkeeper {
    fn close(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Host for Doorkeeper {
    type Replica = InUse;

    fn open(&self, namespace: &str, peer: NodeId) -> Option<(InUse, Config)> {
        let token = self
            .token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let replica = self.core.carried().remove(namespace)?;
        match Handle::current().block_on(replica.open()) {
            Ok(open) => Some((open.guarding(token), self.core.session_config(namespace))),
            Err(error) => {
                tracing::error!(namespace, %peer, %error, "a peer was turned away");
                None
            }
        }
    }
}
