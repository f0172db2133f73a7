//! Where a peer is.

use std::fmt;
use std::net::SocketAddr;

/// Where a peer is: a socket address or `host:port`, or a node of this process.
///
/// ```
/// use std::net::SocketAddr;
/// use syncline::PeerAddr;
///
/// let there = PeerAddr::from("10.0.0.7:7400");
/// assert_eq!(there, PeerAddr::from(SocketAddr::from(([10, 0, 0, 7], 7400))));
/// assert_eq!(there.to_string(), "10.0.0.7:7400");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(String);

impl PeerAddr {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerAddr {
    fn from(address: &str) -> Self {
        Self(address.to_owned())
    }
}

impl From<String> for PeerAddr {
    fn from(address: String) -> Self {
        Self(address)
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
