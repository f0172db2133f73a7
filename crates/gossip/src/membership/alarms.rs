//! What is to happen when.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::identity::{Identity, MemberId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alarm<N> {
    /// Of the failure detector.
    Swim(foca::Timer<Identity<N>>),
    /// A table is to be compared.
    Exchange,
    /// The absent are to be sought.
    Seek,
    /// Another generation may begin.
    Renew,
    /// One whom others hold dead has had time to answer.
    Doubt(N),
}

/// Alarms by their time, then in the order in which they were set. The failure detector asks for a bounded number, whatever happens.
#[derive(Clone, Debug)]
pub(super) struct Alarms<N> {
    queue: BTreeMap<(Duration, u64), Alarm<N>>,
    set: u64,
    /// When the driver has been asked to wake us.
    asked: Option<Duration>,
}

impl<N: MemberId> Alarms<N> {
    pub(super) const fn new() -> Self {
        Self {
            queue: BTreeMap::new(),
            set: 0,
            asked: None,
        }
    }

    pub(super) fn set(&mut self, at: Duration, alarm: Alarm<N>) {
        self.queue.insert((at, self.set), alarm);
        self.set += 1;
    }

    /// Sets one of which there shall not be two.
    pub(super) fn set_once(&mut self, at: Duration, alarm: Alarm<N>) {
        if !self.queue.values().any(|it| *it == alarm) {
            self.set(at, alarm);
        }
    }

    /// If the first alarm is later than tolerable, the node was stopped, and nothing that its peers did or did not do meanwhile says anything
    /// about them: all alarms are put off by as much, and by a moment in which to read what has come meanwhile.
    pub(super) fn forgive(&mut self, now: Duration, tolerable: Duration, moment: Duration) {
        let Some((first, _)) = self.queue.keys().next().copied() else {
            return;
        };
        let late = now.saturating_sub(first);
        if late > tolerable {
            let queue = core::mem::take(&mut self.queue);
            let by = late + moment;
            let later = queue.into_iter().map(|((at, n), it)| ((at + by, n), it));
            self.queue = later.collect();
        }
    }

    pub(super) fn due(&mut self, now: Duration) -> Option<Alarm<N>> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// The driver does not wake us any more, unless it is asked.
    pub(super) const fn forget_asked(&mut self) {
        self.asked = None;
    }

    /// In how long to wake us, if that has not been asked for yet.
    pub(super) fn wake(&mut self, now: Duration) -> Option<Duration> {
        let (first, _) = self.queue.keys().next()?;
        if self.asked == Some(*first) {
            return None;
        }
        self.asked = Some(*first);
        Some(first.saturating_sub(now))
    }
}
