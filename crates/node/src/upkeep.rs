//! What is done for every namespace from time to time, whether or not anybody uses it.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::sleep;

use crate::core::Core;

/// How long what is over may lie about, roughly.
const INTERVAL: Duration = Duration::from_secs(30);

/// Goes round until the node is gone. Namespaces that nobody has opened are left alone.
pub(crate) async fn keep_up(core: Weak<Core>) {
    loop {
        sleep(INTERVAL).await;
        let Some(core) = core.upgrade() else {
            return;
        };
        for (namespace, replica) in core.carried() {
            if let Err(error) = replica.tend().await {
                tracing::warn!(namespace, %error, "the upkeep failed and will be tried again");
            }
        }
    }
}
