//! Strings as rows of bits, the highest of each byte first. What is written is a string anew: of those that are concurrent one is read.

pub(crate) mod fields;

use std::ops::RangeInclusive;

use syncline::ops::Key;

use super::strings::parts::MAX_VALUE;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::{self, among};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group, Keys};

pub(crate) const FAMILY: Family = Family {
    group: Group::Bitmap,
    commands: &[
        Command::write("setbit", 4, set_bit)
            .key()
            .flags(Flags::DENYOOM)
            .docs(
                "2.2.0",
                "O(N) where N is the length of the string",
                "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
            ),
        Command::read("getbit", 3, bit).key().fast().docs(
            "2.2.0",
            "O(N) where N is the length of the string",
            "Returns a bit value by offset.",
        ),
        Command::read("bitcount", -2, count).key().docs(
            "2.6.0",
            "O(N) where N is the length of the string",
            "Counts the number of set bits (population counting) in a string.",
        ),
        Command::read("bitpos", -3, position).key().docs(
            "2.8.7",
            "O(N) where N is the length of the string",
            "Finds the first set (1) or clear (0) bit in a string.",
        ),
        Command::write("bitop", -4, combine)
            .keys(Keys::Range {
                first: 2,
                last: -1,
                step: 1,
            })
            .flags(Flags::DENYOOM)
            .docs(
                "2.6.0",
                "O(N) where N is the length of all strings together",
                "Performs bitwise operations on multiple strings, and stores the result.",
            ),
    ],
};

const OFFSET: &str = "ERR bit offset is not an integer or out of range";

/// Where a bit is that a value could have.
fn offset(text: &[u8]) -> Result<usize, Refusal> {
    Ok(among(text, 0..8 * MAX_VALUE as i64, OFFSET)? as usize)
}

/// The bit at a place, where there is nothing but zeros behind the end.
fn bit_at(value: &[u8], at: usize) -> u8 {
    value.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1)
}

/// Sets a bit of a value that is long enough.
fn put_bit(value: &mut [u8], at: usize, bit: u8) {
    if let Some(byte) = value.get_mut(at / 8) {
        let mark = 1 << (7 - at % 8);
        *byte = if bit == 1 {
            *byte | mark
        } else {
            *byte & !mark
        };
    }
}

/// Makes a value long enough for a bit; whether it was not.
fn grow(value: &mut Vec<u8>, last: usize) -> bool {
    let is_short = value.len() <= last / 8;
    if is_short {
        value.resize(last / 8 + 1, 0);
    }
    is_short
}

fn set_bit(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, at) = (request.get(1), offset(request.get(2))?);
    let bit = among(
        request.get(3),
        0..=1,
        "ERR bit is not an integer or out of range",
    )? as u8;
    let mut value = writes.rows.get(key)?.unwrap_or_default();
    let (was_short, old) = (grow(&mut value, at), bit_at(&value, at));
    if was_short || old != bit {
        put_bit(&mut value, at, bit);
        writes.rows.put_keeping_deadline(key, &value)?;
        writes.note(Class::String, "setbit", key);
    }
    Ok(Reply::Integer(old.into()))
}

fn bit(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let at = offset(request.get(2))?;
    let value = Key::of(reads.rows, request.get(1)).value()?;
    Ok(Reply::Integer(
        bit_at(&value.unwrap_or_default(), at).into(),
    ))
}

/// Whether places are of bits, by the word that says so.
fn are_bits(word: &[u8]) -> Result<bool, Refusal> {
    match word.to_ascii_lowercase().as_slice() {
        b"bit" => Ok(true),
        b"byte" => Ok(false),
        _ => Err(Refusal::SYNTAX),
    }
}

/// The bits between two places that may be counted from the end, as far as there are any; empty where there are none.
fn span(start: i64, end: i64, are_bits: bool, value: &[u8]) -> RangeInclusive<usize> {
    let bits_in_one = if are_bits { 1 } else { 8 };
    let length = value.len() as i64 * 8 / bits_in_one;
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(length - 1));
    if start > end {
        return RangeInclusive::new(1, 0);
    }
    (start * bits_in_one) as usize..=((end + 1) * bits_in_one - 1) as usize
}

