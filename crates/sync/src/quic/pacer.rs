//! Who decides when sessions may send, where bytes are counted.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use super::node_id::NodeId;

/// Spreads what sessions send over time. Given to an endpoint in its [`Limits`](super::Limits::pacer).
pub trait Pacer: Debug + Send + Sync {
    /// Waits until a frame of so many bytes may go out to a peer. It is asked for each frame of each session before it goes, and one
    /// that is not wanted any more is dropped.
    ///
    /// A session whose peer hears nothing for [`Limits::stall`](super::Limits::stall) is cut, so the wait should be well below.
    fn admit<'a>(
        &'a self,
        to: NodeId,
        bytes: usize,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}
