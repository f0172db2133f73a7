//! What the parts of a running node need to know.

use std::sync::Arc;

use syncline_store::{Durability, Environment};

use crate::scrub::ScrubPlan;

/// What the parts of a running node need to know.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) cache_bytes: usize,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) scrub: Option<ScrubPlan>,
}
