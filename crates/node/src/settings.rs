//! What the parts of a running node need to know.

use std::sync::Arc;
use std::time::Duration;

use syncline_store::{Durability, Environment};
use syncline_sync::quic::Limits;

/// What the parts of a running node need to know.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) sync_every: Duration,
    pub(crate) max_clock_skew: Duration,
    pub(crate) durability: Durability,
    pub(crate) cache_bytes: usize,
    pub(crate) limits: Limits,
    pub(crate) environment: Arc<dyn Environment>,
}
