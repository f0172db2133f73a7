//! Parts of strings, by their places. What is written is a string anew: of those that are concurrent one is read.

use syncline::ops::Key;

use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::String,
    commands: &[
        Command::write("append", 3, append)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "2.0.0",
                "O(N) where N is the length of the string",
                "Appends a string to the value of a key. Creates the key if it doesn't exist.",
            ),
        Command::write("setrange", 4, set_range)
            .key()
            .flags(Flags::DENYOOM)
            .docs(
                "2.2.0",
                "O(N) where N is the length of the string",
                "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
            ),
        Command::read("getrange", 4, range).key().docs(
            "2.4.0",
            "O(N) where N is the length of the string",
            "Returns a substring of the string stored at a key.",
        ),
        Command::read("substr", 4, range).key().docs(
            "1.0.0",
            "O(N) where N is the length of the string",
            "Returns a substring from a string value.",
        ),
        Command::read("strlen", 2, length).key().fast().docs(
            "2.2.0",
            "O(N) where N is the length of the string",
            "Returns the length of a string value.",
        ),
    ],
};

/// Longest value in bytes.
pub(crate) const MAX_VALUE: usize = 16 << 20;

/// What is said where a value would be longer than that.
pub(crate) const TOO_LONG: Refusal =
    Refusal::said("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

fn append(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, more) = (request.get(1), request.get(2));
    let mut value = writes.rows.get(key)?.unwrap_or_default();
    if value.len() + more.len() > MAX_VALUE {
        return Err(TOO_LONG);
    }
    value.extend_from_slice(more);
    writes.rows.put_keeping_deadline(key, &value)?;
    writes.note(Class::String, "append", key);
    Ok(Reply::Integer(value.len() as i64))
}

fn set_range(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, part) = (request.get(1), request.get(3));
    let from = number::required(request.get(2))?;
    let from = usize::try_from(from).map_err(|_| Refusal::said("ERR offset is out of range"))?;
    let mut value = writes.rows.get(key)?.unwrap_or_default();
    if part.is_empty() {
        return Ok(Reply::Integer(value.len() as i64));
    }
    let end = from
        .checked_add(part.len())
        .filter(|end| *end <= MAX_VALUE)
        .ok_or(TOO_LONG)?;
    if value.len() < end {
        value.resize(end, 0);
    }
    value[from..end].copy_from_slice(part);
    writes.rows.put_keeping_deadline(key, &value)?;
    writes.note(Class::String, "setrange", key);
    Ok(Reply::Integer(value.len() as i64))
}

/// The places from one to another, both among them and counted from the end where negative; nothing where there are none.
pub(crate) fn places(start: i64, end: i64, length: usize) -> Option<std::ops::Range<usize>> {
    let length = i64::try_from(length).ok()?;
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(length - 1));
    (start <= end).then(|| start as usize..end as usize + 1)
}

fn range(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let (start, end) = (
        number::required(request.get(2))?,
        number::required(request.get(3))?,
    );
    let value = Key::of(reads.rows, request.get(1)).value()?;
    let value = value.unwrap_or_default();
    Ok(match places(start, end, value.len()) {
        Some(places) => Reply::Bulk(bytes::Bytes::from(value).slice(places)),
        None => Reply::word(""),
    })
}

fn length(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let value = Key::of(reads.rows, request.get(1)).value()?;
    Ok(Reply::Integer(value.map_or(0, |value| value.len() as i64)))
}
