//! Room on the disk: a warning before it is used up, and an end of writing while enough is left to go on reading, removing and
//! shutting down.
//!
//! A commit that the disk has no room for fails, and takes all that waited with it. So long before that writes are refused with an error
//! that says so. Removals need a little room themselves, and are what makes room: they go on, down to a last reserve.

use std::io;
#[cfg(unix)]
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::core::Core;
use crate::error::Error;
use crate::node::Node;

/// How often the free space is looked up while there is plenty, and how often when there is not.
const RARELY: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(100);

/// How much room the file system of the data directory should have, in bytes.
///
/// A namespace's log takes up to 128 MiB before writers wait for the file, and bringing it to the file takes about as much again: hence the
/// default of 256 MiB for read-only. Several namespaces that are written to at full speed may need more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLimits {
    /// With less there is a warning in the log, and in what the node says of itself. Default 1 GiB.
    pub warn_below: u64,
    /// With less, writes and what peers send are refused with [`Error::ReadOnly`]. Reads go on, and so do removals, until there is less than
    /// a quarter of this. They are taken again by themselves once there is a quarter more than this. Default 256 MiB; 0 for never.
    pub read_only_below: u64,
}

impl Default for SpaceLimits {
    fn default() -> Self {
        Self {
            warn_below: 1 << 30,
            read_only_below: 256 << 20,
        }
    }
}

/// What the free space comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpaceState {
    /// There is enough.
    Plenty,
    /// Less than [`SpaceLimits::warn_below`].
    Low,
    /// Nothing is written any more but removals.
    ReadOnly,
    /// Nothing at all is written any more.
    Full,
}

/// The room of a node; see [`Node::space`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceStatus {
    /// Bytes that were free when it was last looked up, a second ago at most.
    pub free: u64,
    /// What that comes to.
    pub state: SpaceState,
    /// The limits in force.
    pub limits: SpaceLimits,
}

/// Tells how many bytes are free.
pub(crate) type SpaceSource = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// The room of a node, and who may still use it.
pub(crate) struct Room {
    limits: SpaceLimits,
    /// None for a node in memory.
    source: Option<SpaceSource>,
    free: AtomicU64,
    state: AtomicU8,
}

impl Room {
    /// With the room that there is now.
    pub(crate) fn new(limits: SpaceLimits, source: Option<SpaceSource>) -> Self {
        let room = Self {
            limits,
            source,
            free: AtomicU64::new(u64::MAX),
            state: AtomicU8::new(SpaceState::Plenty as u8),
        };
        room.look();
        room
    }

    /// One that never ends.
    #[cfg(test)]
    pub(crate) fn unbounded() -> Self {
        Self::new(SpaceLimits::default(), None)
    }

    fn state(&self) -> SpaceState {
        match self.state.load(Ordering::Relaxed) {
            0 => SpaceState::Plenty,
            1 => SpaceState::Low,
            2 => SpaceState::ReadOnly,
            _ => SpaceState::Full,
        }
    }

    /// Whether something may be written that takes room.
    pub(crate) fn admit_write(&self) -> Result<(), Error> {
        self.admit(SpaceState::ReadOnly, self.limits.read_only_below)
    }

    /// Whether something may be written that makes room in the end.
    pub(crate) fn admit_removal(&self) -> Result<(), Error> {
        self.admit(SpaceState::Full, self.limits.last_reserve())
    }

    fn admit(&self, refused_from: SpaceState, needed: u64) -> Result<(), Error> {
        match self.state() < refused_from {
            true => Ok(()),
            false => Err(Error::ReadOnly {
                free: self.free.load(Ordering::Relaxed),
                needed: resumes_at(needed),
            }),
        }
    }

    fn status(&self) -> Option<SpaceStatus> {
        self.source.as_ref()?;
        Some(SpaceStatus {
            free: self.free.load(Ordering::Relaxed),
            state: self.state(),
            limits: self.limits,
        })
    }

    /// Looks up how much is free.
    fn look(&self) {
        let Some(source) = &self.source else {
            return;
        };
        match source() {
            Ok(free) => self.found(free),
            // It was told before, or will be by whatever else fails on that disk.
            Err(error) => {
                tracing::warn!(%error, "the free space of the data directory is not known")
            }
        }
    }

