//! What the typed operations read and write: rows. A view and a transaction are the two kinds of it.

use std::cell::RefCell;
use std::vec;

use syncline_crdt::{Dot, ReplicaId, Row, RowKey};
use syncline_merkle::{KeyRange, RangeDigest, after};
use syncline_store::{Direction, StoreError};

use crate::engine::AnyEngine;
use crate::error::Error;
use crate::registers::Registers;
use crate::room::Room;

/// Items in order, each read when it is asked for; each can fail for itself.
pub type Items<'a, T> = Box<dyn Iterator<Item = Result<T, Error>> + 'a>;

/// Something that rows can be read from: a [`View`](crate::View) or a [`Transaction`](crate::Transaction).
///
/// The methods are the raw rows under the typed operations; applications have little use for them, and cannot implement
/// the trait.
pub trait ReadRows: sealed::Rows {
    /// The row at `key`; a row that does not exist has no siblings.
    ///
    /// # Errors
    /// [`Error::Store`] when the row is damaged or the disk fails.
    fn row(&self, key: &RowKey) -> Result<Row, Error>;

    /// The rows of a range of encoded row keys, in order.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails; each item fails for itself when its row is damaged.
    fn rows(&self, range: &KeyRange) -> Result<Items<'_, (RowKey, Row)>, Error>;

    /// The first row of a range; cheaper than to begin with all of them.
    ///
    /// # Errors
    /// [`Error::Store`] when the row is damaged or the disk fails.
    fn first_row(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, Error>;

    /// The key of the row that has `n` others of the range before it; `None` if there are not so many. O(log n), and in a transaction O(m) in the rows
    /// of the range that its group has looked at.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, Error>;

    /// How many rows lie in a range.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn count_rows(&self, range: &KeyRange) -> Result<u64, Error>;

    /// The digest of the rows of a range; `None` in a transaction if it, or one ahead of it in its group, has changed any of them. O(log n).
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, Error>;

    /// How many entries of the store's counted index lie in a range: members of sorted sets by their scores, and
    /// fields of maps that show nothing. See [`syncline_store::score_entry`].
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn count_entries(&self, range: &KeyRange) -> Result<u64, Error>;

    /// The entry of a range that has `n` others of it before it, if there are so many.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, Error>;

    /// The entries of a range from one of its ends, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn entries(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error>;

    /// How registers are read.
    fn registers(&self) -> &Registers;

    /// The time by which keys are hidden, in Unix milliseconds: of when the view was taken or the transaction began.
    fn now_ms(&self) -> u64;

    /// Whether there may be any deadlines.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk fails.
    fn has_deadlines(&self) -> Result<bool, Error>;
}

/// Something that rows can be written to: a [`Transaction`](crate::Transaction).
pub trait WriteRows: ReadRows {
    /// Writes one sibling in place of all those observed.
    ///
    /// # Errors
    /// [`Error::Store`] when a part of the row is over its limit, the transaction holds too many rows, or the disk fails.
    fn put_row(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error>;

    /// Writes one sibling in place of those named and leaves the others alone.
    ///
    /// # Errors
    /// As [`WriteRows::put_row`].
    fn put_row_superseding(
        &mut self,
        key: &RowKey,
        payload: Vec<u8>,
        superseded: &[Dot],
    ) -> Result<(), Error>;

    /// Writes what must stay of a row that is removed, in place of all siblings observed: as [`put_row`](WriteRows::put_row), where there is
    /// room for removals only.
    ///
    /// # Errors
    /// As [`WriteRows::put_row`].
    fn put_remnant(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error>;

    /// Removes all siblings observed; `false` when there are none.
    ///
    /// # Errors
    /// As [`WriteRows::put_row`].
    fn remove_row(&mut self, key: &RowKey) -> Result<bool, Error>;

    /// The id under which this opening of the store writes.
    ///
    /// # Errors
    /// [`Error::Store`] when none can be had.
    fn replica(&self) -> Result<ReplicaId, Error>;
}

pub(crate) mod sealed {
    /// Keeps the traits ours, so that they can grow.
    pub trait Rows {}

    impl<R: Rows + ?Sized> Rows for &R {}
    impl<R: Rows + ?Sized> Rows for &mut R {}
    impl Rows for super::StoreRows<'_, '_> {}
}

macro_rules! read_through {
    ($($reference:ty),*) => {$(
        impl<R: ReadRows + ?Sized> ReadRows for $reference {
            fn row(&self, key: &RowKey) -> Result<Row, Error> {
                (**self).row(key)
            }

            fn rows(&self, range: &KeyRange) -> Result<Items<'_, (RowKey, Row)>, Error> {
                (**self).rows(range)
            }

            fn first_row(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, Error> {
                (**self).first_row(range)
            }

            fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, Error> {
                (**self).row_at(range, n)
            }

            fn count_rows(&self, range: &KeyRange) -> Result<u64, Error> {
                (**self).count_rows(range)
            }

            fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, Error> {
                (**self).digest(range)
            }

            fn count_entries(&self, range: &KeyRange) -> Result<u64, Error> {
                (**self).count_entries(range)
            }

            fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, Error> {
                (**self).entry_at(range, n)
            }

            fn entries(
                &self,
                range: &KeyRange,
                direction: Direction,
                limit: usize,
            ) -> Result<Vec<Vec<u8>>, Error> {
                (**self).entries(range, direction, limit)
            }

            fn registers(&self) -> &Registers {
                (**self).registers()
            }

            fn now_ms(&self) -> u64 {
                (**self).now_ms()
            }

            fn has_deadlines(&self) -> Result<bool, Error> {
                (**self).has_deadlines()
            }
        }
    )*};
}

read_through!(&R, &mut R);

impl<R: WriteRows + ?Sized> WriteRows for &mut R {
    fn put_row(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        (**self).put_row(key, payload)
    }

    fn put_row_superseding(
        &mut self,
        key: &RowKey,
        payload: Vec<u8>,
        superseded: &[Dot],
    ) -> Result<(), Error> {
        (**self).put_row_superseding(key, payload, superseded)
    }

    fn put_remnant(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        (**self).put_remnant(key, payload)
    }

    fn remove_row(&mut self, key: &RowKey) -> Result<bool, Error> {
        (**self).remove_row(key)
    }

    fn replica(&self) -> Result<ReplicaId, Error> {
        (**self).replica()
    }
}

/// The rows of a store's transaction.
pub(crate) struct StoreRows<'t, 'g> {
    /// Reading may withdraw a damaged row, so the store wants it exclusively even then. No borrow outlives a method.
    transaction: RefCell<&'t mut StoreTransaction<'g>>,
    room: &'t Room,
    now_ms: u64,
}

type StoreTransaction<'g> = syncline_store::Transaction<'g, AnyEngine>;

impl<'t, 'g> StoreRows<'t, 'g> {
    pub(crate) fn new(transaction: &'t mut StoreTransaction<'g>, room: &'t Room) -> Self {
        Self {
            now_ms: transaction.now_ms(),
            transaction: RefCell::new(transaction),
            room,
        }
    }
}

impl ReadRows for StoreRows<'_, '_> {
    fn row(&self, key: &RowKey) -> Result<Row, Error> {
        Ok(self.transaction.borrow_mut().get(key)?.unwrap_or_default())
    }

    fn rows(&self, range: &KeyRange) -> Result<Items<'_, (RowKey, Row)>, Error> {
        Ok(Box::new(Pages {
            rows: self,
            rest: Some(range.clone()),
            page: Vec::new().into_iter(),
            size: 2,
        }))
    }

    fn first_row(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, Error> {
        Ok(self.transaction.borrow_mut().scan(range, 1)?.pop())
    }

    fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, Error> {
        Ok(self.transaction.borrow().row_at(range, n)?)
    }

    fn count_rows(&self, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.transaction.borrow().count_rows(range)?)
    }

    fn count_entries(&self, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.transaction.borrow_mut().count_entries(range)?)
    }

    fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.transaction.borrow_mut().entry_at(range, n)?)
    }

    fn entries(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut transaction = self.transaction.borrow_mut();
        Ok(transaction.entries(range, direction, limit)?)
    }

    fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, Error> {
        Ok(self.transaction.borrow().digest(range)?)
    }

    fn registers(&self) -> &Registers {
        &Registers::LastWriter
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn has_deadlines(&self) -> Result<bool, Error> {
        Ok(self.transaction.borrow_mut().has_deadlines()?)
    }
}

impl WriteRows for StoreRows<'_, '_> {
    fn put_row(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        self.room.admit_write()?;
        self.transaction.get_mut().put(key, payload)?;
        Ok(())
    }

    fn put_row_superseding(
        &mut self,
        key: &RowKey,
        payload: Vec<u8>,
        superseded: &[Dot],
    ) -> Result<(), Error> {
        self.room.admit_write()?;
        let transaction = self.transaction.get_mut();
        transaction.put_superseding(key, payload, superseded)?;
        Ok(())
    }

    fn put_remnant(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        self.room.admit_removal()?;
        self.transaction.get_mut().put(key, payload)?;
        Ok(())
    }

    fn remove_row(&mut self, key: &RowKey) -> Result<bool, Error> {
        self.room.admit_removal()?;
        Ok(self.transaction.get_mut().remove(key)?)
    }

    fn replica(&self) -> Result<ReplicaId, Error> {
        Ok(self.transaction.borrow_mut().replica())
    }
}

/// The rows of a range, read in pages that grow: most readers want the first row or all of them.
struct Pages<'r, 't, 'g> {
    rows: &'r StoreRows<'t, 'g>,
    /// What lies behind the page; `None` at the end.
    rest: Option<KeyRange>,
    page: vec::IntoIter<(RowKey, Row)>,
    /// How many rows the next page takes.
    size: usize,
}

/// Rows of a page at most.
const LARGEST_PAGE: usize = 1024;

impl Pages<'_, '_, '_> {
    fn turn(&mut self, mut range: KeyRange) -> Result<(), StoreError> {
        let page = self.rows.transaction.borrow_mut().scan(&range, self.size)?;
        if let Some((last, _)) = page.last().filter(|_| page.len() == self.size) {
            range.lower = after(last.as_bytes());
            self.rest = Some(range);
        }
        self.size = (self.size * 8).min(LARGEST_PAGE);
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Pages<'_, '_, '_> {
    type Item = Result<(RowKey, Row), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && let Some(range) = self.rest.take()
            && let Err(error) = self.turn(range)
        {
            return Some(Err(error.into()));
        }
        self.page.next().map(Ok)
    }
}
