//! What there can be under a key.

use std::fmt;

/// What a key shows to its readers.
///
/// Writes that did not know of each other can leave rows of several kinds under one key. It then shows the first in the
/// order given here that has anything to show; the rest is kept until the next `put` or `delete` that observed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A raw value, a register or a counter: these are one kind, read in different ways.
    Value,
    /// A map.
    Map,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// Something that a newer version wrote, kept and passed on unread.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::Map => "map",
            Self::Set => "set",
            Self::SortedSet => "sorted set",
            Self::Unknown => "value of a newer version",
        })
    }
}
