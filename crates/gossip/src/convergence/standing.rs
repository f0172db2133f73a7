//! Where a node stands, and what a write is.

use alloc::sync::Arc;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, CarrierId, Context, DecodeError, Input};

/// The digest of all rows of a namespace, as it is written: equal ones are how two replicas know that they hold the same.
pub type Root = [u8; 40];

/// Where a node stands in one namespace. Root and context are of one commit, which is durable: no crash takes back what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What its store is called.
    pub carrier: CarrierId,
    /// The digest of all rows.
    pub root: Root,
    /// What it has durably seen.
    pub durable: Arc<Context>,
}

/// When its owner has said a standing: the greater one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Of the owner's process; greater than those of earlier ones.
    pub generation: u64,
    /// Counts what the process has said.
    pub counter: u64,
}

impl Canonical for Version {
    fn encode(&self, out: &mut Vec<u8>) {
        self.generation.encode(out);
        self.counter.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            generation: u64::decode(input)?,
            counter: u64::decode(input)?,
        })
    }
}

/// A write, named by its dots, as carriers are asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    live: Context,
    dead: Context,
}

impl Write {
    /// The bytes that a write takes at most.
    pub const MAX: usize = 32 << 10;

    /// The dots of the values that were written, and those of the values that it has removed or overwritten and of what removed them.
    ///
    /// A replica has it when it has seen all of them, and holds no row any more in which one of `dead` is live: that it has seen a
    /// removal does not say that it has reached its row.
    ///
    /// `None` if it takes more than [`MAX`](Self::MAX) bytes.
    #[must_use]
    pub fn new(live: Context, dead: Context) -> Option<Self> {
        let write = Self { live, dead };
        (write.to_bytes().len() <= Self::MAX).then_some(write)
    }

    /// The dots of what was written.
    #[must_use]
    pub const fn live(&self) -> &Context {
        &self.live
    }

    /// The dots of what has gone by it.
    #[must_use]
    pub const fn dead(&self) -> &Context {
        &self.dead
    }
}

/// The live dots, then the dead, as contexts.
impl Canonical for Write {
    fn encode(&self, out: &mut Vec<u8>) {
        self.live.encode(out);
        self.dead.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let before = input.remaining();
        let write = Self {
            live: Context::decode(input)?,
            dead: Context::decode(input)?,
        };
        match before - input.remaining() {
            0..=Self::MAX => Ok(write),
            _ => Err(DecodeError::OutOfRange),
        }
    }
}

/// Names a context in 16 bytes: the first of BLAKE3 over its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContextHash(pub(super) [u8; 16]);

impl ContextHash {
    pub(super) fn of(context: &Context) -> Self {
        let hash = blake3::hash(&context.to_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hash.as_bytes()[..16]);
        Self(short)
    }
}
