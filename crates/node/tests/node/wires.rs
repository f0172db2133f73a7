//! Nodes behind wires that can be cut.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{Builder, Node};
use syncline_sync::quic::Forwarder;

/// A place to listen at that others reach through a wire alone, whichever of them connects.
pub(crate) struct Place {
    address: SocketAddr,
    pub(crate) wire: Forwarder,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let wire = Forwarder::start(address, Duration::ZERO).await.unwrap();
        Self { address, wire }
    }

    /// Has a node listen here. Sessions heal nothing: it begins them once an hour.
    pub(crate) fn listen(&self, node: Builder) -> Builder {
        node.sync_every(Duration::from_secs(3600))
            .listen(self.address.to_string())
            .advertise(self.wire.local_addr().to_string())
    }

    /// Waits until whoever listened here has gone.
    pub(crate) async fn is_free(&self) {
        while UdpSocket::bind(self.address).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A node in memory that others reach through a wire alone.
pub(crate) async fn wired(cluster: &Cluster, seed: Option<&Forwarder>) -> (Node, Forwarder) {
    let place = Place::new().await;
    let mut node = place.listen(Node::builder().in_memory().cluster(cluster));
    if let Some(seed) = seed {
        node = node.join(seed.local_addr());
    }
    (node.start().await.unwrap(), place.wire)
}
