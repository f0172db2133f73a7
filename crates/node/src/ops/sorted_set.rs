//! A sorted set: each member is a row of its own, a cell that its score is counted in. Their order is kept by the store.

use std::ops::RangeBounds;

use syncline_crdt::{Family, RowKey, Score};
use syncline_merkle::{KeyRange, after};
use syncline_store::{Direction, read_score_entry, score_entry};

use super::{Scored, Span, cell, expiry, key, scan};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{Items, ReadRows, WriteRows};

/// The sorted set under one key, in a view or a transaction.
///
/// Members are ordered by their scores, and those of equal scores bytewise. Ranks and counts are O(log n) in the store. In a
/// transaction they take O(m) more in the members that its group, the transactions that commit together, has changed so far.
///
/// Scores are 64-bit floats, infinities included. Zero has no sign.
///
/// Every method fails with [`Error::WrongKind`] when the key shows something else than a sorted set, and with
/// [`Error::Store`] when reading fails.
#[derive(Debug)]
pub struct SortedSet<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> SortedSet<S> {
    /// The sorted set under `key` among these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    /// The score of `member`. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NewerEncoding`] when a newer version wrote the score.
    pub fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, Error> {
        match self.exists()? {
            true => self.score_of(&self.member(member.as_ref())),
            false => Ok(None),
        }
    }

    /// To look up many members: what the key shows is looked at once, and each score is O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`]; each look-up fails for itself, as [`SortedSet::score`] does.
    pub fn lookup(&self) -> Result<impl Fn(&[u8]) -> Result<Option<f64>, Error> + '_, Error> {
        let exists = self.exists()?;
        Ok(move |member: &[u8]| match exists {
            true => self.score_of(&self.member(member)),
            false => Ok(None),
        })
    }

    fn score_of(&self, row: &RowKey) -> Result<Option<f64>, Error> {
        Ok(cell::score(&self.rows, row)?.map(Score::get))
    }

    /// How many members there are. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn len(&self) -> Result<u64, Error> {
        self.count(&Span::all())
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(!self.exists()?)
    }

    /// How many members come before `member`, from the least on, or from the greatest on ([`Direction::Backward`]). `None`
    /// when it is none. O(log n).
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn rank(
        &self,
        member: impl AsRef<[u8]>,
        direction: Direction,
    ) -> Result<Option<u64>, Error> {
        let Some(score) = self.score(&member)?.and_then(Score::new) else {
            return Ok(None);
        };
        let entry = score_entry(&self.key, score, member.as_ref());
        let mut others = self.range();
        match direction {
            Direction::Forward => others.upper = Some(entry),
            Direction::Backward => others.lower = after(&entry),
        }
        self.rows.count_entries(&others).map(Some)
    }

    /// How many members a span has. O(log n).
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when a bound of the span is not a number.
    pub fn count(&self, span: &Span) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let range = span.range(&self.rows, &self.key)?;
        let within = self.rows.count_entries(&range)?;
        Ok(within.saturating_sub(span.skip).min(span.take))
    }

    /// The members of a span in its order, with their scores, each read when it is asked for. O(log n) for the first.
    ///
    /// # Errors
    /// As [`SortedSet::count`].
    pub fn range_of(&self, span: &Span) -> Result<Items<'_, Scored>, Error> {
        if !self.exists()? {
            return Ok(Box::new(std::iter::empty()));
        }
        let (range, left) = span.rest(&self.rows, &self.key)?;
        Ok(Box::new(InOrder {
            rows: &self.rows,
            rest: Some(range),
            direction: span.direction,
            left,
            page: Vec::new().into_iter(),
            size: FIRST_PAGE,
        }))
    }

    /// The members with their scores in bytewise order of the members, each read when it is asked for. Where scores change
    /// meanwhile, this is the order to go on in.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn members(&self) -> Result<Items<'_, Scored>, Error> {
        self.members_within::<&[u8]>(..)
    }

    /// The members within the bounds with their scores, whatever these are, in bytewise order of the members, each read when
    /// it is asked for.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn members_within<M: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<M>,
    ) -> Result<Items<'_, Scored>, Error> {
        if !self.exists()? {
            return Ok(Box::new(std::iter::empty()));
        }
        let range = scan::fields_within(self.range(), bounds);
        Ok(scan::items(scan::scores(&self.rows, &range)?))
    }

    pub(crate) fn exists(&self) -> Result<bool, Error> {
        key::expect_kind(&self.rows, &self.key, Kind::SortedSet)
    }

    /// The rows that a reader is to see: none where the key is hidden.
    pub(crate) fn shown_range(&self) -> Result<KeyRange, Error> {
        Ok(match self.exists()? {
            true => self.range(),
            false => KeyRange::new(Vec::new(), Some(Vec::new())),
        })
    }

    /// Of the rows, and of their entries in the counted index, which begin alike.
    fn range(&self) -> KeyRange {
        key::family_of(&self.key, Family::SCORE)
    }

    fn member(&self, member: &[u8]) -> RowKey {
        RowKey::score(&self.key, member)
    }

    fn not_a_score(&self) -> Error {
        let key = self.key.clone();
        Error::NotAScore { key }
    }
}

