//! The way from one replica to the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use syncline::trust::{Cluster, Membership};
use syncline_sync::quic::{Connection, Endpoint, Forwarder, Limits, NodeId};
use tokio::runtime::Handle;

use super::side::{Side, config};
use crate::bench::cpu;
use crate::bench::interrupt::Counted;
use crate::bench::workload::NAMESPACE;
use crate::failure::{Doing, Failure, Reason, chain};

const LAYING: fn() -> String = || "cannot set the session up".to_owned();

/// The way from our side to the peer, who serves at its end.
pub(crate) struct Link {
    from: Endpoint,
    to: SocketAddr,
    wire: Option<Wire>,
}

/// A wire with a delay, on a thread of its own so that its processor time can be taken off: it stands for the network.
struct Wire {
    _forwarder: Forwarder,
    handle: Handle,
}

impl Link {
    /// To a peer in this process.
    pub(crate) async fn lay(
        theirs: &Side,
        rtt_ms: u64,
        handed_out: Arc<AtomicU64>,
    ) -> Result<Self, Failure> {
        let cluster = Cluster::throwaway().doing(LAYING)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = || -> Result<Endpoint, Failure> {
            let member = cluster.admit().doing(LAYING)?;
            Endpoint::bind(any, &member.identity, Limits::default()).doing(LAYING)
        };
        let (from, serving) = (endpoint()?, endpoint()?);
        let replica = Counted {
            replica: theirs.store.clone(),
            rows: handed_out,
        };
        let host = move |namespace: &str, _peer: NodeId| {
            (namespace == NAMESPACE).then(|| (replica.clone(), config(NAMESPACE)))
        };
        let mut to = serving.local_addr().doing(LAYING)?;
        tokio::spawn(async move { serving.serve(Arc::new(host)).await });
        let mut wire = None;
        if rtt_ms > 0 {
            let laid = Wire::lay(to, Duration::from_millis(rtt_ms) / 2).await?;
            to = laid._forwarder.local_addr();
            wire = Some(laid);
        }
        Ok(Self { from, to, wire })
    }

    /// To a peer at an address, as the member of its cluster that a directory says we are.
    pub(crate) async fn reach(peer: &str, identity: &Path) -> Result<Self, Failure> {
        let member = Membership::load(identity).doing(LAYING)?;
        let told = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("cannot find {peer}: {error}")).because(Reason::Peer)
        };
        let mut addresses = tokio::net::lookup_host(peer)
            .await
            .map_err(|error| told(&error))?;
        let to = addresses.next().ok_or_else(|| told(&"it has no address"))?;
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let from = Endpoint::bind((any, 0).into(), &member.identity, Limits::default());
        Ok(Self {
            from: from.doing(LAYING)?,
            to,
            wire: None,
        })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let connected = self.from.connect(self.to).await;
        connected.map_err(|error| {
            Failure::failed(format!("cannot connect the replicas: {}", chain(&error)))
                .because(Reason::Peer)
        })
    }

    /// Processor time that the wire has used.
    pub(crate) async fn wire_cpu(&self) -> Duration {
        match &self.wire {
            None => Duration::ZERO,
            // Runs on the wire's own thread. Without an answer its time is not taken off, which flatters nobody.
            Some(wire) => wire
                .handle
                .spawn(async { cpu::of_thread() })
                .await
                .unwrap_or_default(),
        }
    }
}

impl Wire {
    async fn lay(to: SocketAddr, one_way: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(|| "cannot start the wire".to_owned())?;
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let started = handle.spawn(Forwarder::start(to, one_way)).await;
        let started = started.doing(|| "cannot start the wire".to_owned())?;
        Ok(Self {
            _forwarder: started.doing(|| "cannot start the wire".to_owned())?,
            handle,
        })
    }
}
