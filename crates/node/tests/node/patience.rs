//! Waiting for what others do.

use std::time::Duration;

/// Longer than anything should take, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until the condition holds; a test that waits for long has failed.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}");
}