    fn found(&self, free: u64) {
        let before = self.state();
        let now = self.limits.judge(free, before);
        self.free.store(free, Ordering::Relaxed);
        self.state.store(now as u8, Ordering::Relaxed);
        if before == now {
            return;
        }
        let was_refusing = before >= SpaceState::ReadOnly;
        match now {
            SpaceState::Plenty | SpaceState::Low if was_refusing => {
                tracing::info!(
                    free,
                    "there is room on the disk again; writes are taken again"
                );
            }
            SpaceState::Plenty => tracing::info!(free, "there is room on the disk again"),
            SpaceState::Low => tracing::warn!(
                free,
                read_only_below = self.limits.read_only_below,
                "the disk is filling up; make room"
            ),
            SpaceState::ReadOnly => tracing::error!(
                free,
                needed = resumes_at(self.limits.read_only_below),
                "the disk is nearly full: the node is read-only until there is room; removals go on"
            ),
            SpaceState::Full => tracing::error!(
                free,
                needed = resumes_at(self.limits.last_reserve()),
                "the disk is full: nothing is written until there is room"
            ),
        }
    }

    fn pause(&self) -> Duration {
        let comfortable = self.limits.warn_below.max(self.limits.read_only_below);
        match self.free.load(Ordering::Relaxed) < comfortable.saturating_mul(4) {
            true => OFTEN,
            false => RARELY,
        }
    }
}

impl SpaceLimits {
    /// What is not even spent on removals.
    fn last_reserve(self) -> u64 {
        self.read_only_below / 4
    }

    /// What so much comes to, after what it came to before: what was refused is taken again only when there is a little more, so
    /// that a node at the limit does not change its mind with each write.
    fn judge(self, free: u64, before: SpaceState) -> SpaceState {
        let below = |limit: u64, state: SpaceState| match before >= state {
            true => free < resumes_at(limit),
            false => free < limit,
        };
        if below(self.last_reserve(), SpaceState::Full) {
            SpaceState::Full
        } else if below(self.read_only_below, SpaceState::ReadOnly) {
            SpaceState::ReadOnly
        } else if free < self.warn_below {
            SpaceState::Low
        } else {
            SpaceState::Plenty
        }
    }
}

const fn resumes_at(limit: u64) -> u64 {
    limit.saturating_add(limit / 4)
}

/// The free space of the file system that a directory is on, as far as this user may use it.
#[cfg(unix)]
pub(crate) fn of_directory(directory: &Path) -> SpaceSource {
    let directory = directory.to_owned();
    Arc::new(move || {
        let found = rustix::fs::statvfs(&directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    })
}

/// Looks again and again until the node is gone.
pub(crate) async fn keep_looking(core: Weak<Core>) {
    loop {
        let pause = match core.upgrade() {
            Some(core) if core.room.source.is_some() => core.room.pause(),
            _ => return,
        };
        sleep(pause).await;
        let Some(core) = core.upgrade() else {
            return;
        };
        // A file system on a network may keep it waiting.
        if spawn_blocking(move || core.room.look()).await.is_err() {
            return;
        }
    }
}

/// Room on the disk.
impl Node {
    /// How much room there is on the disk; `None` where it is not known, as for a node in memory.
    pub fn space(&self) -> Option<SpaceStatus> {
        self.core.room.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpaceLimits = SpaceLimits {
        warn_below: 1_000,
        read_only_below: 400,
    };

    #[test]
    fn what_was_refused_is_taken_again_only_with_some_room_to_spare() {
        use SpaceState::{Full, Low, Plenty, ReadOnly};
        for (before, free, now) in [
            (Plenty, 1_000, Plenty),
            (Plenty, 999, Low),
            (Low, 400, Low),
            (Low, 399, ReadOnly),
            (ReadOnly, 499, ReadOnly),
            (ReadOnly, 500, Low),
            (ReadOnly, 100, ReadOnly),
            (ReadOnly, 99, Full),
            (Full, 124, Full),
            (Full, 125, ReadOnly),
            (Full, 5_000, Plenty),
            (Low, 1_000, Plenty),
        ] {
            assert_eq!(LIMITS.judge(free, before), now, "{before:?}, {free}");
        }
        let never = SpaceLimits {
            read_only_below: 0,
            ..LIMITS
        };
        assert_eq!(never.judge(0, Plenty), Low);
    }

    #[test]
    fn it_looks_more_often_when_it_matters() {
        let room = |free| Room::new(LIMITS, Some(Arc::new(move || Ok(free))));
        assert_eq!(room(3_999).pause(), OFTEN);
        assert_eq!(room(4_000).pause(), RARELY);
    }
}
