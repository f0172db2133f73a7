//! The task that carries what waits for one peer, and goes when nothing does.
//!
//! A courier takes its peer's parcels in their order, each to the newest connection that there is by then: as a datagram,
//! or on the channel that it keeps open. It dials where there is none, and a peer that cannot be reached is its end.

use std::net::SocketAddr;
use std::sync::Weak;
use std::time::{Duration, Instant};

use syncline_sync::quic::{Connection, NodeId, Outlet, StreamError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Carriage, Heard, Links, Parcel, Shared, may_pass};
use crate::core::lock;
use crate::net::SyncError;

/// After which a courier with nothing to carry goes. Its connection stays for as long as the peer shows that it lives.
const IDLE: Duration = Duration::from_secs(60);

/// Carries parcels to one peer until there are none for a while, or the peer cannot be reached.
pub(super) async fn carry(
    shared: Weak<Shared>,
    to: NodeId,
    address: Option<SocketAddr>,
    mut parcels: mpsc::Receiver<Parcel>,
) {
    let mut way: Option<(Connection, Option<Outlet>)> = None;
    while let Ok(Some(parcel)) = timeout(IDLE, parcels.recv()).await {
        let Some(links) = shared.upgrade().map(Links) else {
            return;
        };
        // The newest is asked for each time: the one that was used last may be to an earlier life of the peer, which takes all that is sent until it
        // has been silent for long.
        let newest = links.newest(to);
        let is_newest =
            |(it, _): &(Connection, _)| newest.as_ref().is_some_and(|newest| it.is(newest));
        if !way.as_ref().is_some_and(is_newest) {
            let connection = match (newest, address) {
                (Some(connection), _) => Ok(connection),
                (None, Some(address)) => links.dial(Some(to), address).await,
                (None, None) => return links.0.carried(1 + parcels.len() as u64, 0),
            };
            match connection {
                Ok(connection) => way = Some((connection, None)),
                Err(error) => {
                    links.unreachable(to, error, 1 + parcels.len()).await;
                    return;
                }
            }
        }
        let Some((connection, outlet)) = &mut way else {
            continue;
        };
        let length = parcel.len();
        match deliver(connection, outlet, parcel).await {
            Ok(()) => {
                links.0.carried(1, length);
                links.0.core.network.accounts.gossip_sent(to, length);
            }
            Err(error) => {
                links.0.carried(1, 0);
                tracing::debug!(peer = %to, %error, "a message was not delivered");
                links.drop_parcels(1);
                *outlet = None;
                continue;
            }
        };
    }
}

async fn deliver(
    connection: &Connection,
    outlet: &mut Option<Outlet>,
    parcel: Parcel,
) -> Result<(), StreamError> {
    let Parcel { carriage, bytes } = parcel;
    if !may_pass(connection, &bytes) {
        return Ok(());
    }
    if carriage == Carriage::Datagram && connection.takes_datagram(bytes.len()) {
        // The only failure left is the end of the connection, which the next parcel finds.
        let _lost = connection.send_datagram(bytes);
        return Ok(());
    }
    let outlet = match outlet {
        Some(outlet) => outlet,
        None => outlet.insert(connection.open_channel().await?),
    };
    outlet.send(&bytes).await
}

impl Links {
    async fn unreachable(&self, peer: NodeId, error: SyncError, parcels: usize) {
        self.drop_parcels(parcels as u64);
        self.0.carried(parcels as u64, 0);
        if let Some(peer) = lock(&self.0.peers).get_mut(&peer) {
            peer.queue = None;
            peer.unreached = Some(Instant::now());
        }
        // Nobody listens any more when the node ends.
        let _ended = self.0.heard.send(Heard::Unreachable { peer, error }).await;
    }
}
