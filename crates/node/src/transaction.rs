//! Several operations that happen together or not at all.

use std::fmt;
use std::time::{Duration, SystemTime};

use syncline_crdt::{Dot, ReplicaId, Row, RowKey};
use syncline_merkle::{KeyRange, RangeDigest};
use syncline_store::Direction;

use crate::error::Error;
use crate::ops::{Counter, ExpireIf, Kind, Map, Register, Set, SortedSet, expiry, key};
use crate::registers::Registers;
use crate::rows::{Items, ReadRows, WriteRows, sealed};

/// A transaction under way, as the closure of [`Namespace::transaction`](crate::Namespace::transaction) is given it.
///
/// It sees the last commit, what transactions ahead of it in the same group have written, and its own writes. It is
/// alone: no other write comes between its operations. When the closure returns an error, nothing of it is written.
pub struct Transaction<'a> {
    rows: &'a mut dyn WriteRows,
    registers: Registers,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(rows: &'a mut dyn WriteRows) -> Self {
        Self {
            rows,
            registers: Registers::default(),
        }
    }

    /// Reads registers in another way than the usual one.
    pub(crate) fn read_registers_as(&mut self, registers: Registers) {
        self.registers = registers;
    }

    /// The set under `key`.
    pub fn set(&mut self, key: impl AsRef<[u8]>) -> Set<&mut Self> {
        Set::of(self, key)
    }

    /// The sorted set under `key`.
    pub fn sorted_set(&mut self, key: impl AsRef<[u8]>) -> SortedSet<&mut Self> {
        SortedSet::of(self, key)
    }

    /// The map under `key`.
    pub fn map(&mut self, key: impl AsRef<[u8]>) -> Map<&mut Self> {
        Map::of(self, key)
    }

    /// The register under `key`.
    pub fn register(&mut self, key: impl AsRef<[u8]>) -> Register<&mut Self> {
        Register::of(self, key)
    }

    /// The counter under `key`.
    pub fn counter(&mut self, key: impl AsRef<[u8]>) -> Counter<&mut Self> {
        Counter::of(self, key)
    }

    /// The value of `key`; a number as its decimal digits.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when the key shows a map or a set, [`Error::NewerEncoding`] when a newer version wrote the
    /// value, [`Error::Conflict`] under [`Registers::AllSiblings`], [`Error::Store`] when reading fails.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        key::get(self, key.as_ref())
    }

    /// Writes a value in place of everything observed under `key`, of whatever kind.
    ///
    /// # Errors
    /// [`Error::Store`] when key or value is over its limit, the transaction holds too many rows, or reading fails.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        key::put(self, key.as_ref(), value.as_ref())
    }

    /// Removes everything observed under `key`, of whatever kind; whether it showed anything.
    ///
    /// # Errors
    /// [`Error::Store`] when the key has more rows than one transaction takes, or reading fails.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        let hidden = expiry::is_hidden(self, key)?;
        let cleared = key::clear_rows(self, key::rows_of(key), usize::MAX)?;
        Ok(cleared.shown > 0 && !hidden)
    }

    /// Writes a value as [`put`](Transaction::put) does, and keeps the deadline of what it replaces.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_keeping_deadline(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        expiry::put_keeping(self, key.as_ref(), value.as_ref())
    }

    /// Has `key` expire so long from now; whether it shows anything that could.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails, or the transaction holds too many rows.
    pub fn expire(&mut self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let at = expiry::in_so_long(self, after);
        expiry::expire_at(self, key.as_ref(), at, ExpireIf::Always)
    }

    /// Has `key` expire at this time, if its deadline so far admits it; whether that was done. A time that has passed hides
    /// the key at once.
    ///
    /// # Errors
    /// As [`Transaction::expire`].
    pub fn expire_at(
        &mut self,
        key: impl AsRef<[u8]>,
        at: SystemTime,
        condition: ExpireIf,
    ) -> Result<bool, Error> {
        expiry::expire_at(self, key.as_ref(), expiry::unix_ms(at), condition)
    }

    /// Takes the deadline of `key` back; whether it had one.
    ///
    /// # Errors
    /// As [`Transaction::expire`].
    pub fn persist(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        expiry::persist(self, key.as_ref())
    }

    /// When `key` expires; `None` when it does not, or shows nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn deadline(&self, key: impl AsRef<[u8]>) -> Result<Option<SystemTime>, Error> {
        expiry::deadline(self, key.as_ref())
    }

    /// What `key` shows; `None` when there is nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, Error> {
        key::kind(self, key.as_ref())
    }
}

impl sealed::Rows for Transaction<'_> {}

impl ReadRows for Transaction<'_> {
    fn row(&self, key: &RowKey) -> Result<Row, Error> {
        self.rows.row(key)
    }

    fn rows(&self, range: &KeyRange) -> Result<Items<'_, (RowKey, Row)>, Error> {
        self.rows.rows(range)
    }

    fn first_row(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, Error> {
        self.rows.first_row(range)
    }

    fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, Error> {
        self.rows.row_at(range, n)
    }

    fn count_rows(&self, range: &KeyRange) -> Result<u64, Error> {
        self.rows.count_rows(range)
    }

    fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, Error> {
        self.rows.digest(range)
    }

    fn count_entries(&self, range: &KeyRange) -> Result<u64, Error> {
        self.rows.count_entries(range)
    }

    fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, Error> {
        self.rows.entry_at(range, n)
    }

    fn entries(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        self.rows.entries(range, direction, limit)
    }

    fn registers(&self) -> &Registers {
        &self.registers
    }

    fn now_ms(&self) -> u64 {
        self.rows.now_ms()
    }

    fn has_deadlines(&self) -> Result<bool, Error> {
        self.rows.has_deadlines()
    }
}

impl WriteRows for Transaction<'_> {
    fn put_row(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        self.rows.put_row(key, payload)
    }

    fn put_row_superseding(
        &mut self,
        key: &RowKey,
        payload: Vec<u8>,
        superseded: &[Dot],
    ) -> Result<(), Error> {
        self.rows.put_row_superseding(key, payload, superseded)
    }

    fn put_remnant(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<(), Error> {
        self.rows.put_remnant(key, payload)
    }

    fn remove_row(&mut self, key: &RowKey) -> Result<bool, Error> {
        self.rows.remove_row(key)
    }

    fn replica(&self) -> Result<ReplicaId, Error> {
        self.rows.replica()
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
