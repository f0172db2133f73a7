//! Bytes per second: how many this node sends, to whom, and what goes first.

mod bucket;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bucket::Bucket;

/// What is sent, in the order of its importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Who is there. Little, and never waits: it is counted, and the rest waits for it.
    Membership,
    /// Writes that were just made.
    Rumour,
    /// What is said to those who listen now, and of no use later.
    Publication,
    /// What somebody knows to be missing.
    Pull,
    /// The search for what is missing, and what it finds.
    Walk,
    /// All of a namespace, for who has nothing.
    Bootstrap,
}

/// How many there are.
const CLASSES: usize = 6;

impl Class {
    /// All, in the order of their importance.
    pub const ALL: [Self; CLASSES] = [
        Self::Membership,
        Self::Rumour,
        Self::Publication,
        Self::Pull,
        Self::Walk,
        Self::Bootstrap,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Rumour => "rumour",
            Self::Publication => "publication",
            Self::Pull => "pull",
            Self::Walk => "walk",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// What is to be dropped when too much is waiting: the oldest, where newer news make up for it and others heal it, or what comes now, whose sender is
    /// there to be told.
    const fn drops_oldest(self) -> bool {
        matches!(self, Self::Membership | Self::Rumour | Self::Publication)
    }
}

/// What is saved up and one item together exceed a second's rate by less than a tenth.
const BURST: Duration = Duration::from_millis(30);
/// An item should take no more than this part of what may be sent in a second.
const ITEMS_PER_SECOND: u64 = 16;
const LEAST_ITEM: usize = 16 << 10;

/// How much may be sent, and how much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per second to all peers together. Nothing: as many as there are.
    pub node: Option<u64>,
    /// Bytes per second to each peer. Nothing: as many as there are.
    pub peer: Option<u64>,
    /// For how long the rate may be saved up while nothing is sent. Usually 30 ms.
    pub burst: Duration,
    /// Bytes of each class that may wait for each peer.
    pub waiting: u64,
    /// Bytes that may wait in all.
    pub waiting_in_all: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// No limits of the rate, and the usual ones of what may wait.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            node: None,
            peer: None,
            burst: BURST,
            waiting: 1 << 20,
            waiting_in_all: 64 << 20,
        }
    }

    /// How many bytes an item should have at most, where `usual` would be large enough without limits. An item goes as a whole, and may
    /// overdraw a second's rate: by a sixteenth of it, unless it is of the least, of 16 KiB, below which items are mostly overhead.
    #[must_use]
    pub fn item_bytes(&self, usual: usize) -> usize {
        let rates = [self.node, self.peer].into_iter().flatten();
        let affordable = rates.map(|rate| usize::try_from(rate / ITEMS_PER_SECOND));
        let affordable = affordable.map(|bytes| bytes.unwrap_or(usize::MAX));
        affordable.fold(usual, usize::min).max(LEAST_ITEM)
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Input<N, T> {
    /// Something is to be sent.
    Offer {
        /// To whom.
        to: N,
        /// How important it is.
        class: Class,
        /// How many bytes it takes.
        bytes: u64,
        /// It, or whatever stands for it: the permission to write so many bytes to a stream, say.
        item: T,
    },
    /// A peer takes no more for now: what is for it waits.
    Blocked(N),
    /// It does again.
    Ready(N),
    /// A peer has gone: what waits for it is dropped.
    Gone(N),
    /// The time that was [asked for](Output::Wake) has come. Nothing happens if it comes too early or twice.
    Timer,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<N, T> {
    /// Send it.
    Send {
        /// To whom.
        to: N,
        /// How important it is.
        class: Class,
        /// What.
        item: T,
    },
    /// It is not sent: too much is waiting, or the peer has gone.
    Dropped {
        /// For whom it was.
        to: N,
        /// How important it was.
        class: Class,
        /// What.
        item: T,
    },
    /// Give back [`Input::Timer`] after this time. Replaces what was asked for before.
    Wake {
        /// In how long.
        after: Duration,
    },
}

/// What has been sent and dropped of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Items that were sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Items that were dropped.
    pub dropped: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

/// Token buckets, one for the node and one for each peer, over a queue in which the more important goes first.
///
/// Something is sent when both buckets hold anything, and may overdraw them; what follows waits until that is made up for. So rates are held on
/// average for items of any size. Among peers of a class it goes in turn. The less important is not starved: each class is owed one
/// part in [`SHARE`](Self::SHARE) of what more important ones send while it waits. [`Class::Membership`] never waits for tokens.
///
/// What waits is bounded by [`Limits`], for each peer and in all, so that a slow or dead peer costs bounded memory; what exceeds it is given back as
/// [`Output::Dropped`], and counted.
///
/// ```
/// use core::time::Duration;
/// use syncline_gossip::budget::{Budget, Class, Input, Limits, Output};
///
/// let mut budget = Budget::new(Limits { node: Some(1_000_000), ..Limits::new() });
/// let offer = |class, item| Input::Offer { to: "bob", class, bytes: 150_000, item };
/// let now = Duration::ZERO;
/// // 30 ms are saved up, so the first may go at once; the rest waits until that is made up for.
/// let outputs = budget.handle(offer(Class::Bootstrap, "rows"), now);
/// assert_eq!(outputs, [Output::Send { to: "bob", class: Class::Bootstrap, item: "rows" }]);
/// let outputs = budget.handle(offer(Class::Bootstrap, "more rows"), now);
/// assert!(matches!(outputs[..], [Output::Wake { .. }]));
/// assert!(budget.handle(offer(Class::Rumour, "a write"), now).is_empty());
/// let outputs = budget.handle(Input::Timer, now + Duration::from_millis(121));
/// assert_eq!(outputs[0], Output::Send { to: "bob", class: Class::Rumour, item: "a write" });
/// ```
#[derive(Clone, Debug)]
pub struct Budget<N, T> {
    limits: Limits,
    node: Bucket,
    buckets: BTreeMap<N, Bucket>,
    queues: [Queue<N, T>; CLASSES],
    blocked: BTreeSet<N>,
    waiting: u64,
    spent: [Spent; CLASSES],
    asked: Option<Duration>,
    outputs: Vec<Output<N, T>>,
}

/// What waits of a class.
#[derive(Clone, Debug)]
struct Queue<N, T> {
    /// Peers for whom something waits, in turn.
    turns: VecDeque<N>,
    lines: BTreeMap<N, Line<T>>,
    /// Bytes that it may send before anything more important.
    owed: u64,
}

/// What waits of a class for a peer.
#[derive(Clone, Debug)]
struct Line<T> {
    items: VecDeque<(u64, T)>,
    bytes: u64,
}

impl<N: Copy + Ord, T> Budget<N, T> {
    /// A less important class is owed one part in so many of what more important ones send while it waits.
    pub const SHARE: u64 = 16;

    /// Full buckets, and nothing waits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            node: Bucket::new(limits.node, limits.burst),
            limits,
            buckets: BTreeMap::new(),
            queues: core::array::from_fn(|_| Queue {
                turns: VecDeque::new(),
                lines: BTreeMap::new(),
                owed: 0,
            }),
            blocked: BTreeSet::new(),
            waiting: 0,
            spent: [Spent::default(); CLASSES],
            asked: None,
            outputs: Vec::new(),
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Bytes of a class that wait.
    #[must_use]
    pub fn waiting_of(&self, class: Class) -> u64 {
        let lines = self.queues[class as usize].lines.values();
        lines.map(|line| line.bytes).sum()
    }

    /// What has been sent and dropped of a class.
    #[must_use]
    pub const fn spent(&self, class: Class) -> Spent {
        self.spent[class as usize]
    }

    /// The rates, to all peers together and to each.
    #[must_use]
    pub const fn rates(&self) -> (Option<u64>, Option<u64>) {
        (self.limits.node, self.limits.peer)
    }

    /// Other rates, from now on.
    pub fn set_rates(&mut self, node: Option<u64>, peer: Option<u64>) {
        self.limits.node = node;
        self.limits.peer = peer;
        self.node.set_rate(node, self.limits.burst);
        for bucket in self.buckets.values_mut() {
            bucket.set_rate(peer, self.limits.burst);
        }
    }

    /// Takes in what happens and says what is to be done, in order. `now` is the time since some fixed moment. What is sent takes O(p) each for p peers that are waited
    /// for.
    pub fn handle(&mut self, input: Input<N, T>, now: Duration) -> Vec<Output<N, T>> {
        match input {
            Input::Offer {
                to,
                class,
                bytes,
                item,
            } => self.offer(to, class, bytes, item),
            Input::Blocked(peer) => {
                self.blocked.insert(peer);
            }
            Input::Ready(peer) => {
                self.blocked.remove(&peer);
            }
            Input::Gone(peer) => self.gone(peer),
            Input::Timer => self.asked = None,
        }
        while self.send_one(now) {}
        self.wake(now);
        core::mem::take(&mut self.outputs)
    }

    fn offer(&mut self, to: N, class: Class, bytes: u64, item: T) {
        let (most, most_in_all) = (self.limits.waiting, self.limits.waiting_in_all);
        let fits = |line: u64, all: u64| {
            line.saturating_add(bytes) <= most && all.saturating_add(bytes) <= most_in_all
        };
        loop {
            let line = self.queues[class as usize].lines.get(&to);
            let queued = line.map_or(0, |line| line.bytes);
            // Whatever is too large for every queue must still be sent some time.
            if fits(queued, self.waiting) || queued == 0 && self.waiting == 0 {
                break;
            }
            if !class.drops_oldest() || queued == 0 {
                return self.drop_item(to, class, bytes, item);
            }
            if let Some((bytes, item)) = self.take(to, class) {
                self.drop_item(to, class, bytes, item);
            }
        }
        self.waiting += bytes;
        let rate = self.limits.peer;
        let burst = self.limits.burst;
        self.buckets
            .entry(to)
            .or_insert_with(|| Bucket::new(rate, burst));
        let queue = &mut self.queues[class as usize];
        let line = queue.lines.entry(to).or_insert_with(|| {
            queue.turns.push_back(to);
            Line {
                items: VecDeque::new(),
                bytes: 0,
            }
        });
        line.bytes += bytes;
        line.items.push_back((bytes, item));
    }

    fn drop_item(&mut self, to: N, class: Class, bytes: u64, item: T) {
        let spent = &mut self.spent[class as usize];
        spent.dropped += 1;
        spent.dropped_bytes += bytes;
        self.outputs.push(Output::Dropped { to, class, item });
    }

    /// Takes the first that waits for a peer.
    fn take(&mut self, peer: N, class: Class) -> Option<(u64, T)> {
        let queue = &mut self.queues[class as usize];
        let line = queue.lines.get_mut(&peer)?;
        let (bytes, item) = line.items.pop_front()?;
        line.bytes -= bytes;
        if line.items.is_empty() {
            queue.lines.remove(&peer);
            queue.turns.retain(|other| *other != peer);
        }
        if queue.lines.is_empty() {
            queue.owed = 0;
        }
        self.waiting -= bytes;
        Some((bytes, item))
    }

    fn gone(&mut self, peer: N) {
        for class in Class::ALL {
            while let Some((bytes, item)) = self.take(peer, class) {
                self.drop_item(peer, class, bytes, item);
            }
        }
        self.blocked.remove(&peer);
        self.buckets.remove(&peer);
    }

    /// Sends whatever is to be sent first, if it may be sent now.
    fn send_one(&mut self, now: Duration) -> bool {
        let Some((class, peer)) = self.first(now) else {
            return false;
        };
        let Some((bytes, item)) = self.take(peer, class) else {
            return false;
        };
        self.node.spend(bytes, now);
        if let Some(bucket) = self.buckets.get_mut(&peer) {
            bucket.spend(bytes, now);
        }
        let (sent, less_important) = self.queues[class as usize..].split_at_mut(1);
        for queue in sent {
            queue.owed = queue.owed.saturating_sub(bytes);
            // The next of this class goes to the next peer.
            let place = queue.turns.iter().position(|other| *other == peer);
            if let Some(turn) = place.and_then(|place| queue.turns.remove(place)) {
                queue.turns.push_back(turn);
            }
        }
        for queue in less_important.iter_mut().filter(|it| !it.lines.is_empty()) {
            // Not without end: those for whom it waits may all be blocked.
            let owed = queue.owed + bytes.div_ceil(Self::SHARE);
            queue.owed = owed.min(self.limits.waiting);
        }
        let spent = &mut self.spent[class as usize];
        spent.sent += 1;
        spent.sent_bytes += bytes;
        self.outputs.push(Output::Send {
            to: peer,
            class,
            item,
        });
        true
    }

    /// What goes first of what may be sent now: whatever is owed its share, then whatever is most important.
    fn first(&self, now: Duration) -> Option<(Class, N)> {
        let sendable = |class: Class| {
            self.peer(class, now)
                .map(|(peer, bytes)| (class, peer, bytes))
        };
        let mut first = None;
        for class in Class::ALL {
            let Some((class, peer, bytes)) = sendable(class) else {
                continue;
            };
            let owed = self.queues[class as usize].owed;
            if class == Class::Membership || owed >= bytes {
                return Some((class, peer));
            }
            first = first.or(Some((class, peer)));
        }
        first
    }

    /// To whom something of a class may be sent now, whose turn is first, and how many bytes that is.
    fn peer(&self, class: Class, now: Duration) -> Option<(N, u64)> {
        let queue = &self.queues[class as usize];
        let is_free = class == Class::Membership;
        if !is_free && self.node.wait(now) > Duration::ZERO {
            return None;
        }
        queue.turns.iter().find_map(|peer| {
            let may = !self.blocked.contains(peer)
                && (is_free || self.wait_for(*peer, now) == Duration::ZERO);
            let (bytes, _) = queue.lines.get(peer).filter(|_| may)?.items.front()?;
            Some((*peer, *bytes))
        })
    }

    fn wait_for(&self, peer: N, now: Duration) -> Duration {
        self.buckets
            .get(&peer)
            .map_or(Duration::ZERO, |bucket| bucket.wait(now))
    }

    /// Asks to be woken when the next thing may be sent, and forgets the buckets of peers that have saved up all that they may.
    fn wake(&mut self, now: Duration) {
        let node = self.node.wait(now);
        let waiting = self.queues.iter().flat_map(|queue| &queue.turns);
        let free = waiting.filter(|peer| !self.blocked.contains(peer));
        let first = free.map(|peer| self.wait_for(*peer, now).max(node)).min();
        if self.waiting == 0 {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let Some(after) = first else { return };
        let at = now + after;
        if self.asked != Some(at) {
            self.asked = Some(at);
            self.outputs.push(Output::Wake { after });
        }
    }
}
