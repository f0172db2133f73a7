//! Sessions over QUIC, between nodes that prove to each other that they belong to one cluster.
//!
//! An [`Endpoint`] is a UDP socket with an [`Identity`]; it makes and takes [`Connection`]s, each
//! of which is authenticated both ways before it exists; over a connection run sessions, a
//! bidirectional stream each, begun with [`Connection::sync`] and answered by [`Endpoint::serve`].
//! Gossip passes beside them, as datagrams and on [channels](Connection::open_channel).
//! What is said on a stream is the business of [`Session`](crate::Session); here frames are read,
//! bounded, timed and written, and the session's work on the store is kept off the threads that
//! move packets.
//!
//! ```text
//! Endpoint::serve ─▶ Connection::serve ─▶ a stream: greeting ─▶ Host::open ─▶ Session::respond ─┐
//!                    Connection::sync  ─▶ a stream:             Session::initiate ──────────────┴▶ drive
//! ```
//!
//! Trust is TLS 1.3 with certificates on both sides, checked against the cluster's authority; there
//! is nothing before it and nothing without it. Bounds are [`Limits`]. A session that ends in
//! whatever way leaves both stores sound: each thing it stored was one commit of the store, true by
//! itself.
//!
//! What may change while an endpoint is bound is in [`Trust`]: the certificate, the authorities, who was
//! revoked. Who is no member yet can hand in a [`Petition`].
//!
//! What is not here: finding peers, deciding when to sync with whom or who becomes a member. The two
//! halves of a whole exchange:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//! use syncline_store::{MemoryEngine, Store};
//! use syncline_sync::quic::{Endpoint, Identity, Limits, NodeId};
//! use syncline_sync::{Config, Request};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(MemoryEngine::new(), syncline_store::Config::new("app", [7; 32]))?;
//! let identity = Identity::load("ada/node.pem", "ada/node.key", "ada/ca.pem")?;
//! let endpoint = Endpoint::bind("0.0.0.0:7400".parse()?, &identity, Limits::default())?;
//! let node = *endpoint.node().as_bytes();
//! let config = move |namespace: &str| {
//!     let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
//!     Config::new([1; 16], node, namespace, clock.as_millis() as u64)
//! };
//!
//! // Answer whoever asks …
//! let (serving, replica) = (endpoint.clone(), store.clone());
//! let host = move |namespace: &str, _peer: NodeId| {
//!     (namespace == "app").then(|| (replica.clone(), config(namespace)))
//! };
//! tokio::spawn(async move { serving.serve(Arc::new(host)).await });
//!
//! // … and ask somebody.
//! let connection = endpoint.connect("10.0.0.7:7400".parse()?).await?;
//! let salt = [4; 16]; // random bytes, fresh ones for each session
//! let report = connection.sync(store, config("app"), Request::new(salt)).await?;
//! println!("{} rows came from {}", report.rows_received, connection.peer());
//! # Ok(())
//! # }
//! ```

mod certificate;
mod channel;
mod connection;
mod drive;
mod endings;
mod endpoint;
mod identity;
mod limits;
mod link;
mod lost;
mod node_id;
mod pacer;
mod petition;
mod serve;
mod stream;
mod tls;
mod trust;

pub use certificate::{AuthorityId, GRANT_EXTENSION, Grant, NamespaceTag, Root};
pub use channel::{DatagramError, Inlet, Outlet};
pub use connection::Connection;
pub use drive::DriveError;
pub use endpoint::{Arrival, Endpoint, Incoming};
pub use identity::{CERTIFICATE_NAME, Identity, IdentityError};
pub use limits::Limits;
pub use link::{Forwarder, Traffic};
pub use lost::{Alert, BindError, ConnectError, Lost};
pub use node_id::{NoNodeId, NodeId};
pub use pacer::Pacer;
pub use petition::{Doorkeeper, Guest, Petition, PetitionError, Petitioner};
pub use serve::Host;
pub use stream::StreamError;
pub use tls::{ALPN, PETITION_ALPN};
pub use trust::{AdoptError, Trust};
