//! Deadlines of keys: how clients say them, how they are set and told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline::ExpireIf;
use syncline::ops::{Key, ReadRows};

use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::write("expire", -3, |writes, request| {
            expire(writes, request, Unit::SECONDS, "expire")
        })
        .key()
        .fast()
        .docs(
            "1.0.0",
            "O(1)",
            "Sets the expiration time of a key in seconds.",
        ),
        Command::write("pexpire", -3, |writes, request| {
            expire(writes, request, Unit::MILLISECONDS, "pexpire")
        })
        .key()
        .fast()
        .docs(
            "2.6.0",
            "O(1)",
            "Sets the expiration time of a key in milliseconds.",
        ),
        Command::write("expireat", -3, |writes, request| {
            expire(writes, request, Unit::SECONDS.absolute(), "expireat")
        })
        .key()
        .fast()
        .docs(
            "1.2.0",
            "O(1)",
            "Sets the expiration time of a key to a Unix timestamp.",
        ),
        Command::write("pexpireat", -3, |writes, request| {
            expire(writes, request, Unit::MILLISECONDS.absolute(), "pexpireat")
        })
        .key()
        .fast()
        .docs(
            "2.6.0",
            "O(1)",
            "Sets the expiration time of a key to a Unix milliseconds timestamp.",
        ),
        Command::read("ttl", 2, |reads, request| {
            left(reads, request, Unit::SECONDS)
        })
        .key()
        .fast()
        .docs(
            "1.0.0",
            "O(1)",
            "Returns the expiration time in seconds of a key.",
        ),
        Command::read("pttl", 2, |reads, request| {
            left(reads, request, Unit::MILLISECONDS)
        })
        .key()
        .fast()
        .docs(
            "2.6.0",
            "O(1)",
            "Returns the expiration time in milliseconds of a key.",
        ),
        Command::read("expiretime", 2, |reads, request| {
            left(reads, request, Unit::SECONDS.absolute())
        })
        .key()
        .fast()
        .docs(
            "7.0.0",
            "O(1)",
            "Returns the expiration time of a key as a Unix timestamp.",
        ),
        Command::read("pexpiretime", 2, |reads, request| {
            left(reads, request, Unit::MILLISECONDS.absolute())
        })
        .key()
        .fast()
        .docs(
            "7.0.0",
            "O(1)",
            "Returns the expiration time of a key as a Unix milliseconds timestamp.",
        ),
        Command::write("persist", 2, persist).key().fast().docs(
            "2.2.0",
            "O(1)",
            "Removes the expiration time of a key.",
        ),
    ],
};

/// How a time is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Milliseconds in one.
    ms: i64,
    /// Whether it is counted from 1970, not from now.
    is_absolute: bool,
}

impl Unit {
    pub(crate) const SECONDS: Self = Self {
        ms: 1000,
        is_absolute: false,
    };
    pub(crate) const MILLISECONDS: Self = Self {
        ms: 1,
        is_absolute: false,
    };

    /// Counted from 1970.
    pub(crate) const fn absolute(self) -> Self {
        Self {
            is_absolute: true,
            ..self
        }
    }

    /// By the word before it, as in `SET`.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_slice() {
            b"ex" => Self::SECONDS,
            b"px" => Self::MILLISECONDS,
            b"exat" => Self::SECONDS.absolute(),
            b"pxat" => Self::MILLISECONDS.absolute(),
            _ => return None,
        })
    }

    /// So many of them as Unix milliseconds, if there are as many.
    fn unix_ms(self, number: i64, now_ms: u64) -> Option<i64> {
        let ms = number.checked_mul(self.ms)?;
        match self.is_absolute {
            true => Some(ms),
            false => ms.checked_add(i64::try_from(now_ms).ok()?),
        }
    }

    /// The Unix milliseconds that a number of them says, for a command that takes none before now.
    pub(crate) fn deadline(
        self,
        number: &[u8],
        now_ms: u64,
        command: &str,
    ) -> Result<SystemTime, Refusal> {
        let number = number::required(number)?;
        let at = self.unix_ms(number, now_ms).filter(|_| number > 0);
        at.and_then(time).ok_or_else(|| invalid(command))
    }
}

