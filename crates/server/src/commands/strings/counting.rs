//! Strings as numbers. Additions made anywhere all count: none of them is a value written in place of another.

use syncline::Error;

use crate::execute::Writes;
use crate::notes::Class;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::String,
    commands: &[
        Command::write("incr", 2, |writes, request| add(writes, request.get(1), 1))
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
            ),
        Command::write("decr", 2, |writes, request| add(writes, request.get(1), -1))
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
            ),
        Command::write("incrby", 3, |writes, request| {
            add(writes, request.get(1), number::required(request.get(2))?)
        })
        .key()
        .fast()
        .flags(Flags::DENYOOM)
        .docs(
            "1.0.0",
            "O(1)",
            "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        ),
        Command::write("decrby", 3, subtract)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
            ),
        Command::write("incrbyfloat", 3, add_decimal)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "2.6.0",
                "O(1)",
                "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
            ),
    ],
};

fn add(writes: &mut Writes<'_, '_>, key: &[u8], by: i64) -> Result<Reply, Refusal> {
    let sum = writes.rows.counter(key).add(by)?;
    writes.note(Class::String, "incrby", key);
    Ok(Reply::Integer(sum))
}

fn subtract(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let by = number::required(request.get(2))?;
    let by = by
        .checked_neg()
        .ok_or(Refusal::said("ERR decrement would overflow"))?;
    add(writes, request.get(1), by)
}

/// What Redis has no words for: its numbers are not exact, and so have more room.
const OUT_OF_RANGE: Refusal = Refusal::said(
    "ERR increment would leave the range of exact decimals, which is that of 64 bits",
);

fn add_decimal(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, by) = (request.get(1), request.get(2));
    // The kind of the key is held against the command before the number is.
    let old = writes.rows.get(key)?;
    let by = match (number::decimal(by), number::float(by)) {
        (Some(by), _) => by,
        (None, Some(by)) if by.is_infinite() => {
            return Err("ERR increment would produce NaN or Infinity".into());
        }
        (None, Some(_)) => return Err(OUT_OF_RANGE),
        (None, None) => return Err(Refusal::NOT_FLOAT),
    };
    let mut counter = writes.rows.counter(key);
    let mut sum = counter.add_decimal(by);
    if let (Err(Error::NotANumber { .. }), Some(old)) = (&sum, &old) {
        // More digits than are kept of a number: it is written anew with those that are, and counts from there.
        let Some(near) = number::decimal(old) else {
            return Err(match number::float(old) {
                Some(_) => OUT_OF_RANGE,
                None => Refusal::NOT_FLOAT,
            });
        };
        writes.rows.put_keeping_deadline(key, near.to_string())?;
        sum = writes.rows.counter(key).add_decimal(by);
    }
    let sum = match sum {
        Ok(sum) => sum,
        Err(Error::Overflow { .. }) => return Err(OUT_OF_RANGE),
        Err(error) => return Err(error.into()),
    };
    writes.note(Class::String, "incrbyfloat", key);
    Ok(Reply::bulk(sum.to_string()))
}
