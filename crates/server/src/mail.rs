//! What is said to a client that it has not just asked for: publications.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::lock;
use crate::reply::Reply;

/// What a letter takes beside its text, about, in bytes.
const LETTER: usize = 128;

/// How much may wait for a subscriber that is slow: the second and third numbers of `client-output-buffer-limit pubsub`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// In bytes; 0 for any number.
    pub(crate) hard: usize,
    /// In bytes, for longer than `patience`; 0 for any number.
    pub(crate) soft: usize,
    pub(crate) patience: Duration,
}

/// The letters that wait for one client.
#[derive(Default)]
pub(crate) struct Mail {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    letters: VecDeque<Reply>,
    bytes: usize,
    /// Since when there are more than the soft limit.
    full_since: Option<Instant>,
    is_lost: bool,
}

impl Mail {
    /// Leaves a letter of so many bytes; `false` if too much waits already. Then all is thrown away: the client is to be dropped.
    pub(crate) fn post(&self, letter: Reply, bytes: usize, limit: Limit, now: Instant) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.is_lost {
            return false;
        }
        waiting.bytes += bytes + LETTER;
        let is_over = |limit: usize| limit > 0 && waiting.bytes > limit;
        let is_full = match (is_over(limit.soft), waiting.full_since) {
            (true, Some(since)) => now.duration_since(since) > limit.patience,
            _ => false,
        };
        if is_over(limit.hard) || is_full {
            *waiting = Waiting {
                is_lost: true,
                ..Waiting::default()
            };
            return false;
        }
        waiting.full_since = match is_over(limit.soft) {
            true => waiting.full_since.or(Some(now)),
            false => None,
        };
        waiting.letters.push_back(letter);
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> VecDeque<Reply> {
        let mut waiting = lock(&self.waiting);
        (waiting.bytes, waiting.full_since) = (0, None);
        std::mem::take(&mut waiting.letters)
    }

    /// Whether letters were thrown away, as too much was waiting.
    pub(crate) fn is_lost(&self) -> bool {
        lock(&self.waiting).is_lost
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.waiting).bytes
    }

    /// Waits until something has come since it was last waited for.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded() {
        let limit = Limit {
            hard: 1000,
            soft: 400,
            patience: Duration::from_secs(60),
        };
        let (mail, now) = (Mail::default(), Instant::now());
        let post = |bytes, now| mail.post(Reply::OK, bytes, limit, now);
        assert!(post(300, now));
        assert!(post(0, now), "over the soft limit, but not for long");
        assert!(!post(0, now + Duration::from_secs(61)));
        assert!(mail.take().is_empty(), "it was thrown away");
        assert!(!post(0, now), "for good");

        let mail = Mail::default();
        assert!(mail.post(Reply::OK, 800, limit, now));
        assert!(!mail.post(Reply::OK, 800, limit, now));
    }
}
