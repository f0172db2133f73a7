//! Records of a file, one after the other, whatever its format: a key and named fields, with the line they stand at.
//! Memory is bounded by one record; malformed input is an error that names the line.

mod delimited;
mod json;

use std::io::BufRead;

use thiserror::Error;

use crate::args::Format;

pub(crate) use json::JsonLines;

/// The longest line or record read. Values end at 16 MiB, so nothing that could be imported is longer; without a bound a
/// file without line breaks would be read into memory whole.
pub(crate) const LONGEST_RECORD: usize = 64 << 20;

/// A record: the key's bytes and the fields that are not empty, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Line on which the record begins, from 1.
    pub(crate) line: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why a file cannot be read further. The text goes behind "FILE:LINE: ".
#[derive(Debug, Error)]
pub(crate) enum RecordError {
    #[error("reading failed: {source}")]
    Read {
        line: u64,
        #[source]
        source: std::io::Error,
    },
    #[error("this is not a JSON object: {cause}; put one object on each line")]
    NotAnObject { line: u64, cause: String },
    #[error("the record has no field {column:?}, which --key names")]
    NoKey { line: u64, column: String },
    #[error("the key is empty; give the record a name in column {column:?}")]
    EmptyKey { line: u64, column: String },
    #[error("the record has {found} columns and the header {expected}; {hint}")]
    Columns {
        line: u64,
        found: u64,
        expected: u64,
        hint: &'static str,
    },
    #[error("there is no header line; the first line must name the columns")]
    NoHeader { line: u64 },
    #[error("the header has no column {column:?}, which --key names; it has {present}")]
    NoSuchColumn {
        line: u64,
        column: String,
        present: String,
    },
    #[error("the header names column {column:?} twice; a field can have one value only")]
    ColumnTwice { line: u64, column: String },
    #[error("the record is longer than {} MiB; split it", LONGEST_RECORD >> 20)]
    TooLong { line: u64 },
    #[error("{what} has {found} bytes, and the limit is {limit}")]
    TooLarge {
        line: u64,
        what: String,
        found: usize,
        limit: usize,
    },
    #[error("{text}")]
    Line { line: u64, text: String },
}

impl RecordError {
    /// The line at fault, from 1.
    pub(crate) fn line(&self) -> u64 {
        match self {
            Self::Read { line, .. }
            | Self::NotAnObject { line, .. }
            | Self::NoKey { line, .. }
            | Self::EmptyKey { line, .. }
            | Self::Columns { line, .. }
            | Self::NoHeader { line }
            | Self::NoSuchColumn { line, .. }
            | Self::ColumnTwice { line, .. }
            | Self::TooLong { line }
            | Self::TooLarge { line, .. }
            | Self::Line { line, .. } => *line,
        }
    }
}

/// The records of `input`. `key` names the key column; CSV and TSV fall back to their first.
///
/// # Errors
/// A header that is missing or lacks the key column.
pub(crate) fn read<'a>(
    input: impl BufRead + 'a,
    format: Format,
    key: Option<&str>,
) -> Result<Box<dyn Iterator<Item = Result<Record, RecordError>> + 'a>, RecordError> {
    match format {
        Format::Jsonl => Ok(Box::new(
            JsonLines::new(input).records(key.unwrap_or("key")),
        )),
        Format::Csv => Ok(Box::new(delimited::records(input, delimited::CSV, key)?)),
        Format::Tsv => Ok(Box::new(delimited::records(input, delimited::TSV, key)?)),
    }
}

#[cfg(test)]
mod tests;
