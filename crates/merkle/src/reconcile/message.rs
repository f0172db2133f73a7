//! The statements of a message, and their bytes: the grammar is in the [module
//! documentation](super#bytes).
//!
//! What is decoded borrows from the message wherever it can; what it cannot is bounded by the
//! message's length, keys with shared prefixes included.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Reader;
pub(super) use write::{write_header, write_part};

use alloc::vec::Vec;

use crate::KeyRange;

/// The version of the grammar above.
pub(super) const VERSION: u8 = 1;

/// Why bytes are no message.
pub(super) type Malformed = &'static str;

/// The part of a message before its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) turn: u64,
    /// Whether the sender keeps ranges back that did not fit.
    pub(super) more: bool,
}

/// Which range a part is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Places of the receiver's last message, counted over all that it listed.
    Listed { first: u64, len: u64 },
    /// A range by its bounds.
    Bounds(KeyRange),
}

/// A row by its key, with what the application is to know of it.
pub(super) type Described = (Vec<u8>, Vec<u8>);

/// One statement about one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'m> {
    Split(Split<'m>),
    Sum(Sum<'m>),
    Echo(Echo),
    Items(Items<'m>),
    Answer(Answer),
    Explain(Explain),
    Inquire(Inquire),
    Tell(Tell<'m>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split<'m> {
    pub(super) level: u8,
    /// What the sender holds in the whole range.
    pub(super) count: u64,
    /// 5 bytes for the first child, 8 for each after it.
    pub(super) children: &'m [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum<'m> {
    pub(super) count: u64,
    /// Sealed with the bounds.
    pub(super) sum: u128,
    pub(super) form: SumForm<'m>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SumForm<'m> {
    Bare,
    Mixed {
        mix: u64,
    },
    /// A byte for each sub-range at the sender's fences of level 1.
    Hinted {
        hints: &'m [u8],
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) count: u64,
    pub(super) sum: u128,
    pub(super) form: EchoForm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EchoForm {
    Bare,
    Mixed {
        mix: u64,
    },
    /// All of the difference must lie in one run.
    Suspect {
        run: Run,
        mix: u64,
    },
    /// It must lie in several runs, of which the sender says what it holds in each.
    Suspects(Vec<Suspect>),
}

/// Neighbouring children of a hinted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) len: usize,
}

/// A run among which part of the difference must lie, and what the sender holds there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) run: Run,
    pub(super) count: u64,
    pub(super) sum: u128,
    pub(super) mix: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Items<'m> {
    /// Sealed with the bounds.
    pub(super) sum: u128,
    pub(super) width: IdWidth,
    /// So many bytes each.
    pub(super) ids: &'m [u8],
}

/// How many bytes an id has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IdWidth {
    Two = 2,
    Four = 4,
    Eight = 8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The sum of the sender's items that were listed, sealed with the bounds.
    pub(super) matched: u128,
    /// Places in the listing of items that the sender lacks, ascending.
    pub(super) lacking: Vec<usize>,
    /// The sender's items that were not listed, in key order.
    pub(super) mine: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Explain {
    /// The low half of the digest of the one item that the sender lacks.
    pub(super) theirs: u128,
    /// The sender's items that the receiver lacks, in key order.
    pub(super) mine: Vec<Described>,
}

/// As [`Answer`], with the wish to be told about the items lacking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inquire {
    pub(super) matched: u128,
    pub(super) lacking: Vec<usize>,
}

/// All items of a range: those that the receiver holds by their ids, the others by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tell<'m> {
    /// Of all items, sealed with the bounds.
    pub(super) sum: u128,
    /// 8 bytes each.
    pub(super) ids: &'m [u8],
    /// In key order.
    pub(super) rows: Vec<Described>,
    /// The low halves of the digests of the rows.
    pub(super) lows: Vec<u128>,
}

impl Place {
    /// Bytes of the keys in it.
    pub(super) fn key_bytes(&self) -> usize {
        match self {
            Self::Listed { .. } => 0,
            Self::Bounds(range) => range.lower.len() + range.upper.as_ref().map_or(0, Vec::len),
        }
    }
}

impl Part<'_> {
    /// Bytes of the keys in it.
    pub(super) fn key_bytes(&self) -> usize {
        let rows = match self {
            Self::Answer(Answer { mine, .. }) | Self::Explain(Explain { mine, .. }) => mine,
            Self::Tell(Tell { rows, .. }) => rows,
            _ => return 0,
        };
        rows.iter().map(|(key, _)| key.len()).sum()
    }

    /// How many places it lists: one for each child, or one for its range, and one for each run of
    /// suspects.
    pub(super) fn places(&self) -> u64 {
        match self {
            Self::Split(split) => split.len() as u64,
            Self::Echo(Echo {
                form: EchoForm::Suspect { .. },
                ..
            }) => 2,
            Self::Echo(Echo {
                form: EchoForm::Suspects(suspects),
                ..
            }) => 1 + suspects.len() as u64,
            Self::Echo(_) | Self::Sum(_) | Self::Items(_) | Self::Inquire(_) => 1,
            // Nothing is left to say about these.
            Self::Answer(_) | Self::Explain(_) | Self::Tell(_) => 0,
        }
    }
}

impl Split<'_> {
    pub(super) const FIRST: usize = 5;
    pub(super) const CHILD: usize = 8;

    /// How many children there are.
    pub(super) fn len(&self) -> usize {
        1 + (self.children.len() - Self::FIRST) / Self::CHILD
    }

    /// The digests of all children, and the tags of all but the first.
    pub(super) fn unzip(&self) -> (Vec<u64>, Vec<u32>) {
        let (first, rest) = self.children.split_at(Self::FIRST);
        let mut digests = Vec::with_capacity(self.len());
        let mut tags = Vec::with_capacity(self.len() - 1);
        digests.push(little_endian(first));
        for child in rest.chunks_exact(Self::CHILD) {
            tags.push(little_endian(&child[..3]) as u32);
            digests.push(little_endian(&child[3..]));
        }
        (digests, tags)
    }
}

impl Items<'_> {
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids
            .chunks_exact(self.width as usize)
            .map(little_endian)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len() / self.width as usize
    }
}

impl IdWidth {
    /// An id cut to this width.
    pub(super) fn cut(self, id: u64) -> u64 {
        id & u64::MAX >> (64 - 8 * self as u32)
    }

    fn code(self) -> u8 {
        match self {
            Self::Two => 0,
            Self::Four => 1,
            Self::Eight => 2,
        }
    }
}

/// A number of up to 8 bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}
