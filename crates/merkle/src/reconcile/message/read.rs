//! Bytes to messages.

use alloc::vec::Vec;

use super::{
    Answer, Described, Echo, EchoForm, Explain, Header, IdWidth, Inquire, Items, Malformed, Part,
    Place, Run, Split, Sum, SumForm, Suspect, Tell,
};
use crate::{KeyRange, MAX_LEVEL, varint};

/// Reads a message from its start.
#[derive(Debug)]
pub(in crate::reconcile) struct Reader<'m> {
    rest: &'m [u8],
    /// Where the last listed place ended.
    next: u64,
    /// How many bytes of front-coded keys may still be written out.
    keys: usize,
}

impl<'m> Reader<'m> {
    /// A reader of `message` that writes out at most `keys` bytes of keys.
    pub(in crate::reconcile) fn new(message: &'m [u8], keys: usize) -> Self {
        Self {
            rest: message,
            next: 0,
            keys,
        }
    }

    /// The header; the version comes first and alone, since it decides about everything after it.
    pub(in crate::reconcile) fn version(&mut self) -> Result<u8, Malformed> {
        self.byte()
    }

    pub(in crate::reconcile) fn header(&mut self) -> Result<Header, Malformed> {
        let turn = self.varint()?;
        let more = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err("a flag is neither 0 nor 1"),
        };
        Ok(Header { turn, more })
    }

    /// The next part, or nothing at the end of the message.
    pub(in crate::reconcile) fn part(&mut self) -> Result<Option<(Place, Part<'m>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let head = self.byte()?;
        let (kind, place, form) = (head & 7, head >> 3 & 3, head >> 5);
        let place = self.place(place)?;
        let part = match (kind, form) {
            (0, 0) => Part::Split(self.split()?),
            (1, form) => Part::Sum(self.sum(form)?),
            (2, form) => Part::Echo(self.echo(form)?),
            (3, form) => Part::Items(self.items(form)?),
            (4, 0) => Part::Answer(self.answer()?),
            (7, 0) => Part::Explain(self.explain()?),
            (5, 0) => Part::Inquire(self.inquire()?),
            (6, 0) => Part::Tell(self.tell()?),
            _ => return Err("a part is of no known kind"),
        };
        Ok(Some((place, part)))
    }

    fn place(&mut self, code: u8) -> Result<Place, Malformed> {
        if code == 3 {
            return Ok(Place::Bounds(self.bounds()?));
        }
        let skip = if code == 0 { 0 } else { self.varint()? };
        let len = if code == 2 {
            self.varint()?.checked_add(2)
        } else {
            Some(1)
        };
        let first = self.next.checked_add(skip);
        let end = first
            .zip(len)
            .and_then(|(first, len)| first.checked_add(len));
        let (Some(first), Some(len), Some(end)) = (first, len, end) else {
            return Err(TOO_LARGE);
        };
        self.next = end;
        Ok(Place::Listed { first, len })
    }

    fn bounds(&mut self) -> Result<KeyRange, Malformed> {
        let lower = self.bytes()?.to_vec();
        let upper = match self.varint()?.checked_sub(1) {
            None => None,
            Some(shared) => Some(self.front_coded(&lower, shared)?),
        };
        let range = KeyRange { lower, upper };
        if range.is_empty() {
            Err("a range ends before it begins")
        } else {
            Ok(range)
        }
    }

    fn split(&mut self) -> Result<Split<'m>, Malformed> {
        let level = self.byte()?;
        if level == 0 || level > MAX_LEVEL {
            return Err("a level is out of bounds");
        }
        let count = self.varint()?;
        let more = self.varint()?;
        let bytes = more
            .checked_add(1)
            .and_then(|n| n.checked_mul(Split::CHILD as u64))
            .and_then(|n| n.checked_add(Split::FIRST as u64));
        Ok(Split {
            level,
            count,
            children: self.take(bytes.ok_or("children beyond all numbers")?)?,
        })
    }

    fn sum(&mut self, form: u8) -> Result<Sum<'m>, Malformed> {
        let (count, sum) = (self.varint()?, self.number()?);
        let form = match form {
            0 => SumForm::Bare,
            1 => SumForm::Mixed { mix: self.word()? },
            2 => SumForm::Hinted {
                hints: self.bytes()?,
            },
            _ => return Err("a sum is of no known form"),
        };
        Ok(Sum { count, sum, form })
    }

    fn echo(&mut self, form: u8) -> Result<Echo, Malformed> {
        let (count, sum) = (self.varint()?, self.number()?);
        let form = match form {
            0 => EchoForm::Bare,
            1 => EchoForm::Mixed { mix: self.word()? },
            2 => EchoForm::Suspect {
                run: self.run(0)?,
                mix: self.word()?,
            },
            3 => EchoForm::Suspects(self.suspects()?),
            _ => return Err("an echo is of no known form"),
        };
        Ok(Echo { count, sum, form })
    }

    fn suspects(&mut self) -> Result<Vec<Suspect>, Malformed> {
        let mut suspects = Vec::new();
        let mut next = 0;
        for _ in 0..self.varint()? {
            let run = self.run(next)?;
            let (count, sum, mix) = (self.varint()?, self.number()?, self.word()?);
            suspects.push(Suspect {
                run,
                count,
                sum,
                mix,
            });
            next = run.first + run.len;
        }
        Ok(suspects)
    }

    /// A run at or after `next`, the sum of whose fields does not overflow.
    fn run(&mut self, next: usize) -> Result<Run, Malformed> {
        let first = self.step(next)?;
        let end = self.step(first)?.checked_add(1).ok_or(TOO_LARGE)?;
        Ok(Run {
            first,
            len: end - first,
        })
    }

    fn items(&mut self, form: u8) -> Result<Items<'m>, Malformed> {
        let width = match form {
            0 => IdWidth::Two,
            1 => IdWidth::Four,
            2 => IdWidth::Eight,
            _ => return Err("items are of no known form"),
        };
        let sum = self.number()?;
        let bytes = self.varint()?.checked_mul(width as u64);
        Ok(Items {
            sum,
            width,
            ids: self.take(bytes.ok_or("items beyond all numbers")?)?,
        })
    }

    fn answer(&mut self) -> Result<Answer, Malformed> {
        Ok(Answer {
            matched: self.number()?,
            lacking: self.lacking()?,
            mine: self.described()?,
        })
    }

    fn inquire(&mut self) -> Result<Inquire, Malformed> {
        Ok(Inquire {
            matched: self.number()?,
            lacking: self.lacking()?,
        })
    }

    fn tell(&mut self) -> Result<Tell<'m>, Malformed> {
        let sum = self.number()?;
        let bytes = self.varint()?.checked_mul(IdWidth::Eight as u64);
        let ids = self.take(bytes.ok_or("items beyond all numbers")?)?;
        let rows = self.described()?;
        let lows = rows
            .iter()
            .map(|_| self.number())
            .collect::<Result<_, _>>()?;
        Ok(Tell {
            sum,
            ids,
            rows,
            lows,
        })
    }

    fn lacking(&mut self) -> Result<Vec<usize>, Malformed> {
        let mut places = Vec::new();
        let mut next = 0usize;
        for _ in 0..self.varint()? {
            let place = self.step(next)?;
            places.push(place);
            next = place.checked_add(1).ok_or(TOO_LARGE)?;
        }
        Ok(places)
    }

    fn explain(&mut self) -> Result<Explain, Malformed> {
        Ok(Explain {
            theirs: self.number()?,
            mine: self.described()?,
        })
    }

    fn described(&mut self) -> Result<Vec<Described>, Malformed> {
        let mut rows: Vec<Described> = Vec::new();
        for _ in 0..self.varint()? {
            let shared = self.varint()?;
            let before = rows.last().map_or(&[][..], |(key, _)| key);
            let key = self.front_coded(before, shared)?;
            if rows.last().is_some_and(|(before, _)| *before >= key) {
                return Err("keys are out of order");
            }
            rows.push((key, self.bytes()?.to_vec()));
        }
        Ok(rows)
    }

    fn front_coded(&mut self, before: &[u8], shared: u64) -> Result<Vec<u8>, Malformed> {
        let shared = usize::try_from(shared)
            .ok()
            .and_then(|shared| before.get(..shared));
        let shared = shared.ok_or("a key shares more than there is")?;
        let rest = self.bytes()?;
        let len = shared.len() + rest.len();
        self.keys = self
            .keys
            .checked_sub(len)
            .ok_or("keys unfold beyond the bound")?;
        let mut key = Vec::with_capacity(len);
        key.extend_from_slice(shared);
        key.extend_from_slice(rest);
        Ok(key)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(ENDS)?;
        self.rest = rest;
        Ok(*first)
    }

    fn word(&mut self) -> Result<u64, Malformed> {
        let (word, rest) = self.rest.split_first_chunk().ok_or(ENDS)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*word))
    }

    fn number(&mut self) -> Result<u128, Malformed> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(ENDS)?;
        self.rest = rest;
        Ok(u128::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Result<&'m [u8], Malformed> {
        let len = self.varint()?;
        self.take(len)
    }

    fn take(&mut self, len: u64) -> Result<&'m [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| ENDS)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ENDS)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The place that lies as many places after `from` as the message says.
    fn step(&mut self, from: usize) -> Result<usize, Malformed> {
        let skip = usize::try_from(self.varint()?).ok();
        skip.and_then(|skip| from.checked_add(skip))
            .ok_or(TOO_LARGE)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        varint::read(&mut self.rest)
    }
}

const ENDS: Malformed = "it ends too early";
const TOO_LARGE: Malformed = "a place lies beyond all numbers";
