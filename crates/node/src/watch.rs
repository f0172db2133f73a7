//! Following what changes: a [`Watch`] tells all of a prefix and then whatever changes there.
//!
//! ```
//! use std::collections::BTreeMap;
//! use syncline::watch::{Change, Event};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = syncline::Node::in_memory().await?;
//! let app = node.namespace("app")?;
//! app.put("user:ada", "Ada").await?;
//!
//! let mut mirror = BTreeMap::new();
//! let mut kept = Vec::new();
//! let mut watch = app.watch("user:").await?;
//! # for step in 0..5 {
//! # if step == 3 { app.put("user:bob", "Bob").await?; }
//! // In a loop of its own:
//! match watch.next().await? {
//!     Event::Reset => mirror.clear(),
//!     Event::Change(Change::Value { key, values }) => match values.into_iter().next() {
//!         Some(value) => drop(mirror.insert(key, value)),
//!         None => drop(mirror.remove(&key)),
//!     },
//!     Event::Resume(point) => kept = point.to_bytes(), // kept together with the mirror
//!     _ => {} // sets and maps, which this mirror does not have
//! }
//! # }
//! # assert_eq!(mirror.len(), 2);
//! // Next time, or after a crash, it goes on from there.
//! let watch = app.watch_from("user:", &kept).await?;
//! # Ok(())
//! # }
//! ```

mod arrivals;

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use syncline_crdt::{Canonical, Family, Input, Row, RowKey, Score};
use syncline_merkle::KeyRange;
use syncline_store::{Bookmark, Durability, Listener, Signal};
use tokio::task::JoinHandle;

pub use self::arrivals::{Arrivals, Arrived};
use crate::error::Error;
use crate::ops::{cell, expiry, scan};
use crate::registers::Registers;
use crate::replica::{InUse, Replica};
use crate::rows::ReadRows;
use crate::view::View;

/// What a [`Watch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It begins anew: what was told of the prefix before counts no more, and all of it follows. The first event of every
    /// watch that does not go on from a resume point.
    Reset,
    /// A place is, or has, what this says.
    Change(Change),
    /// All that changed up to here has been told.
    Resume(Resume),
}

/// A place as it is now. What was there before does not matter to whoever applies it, so applying it twice does no harm.
///
/// A key that was used as things of several kinds without knowledge of each other has places of each, and shows the first
/// kind that has any: see [`Kind`](crate::Kind).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The value of a key: a raw value, a register, or a counter in decimal digits.
    Value {
        /// The key.
        key: Vec<u8>,
        /// Empty when there is none any more. More than one only for [`Registers::AllSiblings`], the last writer's first.
        values: Vec<Vec<u8>>,
    },
    /// A field of a map.
    Field {
        /// The map's key.
        key: Vec<u8>,
        /// The field.
        field: Vec<u8>,
        /// As of a key's value.
        values: Vec<Vec<u8>>,
    },
    /// A member of a set.
    Member {
        /// The set's key.
        key: Vec<u8>,
        /// The member.
        member: Vec<u8>,
        /// Whether it is one now.
        present: bool,
    },
    /// A member of a sorted set.
    Score {
        /// The sorted set's key.
        key: Vec<u8>,
        /// The member.
        member: Vec<u8>,
        /// `None` when it is no member any more.
        score: Option<Score>,
    },
    /// The deadline of a key: from then on it shows nothing, by the clock of whoever shows it. What is over is told as gone
    /// only when it is collected.
    Deadline {
        /// The key.
        key: Vec<u8>,
        /// `None` when the key does not expire.
        at: Option<SystemTime>,
    },
    /// Something under the key that only a newer version can read.
    Unknown {
        /// The key.
        key: Vec<u8>,
    },
}

