//! How a node is to take its place in a cluster, and what a builder is told of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::{ToSocketAddrs, lookup_host};

use crate::builder::Builder;
use crate::net::PeerAddr;
use crate::start_error::StartError;

/// How a node is to take its place in a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeds {
    pub(crate) join: Vec<PeerAddr>,
    pub(crate) advertise: Option<String>,
    pub(crate) zone: String,
    /// What `advertise` comes to. Port 0 stands for the one that is listened on.
    pub(crate) advertised: Option<SocketAddr>,
    /// A seed, as an example of where others are.
    pub(crate) towards: Option<SocketAddr>,
}

impl Seeds {
    /// Makes names out. A seed that has no address yet may have one later.
    pub(crate) async fn resolve(&mut self) -> Result<(), StartError> {
        if let Some(text) = &self.advertise {
            let whole = first(text.as_str()).await;
            let host = match whole {
                Ok(_) => whole,
                Err(_) => first((text.as_str(), 0)).await,
            };
            let advertised = host.map_err(|error| StartError::Advertise {
                address: text.clone(),
                reason: error.to_string(),
            })?;
            self.advertised = Some(advertised);
        }
        if let Some(seed) = self.join.first() {
            self.towards = first(seed.as_str()).await.ok();
        }
        Ok(())
    }

    /// Where others reach a node that listens here.
    pub(super) fn address(&self, listening: SocketAddr) -> SocketAddr {
        let ip = match self.advertised {
            Some(address) if address.port() != 0 => return address,
            Some(address) => address.ip(),
            None if listening.ip().is_unspecified() => {
                let towards = self.towards.unwrap_or(SOMEWHERE);
                outward(towards).unwrap_or(Ipv4Addr::LOCALHOST.into())
            }
            None => listening.ip(),
        };
        SocketAddr::new(ip, listening.port())
    }
}

/// An address that is nobody's (RFC 5737), behind whatever way leads out of this machine.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

async fn first(name: impl ToSocketAddrs) -> io::Result<SocketAddr> {
    let mut found = lookup_host(name).await?;
    found.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The node in a cluster that runs itself (feature `net`).
impl Builder {
    /// Joins the cluster that a node at this address is a member of; may be called again for more of them. It takes one
    /// that is there, and the others are sought, too, whenever they are not: so name several, and the halves of a cluster that was split will
    /// find each other.
    ///
    /// A member tells the others where it [listens](Builder::listen), spreads what is written to it among those who carry the same
    /// namespaces, and syncs with them by itself.
    ///
    /// ```
    /// use syncline::Node;
    /// use syncline::trust::Cluster;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::throwaway()?;
    /// let member = || Node::builder().in_memory().cluster(&cluster).listen("127.0.0.1:0");
    /// let ada = member().start().await?;
    /// let bob = member().join(&ada).start().await?;
    ///
    /// let (here, there) = (ada.namespace("app")?, bob.namespace("app")?);
    /// let mut changes = there.watch("").await?;
    /// here.put("motto", "merge, do not fork").await?;
    /// changes.next().await?; // it has come by itself
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(mut self, seed: impl Into<PeerAddr>) -> Self {
        self.plan.seeds.join.push(seed.into());
        self
    }

    /// Where the other members reach this node, if that is another address than it listens on: behind address translation, or in a container.
    /// `host:port`, or a host alone where the port is the same.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.plan.seeds.advertise = Some(address.into());
        self
    }

    /// Where the node stands, such as a region or a rack: at most 64 bytes. Members prefer those of their own zone, where they can.
    pub fn zone(mut self, label: impl Into<String>) -> Self {
        self.plan.seeds.zone = label.into();
        self
    }
}

/// The address of this machine as others see it, as well as it can tell by itself: the one from which it would send to `towards`.
fn outward(towards: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match towards {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    // Nothing is sent by that: it chooses a route.
    socket.connect(towards).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}
