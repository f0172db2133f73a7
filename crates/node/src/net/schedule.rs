//! Syncs with the peers that the node was given, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::peer_addr::PeerAddr;
use super::sync::SyncOptions;
use crate::core::Core;

/// The longest pause after failures, unless the interval itself is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Keeps in sync with one peer until the node closes. A sync under way then is left to end by itself.
pub(crate) async fn keep_in_sync(
    core: Arc<Core>,
    index: usize,
    peer: PeerAddr,
    mut closing: watch::Receiver<bool>,
) {
    let interval = core.network.settings.sync_every;
    loop {
        let outcome = core.sync_all(&peer, &SyncOptions::default()).await;
        match &outcome {
            Ok(report) => tracing::debug!(%peer, node = %report.peer, "synced"),
            Err(error) => tracing::warn!(%peer, %error, "the sync failed and will be tried again"),
        }
        let failures = core.network.peers.record(index, outcome);
        let pause = jittered(pause(interval, failures), rand::random());
        tokio::select! {
            () = sleep(pause) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// How long to wait after so many failures in a row.
fn pause(interval: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    interval
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE.max(interval))
}

/// Up to a tenth longer or shorter, so that the nodes of a cluster that started together do not stay in step. `chance` is
/// anything from 0 to 1.
fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.9 + 0.2 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = [0, 1, 2, 3, 9, 10, u32::MAX]
            .map(|failures| pause(second, failures).as_secs())
            .into();
        assert_eq!(pauses, [1, 1, 2, 4, 256, 300, 300]);
        let hour = Duration::from_secs(3600);
        assert_eq!(pause(hour, 7), hour);
        assert_eq!(pause(Duration::MAX, 9), Duration::MAX);
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let pause = Duration::from_secs(10);
        assert_eq!(jittered(pause, 0.0), Duration::from_secs(9));
        assert_eq!(jittered(pause, 0.5), pause);
        assert_eq!(jittered(pause, 1.0), Duration::from_secs(11));
    }
}
