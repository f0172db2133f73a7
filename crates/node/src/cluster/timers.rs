//! Timers of many machines in one list.

use std::collections::BTreeMap;

use tokio::time::{Instant, sleep_until};

/// What is to be given back, and when.
#[derive(Debug)]
pub(super) struct Timers<T> {
    /// By time, then in the order in which they were set.
    waiting: BTreeMap<(Instant, u64), T>,
    set: u64,
}

impl<T> Timers<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            set: 0,
        }
    }

    pub(super) fn set(&mut self, at: Instant, timer: T) {
        self.waiting.insert((at, self.set), timer);
        self.set += 1;
    }

    /// Forgets the timers that `is_wanted` does not want.
    pub(super) fn retain(&mut self, mut is_wanted: impl FnMut(&T) -> bool) {
        self.waiting.retain(|_, timer| is_wanted(timer));
    }

    /// The next timer, when it is due. Waits for ever while there is none. Cancellation safe.
    pub(super) async fn due(&mut self) -> T {
        loop {
            let Some((&(at, _), _)) = self.waiting.first_key_value() else {
                return std::future::pending().await;
            };
            sleep_until(at).await;
            if let Some((_, timer)) = self.waiting.pop_first() {
                return timer;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn timers_come_by_time_and_then_in_order() {
        let mut timers = Timers::new();
        let now = Instant::now();
        timers.set(now + Duration::from_millis(2), "last");
        timers.set(now, "first");
        timers.set(now, "second");
        timers.set(now, "unwanted");
        timers.retain(|timer| *timer != "unwanted");
        for expected in ["first", "second", "last"] {
            assert_eq!(timers.due().await, expected);
        }
    }
}