impl<S: WriteRows> SortedSet<S> {
    /// Gives `member` a score; whether it was no member.
    ///
    /// A member that has this score already is written anew: a removal that runs elsewhere at the same time has not observed
    /// this insertion, and so does not undo it.
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when it is not a number, [`Error::Store`] also when key or member is over its
    /// limit.
    pub fn insert(&mut self, member: impl AsRef<[u8]>, score: f64) -> Result<bool, Error> {
        let score = Score::new(score).ok_or_else(|| self.not_a_score())?;
        self.begin()?;
        let row = self.member(member.as_ref());
        let added = !cell::is_visible(&self.rows.row(&row)?);
        cell::assign(&mut self.rows, &row, &score.to_text())?;
        Ok(added)
    }

    /// Adds `by` to the score of `member`, which is 0 when it is none, and returns what it then is.
    ///
    /// Increments add up exactly, here and with those made elsewhere at the same time, as long as `by` has a decimal of at
    /// most 18 digits after the point and is below 2⁶³. Any other is written as the score that it comes to here.
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::NotAScore`] when the sum is not a number, [`Error::NotANumber`] when somebody has written
    /// what is no score, [`Error::NewerEncoding`] when a newer version has, [`Error::Store`] also when key or member is over
    /// its limit.
    pub fn increment(&mut self, member: impl AsRef<[u8]>, by: f64) -> Result<f64, Error> {
        let by = Score::new(by).ok_or_else(|| self.not_a_score())?;
        self.begin()?;
        let row = self.member(member.as_ref());
        if let Some(decimal) = by.to_decimal() {
            match cell::add_score(&mut self.rows, &row, decimal) {
                // More was added than a cell adds up.
                Err(Error::Overflow { .. }) => {}
                added => return added.map(Score::get),
            }
        }
        let now = cell::score(&self.rows, &row)?.unwrap_or(Score::ZERO);
        let sum = Score::new(now.get() + by.get()).ok_or_else(|| self.not_a_score())?;
        cell::assign(&mut self.rows, &row, &sum.to_text())?;
        Ok(sum.get())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let is_shown = self.exists()?;
        expiry::begin(&mut self.rows, &self.key, is_shown)
    }

    /// Takes `member` out; whether it was one.
    ///
    /// # Errors
    /// See [`SortedSet`].
    pub fn remove(&mut self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        if !self.exists()? {
            return Ok(false);
        }
        self.clear_member(member.as_ref())
    }

    fn clear_member(&mut self, member: &[u8]) -> Result<bool, Error> {
        let key = self.member(member);
        let row = self.rows.row(&key)?;
        cell::clear(&mut self.rows, &key, &row)
    }

    /// Takes the members of a span out, and returns how many there were.
    ///
    /// # Errors
    /// As [`SortedSet::count`]; [`Error::Store`] also when there are more than one transaction takes.
    pub fn remove_range(&mut self, span: &Span) -> Result<u64, Error> {
        self.drain(span, |_| {})
    }

    /// Takes the members of a span out, and returns them in its order, with their scores.
    ///
    /// # Errors
    /// As [`SortedSet::remove_range`].
    pub fn pop(&mut self, span: &Span) -> Result<Vec<Scored>, Error> {
        let mut popped = Vec::new();
        self.drain(span, |scored| popped.push(scored))?;
        Ok(popped)
    }

    fn drain(&mut self, span: &Span, mut each: impl FnMut(Scored)) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let (mut range, mut left) = span.rest(&self.rows, &self.key)?;
        let mut removed = 0;
        while left > 0 {
            let limit = limit_of(LARGEST_PAGE, left);
            let page = self.rows.entries(&range, span.direction, limit)?;
            for entry in &page {
                let (score, member) = read(entry)?;
                removed += u64::from(self.clear_member(&member)?);
                each((member, score));
            }
            if page.len() < limit {
                break;
            }
            left -= page.len() as u64;
            pass(&mut range, span.direction, &page);
        }
        Ok(removed)
    }

    /// Takes out every member and returns how many there were.
    ///
    /// # Errors
    /// See [`SortedSet`]; [`Error::Store`] also when there are more members than one transaction takes.
    pub fn clear(&mut self) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let range = self.range();
        Ok(key::clear_rows(&mut self.rows, range, usize::MAX)?.shown)
    }
}

/// Members in the order of a span, read in pages that grow: most readers want a few or all of them.
struct InOrder<'a, S> {
    rows: &'a S,
    /// What has not been read; `None` at the end.
    rest: Option<KeyRange>,
    direction: Direction,
    /// How many may still be read.
    left: u64,
    page: std::vec::IntoIter<Vec<u8>>,
    size: usize,
}

const FIRST_PAGE: usize = 16;
const LARGEST_PAGE: usize = 1024;

impl<S: ReadRows> InOrder<'_, S> {
    fn turn(&mut self, mut range: KeyRange) -> Result<(), Error> {
        let limit = limit_of(self.size, self.left);
        let page = self.rows.entries(&range, self.direction, limit)?;
        self.left -= page.len() as u64;
        if page.len() == limit && self.left > 0 {
            pass(&mut range, self.direction, &page);
            self.rest = Some(range);
        }
        self.size = (self.size * 4).min(LARGEST_PAGE);
        self.page = page.into_iter();
        Ok(())
    }
}

impl<S: ReadRows> Iterator for InOrder<'_, S> {
    type Item = Result<Scored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && let Some(range) = self.rest.take()
            && let Err(error) = self.turn(range)
        {
            return Some(Err(error));
        }
        let entry = self.page.next()?;
        Some(read(&entry).map(|(score, member)| (member, score)))
    }
}

fn limit_of(size: usize, left: u64) -> usize {
    usize::try_from(left).map_or(size, |left| size.min(left))
}

/// Leaves a page out of a range.
fn pass(range: &mut KeyRange, direction: Direction, page: &[Vec<u8>]) {
    let Some(last) = page.last() else {
        return;
    };
    match direction {
        Direction::Forward => range.lower = after(last),
        Direction::Backward => range.upper = Some(last.clone()),
    }
}

fn read(entry: &[u8]) -> Result<(f64, Vec<u8>), Error> {
    let read = read_score_entry(entry).map(|(score, member)| (score.get(), member.to_vec()));
    read.ok_or_else(|| {
        let table = syncline_store::Table::Counted.name();
        let detail = "an entry is of no member";
        syncline_store::StoreError::DamagedTable { table, detail }.into()
    })
}
