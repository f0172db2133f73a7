//! Strings and numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline::ExpireIf;
use syncline::ops::{Key, Kind};

use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::{Request, integer};
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::String,
    commands: &[
        Command::read("get", 2, get)
            .key()
            .fast()
            .docs("1.0.0", "O(1)", "Returns the string value of a key."),
        Command::write("set", -3, set).key().flags(Flags::DENYOOM).docs(
            "1.0.0",
            "O(1)",
            "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        ),
        Command::write("incr", 2, |writes, request| add(writes, request.get(1), 1))
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
            ),
    ],
};

fn get(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::maybe(Key::of(reads.rows, request.get(1)).value()?))
}

fn add(writes: &mut Writes<'_, '_>, key: &[u8], by: i64) -> Result<Reply, Refusal> {
    let sum = writes.rows.counter(key).add(by)?;
    writes.note(Class::String, "incrby", key);
    Ok(Reply::Integer(sum))
}

/// What `SET` is asked to do beside setting.
#[derive(Default)]
struct SetOptions {
    /// Only if the key is there, or is not.
    only_if: Option<bool>,
    gets: bool,
    keeps_deadline: bool,
    deadline: Option<SystemTime>,
}

impl SetOptions {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut words = request.from(3);
        while let Some(word) = words.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let is_timed = options.keeps_deadline || options.deadline.is_some();
            if is("nx") && options.only_if.is_none() {
                options.only_if = Some(false);
            } else if is("xx") && options.only_if.is_none() {
                options.only_if = Some(true);
            } else if is("get") {
                options.gets = true;
            } else if is("keepttl") && !is_timed {
                options.keeps_deadline = true;
            } else if let Some(unit) = Unit::of(word)
                && !is_timed
            {
                let number = words.next().ok_or(Refusal::SYNTAX)?;
                options.deadline = Some(unit.deadline(number, "set")?);
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(options)
    }
}

/// How a deadline is said.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    /// Milliseconds in one.
    pub(crate) ms: i64,
    /// Whether it is counted from 1970, not from now.
    pub(crate) is_absolute: bool,
}

impl Unit {
    /// By the word before it.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        let unit = |ms, is_absolute| Some(Self { ms, is_absolute });
        match word.to_ascii_lowercase().as_slice() {
            b"ex" => unit(1000, false),
            b"px" => unit(1, false),
            b"exat" => unit(1000, true),
            b"pxat" => unit(1, true),
            _ => None,
        }
    }

    /// The time that a number of them says, for a command that takes none before now.
    pub(crate) fn deadline(self, number: &[u8], command: &str) -> Result<SystemTime, Refusal> {
        let invalid = || Refusal::from(format!("ERR invalid expire time in '{command}' command"));
        let number = integer(number).ok_or(Refusal::NOT_INTEGER)?;
        let ms = number
            .checked_mul(self.ms)
            .filter(|ms| *ms > 0)
            .ok_or_else(invalid)?;
        let span = Duration::from_millis(ms.unsigned_abs());
        let begin = if self.is_absolute {
            UNIX_EPOCH
        } else {
            SystemTime::now()
        };
        begin.checked_add(span).ok_or_else(invalid)
    }
}

fn set(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let options = SetOptions::read(request)?;
    let (key, value) = (request.get(1), request.get(2));
    let mut old = Reply::OK;
    if options.only_if.is_some() || options.gets {
        let there = Key::of(&*writes.rows, key).kind()?;
        if options.gets {
            old = match there {
                None => Reply::Null,
                Some(Kind::Value) => Reply::maybe(writes.rows.get(key)?),
                Some(_) => return Err(Refusal::WRONG_TYPE),
            };
        }
        if options
            .only_if
            .is_some_and(|wanted| wanted != there.is_some())
        {
            return Ok(if options.gets { old } else { Reply::Null });
        }
    }
    match options.keeps_deadline {
        true => writes.rows.put_keeping_deadline(key, value)?,
        false => writes.rows.put(key, value)?,
    }
    writes.note(Class::String, "set", key);
    if let Some(deadline) = options.deadline {
        writes.rows.expire_at(key, deadline, ExpireIf::Always)?;
        writes.note(Class::Generic, "expire", key);
    }
    Ok(old)
}
