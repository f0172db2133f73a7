//! Sessions over QUIC.
mod endpoint;
mod identity;
mod limits;
mod link;
mod lost;
mod stream;
mod tls;

pub use endpoint::{Connection, Endpoint, Incoming};
pub use identity::{CERTIFICATE_NAME, Identity, IdentityError, NodeId};
pub use limits::Limits;
pub use link::{Forwarder, Traffic};
pub use lost::{Alert, BindError, ConnectError, Lost};
pub use stream::StreamError;
pub use tls::ALPN;
