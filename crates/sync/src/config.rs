//! What a session is told of its surroundings: it has no clock, no randomness and no settings of its own.

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};
use syncline_merkle::KeyRange;

/// How much a frame of rows is filled if a [`Config`] says nothing else, counted in bytes as rows lie in the store. Large enough that a commit per
/// frame costs little, small enough that an interrupted session repeats little.
pub const BATCH_BYTES: usize = 256 << 10;

/// How much may be joined before it is made durable. A crash costs at most this much of a bootstrap.
const SYNC_EVERY_BYTES: u64 = 1 << 20;

/// How far apart the wall clocks of two nodes may be.
const MAX_CLOCK_SKEW_MS: u64 = 60_000;

/// How a session finds what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Strategy {
    /// Contexts and the dot index for what was added or overwritten; for what was removed, the log, the sketch or the
    /// walk, whichever should cost least; the walk if roots still differ.
    #[default]
    Auto,
    /// The digest walk alone.
    Walk,
    /// Every row, both ways, without looking for differences.
    Full,
    /// As `Auto`, with the removal log for removals, however far it reaches, and then the walk.
    Log,
    /// As `Auto`, with the sketch for removals, and then the walk.
    Sketch,
}

impl Strategy {
    /// Every one of them: all end in the same state.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Walk, Self::Full, Self::Log, Self::Sketch];

    /// The name that reports and commands use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Walk => "walk",
            Self::Full => "full",
            Self::Log => "log",
            Self::Sketch => "sketch",
        }
    }
}

impl core::fmt::Display for Strategy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Who we are, as of the moment the session begins, and how much it may take. Both sides need one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The cluster. A peer of another one is refused.
    pub cluster: [u8; 16],
    /// This node. A peer with the same identity is ourselves, and refused.
    pub node: [u8; 32],
    /// The peer, as the transport has authenticated it; one that says it is another node is refused. Default `None`,
    /// for transports that do not know: what the peer says of itself is then taken as it is.
    pub peer: Option<[u8; 32]>,
    /// The namespace that the replica holds.
    pub namespace: String,
    /// The wall clock, in Unix milliseconds.
    pub clock_ms: u64,
    /// How far the peer's clock may be from ours, in milliseconds; 0 for any distance. Default 60 s.
    pub max_clock_skew_ms: u64,
    /// How many bytes of rows make a frame, as they lie in the store. Default 256 KiB; a single row may exceed it.
    pub batch_bytes: usize,
    /// How many bytes of rows may be joined before they are made durable. Default 1 MiB.
    pub sync_every_bytes: u64,
}

impl Config {
    /// A configuration with the defaults above.
    #[must_use]
    pub fn new(cluster: [u8; 16], node: [u8; 32], namespace: &str, clock_ms: u64) -> Self {
        Self {
            cluster,
            node,
            peer: None,
            namespace: namespace.to_string(),
            clock_ms,
            max_clock_skew_ms: MAX_CLOCK_SKEW_MS,
            batch_bytes: BATCH_BYTES,
            sync_every_bytes: SYNC_EVERY_BYTES,
        }
    }
}

/// What the initiator of a session asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// How to find what differs.
    pub strategy: Strategy,
    /// Makes the short digests of this session independent of those of any other. Fresh random bytes for each session:
    /// two ranges whose digests collide under one salt are told apart under the next.
    pub salt: [u8; 16],
    /// The row keys to sync; `None` for all of them. A session over a part never merges contexts, and searches by the
    /// walk where `Auto` is asked for.
    pub range: Option<KeyRange>,
    /// Whether our replica's name and what carriers have said goes out with the greeting, which saves the half of a round
    /// trip where nothing differs. Only for peers that are [known](crate::Report::knows_carriers) to read it.
    pub introducing: bool,
}

impl Request {
    /// A request for everything, by [`Strategy::Auto`].
    #[must_use]
    pub const fn new(salt: [u8; 16]) -> Self {
        Self {
            strategy: Strategy::Auto,
            salt,
            range: None,
            introducing: false,
        }
    }

    /// The same for a peer that is known to keep a roster of carriers.
    #[must_use]
    pub const fn introducing(mut self, introducing: bool) -> Self {
        self.introducing = introducing;
        self
    }

    /// The same by another strategy.
    #[must_use]
    pub const fn by(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// The same for a part of the row keys, such as [`KeyRange::prefix`] of a
    /// [`RowKey::user_prefix`](syncline_crdt::RowKey::user_prefix).
    #[must_use]
    pub fn within(mut self, range: KeyRange) -> Self {
        self.range = Some(range);
        self
    }
}
