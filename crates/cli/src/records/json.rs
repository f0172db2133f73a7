//! JSON lines: one object a line.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};

use super::{LONGEST_RECORD, Record, RecordError};

/// The objects of a file of JSON lines, with their line numbers. Blank lines are skipped.
pub(crate) struct JsonLines<R> {
    input: R,
    line: u64,
    failed: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            line: 0,
            failed: false,
        }
    }

    /// Each object as a record named by its field `key`.
    pub(crate) fn records(
        self,
        key: &str,
    ) -> impl Iterator<Item = Result<Record, RecordError>> + use<R> {
        let key = key.to_owned();
        self.map(move |object| object.and_then(|(line, object)| record(line, object, &key)))
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let mut bounded = self.input.by_ref().take(LONGEST_RECORD as u64 + 1);
            let read = bounded.read_until(b'\n', &mut text);
            self.line += 1;
            let line = self.line;
            if read.map_err(|source| RecordError::Read { line, source })? == 0 {
                return Ok(None);
            }
            if text.len() > LONGEST_RECORD {
                return Err(RecordError::TooLong { line });
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some(text));
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<(u64, Map<String, Value>), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = match self.next_line() {
            Ok(None) => return None,
            Ok(Some(text)) => object(self.line, &text),
            Err(error) => Err(error),
        };
        self.failed = item.is_err();
        Some(item.map(|object| (self.line, object)))
    }
}

fn object(line: u64, text: &[u8]) -> Result<Map<String, Value>, RecordError> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(RecordError::NotAnObject {
            line,
            cause: format!("it is {}", kind(&other)),
        }),
        Err(error) => Err(RecordError::NotAnObject {
            line,
            cause: cause(&error),
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// serde_json counts lines within the text it was given, which is always one: only the column tells anything.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

fn record(line: u64, mut object: Map<String, Value>, column: &str) -> Result<Record, RecordError> {
    let key = object
        .remove(column)
        .as_ref()
        .and_then(text)
        .ok_or_else(|| RecordError::NoKey {
            line,
            column: column.to_owned(),
        })?;
    if key.is_empty() {
        let column = column.to_owned();
        return Err(RecordError::EmptyKey { line, column });
    }
    let fields = object
        .iter()
        .filter_map(|(name, value)| Some((name.clone().into_bytes(), text(value)?.into_bytes())));
    Ok(Record {
        line,
        key: key.into_bytes(),
        fields: fields.collect(),
    })
}

/// A value as the text it is stored as; nothing for null. Arrays and objects are kept as compact JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
