use super::{Handle, owned};
use crate::error::Error;
use crate::namespace::Namespace;
use crate::ops::{Direction, Scored, Span, scan};
use crate::scan::{Page, Scan};

/// The sorted set under one key of a namespace: members in the order of their scores.
///
/// Insertions win over removals that did not know of them, and increments made anywhere all count. Every method fails with
/// [`Error::WrongKind`] when the key shows something else than a sorted set, and with the errors of [`Namespace`] when the
/// store fails.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use syncline::Span;
/// use syncline::ops::Direction;
///
/// # let node = syncline::Node::in_memory().await?;
/// let game = node.namespace("app")?.sorted_set("game");
/// game.insert("ada", 3.0).await?;
/// game.insert("bob", 7.5).await?;
/// assert_eq!(game.increment("ada", 5.0).await?, 8.0);
/// assert_eq!(game.rank("ada", Direction::Backward).await?, Some(0));
/// let top = game.range(Span::all().descending().take(10)).await?;
/// assert_eq!(top, [(b"ada".to_vec(), 8.0), (b"bob".to_vec(), 7.5)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SortedSet(Handle);

impl SortedSet {
    pub(crate) fn new(namespace: Namespace, key: Vec<u8>) -> Self {
        Self(Handle { namespace, key })
    }

    /// Gives `member` a score; whether it was no member. See [`ops::SortedSet::insert`](crate::ops::SortedSet::insert).
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when it is not a number, [`Error::Store`] also when key or member is over its
    /// limit.
    pub async fn insert(&self, member: impl AsRef<[u8]>, score: f64) -> Result<bool, Error> {
        let member = owned(member);
        let write = self
            .0
            .write(move |t, key| t.sorted_set(key).insert(member, score));
        write.await
    }

    /// Adds `by` to the score of `member`, which is 0 when it is none, and returns what it then is. See
    /// [`ops::SortedSet::increment`](crate::ops::SortedSet::increment).
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when the sum is not a number, [`Error::Store`] also when key or member is over
    /// its limit.
    pub async fn increment(&self, member: impl AsRef<[u8]>, by: f64) -> Result<f64, Error> {
        let member = owned(member);
        let write = self
            .0
            .write(move |t, key| t.sorted_set(key).increment(member, by));
        write.await
    }

    /// Takes `member` out; whether it was one.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let member = owned(member);
        let write = self.0.write(move |t, key| t.sorted_set(key).remove(member));
        write.await
    }

    /// Takes the members of a span out, and returns them in its order, with their scores.
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when a bound of the span is not a number, [`Error::Store`] also when there are
    /// more than one transaction takes.
    pub async fn pop(&self, span: Span) -> Result<Vec<Scored>, Error> {
        let write = self.0.write(move |t, key| t.sorted_set(key).pop(&span));
        write.await
    }

    /// Takes the members of a span out, and returns how many there were.
    ///
    /// # Errors
    /// As [`SortedSet::pop`].
    pub async fn remove_range(&self, span: Span) -> Result<u64, Error> {
        let write = self
            .0
            .write(move |t, key| t.sorted_set(key).remove_range(&span));
        write.await
    }

    /// The score of `member`.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, Error> {
        let member = owned(member);
        let read = self
            .0
            .read(move |view, key| view.sorted_set(key).score(member));
        read.await
    }

    /// How many members come before `member`, from the least on, or from the greatest on ([`Direction::Backward`]). `None`
    /// when it is none. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn rank(
        &self,
        member: impl AsRef<[u8]>,
        direction: Direction,
    ) -> Result<Option<u64>, Error> {
        let member = owned(member);
        let read = self
            .0
            .read(move |view, key| view.sorted_set(key).rank(member, direction));
        read.await
    }

    /// The members of a span in its order, with their scores, in memory: O(log n), and O(1) for each.
    ///
    /// # Errors
    /// As [`SortedSet::count`].
    pub async fn range(&self, span: Span) -> Result<Vec<Scored>, Error> {
        let read = self
            .0
            .read(move |view, key| view.sorted_set(key).range_of(&span)?.collect());
        read.await
    }

    /// How many members a span has. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when a bound of the span is not a number.
    pub async fn count(&self, span: Span) -> Result<u64, Error> {
        let read = self
            .0
            .read(move |view, key| view.sorted_set(key).count(&span));
        read.await
    }

    /// The members with their scores in bytewise order of the members, as of now: what is written while they are read is
    /// not seen.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn members(&self) -> Result<Scan<Scored>, Error> {
        let replica = self.0.namespace.replica();
        let start = self.0.read(move |view, key| {
            let set = view.sorted_set(key);
            Scan::start(replica, view, set.shown_range()?, |view, range| {
                Page::fill(scan::scores(view, &range)?, range)
            })
        });
        start.await
    }

    /// How many members there are. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn len(&self) -> Result<u64, Error> {
        self.0.read(|view, key| view.sorted_set(key).len()).await
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let read = self.0.read(|view, key| view.sorted_set(key).is_empty());
        read.await
    }

    /// Takes out every member and returns how many there were.
    ///
    /// A large set goes in several transactions, so there is no limit to its size; readers may meanwhile see a part of
    /// it.
    ///
    /// # Errors
    /// See [`SortedSet`]. What was removed before the error stays removed.
    pub async fn clear(&self) -> Result<u64, Error> {
        let range = self.0.read(|view, key| {
            let set = view.sorted_set(key);
            set.shown_range()
        });
        let range = range.await?;
        self.0.namespace.clear_range(range).await
    }
}
