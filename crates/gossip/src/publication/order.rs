//! The order of what comes of each publisher.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use syncline_crdt::{Context, ReplicaId};

use crate::rumour::Rumour;

/// For so many periods what has come early waits for what is missing before it: longer than the tree takes to find that, and mend.
const PATIENCE: u64 = 3;
/// Bytes that may wait in all, with what each takes beside its payload. What comes beyond them does not wait.
const WAITING: usize = 2 << 20;
const OVERHEAD: usize = 128;
/// Who is heard for the first time at most so far into what it says has been heard from its beginning; else we came later.
const BEGINNING: u64 = 64;
/// After so many periods of silence a publisher is forgotten. It goes by another name then.
pub(super) const FORGOTTEN: u64 = 600;

/// What each publisher has said, and what of it may be told.
#[derive(Debug, Default)]
pub(super) struct Order {
    publishers: BTreeMap<ReplicaId, Publisher>,
    /// Periods since the beginning.
    now: u64,
    /// Of what waits.
    bytes: usize,
    /// What was waited for in vain.
    given_up: Context,
    lost: u64,
}

#[derive(Debug)]
struct Publisher {
    /// The number that is to be told next.
    next: u64,
    /// What came before its turn.
    early: BTreeMap<u64, Early>,
    heard: u64,
}

#[derive(Debug)]
struct Early {
    rumour: Rumour,
    since: u64,
}

impl Order {
    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// Publications that were waited for in vain, and will not be told any more.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// What was given up since this was asked for last.
    pub(super) fn take_given_up(&mut self) -> Option<Context> {
        let given_up = core::mem::take(&mut self.given_up);
        (!given_up.is_empty()).then_some(given_up)
    }

    /// A publication of our own: nobody here waits for it.
    pub(super) fn said(&mut self, rumour: &Rumour) {
        let publisher = Publisher {
            next: rumour.id().last().saturating_add(1),
            early: BTreeMap::new(),
            heard: self.now,
        };
        self.publishers.insert(rumour.id().replica(), publisher);
    }

    /// A publication has come; what may be told now is added. O(log n), and for each that is told.
    pub(super) fn came(&mut self, rumour: Rumour, told: &mut Vec<Rumour>) {
        let (replica, number) = (rumour.id().replica(), rumour.id().last());
        let now = self.now;
        let publisher = self.publishers.entry(replica).or_insert_with(|| Publisher {
            next: if number <= BEGINNING { 1 } else { number },
            early: BTreeMap::new(),
            heard: now,
        });
        publisher.heard = now;
        if number < publisher.next {
            return;
        }
        let size = rumour.payload().len() + OVERHEAD;
        let since = now;
        if let Some(twice) = publisher.early.insert(number, Early { rumour, since }) {
            self.bytes -= twice.rumour.payload().len() + OVERHEAD;
        }
        self.bytes += size;
        self.bytes -= publisher.tell(told);
        while self.bytes > WAITING
            && let Some(gap) = publisher.give_up()
        {
            self.lost = self.lost.saturating_add(gap.1 - gap.0 + 1);
            self.given_up.insert_range(replica, gap.0, gap.1);
            self.bytes -= publisher.tell(told);
        }
    }

    /// A period is over: what has waited for too long may be told. Those who have been silent for long are forgotten and returned. O(n) for n
    /// publishers.
    pub(super) fn period(&mut self, told: &mut Vec<Rumour>) -> Option<Context> {
        self.now += 1;
        let now = self.now;
        let mut silent = Context::new();
        self.publishers.retain(|replica, publisher| {
            let is_due = |publisher: &Publisher| {
                let first = publisher.early.values().next();
                first.is_some_and(|early| early.since + PATIENCE <= now)
            };
            while is_due(publisher)
                && let Some(gap) = publisher.give_up()
            {
                self.lost = self.lost.saturating_add(gap.1 - gap.0 + 1);
                self.given_up.insert_range(*replica, gap.0, gap.1);
                self.bytes -= publisher.tell(told);
            }
            let is_silent = publisher.heard + FORGOTTEN <= now && publisher.early.is_empty();
            if is_silent {
                silent.insert_range(*replica, 1, u64::MAX);
            }
            !is_silent
        });
        (!silent.is_empty()).then_some(silent)
    }
}

