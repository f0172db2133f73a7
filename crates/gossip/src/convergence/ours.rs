//! Where we stand, what we have said of it, and since when.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use syncline_crdt::{CarrierId, Context};

use super::report::Gap;
use super::standing::{Root, Standing, Version};

/// How many of our standings can be told from by others, once they were said.
const SAID: usize = 16;

/// How many earlier ones are told apart in time.
const PAST: usize = 64;

/// Our part in one namespace.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) carrier: CarrierId,
    pub(super) root: Root,
    pub(super) context: Arc<Context>,
    /// What others were told, the last at the back.
    said: VecDeque<Said>,
    /// When that was.
    pub(super) said_at: Option<Duration>,
    /// Where we stood before, oldest first; the last is where we stand. Never empty.
    past: VecDeque<Past>,
}

#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) version: Version,
    pub(super) carrier: CarrierId,
    pub(super) root: Root,
    pub(super) context: Arc<Context>,
}

#[derive(Debug)]
struct Past {
    since: Duration,
    root: Root,
    /// What was new. Of the oldest it is not kept.
    news: Context,
}

impl Ours {
    pub(super) fn new(standing: &Standing, now: Duration) -> Self {
        Self {
            carrier: standing.carrier,
            root: standing.root,
            context: Arc::clone(&standing.durable),
            said: VecDeque::new(),
            said_at: None,
            past: VecDeque::from([Past {
                since: now,
                root: standing.root,
                news: Context::new(),
            }]),
        }
    }

    /// We stand elsewhere now.
    pub(super) fn moved(&mut self, standing: &Standing, now: Duration) {
        let news = standing.durable.difference(&self.context);
        self.carrier = standing.carrier;
        self.root = standing.root;
        self.context = Arc::clone(&standing.durable);
        self.past.push_back(Past {
            since: now,
            root: self.root,
            news,
        });
        if self.past.len() > PAST {
            self.thin_out();
        }
    }

    /// Halves the number of those in the older half: the longer ago, the less exactly is it told since when.
    fn thin_out(&mut self) {
        let mut kept = VecDeque::with_capacity(PAST);
        let mut older: VecDeque<Past> = core::mem::take(&mut self.past);
        let recent = older.split_off(PAST / 2);
        while let Some(mut first) = older.pop_front() {
            if let Some(second) = older.pop_front() {
                first.news.merge(&second.news);
                first.root = second.root;
            }
            kept.push_back(first);
        }
        if let Some(oldest) = kept.front_mut() {
            oldest.news = Context::new();
        }
        kept.extend(recent);
        self.past = kept;
    }

    /// Says where we stand, under a version of this generation at least.
    pub(super) fn say(&mut self, generation: u64, now: Duration) -> Version {
        let before = self.said.back().map(|said| said.version);
        let version = match before {
            Some(before) if before.generation >= generation => Version {
                counter: before.counter.saturating_add(1),
                ..before
            },
            _ => Version {
                generation,
                counter: 1,
            },
        };
        if self.said.len() == SAID {
            self.said.pop_front();
        }
        self.said.push_back(Said {
            version,
            carrier: self.carrier,
            root: self.root,
            context: Arc::clone(&self.context),
        });
        self.said_at = Some(now);
        version
    }

    /// What was said last.
    pub(super) fn last_said(&self) -> Option<&Said> {
        self.said.back()
    }

    /// Whether we stand where we have said to.
    pub(super) fn is_said(&self) -> bool {
        self.said.back().is_some_and(|said| {
            (said.carrier, said.root) == (self.carrier, self.root)
                && Arc::ptr_eq(&said.context, &self.context)
        })
    }

    /// The context that we have said under this version, if it is not too long ago.
    pub(super) fn said_under(&self, version: Version) -> Option<&Arc<Context>> {
        let said = self.said.iter().rev().find(|said| said.version == version);
        said.map(|said| &said.context)
    }

    /// Since when we stand where we stand.
    pub(super) fn since(&self) -> Duration {
        self.past.back().map_or(Duration::ZERO, |last| last.since)
    }

    /// Until when our root was this one, as far as is remembered.
    pub(super) fn had(&self, root: &Root, now: Duration) -> Option<Duration> {
        let mut until = now;
        for past in self.past.iter().rev() {
            if past.root == *root {
                return Some(until);
            }
            until = past.since;
        }
        None
    }

    /// What somebody who has seen `theirs` lacks of ours, and since when.
    pub(super) fn lacked_by(&self, theirs: &Context, now: Duration) -> Gap {
        let mut lacked = self.context.difference(theirs);
        let dots = Gap::count(&lacked);
        let mut since = None;
        let mut past = self.past.iter();
        let oldest = past.next();
        for past in past.rev() {
            let left = lacked.difference(&past.news);
            if left != lacked {
                since = Some(past.since);
                lacked = left;
            }
        }
        if !lacked.is_empty() {
            since = oldest.map(|oldest| oldest.since).or(since);
        }
        Gap {
            dots: Some(dots),
            lasts: since.map(|since| now.saturating_sub(since)),
        }
    }
}
