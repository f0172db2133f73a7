//! Publications: what is said to all who listen at the moment, at any carrier of a namespace, and kept by nobody.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use syncline_gossip::publication::{self, PublicationError, Published, Space};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::core::lock;
use crate::error::Error;
use crate::namespace::Namespace;

/// Bytes of publications that wait to be spread at most, with what each takes beside its own.
const WAITING: usize = 16 << 20;
/// Bytes that wait for one who listens.
const UNHEARD: usize = 16 << 20;
/// What each takes beside its channel and its message, about.
const OVERHEAD: usize = 128;
/// More than fit into [`WAITING`].
const QUEUE: usize = WAITING / OVERHEAD;

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It is too large to be passed on.
    #[error("{0}; store it, and publish its key")]
    TooLarge(PublicationError),
    /// Too many wait to be passed on.
    #[error("too many publications wait to be passed on to other nodes; publish more slowly")]
    Busy,
    /// The node is shut down.
    #[error(transparent)]
    Node(#[from] Error),
}

/// So many publications were not kept for who listens too slowly. They are lost to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} publications were missed; listen faster")]
pub struct MissedPublications(pub u64);

/// What other carriers publish, from when it was made on; see [`Namespace::publications`].
pub struct Publications(Arc<Inbox>);

impl Publications {
    /// The next; `None` once the node is shut down, or if it is in no cluster. Cancellation safe.
    ///
    /// # Errors
    /// [`MissedPublications`]; the next call goes on after them.
    pub async fn next(&mut self) -> Result<Option<Published>, MissedPublications> {
        loop {
            if let Some(taken) = self.0.take() {
                return taken;
            }
            self.0.arrived.notified().await;
        }
    }
}

impl fmt::Debug for Publications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publications").finish_non_exhaustive()
    }
}

/// What waits for one who listens. Nobody waits for it in turn: beyond the bound the newest are missed.
#[derive(Default)]
struct Inbox {
    waiting: Mutex<Unheard>,
    arrived: Notify,
}

#[derive(Default)]
struct Unheard {
    publications: VecDeque<Published>,
    bytes: usize,
    missed: u64,
    is_closed: bool,
}

fn size(published: &Published) -> usize {
    published.channel.len() + published.message.len() + OVERHEAD
}

impl Inbox {
    fn take(&self) -> Option<Result<Option<Published>, MissedPublications>> {
        let mut waiting = lock(&self.waiting);
        if let Some(published) = waiting.publications.pop_front() {
            waiting.bytes -= size(&published);
            return Some(Ok(Some(published)));
        }
        // Those that are missing came after all that were there.
        if waiting.missed > 0 {
            return Some(Err(MissedPublications(std::mem::take(&mut waiting.missed))));
        }
        waiting.is_closed.then_some(Ok(None))
    }

    fn put(&self, published: Published) {
        let mut waiting = lock(&self.waiting);
        let size = size(&published);
        // Once one was missed, so are those behind it until that was told.
        if waiting.missed > 0 || waiting.bytes + size > UNHEARD {
            waiting.missed += 1;
        } else {
            waiting.bytes += size;
            waiting.publications.push_back(published);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.arrived.notify_one();
    }
}

/// Something that is to be spread, in a namespace.
pub(crate) struct Saying {
    pub(crate) namespace: Arc<str>,
    pub(crate) payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// The way of who publishes and listens here to the driver of the cluster.
#[derive(Clone)]
pub(crate) struct Announcer {
    say: mpsc::Sender<Saying>,
    room: Arc<Semaphore>,
    listeners: Arc<Mutex<Listeners>>,
}

#[derive(Default)]
struct Listeners {
    inboxes: Vec<(Arc<str>, Weak<Inbox>)>,
    is_closed: bool,
}

/// The other end of it. When this goes, nothing is heard any more.
pub(crate) struct Audience(Arc<Mutex<Listeners>>);

impl Announcer {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Saying>, Audience) {
        let (say, said) = mpsc::channel(QUEUE);
        let listeners = Arc::default();
        let announcer = Self {
            say,
            room: Arc::new(Semaphore::new(WAITING)),
            listeners: Arc::clone(&listeners),
        };
        (announcer, said, Audience(listeners))
    }

    fn say(&self, namespace: &str, payload: Vec<u8>) -> Result<(), PublishError> {
        // Far less than 4 GiB, as all publications are.
        let size = u32::try_from(payload.len() + OVERHEAD).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(size);
        let saying = Saying {
            namespace: namespace.into(),
            payload,
            _room: room.map_err(|_| PublishError::Busy)?,
        };
        self.say.try_send(saying).map_err(|error| match error {
            TrySendError::Full(_) => PublishError::Busy,
            TrySendError::Closed(_) => PublishError::Node(Error::Closed),
        })
    }