fn invalid(command: &str) -> Refusal {
    format!("ERR invalid expire time in '{command}' command").into()
}

/// Unix milliseconds as a time; those before 1970 as 1970.
pub(crate) fn time(ms: i64) -> Option<SystemTime> {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    UNIX_EPOCH.checked_add(since)
}

/// A time as Unix milliseconds.
pub(crate) fn unix_ms(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What `EXPIRE` makes of a deadline: one that has passed deletes the key at once. Whether there was anything that could expire.
pub(crate) fn set(
    writes: &mut Writes<'_, '_>,
    key: &[u8],
    at: SystemTime,
) -> Result<bool, Refusal> {
    let has_passed = u64::try_from(unix_ms(at)).is_ok_and(|at| at <= writes.rows.now_ms());
    let (was_there, event) = match has_passed {
        true => (writes.rows.delete(key)?, "del"),
        false => (writes.rows.expire_at(key, at, ExpireIf::Always)?, "expire"),
    };
    if was_there {
        writes.note(Class::Generic, event, key);
    }
    Ok(was_there)
}

fn expire(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    unit: Unit,
    command: &str,
) -> Result<Reply, Refusal> {
    let conditions = Conditions::read(request)?;
    let (key, number) = (request.get(1), number::required(request.get(2))?);
    let at = unit
        .unix_ms(number, writes.rows.now_ms())
        .and_then(time)
        .ok_or_else(|| invalid(command))?;
    let mut is_set = false;
    if conditions.admit(&Key::of(&*writes.rows, key), at)? {
        is_set = set(writes, key, at)?;
    }
    Ok(Reply::Integer(i64::from(is_set)))
}

/// When `EXPIRE` is to do something: if all of these hold.
#[derive(Default)]
struct Conditions {
    absent: bool,
    present: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for word in request.from(3) {
            match word.to_ascii_lowercase().as_slice() {
                b"nx" => all.absent = true,
                b"xx" => all.present = true,
                b"gt" => all.later = true,
                b"lt" => all.sooner = true,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(format!("ERR Unsupported option {word}").into());
                }
            }
        }
        if all.absent && (all.present || all.later || all.sooner) {
            return Err(
                "ERR NX and XX, GT or LT options at the same time are not compatible".into(),
            );
        }
        if all.later && all.sooner {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(all)
    }

    /// By the deadline that the key has. One that has none has the latest of all.
    fn admit(&self, key: &Key<impl ReadRows>, new: SystemTime) -> Result<bool, Refusal> {
        let now = key.deadline()?;
        let refuses = (self.absent && now.is_some())
            || (self.present && now.is_none())
            || (self.later && now.is_none_or(|now| new <= now))
            || (self.sooner && now.is_some_and(|now| new >= now));
        Ok(!refuses)
    }
}

/// What is left until a key's deadline, or when that is.
fn left(reads: &Reads<'_>, request: &Request, unit: Unit) -> Result<Reply, Refusal> {
    const ABSENT: i64 = -2;
    const NEVER: i64 = -1;
    let key = Key::of(reads.rows, request.get(1));
    if key.kind()?.is_none() {
        return Ok(Reply::Integer(ABSENT));
    }
    let Some(at) = key.deadline()?.map(unix_ms) else {
        return Ok(Reply::Integer(NEVER));
    };
    let ms = match unit.is_absolute {
        true => at,
        false => at.saturating_sub(i64::try_from(reads.rows.now_ms()).unwrap_or(i64::MAX)),
    };
    // To the nearest second.
    Ok(Reply::Integer(ms.saturating_add(unit.ms / 2) / unit.ms))
}

fn persist(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let had_one = writes.rows.persist(key)?;
    if had_one {
        writes.note(Class::Generic, "persist", key);
    }
    Ok(Reply::Integer(i64::from(had_one)))
}
