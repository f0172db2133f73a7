//! The end of the log at which records are appended.

use std::io;
use std::sync::Arc;

use super::files::{LogFile, LogFiles};
use super::record::{self, Payload, Point};
use super::segment::Header;

/// Records that are kept back from the operating system at most, in bytes.
const MAX_PENDING: usize = 1 << 20;

/// The records of a log, in order. Appends to one file at a time, which is made when its first
/// record comes.
#[derive(Debug)]
pub(super) struct Log {
    files: Arc<dyn LogFiles>,
    current: Option<Current>,
    /// The last record appended.
    last: Point,
    /// Records that the operating system has not been given yet.
    pending: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    header: Header,
    file: Arc<dyn LogFile>,
}

impl Log {
    /// A log that goes on after `last`. Of earlier records none may be in any file any more.
    pub(super) fn new(files: Arc<dyn LogFiles>, last: Point) -> Self {
        Self {
            files,
            current: None,
            last,
            pending: Vec::new(),
        }
    }

    /// Appends an encoded record. With `write`, the operating system has it, and all before it,
    /// when this returns; otherwise it may be kept back until later.
    ///
    /// # Errors
    /// Whatever keeps the file from being written. The log then ends before the record, in it, or
    /// behind it, and cannot be gone on with.
    pub(super) fn append(
        &mut self,
        mut record: Vec<u8>,
        synced: u64,
        write: bool,
    ) -> io::Result<(Point, Payload)> {
        if self.current.is_none() {
            let header = Header {
                before: self.last,
                salt: rand::random(),
            };
            let file = self.files.create(header.first(), &header.to_bytes())?;
            self.current = Some(Current { header, file });
        }
        let Some(current) = &self.current else {
            return Err(io::Error::other("the log has no file"));
        };
        let sequence = self.last.sequence + 1;
        let point = record::seal(&mut record, &current.header.salt, sequence, synced);
        if !write && self.pending.len() + record.len() <= MAX_PENDING {
            self.pending.extend_from_slice(&record);
        } else if self.pending.is_empty() {
            current.file.append(&record)?;
        } else {
            self.pending.extend_from_slice(&record);
            self.write()?;
        }
        self.last = point;
        let payload = Payload {
            range: record::HEADER..record.len(),
            bytes: record.into(),
        };
        Ok((point, payload))
    }

    /// Gives the operating system what was kept back.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if let Some(current) = &self.current
            && !self.pending.is_empty()
        {
            current.file.append(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    /// The file to be synced, for all records up to the one named to be durable; `None` if they
    /// are. The operating system has them.
    pub(super) fn unsynced(&mut self) -> io::Result<(Option<Arc<dyn LogFile>>, u64)> {
        self.write()?;
        let file = self.current.as_ref().map(|current| &current.file);
        Ok((file.cloned(), self.last.sequence))
    }

    /// Syncs and ends the current file; the next record makes a new one. Returns the last record,
    /// and the number of the file that it is in.
    pub(super) fn rotate(&mut self) -> io::Result<(Point, Option<u64>)> {
        self.write()?;
        let Some(current) = self.current.take() else {
            return Ok((self.last, None));
        };
        current.file.sync()?;
        Ok((self.last, Some(current.header.first())))
    }
}
