//! How a namespace's registers are read where several values were written without knowledge of each other.

use std::fmt;
use std::sync::Arc;

/// A value as it was written, with what names the write and when it was made.
pub type Sibling = syncline_crdt::Sibling<Vec<u8>>;

/// How registers, raw values and fields of maps are read where there is a *conflict*: where more than one value was
/// written without knowledge of each other. See [`Node::namespace_with`](crate::Node::namespace_with).
///
/// It is a choice of whoever reads and changes nothing that is stored: every sibling is kept until a write that observed it,
/// and nodes that read in different ways still agree. Counters count on what the last writer set, however registers are
/// read.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use syncline::Registers;
///
/// // The longest, and of several the one that comes first: the same on every node.
/// let longest = Registers::resolve(|siblings| {
///     let values = siblings.iter().map(|sibling| &sibling.payload);
///     values.max_by_key(|value| (value.len(), std::cmp::Reverse(*value))).cloned().unwrap_or_default()
/// });
/// # let cluster = syncline::testing::cluster(2).await?;
/// # let [ada, bob] = [0, 1].map(|node| cluster[node].clone());
/// let notes = ada.namespace_with("notes", longest)?;
/// notes.put("today", "rain, then sun").await?;
/// bob.namespace("notes")?.put("today", "snow").await?;
/// ada.sync_with(&bob).await?;
/// assert_eq!(notes.get("today").await?.as_deref(), Some(&b"rain, then sun"[..]));
/// assert_eq!(notes.conflicts("").await?.collect().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Registers {
    /// The last writer's value.
    #[default]
    LastWriter,
    /// No value is chosen. Reading one place fails with [`Error::Conflict`](crate::Error::Conflict), which has the siblings;
    /// scans and fields give an entry for each, the last writer's first.
    AllSiblings,
    /// What a function makes of the siblings, the last writer's first. It is only asked where there is more than one.
    ///
    /// It runs on threads that read, and on the writer's inside of transactions. It should depend on the siblings alone, or
    /// nodes will read different values. Where it panics, so does the read.
    Resolve(Arc<Resolver>),
}

/// Makes one value of several; see [`Registers::Resolve`].
pub type Resolver = dyn Fn(&[Sibling]) -> Vec<u8> + Send + Sync;

impl Registers {
    /// [`Registers::Resolve`] with this function.
    pub fn resolve(resolver: impl Fn(&[Sibling]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Resolve(Arc::new(resolver))
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LastWriter => "LastWriter",
            Self::AllSiblings => "AllSiblings",
            Self::Resolve(_) => "Resolve",
        })
    }
}

/// A place for one value in which several were written without knowledge of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Vec<u8>,
    /// The field, where the place is one of a map, or the member, where it is one of a sorted set.
    pub field: Option<Vec<u8>>,
    /// The values with the stamps and dots of their writes, the last writer's first. Two at least.
    pub siblings: Vec<Sibling>,
}
