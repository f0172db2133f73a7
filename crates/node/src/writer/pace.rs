//! How long a group waits for company before it is committed.
//!
//! Callers that were answered together tend to come back together, a moment later and one after the other. Were the first of
//! them committed alone, its sync would keep all others waiting for the next one; and from then on two halves would take turns,
//! each with every other sync. So a group waits for as many as are known to be there, at most for a quarter of what a sync
//! takes. Nobody waits for anybody where there is one caller, or where nothing is synced.

use std::time::Duration;

/// What the last sync tells about the next group.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Callers that can be expected.
    callers: usize,
    /// What the sync took.
    sync: Duration,
}

impl Pace {
    /// After a sync for which `answered` callers waited, while `arrived` others came.
    pub(super) fn after(answered: usize, arrived: usize, sync: Duration) -> Self {
        Self {
            callers: answered + arrived,
            sync,
        }
    }

    /// How long a group of so many that has waited for so long is to wait on, until it is looked at again; `None` once it
    /// should be committed.
    pub(super) fn wait(&self, gathered: usize, waited: Duration) -> Option<Duration> {
        let left = (self.sync / 4).saturating_sub(waited);
        (gathered < self.callers && !left.is_zero()).then(|| left.min(self.sync / 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_waits_for_those_who_are_there_and_not_for_long() {
        let [zero, sync] = [0, 3_200].map(Duration::from_micros);
        assert_eq!(Pace::default().wait(1, zero), None, "nothing was synced");
        let alone = Pace::after(1, 0, sync);
        assert_eq!(alone.wait(1, zero), None);
        let halves = Pace::after(30, 34, sync);
        let step = Some(Duration::from_micros(100));
        assert_eq!(halves.wait(34, zero), step);
        assert_eq!(halves.wait(63, Duration::from_micros(700)), step);
        assert_eq!(halves.wait(64, zero), None);
        assert_eq!(halves.wait(65, zero), None);
        let almost = halves.wait(1, Duration::from_micros(790));
        assert_eq!(almost, Some(Duration::from_micros(10)));
        assert_eq!(halves.wait(1, Duration::from_micros(800)), None);
        assert_eq!(halves.wait(1, sync), None);
    }
}
