//! What the server has done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::reply::Reply;
use crate::request::Request;
use crate::table::Command;

/// Counters, since the start or the last `CONFIG RESETSTAT`.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Nanoseconds spent on commands.
    pub(crate) busy: AtomicU64,
}

impl Stats {
    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    /// A command was executed.
    pub(crate) fn end(
        &self,
        _command: &'static Command,
        _request: &Request,
        reply: &Reply,
        began: Instant,
    ) {
        let took = began.elapsed();
        self.commands.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(nanoseconds(took), Ordering::Relaxed);
        if reply.is_error() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
