//! What a store wants of the outside world: the time, and entropy for replica ids.

use std::time::{SystemTime, UNIX_EPOCH};

/// Time and randomness, passed in so that tests and simulations decide both.
pub trait Environment: Send + Sync + 'static {
    /// The wall clock in Unix milliseconds. It may stand still or jump; stamps ascend all the same.
    fn wall_ms(&self) -> u64;

    /// Ten bytes that no other store ever draws. A replica id is made of them: two stores that draw
    /// the same bytes in the same millisecond would give two writes one name, and lose one of them.
    fn entropy(&self) -> [u8; 10];
}

/// The operating system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn wall_ms(&self) -> u64 {
        // A clock before 1970 counts as 1970.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> [u8; 10] {
        rand::random()
    }
}
