//! `BITFIELD`: numbers of any width at any place among the bits of a string.

use syncline::ops::Key;

use super::super::strings::parts::MAX_VALUE;
use super::{OFFSET, bit_at, grow, put_bit};
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::{self, integer};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Bitmap,
    commands: &[
        Command::write("bitfield", -2, change)
            .key()
            .flags(Flags::DENYOOM)
            .docs(
                "3.2.0",
                "O(1) for each subcommand specified, and O(N) where N is the length of the string",
                "Performs arbitrary bitfield integer operations on strings.",
            ),
        Command::read("bitfield_ro", -2, read).key().fast().docs(
            "6.0.0",
            "O(1) for each subcommand specified, and O(N) where N is the length of the string",
            "Performs arbitrary read-only bitfield integer operations on strings.",
        ),
    ],
};

/// A number among bits.
#[derive(Clone, Copy)]
struct Field {
    is_signed: bool,
    bits: u32,
    /// Where its highest bit is.
    from: usize,
}

impl Field {
    /// By how it is said: `u8` or `i16`, and where, in bits or, behind a `#`, in numbers of that width.
    fn read(kind: &[u8], place: &[u8]) -> Result<Self, Refusal> {
        const KIND: Refusal = Refusal::said(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (is_signed, most, bits) = match kind {
            [b'i', bits @ ..] => (true, 64, bits),
            [b'u', bits @ ..] => (false, 63, bits),
            _ => return Err(KIND),
        };
        let bits = integer(bits).filter(|bits| (1..=most).contains(bits));
        let bits = bits.ok_or(KIND)?;
        let from = match place {
            [b'#', place @ ..] => integer(place).and_then(|place| place.checked_mul(bits)),
            place => integer(place),
        };
        let is_within = |from: &i64| {
            let end = from.checked_add(bits);
            *from >= 0 && end.is_some_and(|end| end <= 8 * MAX_VALUE as i64)
        };
        let from = from.filter(is_within).ok_or(Refusal::said(OFFSET))?;
        Ok(Self {
            is_signed,
            bits: bits as u32,
            from: from as usize,
        })
    }

    fn last(self) -> usize {
        self.from + self.bits as usize - 1
    }

    fn get(self, value: &[u8]) -> i64 {
        let places = self.from..=self.last();
        let raw = places.fold(0u64, |raw, at| raw << 1 | u64::from(bit_at(value, at)));
        self.of_bits(raw)
    }

    fn put(self, value: &mut [u8], number: i64) {
        for at in self.from..=self.last() {
            put_bit(value, at, (number >> (self.last() - at) & 1) as u8);
        }
    }

    /// The number that the lowest bits make.
    fn of_bits(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        match self.is_signed {
            true => (raw << unused) as i64 >> unused,
            false => (raw << unused >> unused) as i64,
        }
    }

    /// The number as it can be held; nothing where it cannot and is not to be bent.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (least, most) = match self.is_signed {
            true => (-1i128 << (self.bits - 1), (1i128 << (self.bits - 1)) - 1),
            false => (0, (1i128 << self.bits) - 1),
        };
        match overflow {
            _ if (least..=most).contains(&number) => Some(number as i64),
            Overflow::Wrap => Some(self.of_bits(number as u64)),
            Overflow::Saturate => Some(number.clamp(least, most) as i64),
            Overflow::Fail => None,
        }
    }
}

/// What becomes of a number that has no room.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

enum Step {
    Get(Field),
    Set(Field, i64, Overflow),
    Add(Field, i64, Overflow),
}

fn steps(request: &Request) -> Result<Vec<Step>, Refusal> {
    let (mut steps, mut overflow, mut at) = (Vec::new(), Overflow::Wrap, 2);
    while at < request.len() {
        let left = request.len() - at - 1;
        let field = || Field::read(request.get(at + 1), request.get(at + 2));
        let number = || number::required(request.get(at + 3));
        match request.get(at).to_ascii_lowercase().as_slice() {
            b"get" if left >= 2 => {
                steps.push(Step::Get(field()?));
                at += 3;
            }
            b"set" if left >= 3 => {
                steps.push(Step::Set(field()?, number()?, overflow));
                at += 4;
            }
            b"incrby" if left >= 3 => {
                steps.push(Step::Add(field()?, number()?, overflow));
                at += 4;
            }
            b"overflow" if left >= 1 => {
                overflow = match request.get(at + 1).to_ascii_lowercase().as_slice() {
                    b"wrap" => Overflow::Wrap,
                    b"sat" => Overflow::Saturate,
                    b"fail" => Overflow::Fail,
                    _ => return Err("ERR Invalid OVERFLOW type specified".into()),
                };
                at += 2;
            }
            _ => return Err(Refusal::SYNTAX),
        }
    }
    Ok(steps)
}

fn read(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let steps = steps(request)?;
    let value = || Key::of(reads.rows, request.get(1)).value();
    let fields = steps.iter().map(|step| match step {
        Step::Get(field) => Ok(*field),
        _ => Err(Refusal::said(
            "ERR BITFIELD_RO only supports the GET subcommand",
        )),
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let value = value()?.unwrap_or_default();
    let numbers = fields.iter().map(|field| Reply::Integer(field.get(&value)));
    Ok(Reply::Array(numbers.collect()))
}

fn change(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, steps) = (request.get(1), steps(request)?);
    let mut value = writes.rows.get(key)?.unwrap_or_default();
    let last = steps.iter().filter_map(|step| match step {
        Step::Get(_) => None,
        Step::Set(field, ..) | Step::Add(field, ..) => Some(field.last()),
    });
    let has_grown = last.max().is_some_and(|last| grow(&mut value, last));
    let mut is_changed = has_grown;
    let mut told = Vec::with_capacity(steps.len());
    for step in steps {
        let (field, old, new) = match step {
            Step::Get(field) => {
                told.push(Reply::Integer(field.get(&value)));
                continue;
            }
            Step::Set(field, number, overflow) => {
                let number = match field.is_signed {
                    true => i128::from(number),
                    // Below zero is far above, as for Redis.
                    false => i128::from(number as u64),
                };
                let old = field.get(&value);
                (
                    field,
                    old,
                    field.fit(number, overflow).map(|new| (new, old)),
                )
            }
            Step::Add(field, by, overflow) => {
                let old = field.get(&value);
                let sum = i128::from(old) + i128::from(by);
                (field, old, field.fit(sum, overflow).map(|new| (new, new)))
            }
        };
        told.push(match new {
            Some((new, reply)) => {
                field.put(&mut value, new);
                is_changed |= new != old;
                Reply::Integer(reply)
            }
            None => Reply::Null,
        });
    }
    if is_changed {
        writes.rows.put_keeping_deadline(key, &value)?;
        writes.note(Class::String, "setbit", key);
    }
    Ok(Reply::Array(told))
}
