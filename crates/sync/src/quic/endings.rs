//! Streams that have ended here while the peer's transport has not acknowledged it yet.
//!
//! Acknowledgements may take 25 ms, which is long beside a session that takes one. A session that
//! is over on both sides does not wait for them; closing its connection does, or the peer could see
//! the connection go before the end of the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How many such streams there are, on a connection or at an endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings(Arc<watch::Sender<usize>>);

impl Endings {
    /// One more, until the guard is dropped.
    pub(crate) fn one(&self) -> Ending {
        self.0.send_modify(|count| *count += 1);
        Ending(self.clone())
    }

    pub(crate) fn are_over(&self) -> bool {
        *self.0.borrow() == 0
    }

    /// Waits until there are none, or for so long.
    pub(crate) async fn over(&self, limit: Duration) {
        let mut count = self.0.subscribe();
        // The sender is `self`, so waiting fails by the limit alone, and then there is nothing to
        // do but to go on.
        let _in_time = timeout(limit, count.wait_for(|count| *count == 0)).await;
    }
}

/// Stands for one stream.
#[derive(Debug)]
pub(crate) struct Ending(Endings);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
