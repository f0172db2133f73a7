//! CSV and TSV under a header line.

use std::cell::Cell;
use std::io::{BufRead, Cursor, Read};
use std::rc::Rc;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{LONGEST_RECORD, Record, RecordError};

/// How columns are told apart.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    delimiter: u8,
    quoting: bool,
    hint: &'static str,
}

pub(super) const CSV: Dialect = Dialect {
    delimiter: b',',
    quoting: true,
    hint: "quote values that hold commas or line breaks",
};

/// Plain TSV has no quotes: a quotation mark is a character like any other.
pub(super) const TSV: Dialect = Dialect {
    delimiter: b'\t',
    quoting: false,
    hint: "values cannot hold tabs or line breaks",
};

/// A record put behind the input. A file cut off inside quotes swallows it, which is how that is noticed: the CSV
/// reader itself takes the end of the file for the end of the quotes. Its line break also ends a last line without one,
/// so that every record ends with a line break and lines can be counted back from its end.
const END: &[u8] = b"\n\x00end of input\x00\n";

pub(super) fn records<R: BufRead>(
    input: R,
    dialect: Dialect,
    key: Option<&str>,
) -> Result<impl Iterator<Item = Result<Record, RecordError>> + use<R>, RecordError> {
    let left = Rc::new(Cell::new(LONGEST_RECORD));
    let input = Guarded {
        input: input.chain(Cursor::new(END)),
        left: Rc::clone(&left),
    };
    let reader = ReaderBuilder::new()
        .delimiter(dialect.delimiter)
        .quoting(dialect.quoting)
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut lines = Lines {
        reader,
        left,
        record: ByteRecord::new(),
    };
    let columns = match lines.next()? {
        Some(_) => Columns::new(&lines.record, key)?,
        None => return Err(RecordError::NoHeader { line: 1 }),
    };
    Ok(Records {
        lines,
        columns,
        dialect,
        ended: false,
    })
}

/// Input that ends with an error when one record takes too much of it.
struct Guarded<R> {
    input: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.left.get().checked_sub(read) {
            Some(left) => self.left.set(left),
            None => return Err(std::io::ErrorKind::FileTooLarge.into()),
        }
        Ok(read)
    }
}

/// Records with the lines they begin on.
struct Lines<R> {
    reader: Reader<Guarded<R>>,
    left: Rc<Cell<usize>>,
    record: ByteRecord,
}

impl<R: Read> Lines<R> {
    /// Reads the next record and tells its first line; `None` at the end.
    fn next(&mut self) -> Result<Option<u64>, RecordError> {
        self.left.set(LONGEST_RECORD);
        let before = self.reader.position().line();
        let more = self.reader.read_byte_record(&mut self.record);
        let more = more.map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                RecordError::TooLong { line: before }
            }
            csv::ErrorKind::Io(source) => RecordError::Read {
                line: before,
                source,
            },
            _ => RecordError::Line {
                line: before,
                text: "the record cannot be read".to_owned(),
            },
        })?;
        if !more {
            return Ok(None);
        }
        // Where the reader stands is certain; where it began is not, since it skips blank lines.
        let breaks = self
            .record
            .as_slice()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        let after = self.reader.position().line();
        if self.record.as_slice().ends_with(END) {
            return Err(RecordError::Line {
                line: after.saturating_sub(breaks).max(before),
                text: "a quotation mark is opened and never closed; is the file cut off?"
                    .to_owned(),
            });
        }
        if self.record.get(0) == END.trim_ascii_start().strip_suffix(b"\n") {
            return Ok(None);
        }
        Ok(Some(after.saturating_sub(breaks + 1).max(before)))
    }
}

struct Columns {
    key: usize,
    names: Vec<Vec<u8>>,
}

impl Columns {
    fn new(header: &ByteRecord, key: Option<&str>) -> Result<Self, RecordError> {
        if header.is_empty() || header.iter().all(<[u8]>::is_empty) {
            return Err(RecordError::NoHeader { line: 1 });
        }
        let mut names: Vec<Vec<u8>> = header.iter().map(<[u8]>::to_vec).collect();
        // Spreadsheets put a byte-order mark before the first name, where nobody sees it.
        if let Some(first) = names.first_mut()
            && let Some(rest) = first.strip_prefix(b"\xEF\xBB\xBF")
        {
            *first = rest.to_vec();
        }
        let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|earlier| earlier == name) {
                let column = shown(name);
                return Err(RecordError::ColumnTwice { line: 1, column });
            }
        }
        let key = match key {
            None => 0,
            Some(column) => names
                .iter()
                .position(|name| name == column.as_bytes())
                .ok_or_else(|| {
                    let present = names.iter().map(|name| format!("{:?}", shown(name)));
                    RecordError::NoSuchColumn {
                        line: 1,
                        column: column.to_owned(),
                        present: present.collect::<Vec<_>>().join(", "),
                    }
                })?,
        };
        Ok(Self { key, names })
    }
}

struct Records<R> {
    lines: Lines<R>,
    columns: Columns,
    dialect: Dialect,
    ended: bool,
}

impl<R: Read> Records<R> {
    fn read(&mut self) -> Result<Option<Record>, RecordError> {
        let Some(line) = self.lines.next()? else {
            return Ok(None);
        };
        let record = &self.lines.record;
        if record.len() != self.columns.names.len() {
            return Err(RecordError::Columns {
                line,
                found: record.len() as u64,
                expected: self.columns.names.len() as u64,
                hint: self.dialect.hint,
            });
        }
        let mut key = Vec::new();
        let mut fields = Vec::new();
        for (index, (name, value)) in self.columns.names.iter().zip(record).enumerate() {
            if index == self.columns.key {
                key = value.to_vec();
            } else if !value.is_empty() {
                fields.push((name.clone(), value.to_vec()));
            }
        }
        if key.is_empty() {
            let name = self.columns.names.get(self.columns.key);
            let column = name.map(|name| String::from_utf8_lossy(name).into_owned());
            return Err(RecordError::EmptyKey {
                line,
                column: column.unwrap_or_default(),
            });
        }
        Ok(Some(Record { line, key, fields }))
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}