impl Publisher {
    /// Takes out what is next, and what follows it without a gap. How many bytes do not wait any more.
    fn tell(&mut self, told: &mut Vec<Rumour>) -> usize {
        let mut bytes = 0;
        while let Some(early) = self.early.remove(&self.next) {
            bytes += early.rumour.payload().len() + OVERHEAD;
            self.next = self.next.saturating_add(1);
            told.push(early.rumour);
        }
        bytes
    }

    /// Waits no more for what is missing before the first that has come: its first and last number.
    fn give_up(&mut self) -> Option<(u64, u64)> {
        let (first, _) = self.early.first_key_value()?;
        let gap = (self.next, first - 1);
        self.next = *first;
        Some(gap)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const A: ReplicaId = ReplicaId::from_bytes([1; 16]);
    const B: ReplicaId = ReplicaId::from_bytes([2; 16]);

    fn rumour(replica: ReplicaId, number: u64) -> Rumour {
        Rumour::new(replica, number, number, Vec::new()).unwrap()
    }

    /// What may be told when these have come.
    fn come(order: &mut Order, replica: ReplicaId, numbers: &[u64]) -> Vec<u64> {
        let mut told = Vec::new();
        for number in numbers {
            order.came(rumour(replica, *number), &mut told);
        }
        told.iter().map(|it| it.id().last()).collect()
    }

    fn period(order: &mut Order) -> Vec<u64> {
        let mut told = Vec::new();
        let silent = order.period(&mut told);
        assert_eq!(silent, None);
        told.iter().map(|it| it.id().last()).collect()
    }

    #[test]
    fn what_overtook_another_waits_for_it() {
        let mut order = Order::default();
        assert_eq!(come(&mut order, A, &[2, 3]), []);
        assert_eq!(come(&mut order, B, &[1]), [1], "another is not held up");
        assert_eq!(come(&mut order, A, &[5, 1]), [1, 2, 3]);
        assert_eq!(come(&mut order, A, &[3, 4]), [4, 5]);
        assert_eq!(order.bytes, 0);
        assert_eq!(order.lost(), 0);
    }

    #[test]
    fn what_does_not_come_is_given_up_and_not_told_later() {
        let mut order = Order::default();
        assert_eq!(come(&mut order, A, &[1, 4]), [1]);
        assert_eq!(period(&mut order), []);
        assert_eq!(come(&mut order, A, &[7]), []);
        assert_eq!(period(&mut order), []);
        assert_eq!(period(&mut order), [4], "7 has not waited for as long");
        assert_eq!(order.lost(), 2);
        let mut given_up = Context::new();
        given_up.insert_range(A, 2, 3);
        assert_eq!(order.take_given_up(), Some(given_up));
        assert_eq!(order.take_given_up(), None);
        assert_eq!(come(&mut order, A, &[2, 3]), []);
        assert_eq!(come(&mut order, A, &[6, 5]), [5, 6, 7]);
    }

    #[test]
    fn who_comes_later_waits_for_nothing_that_was_before() {
        let mut order = Order::default();
        assert_eq!(come(&mut order, A, &[100, 102]), [100]);
        assert_eq!(come(&mut order, A, &[101, 99]), [101, 102]);
        assert_eq!(order.lost(), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        let mut told = Vec::new();
        let large = |number| Rumour::new(A, number, number, vec![0; 1 << 20]).unwrap();
        order.came(large(2), &mut told);
        assert!(told.is_empty());
        order.came(large(4), &mut told);
        let numbers: Vec<_> = told.iter().map(|it| it.id().last()).collect();
        assert_eq!(numbers, [2], "as many gaps are given up as must be");
        assert!(order.bytes <= WAITING);
        // However far ahead one claims to be.
        order.came(rumour(A, u64::MAX - 1), &mut told);
        order.came(large(6), &mut told);
        assert!(order.bytes <= WAITING);
    }

    #[test]
    fn who_is_silent_is_forgotten_and_no_one_else() {
        let mut order = Order::default();
        come(&mut order, A, &[1]);
        order.said(&rumour(B, 1));
        let mut told = Vec::new();
        let mut forgotten = Vec::new();
        for now in 1..=FORGOTTEN {
            if now == 5 {
                order.said(&rumour(B, 2));
            }
            forgotten.extend(order.period(&mut told));
        }
        let mut silent = Context::new();
        silent.insert_range(A, 1, u64::MAX);
        assert_eq!(forgotten, [silent]);
        assert_eq!(order.publishers.keys().collect::<Vec<_>>(), [&B]);
    }
}
