//! What the tools answer: pages that are bounded whatever the memory holds, and errors that say what to do.

use rmcp::model::CallToolResult;
use serde_json::{Value, json};
use syncline::{Error, Kind, Score, View};

use crate::failure::chain;
use crate::lines::{self, Content, Item};

/// Bytes of keys, values, fields and members in an answer, about.
const ANSWER: usize = 64 << 10;
/// Fields or members of one entry in a page of several.
const PARTS: usize = 100;
/// Bytes of one value in a page of several.
const VALUE: usize = 4 << 10;

/// Why a tool has not done what it was asked for.
pub(super) struct Refused {
    kind: &'static str,
    text: String,
    more: Value,
}

impl Refused {
    pub(super) fn input(text: impl Into<String>) -> Self {
        Self::new("bad_input", text)
    }

    pub(super) fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            more: Value::Null,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::WrongKind { .. } => "wrong_kind",
            Error::NewerEncoding { .. } => "newer_version",
            Error::ReadOnly { .. } => "disk_full",
            Error::Closed => "closed",
            _ => "failed",
        };
        Self::new(kind, chain(&error))
    }
}

/// What a tool has come to, as the protocol has it.
pub(super) fn answer(done: Result<Value, Refused>) -> CallToolResult {
    match done {
        Ok(value) => CallToolResult::structured(value),
        Err(Refused { kind, text, more }) => {
            let mut error = json!({"kind": kind, "text": text});
            if !more.is_null() {
                error["details"] = more;
            }
            CallToolResult::structured_error(json!({"error": error}))
        }
    }
}

/// Entries whose keys begin with a prefix, after a cursor, with what they hold if that is asked for.
pub(super) fn page(
    view: &View,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    whole: bool,
) -> Result<Value, Error> {
    let first = match after {
        Some(after) if after >= prefix => [after, b"\0"].concat(),
        _ => prefix.to_vec(),
    };
    let (mut entries, mut size, mut last) = (Vec::new(), 0, None);
    let mut more = false;
    for entry in view.keys_within(first..)? {
        let (key, kind) = entry?;
        if !key.starts_with(prefix) {
            break;
        }
        if entries.len() >= limit || size >= ANSWER {
            more = true;
            break;
        }
        let entry = match whole {
            true => entry_of(view, &key, kind, VALUE, PARTS, None)?,
            false => json!({"key": lines::text(&key), "type": name(kind)}),
        };
        size += entry.to_string().len();
        entries.push(entry);
        last = Some(key);
    }
    let cursor = last.filter(|_| more).map(|key| lines::text(&key));
    Ok(json!({"entries": entries, "cursor": cursor}))
}

/// What one key holds, from a cursor on; `None` if nothing.
pub(super) fn entry(view: &View, key: &[u8], after: Option<&[u8]>) -> Result<Option<Value>, Error> {
    match view.kind(key)? {
        Some(kind) => entry_of(view, key, kind, ANSWER, 10 * PARTS, after).map(Some),
        None => Ok(None),
    }
}

fn entry_of(
    view: &View,
    key: &[u8],
    kind: Kind,
    value_bytes: usize,
    parts: usize,
    after: Option<&[u8]>,
) -> Result<Value, Error> {
    let mut room = Room {
        parts,
        bytes: ANSWER,
    };
    let (content, cursor) = match kind {
        Kind::Value => return value(view, key, value_bytes, after),
        Kind::Map => {
            let fields = view.map(key);
            let (fields, cursor) = room.take(fields.fields()?, after, |(field, value)| {
                (field, field.len() + value.len())
            })?;
            (Content::Fields(fields), cursor)
        }
        Kind::Set => {
            let members = view.set(key);
            let (members, cursor) =
                room.take(members.members()?, after, |member| (member, member.len()))?;
            (Content::Members(members), cursor)
        }
        Kind::SortedSet => {
            let set = view.sorted_set(key);
            let scores = set.members()?.map(|scored| {
                let (member, score) = scored?;
                let key = key.to_vec();
                let score = Score::new(score).ok_or(Error::NotAScore { key })?;
                Ok((member, score))
            });
            let (scores, cursor) =
                room.take(scores, after, |(member, _)| (member, member.len()))?;
            (Content::Scores(scores), cursor)
        }
        _ => return Ok(json!({"key": lines::text(key), "type": "unknown"})),
    };
    let key = key.to_vec();
    let mut entry = lines::to_json(&Item { key, content });
    if let Some(cursor) = cursor {
        entry["cursor"] = lines::text(&cursor).into();
    }
    Ok(entry)
}

/// A value; of a long one a part, from the byte that the cursor says.
fn value(view: &View, key: &[u8], most: usize, after: Option<&[u8]>) -> Result<Value, Error> {
    let content = view.get(key)?.unwrap_or_default();
    let from = after.and_then(|after| std::str::from_utf8(after).ok()?.parse().ok());
    let from: usize = from.unwrap_or(0).min(content.len());
    let mut end = content.len().min(from.saturating_add(most));
    // Text is not cut within a character.
    if std::str::from_utf8(&content).is_ok() {
        while end < content.len() && content[end] & 0xc0 == 0x80 {
            end -= 1;
        }
    }
    let (whole, part) = (content.len(), content[from..end].to_vec());
    let is_part = part.len() < whole;
    let mut entry = lines::to_json(&Item {
        key: key.to_vec(),
        content: Content::Value(part),
    });
    if is_part {
        // A part of a text may look like a number.
        entry = json!({"key": entry["key"], "type": "register", "value": lines::text(&content[from..end]), "length": whole});
        if end < whole {
            entry["cursor"] = end.to_string().into();
        }
    }
    if let Some(deadline) = view.deadline(key)? {
        let left = deadline.duration_since(std::time::SystemTime::now());
        entry["expires_in_seconds"] = left.unwrap_or_default().as_secs().into();
    }
    Ok(entry)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Map => "map",
        Kind::Set => "set",
        Kind::SortedSet => "sorted set",
        _ => "unknown",
    }
}

/// What one entry may still take.
struct Room {
    parts: usize,
    bytes: usize,
}

impl Room {
    /// The parts after a cursor that there is room for, and the cursor for those after them.
    fn take<T>(
        &mut self,
        parts: impl Iterator<Item = Result<T, Error>>,
        after: Option<&[u8]>,
        size: impl Fn(&T) -> (&Vec<u8>, usize),
    ) -> Result<(Vec<T>, Option<Vec<u8>>), Error> {
        let mut taken: Vec<T> = Vec::new();
        for part in parts {
            let part = part?;
            let (name, bytes) = size(&part);
            if after.is_some_and(|after| name.as_slice() <= after) {
                continue;
            }
            if self.parts == 0 || self.bytes == 0 {
                let cursor = taken.last().map(|last| size(last).0.clone());
                return Ok((taken, cursor));
            }
            self.parts -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            taken.push(part);
        }
        Ok((taken, None))
    }
}
