//! What a command belongs to.

/// What a command belongs to, as Redis's documentation sorts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Group {
    /// Keys of all kinds.
    Generic,
    /// Strings and numbers.
    String,
    /// Bits of strings.
    Bitmap,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    SortedSet,
    /// Several commands that happen together.
    Transactions,
    /// Publications.
    PubSub,
    /// The client's connection.
    Connection,
    /// The server.
    Server,
    /// What Redis does not have.
    Syncline,
}

impl Group {
    /// As `COMMAND DOCS` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::SortedSet => "sorted-set",
            Self::Transactions => "transactions",
            Self::PubSub => "pubsub",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Syncline => "syncline",
        }
    }

    /// As a heading of the documentation.
    #[cfg(test)]
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Generic => "Keys",
            Self::String => "Strings",
            Self::Bitmap => "Bits",
            Self::Set => "Sets",
            Self::Hash => "Hashes",
            Self::SortedSet => "Sorted sets",
            Self::Transactions => "Transactions",
            Self::PubSub => "Publications",
            Self::Connection => "Connection",
            Self::Server => "Server",
            Self::Syncline => "Syncline",
        }
    }
}
