//! The network between the replicas: a wire for each direction of each pair, which really can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use syncline_sync::quic::Forwarder;
use tokio::runtime::Runtime;

use crate::failure::{Doing, Failure};

/// The wires, by who begins the connection and who is reached.
pub(crate) struct Network {
    runtime: Runtime,
    wires: Vec<Wire>,
    cut: bool,
}

struct Wire {
    from: usize,
    to: usize,
    forwarder: Forwarder,
}

impl Network {
    /// Connects every replica with every other.
    pub(crate) fn new(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .doing(|| "cannot start the network".to_owned())?;
        let mut network = Self {
            runtime,
            wires: Vec::new(),
            cut: false,
        };
        for (to, address) in addresses.iter().enumerate() {
            for from in (0..addresses.len()).filter(|from| *from != to) {
                network.wire(from, to, *address)?;
            }
        }
        Ok(network)
    }

    fn wire(&mut self, from: usize, to: usize, address: SocketAddr) -> Result<(), Failure> {
        let started = self
            .runtime
            .block_on(Forwarder::start(address, Duration::ZERO));
        let forwarder = started.doing(|| "cannot lay a wire".to_owned())?;
        if self.cut {
            forwarder.cut();
        }
        self.wires.push(Wire {
            from,
            to,
            forwarder,
        });
        Ok(())
    }

    /// Lays the wires to a replica anew that was started again under another address.
    pub(crate) fn moved(&mut self, to: usize, address: SocketAddr) -> Result<(), Failure> {
        let from: Vec<usize> = self
            .wires
            .iter()
            .filter(|wire| wire.to == to)
            .map(|wire| wire.from)
            .collect();
        self.wires.retain(|wire| wire.to != to);
        from.into_iter()
            .try_for_each(|from| self.wire(from, to, address))
    }

    /// Where `from` reaches `to`.
    pub(crate) fn address(&self, from: usize, to: usize) -> Result<SocketAddr, Failure> {
        let wire = self
            .wires
            .iter()
            .find(|wire| wire.from == from && wire.to == to);
        wire.map(|wire| wire.forwarder.local_addr())
            .ok_or_else(|| Failure::failed("there is no wire between these replicas"))
    }

    /// Cuts every wire: whatever is sent is lost, and nobody is told.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.wires.iter().for_each(|wire| wire.forwarder.cut());
    }

    pub(crate) fn heal(&mut self) {
        self.cut = false;
        self.wires.iter().for_each(|wire| wire.forwarder.restore());
    }

    /// Datagrams handed on, and lost, so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let traffic = self.wires.iter().map(|wire| wire.forwarder.traffic());
        traffic.fold((0, 0), |(forwarded, dropped), wire| {
            (forwarded + wire.forwarded, dropped + wire.dropped)
        })
    }
}
