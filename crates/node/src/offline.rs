//! What stands in the place of `net` in a build without networking: the same parts, with nothing in them.

use std::sync::Arc;

use crate::core::Core;
use crate::start_error::StartError;

#[derive(Debug, Default)]
pub(crate) struct Plan {}

pub(crate) struct Network;

#[derive(Debug)]
pub(crate) struct Running;

impl Plan {
    pub(crate) async fn network(self) -> Result<Network, StartError> {
        Ok(Network)
    }
}

impl Running {
    pub(crate) fn start(_core: &Arc<Core>) -> Result<Self, StartError> {
        Ok(Self)
    }

    pub(crate) async fn stop(&self, _core: &Core) {}
}
