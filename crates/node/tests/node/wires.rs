//! Nodes behind wires that can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use syncline::Node;
use syncline::trust::Cluster;
use syncline_sync::quic::Forwarder;

/// A node that others reach through a wire alone, whichever of them connects. Sessions heal nothing.
pub(crate) async fn wired(cluster: &Cluster, seed: Option<&Forwarder>) -> (Node, Forwarder) {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    let wire = Forwarder::start(address, Duration::ZERO).await.unwrap();
    let mut node = Node::builder()
        .in_memory()
        .cluster(cluster)
        .sync_every(Duration::from_secs(3600))
        .listen(address.to_string())
        .advertise(wire.local_addr().to_string());
    if let Some(seed) = seed {
        node = node.join(seed.local_addr());
    }
    drop(free);
    (node.start().await.unwrap(), wire)
}