impl Change {
    /// The key that it concerns.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Value { key, .. }
            | Self::Field { key, .. }
            | Self::Member { key, .. }
            | Self::Score { key, .. }
            | Self::Deadline { key, .. }
            | Self::Unknown { key } => key,
        }
    }

    /// Whether nothing is left at the place.
    pub fn is_removal(&self) -> bool {
        match self {
            Self::Value { values, .. } | Self::Field { values, .. } => values.is_empty(),
            Self::Member { present, .. } => !present,
            Self::Score { score, .. } => score.is_none(),
            Self::Deadline { at, .. } => at.is_none(),
            Self::Unknown { .. } => false,
        }
    }

    /// What a row says.
    fn of(view: &View, row_key: &RowKey, row: &Row) -> Result<Self, Error> {
        let registers = view.registers();
        let key = row_key.user_key();
        let field = row_key.field_bytes().to_vec();
        let values = || cell::all_bytes_of(registers, row_key, row);
        let change = match row_key.family() {
            Family::CELL => values().map(|values| Self::Value { key, values }),
            Family::FIELD => values().map(|values| Self::Field { key, field, values }),
            Family::MEMBER => Ok(Self::Member {
                key,
                member: field,
                present: !row.is_empty(),
            }),
            Family::SCORE => cell::score_of(row_key, row).map(|score| Self::Score {
                key,
                member: field,
                score,
            }),
            Family::DEADLINE => Self::deadline(view, key),
            _ => Ok(Self::Unknown { key }),
        };
        match change {
            Err(Error::NewerEncoding { key }) => Ok(Self::Unknown { key }),
            change => change,
        }
    }

    fn deadline(view: &View, key: Vec<u8>) -> Result<Self, Error> {
        let at = expiry::stored(view, &key)?;
        Ok(Self::Deadline { key, at })
    }

    /// What a change of one row means for another: a deadline that was set before a value was does not apply to it.
    fn in_consequence(view: &View, row_key: &RowKey) -> Result<Option<Self>, Error> {
        if row_key.family() != Family::CELL || !view.has_deadlines()? {
            return Ok(None);
        }
        let key = row_key.user_key();
        match view.row(&RowKey::deadline(&key))?.is_empty() {
            true => Ok(None),
            false => Self::deadline(view, key).map(Some),
        }
    }
}

/// How far a watch has come: whoever keeps it goes on from there, by [`Namespace::watch_from`].
///
/// Keep it together with what was made of the events before it, or later, never sooner. What was told after it is told
/// again. It weighs what the namespace's causal context does, some 24 bytes for each time that a node which writes was started.
///
/// [`Namespace::watch_from`]: crate::Namespace::watch_from
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    prefix: Vec<u8>,
    bookmark: Bookmark,
}

const VERSION: u8 = 1;

impl Resume {
    pub(crate) fn new(prefix: Vec<u8>, bookmark: Bookmark) -> Self {
        Self { prefix, bookmark }
    }

    /// The bytes to keep. Later versions read them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        (self.prefix.len() as u64).encode(&mut bytes);
        bytes.extend_from_slice(&self.prefix);
        self.bookmark.encode(&mut bytes);
        bytes
    }

    /// Whether the events up to here amount to exactly the prefix as it was at one commit. Points in the midst of much that has
    /// to be told are not; no transaction is torn by one that is.
    pub fn is_complete(&self) -> bool {
        self.bookmark.is_complete()
    }

    /// The point that these bytes were made of; `None` if they were not. Who only wants to go on has no use for it: a watch
    /// takes the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        (input.byte().ok()? == VERSION).then_some(())?;
        let length = usize::try_from(u64::decode(&mut input).ok()?).ok()?;
        let prefix = input.take(length).ok()?.to_vec();
        let bookmark = Bookmark::decode(&mut input).ok()?;
        input.finish().ok()?;
        Some(Self { prefix, bookmark })
    }
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume")
            .field("is_complete", &self.is_complete())
            .finish_non_exhaustive()
    }
}

/// Rows of one read.
const ROWS: usize = 512;
/// Bytes at which a read ends; the last row may go beyond.
const BYTES: usize = 1 << 20;

/// Tells what lies under a prefix, and then whatever changes there: by this node's writes and by what it receives, whole
/// commits in their order. Made by [`Namespace::watch`] and [`Namespace::watch_from`].
///
/// *Complete.* Whoever applies the events in order has at each [complete](Resume::is_complete) resume point exactly what the
/// prefix was at one commit, over restarts of either side, and whatever was received in which order. Where this cannot be
/// done by telling changes, it says [`Event::Reset`] and tells all of the prefix.
///
/// *Of states.* It tells what places are, not each operation on them: when a place changes faster than events are taken, some of
/// its states are passed over.
///
/// *Bounded.* Nothing is kept for a watch that does not ask, beside some hundred kilobytes of keys; writers never wait for
/// it. It holds nothing open, and ends with [`Error::Closed`] after [`Node::shutdown`](crate::Node::shutdown).
///
/// *Durable as its handle.* A watch of a [`Durability::Durable`] handle tells nothing that a power failure could still take
/// back. Others tell each commit at once; a resume point that includes what was then lost is recognised, and the watch begins anew.
///
/// [`Namespace::watch`]: crate::Namespace::watch
/// [`Namespace::watch_from`]: crate::Namespace::watch_from
pub struct Watch {
    replica: Replica,
    registers: Registers,
    durability: Durability,
    prefix: Vec<u8>,
    range: KeyRange,
    /// How far events were read.
    read_to: Option<Bookmark>,
    /// What was read and not yet taken.
    events: VecDeque<Event>,
    listener: Option<Listener>,
    /// A read that was begun: it goes on though its caller gives up.
    reading: Option<JoinHandle<(Listener, Result<Part, Error>)>>,
    /// The damaged key that was withdrawn last.
    healed: Option<Vec<u8>>,
}