fn count(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    // In the order in which Redis looks at them.
    let Some(value) = Key::of(reads.rows, request.get(1)).value()? else {
        return Ok(Reply::Integer(0));
    };
    let (start, end) = match request.len() {
        2 => (0, -1),
        4 | 5 => (
            number::required(request.get(2))?,
            number::required(request.get(3))?,
        ),
        _ => return Err(Refusal::SYNTAX),
    };
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::Integer(0));
    }
    let are_bits = request.len() == 5 && are_bits(request.get(4))?;
    let span = span(start, end, are_bits, &value);
    Ok(Reply::Integer(ones(&value, span) as i64))
}

/// How many of these bits are set.
fn ones(value: &[u8], span: RangeInclusive<usize>) -> u64 {
    if span.is_empty() {
        return 0;
    }
    let (first, last) = (*span.start() / 8, *span.end() / 8);
    let whole: u64 = value[first..=last]
        .iter()
        .map(|byte| u64::from(byte.count_ones()))
        .sum();
    let before = value[first] & !(u8::MAX >> (span.start() % 8));
    let after = value[last] & !(u8::MAX << (7 - span.end() % 8));
    whole - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

fn position(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let bit = number::required(request.get(2))?;
    if !(0..=1).contains(&bit) {
        return Err("ERR The bit argument must be 1 or 0.".into());
    }
    let Some(value) = Key::of(reads.rows, request.get(1)).value()? else {
        return Ok(Reply::Integer(if bit == 1 { -1 } else { 0 }));
    };
    if request.len() > 6 {
        return Err(Refusal::SYNTAX);
    }
    let place = |at: usize, default| match request.len() > at {
        true => number::required(request.get(at)),
        false => Ok(default),
    };
    let start = place(3, 0)?;
    let are_bits = request.len() == 6 && are_bits(request.get(5))?;
    let end = place(4, -1)?;
    let span = span(start, end, are_bits, &value);
    let at = match find(&value, span.clone(), bit as u8) {
        Some(at) => at as i64,
        // Where nobody has said where it ends, it goes on with zeros.
        None if bit == 0 && request.len() < 5 && !span.is_empty() => value.len() as i64 * 8,
        None => -1,
    };
    Ok(Reply::Integer(at))
}

/// The first of these bits that is so.
fn find(value: &[u8], span: RangeInclusive<usize>, bit: u8) -> Option<usize> {
    let (mut at, end) = (*span.start(), *span.end());
    let other = if bit == 1 { 0 } else { u8::MAX };
    while at <= end {
        if at % 8 == 0 && value.get(at / 8) == Some(&other) {
            at += 8;
            continue;
        }
        if bit_at(value, at) == bit {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn combine(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let word = request.get(1).to_ascii_lowercase();
    let operation: fn(u8, u8) -> u8 = match word.as_slice() {
        b"and" => |a, b| a & b,
        b"or" => |a, b| a | b,
        b"xor" | b"not" => |a, b| a ^ b,
        _ => return Err(Refusal::SYNTAX),
    };
    let is_not = word == b"not";
    if is_not && request.len() != 4 {
        return Err("ERR BITOP NOT must be called with a single source key.".into());
    }
    let value = |at: usize| Ok::<_, Refusal>(writes.rows.get(request.get(at))?.unwrap_or_default());
    let mut result = value(3)?;
    for at in 4..request.len() {
        let mut other = value(at)?;
        let length = result.len().max(other.len());
        result.resize(length, 0);
        other.resize(length, 0);
        for (byte, other) in result.iter_mut().zip(other) {
            *byte = operation(*byte, other);
        }
    }
    if is_not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let to = request.get(2);
    if !result.is_empty() {
        writes.rows.put(to, &result)?;
        writes.note(Class::String, "set", to);
    } else if writes.rows.delete(to)? {
        writes.note(Class::Generic, "del", to);
    }
    Ok(Reply::Integer(result.len() as i64))
}