    fn listen(&self, namespace: &str) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let mut listeners = lock(&self.listeners);
        if listeners.is_closed {
            inbox.close();
        }
        let inboxes = &mut listeners.inboxes;
        inboxes.retain(|(_, inbox)| inbox.strong_count() > 0);
        inboxes.push((namespace.into(), Arc::downgrade(&inbox)));
        inbox
    }
}

impl Audience {
    /// Tells all who listen in a namespace.
    pub(crate) fn tell(&self, namespace: &str, payload: &[u8]) {
        let listeners = lock(&self.0);
        let mut published = None;
        for (listens, inbox) in &listeners.inboxes {
            let Some(inbox) = inbox.upgrade().filter(|_| **listens == *namespace) else {
                continue;
            };
            if published.is_none() {
                // It was looked at when it came.
                published = Published::from_bytes(payload).ok();
            }
            if let Some(published) = published.clone() {
                inbox.put(published);
            }
        }
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        let mut listeners = lock(&self.0);
        listeners.is_closed = true;
        for (_, inbox) in listeners.inboxes.drain(..) {
            if let Some(inbox) = inbox.upgrade() {
                inbox.close();
            }
        }
    }
}

/// Publications (feature `net`).
///
/// They come to each listener at most once, those of one publisher in their order, and usually within milliseconds: as rumours travel. Nothing is stored. Who
/// does not listen at the moment, or is away, or too slow, misses them.
impl Namespace {
    /// Says something to all who listen at the other carriers. It does not come back as one of this node's own
    /// [`publications`](Self::publications). Never waits.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use syncline::{Published, Space, trust::Cluster, Node};
    ///
    /// let cluster = Cluster::throwaway()?;
    /// let node = || Node::builder().in_memory().cluster(&cluster).listen("127.0.0.1:0");
    /// let ada = node().start().await?;
    /// let bob = node().join(&ada).start().await?;
    /// let [here, there] = [ada.namespace("app")?, bob.namespace("app")?];
    /// let mut publications = there.publications();
    /// let news = Published {
    ///     space: Space::Channels,
    ///     channel: (*b"news").into(),
    ///     message: (*b"hello").into(),
    /// };
    /// // They have yet to meet, and who is not there yet does not hear it.
    /// let heard = loop {
    ///     here.publish(Space::Channels, "news", "hello")?;
    ///     let soon = std::time::Duration::from_millis(50);
    ///     if let Ok(heard) = tokio::time::timeout(soon, publications.next()).await {
    ///         break heard?;
    ///     }
    /// };
    /// assert_eq!(heard, Some(news));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]; then nobody hears it. One that is too large for others is no error where this node is in no cluster, and nobody would
    /// hear it anyway.
    pub fn publish(
        &self,
        space: Space,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<(), PublishError> {
        let Some(cluster) = self.core.network.cluster.get() else {
            return Ok(());
        };
        let payload = publication::payload(space, channel.as_ref(), message.as_ref());
        let payload = payload.map_err(PublishError::TooLarge)?;
        cluster.announcer.say(self.name(), payload)
    }

    /// What other carriers publish in this namespace, from now on. Up to 16 MiB of what is not taken is kept; beyond it, it is said how much
    /// was missed.
    pub fn publications(&self) -> Publications {
        Publications(match self.core.network.cluster.get() {
            Some(cluster) => cluster.announcer.listen(self.name()),
            None => {
                let inbox = Arc::new(Inbox::default());
                inbox.close();
                inbox
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn news(length: usize) -> Published {
        Published {
            space: Space::Channels,
            channel: (*b"news").into(),
            message: vec![7; length].into(),
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_it_is_said_how_much_was_missed() {
        let (announcer, mut said, audience) = Announcer::new();
        let mut slow = Publications(announcer.listen("app"));
        let mut other = Publications(announcer.listen("other"));
        let payload = news(200 << 10).to_bytes().unwrap();
        let kept = UNHEARD / ((200 << 10) + OVERHEAD + 4);
        for _ in 0..kept + 3 {
            audience.tell("app", &payload);
        }
        for _ in 0..kept {
            assert!(slow.next().await.unwrap().is_some());
        }
        assert_eq!(slow.next().await, Err(MissedPublications(3)));
        audience.tell("app", &payload);
        assert!(slow.next().await.unwrap().is_some(), "it goes on");

        let mut sent = 0;
        while announcer.say("app", payload.clone()).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, WAITING / (payload.len() + OVERHEAD));
        drop(said.recv().await);
        assert!(announcer.say("app", payload).is_ok());

        drop(audience);
        assert_eq!(slow.next().await, Ok(None));
        assert_eq!(other.next().await, Ok(None));
        let mut late = Publications(announcer.listen("app"));
        assert_eq!(late.next().await, Ok(None));
        drop(said);
        let closed = announcer.say("app", Vec::new());
        assert!(matches!(closed, Err(PublishError::Node(Error::Closed))));
    }
}
