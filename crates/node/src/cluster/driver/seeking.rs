//! Finding the cluster by its seeds.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Driver;

impl Driver {
    /// Connects to the seeds that are no members now, to learn who is there.
    pub(super) fn seek(&mut self) {
        if self.seeds.is_empty() {
            return;
        }
        let active = self.membership.members();
        let here = active.filter(|it| it.state.is_active());
        let here: BTreeSet<SocketAddr> = here.map(|it| it.address).collect();
        let me = self.membership.identity().address();
        for seed in &self.seeds {
            let (seed, links) = (seed.clone(), self.links.clone());
            let (found, here) = (self.ears.finding.clone(), here.clone());
            drop(tokio::spawn(async move {
                let addresses = match tokio::net::lookup_host(seed.as_str()).await {
                    Ok(addresses) => addresses,
                    Err(error) => return tracing::warn!(%seed, %error, "a seed has no address"),
                };
                for address in addresses.filter(|it| *it != me && !here.contains(it)) {
                    match links.dial(None, address).await {
                        Ok(connection) => {
                            // The node ends otherwise.
                            let _ended = found.send((connection.peer(), address)).await;
                        }
                        Err(error) => tracing::warn!(%seed, %error, "a seed was not reached"),
                    }
                }
            }));
        }
    }
}
