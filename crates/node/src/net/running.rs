//! What goes on by itself while a node runs: listening, and the schedule of its peers.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_sync::quic::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::schedule::keep_in_sync;
use super::serve::{Doorkeeper, serve};
use crate::cluster::{Driver, Handle, Links};
use crate::core::{Core, lock};
use crate::start_error::StartError;

/// How long a shutdown waits for sessions under way before it cuts them.
const GRACE: Duration = Duration::from_secs(3);

pub(crate) struct Running {
    endpoint: Mutex<Option<Endpoint>>,
    /// The node's place among the members of its cluster, if it listens.
    cluster: Option<(Handle, Links)>,
    pub(super) local_addr: Option<SocketAddr>,
    closing: watch::Sender<bool>,
    /// Aborted when dropped.
    tasks: Mutex<JoinSet<()>>,
    /// So is the driver of the cluster, which does not end by itself.
    driving: Mutex<JoinSet<()>>,
}

impl Running {
    pub(crate) fn start(core: &Arc<Core>) -> Result<Self, StartError> {
        let endpoint = match core.network.listen {
            Some(address) => Some(core.bind(address)?),
            None => None,
        };
        let local_addr = match &endpoint {
            Some(endpoint) => Some(endpoint.local_addr().map_err(StartError::Address)?),
            None => None,
        };
        let (closing, closed) = watch::channel(false);
        let (mut tasks, mut driving) = (JoinSet::new(), JoinSet::new());
        let cluster = match (&endpoint, local_addr) {
            (Some(endpoint), Some(address)) => {
                let doorkeeper = Arc::new(Doorkeeper::new(core.clone()));
                let (driver, handle, links) =
                    Driver::new(core.clone(), doorkeeper.clone(), address)?;
                tasks.spawn(serve(
                    endpoint.clone(),
                    links.clone(),
                    doorkeeper,
                    closed.clone(),
                ));
                // It is set once, for the one driver of the node.
                let _first = core.network.cluster.set(handle.clone());
                Some((driver, handle, links))
            }
            _ => None,
        };
        let cluster = cluster.map(|(driver, handle, links)| {
            driving.spawn(driver.run());
            (handle, links)
        });
        for (index, peer) in core.network.peers.all().into_iter().enumerate() {
            let core = core.clone();
            tasks.spawn(keep_in_sync(core, index, peer.address, closed.clone()));
        }
        tracing::info!(node = %core.id(), listen = ?local_addr, "started");
        Ok(Self {
            endpoint: Mutex::new(endpoint),
            cluster,
            driving: Mutex::new(driving),
            local_addr,
            closing,
            tasks: Mutex::new(tasks),
        })
    }

    pub(crate) fn cluster(&self) -> Option<&Handle> {
        self.cluster.as_ref().map(|(handle, _)| handle)
    }

    /// Begins nothing new, gives what is under way time to end, and lets go of every address.
    pub(crate) async fn stop(&self, core: &Core) {
        if let Some((cluster, _)) = &self.cluster {
            cluster.leave().await;
        }
        // With no receiver left there is nobody to be told.
        let _nobody = self.closing.send(true);
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(GRACE, ended).await.is_err() {
            tracing::warn!("sessions were cut by the shutdown");
        }
        tasks.shutdown().await;
        let mut driving = std::mem::take(&mut *lock(&self.driving));
        driving.shutdown().await;
        if let Some((_, links)) = &self.cluster {
            links.stop().await;
        }
        let listening = lock(&self.endpoint).take();
        let dialling = core.stop_dialling();
        for endpoint in [listening, dialling].into_iter().flatten() {
            endpoint.close().await;
        }
        if let Some(address) = self.local_addr {
            free(address).await;
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// Waits until an address that was listened on can be taken again, within reason. The transport gives its socket up by
/// itself, a moment after the endpoint was closed.
async fn free(address: SocketAddr) {
    let taken = async {
        while UdpSocket::bind(address).is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    if timeout(Duration::from_secs(1), taken).await.is_err() {
        tracing::warn!(%address, "the address is still in use after the shutdown");
    }
}