/// What one read has found.
struct Part {
    events: Vec<Event>,
    read_to: Bookmark,
}

impl Watch {
    pub(crate) fn new(
        replica: Replica,
        registers: Registers,
        durability: Durability,
        prefix: &[u8],
    ) -> Self {
        Self {
            replica,
            registers,
            durability,
            prefix: prefix.to_vec(),
            range: scan::with_prefix(prefix),
            read_to: None,
            events: VecDeque::new(),
            listener: None,
            reading: None,
            healed: None,
        }
    }

    /// Goes on from a point, if it is one of this prefix.
    pub(crate) fn from(self, resume: &[u8]) -> Self {
        let point = Resume::from_bytes(resume).filter(|point| point.prefix == self.prefix);
        Self {
            read_to: point.map(|point| point.bookmark),
            ..self
        }
    }

    /// The next event; waits until there is one. Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown, and whatever keeps the namespace from being read. It can be called again: it goes
    /// on where it was.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if self.reading.is_none() {
                self.wait_until_due().await;
            }
            let part = match self.read().await {
                Ok(part) => part,
                Err(error) => {
                    self.heal(error).await?;
                    continue;
                }
            };
            self.healed = None;
            let commits = self.read_to.replace(part.read_to.clone());
            if !part.events.is_empty() || commits.as_ref() != Some(&part.read_to) {
                let point = Resume::new(self.prefix.clone(), part.read_to);
                self.events.extend(part.events);
                self.events.push_back(Event::Resume(point));
            }
        }
    }

    /// Waits as long as there is nothing to be read.
    async fn wait_until_due(&mut self) {
        let caught_up = self.read_to.as_ref().is_some_and(Bookmark::is_complete);
        if let Some(listener) = self.listener.as_mut().filter(|_| caught_up)
            && listener.due().await == Signal::Closed
        {
            // The node was shut down, or the store opened again.
            self.listener = None;
        }
    }

    async fn read(&mut self) -> Result<Part, Error> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let open = self.replica.open().await?;
                let listener = self.listener.take();
                let listener = listener.unwrap_or_else(|| open.store.listen(self.range.clone()));
                let (registers, durability) = (self.registers.clone(), self.durability);
                let from = self.read_to.clone();
                self.reading.insert(tokio::task::spawn_blocking(move || {
                    let mut listener = listener;
                    let part = read(&open, &mut listener, from.as_ref(), &registers, durability);
                    (listener, part)
                }))
            }
        };
        let joined = reading.await;
        self.reading = None;
        match joined {
            Ok((listener, part)) => {
                self.listener = Some(listener);
                part
            }
            Err(error) => match error.try_into_panic() {
                // A resolver's.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::Closed),
            },
        }
    }

    /// Has a damaged row withdrawn, which is a change like others, so that the watch can go on.
    async fn heal(&mut self, error: Error) -> Result<(), Error> {
        match self.replica.heal(error).await {
            Error::Damaged { key } if self.healed.as_ref() != Some(&key) => {
                self.healed = Some(key);
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// Reads what comes next, as it is now.
fn read(
    open: &InUse,
    listener: &mut Listener,
    from: Option<&Bookmark>,
    registers: &Registers,
    durability: Durability,
) -> Result<Part, Error> {
    let view = open.store.view()?;
    let changes = listener.changes(&view, from, BYTES, ROWS)?;
    let view = View::new(view, registers.clone());
    if durability == Durability::Durable {
        open.store
            .flush()
            .inspect_err(|_| open.writer.look_after(&open.store))?;
    }
    let mut events = Vec::with_capacity(changes.rows.len() + 2);
    if changes.anew {
        events.push(Event::Reset);
    }
    for (key, row) in &changes.rows {
        events.push(Event::Change(Change::of(&view, key, row)?));
        events.extend(Change::in_consequence(&view, key)?.map(Event::Change));
    }
    Ok(Part {
        events,
        read_to: changes.bookmark,
    })
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("prefix", &self.prefix.escape_ascii().to_string())
            .field("read_ahead", &self.events.len())
            .finish_non_exhaustive()
    }
}
