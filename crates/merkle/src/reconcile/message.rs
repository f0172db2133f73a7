//! The bytes of a message.
//!
//! ```text
//! message  = version:u8  turn:varint  more:u8(0|1)  part*          parts fill the message to its end
//! part     = head:u8  place  body
//! head     = kind (bits 0-2)  place (bits 3-4)  form (bits 5-6)     bit 7 is zero
//!
//! place 0  = the place that follows the last one named
//!       1  = skip:varint                                            one place, after skipping some
//!       2  = skip:varint  more:varint                               a run of 2 + more places
//!       3  = lower:bytes  upper                                     bounds in full
//! upper    = 0 | (1 + shared):varint  rest:bytes                    none, or front-coded on lower
//! bytes    = length:varint  byte*
//!
//! kind 0   Split    level:u8  count:varint  more:varint             2 + more children
//!                   digest:5  (tag:3 digest:5)*
//!      1   Sum      count:varint  sum:16                            by form:
//!                   0:  | 1: mix:8 | 2: n:varint hint:1*
//!      2   Echo     count:varint  sum:16                            by form:
//!                   0:  | 1: mix:8 | 2: run mix:8 | 3: n:varint suspect*
//!      3   Items    sum:16  n:varint  id*                           by form:
//!                   0: id:2 | 1: id:4 | 2: id:8
//!      4   Answer   matched:16  n:varint skip:varint*  n:varint described*
//!      5   Explain  theirs:16  n:varint described*
//!      6   Inquire  matched:16  n:varint skip:varint*
//!      7   Tell     sum:16  n:varint id:8*  n:varint described*  low:16*  one for each described
//!
//! run      = skip:varint  more:varint                               1 + more hinted children
//! suspect  = run  count:varint  sum:16  mix:8
//! described= shared:varint  rest:bytes  description:bytes           key front-coded as well
//! varint   = LEB128, at most 10 bytes, shortest form only
//! ```
//!
//! Fixed-width numbers are little-endian. What is decoded borrows from the message wherever it can;
//! what it cannot is bounded by the message's length, keys with shared prefixes included.

use alloc::vec::Vec;

use crate::KeyRange;

/// The version of the grammar above.
pub(super) const VERSION: u8 = 1;

/// Why bytes are no message.
pub(super) type Malformed = &'static str;

/// The part of a message before its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) turn: u64,
    /// Whether the sender keeps ranges back that did not fit.
    pub(super) more: bool,
}

/// Which range a part is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Places of the receiver's last message, counted over all that it listed.
    Listed { first: u64, len: u64 },
    /// A range by its bounds.
    Bounds(KeyRange),
}

/// A row by its key, with what the application is to know of it.
pub(super) type Described = (Vec<u8>, Vec<u8>);

/// One statement about one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'m> {
    Split(Split<'m>),
    Sum(Sum<'m>),
    Echo(Echo),
    Items(Items<'m>),
    Answer(Answer),
    Explain(Explain),
    Inquire(Inquire),
    Tell(Tell<'m>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split<'m> {
    pub(super) level: u8,
    /// What the sender holds in the whole range.
    pub(super) count: u64,
    /// 5 bytes for the first child, 8 for each after it.
    pub(super) children: &'m [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum<'m> {
    pub(super) count: u64,
    /// Sealed with the bounds.
    pub(super) sum: u128,
    pub(super) form: SumForm<'m>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SumForm<'m> {
    Bare,
    Mixed {
        mix: u64,
    },
    /// A byte for each sub-range at the sender's fences of level 1.
    Hinted {
        hints: &'m [u8],
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) count: u64,
    pub(super) sum: u128,
    pub(super) form: EchoForm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EchoForm {
    Bare,
    Mixed {
        mix: u64,
    },
    /// All of the difference must lie in one run.
    Suspect {
        run: Run,
        mix: u64,
    },
    /// It must lie in several runs, of which the sender says what it holds in each.
    Suspects(Vec<Suspect>),
}

/// Neighbouring children of a hinted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) len: usize,
}

/// A run among which part of the difference must lie, and what the sender holds there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) run: Run,
    pub(super) count: u64,
    pub(super) sum: u128,
    pub(super) mix: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Items<'m> {
    /// Sealed with the bounds.
    pub(super) sum: u128,
    pub(super) width: IdWidth,
    /// So many bytes each.
    pub(super) ids: &'m [u8],
}

/// How many bytes an id has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IdWidth {
    Two = 2,
    Four = 4,
    Eight = 8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The sum of the sender's items that were listed, sealed with the bounds.
    pub(super) matched: u128,
    /// Places in the listing of items that the sender lacks, ascending.
    pub(super) lacking: Vec<usize>,
    /// The sender's items that were not listed, in key order.
    pub(super) mine: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Explain {
    /// The low half of the digest of the one item that the sender lacks.
    pub(super) theirs: u128,
    /// The sender's items that the receiver lacks, in key order.
    pub(super) mine: Vec<Described>,
}

/// As [`Answer`], with the wish to be told about the items lacking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inquire {
    pub(super) matched: u128,
    pub(super) lacking: Vec<usize>,
}

/// All items of a range: those that the receiver holds by their ids, the others by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tell<'m> {
    /// Of all items, sealed with the bounds.
    pub(super) sum: u128,
    /// 8 bytes each.
    pub(super) ids: &'m [u8],
    /// In key order.
    pub(super) rows: Vec<Described>,
    /// The low halves of the digests of the rows.
    pub(super) lows: Vec<u128>,
}

impl Place {
    /// Bytes of the keys in it.
    pub(super) fn key_bytes(&self) -> usize {
        match self {
            Self::Listed { .. } => 0,
            Self::Bounds(range) => range.lower.len() + range.upper.as_ref().map_or(0, Vec::len),
        }
    }
}

impl Part<'_> {
    /// Bytes of the keys in it.
    pub(super) fn key_bytes(&self) -> usize {
        let rows = match self {
            Self::Answer(Answer { mine, .. }) | Self::Explain(Explain { mine, .. }) => mine,
            Self::Tell(Tell { rows, .. }) => rows,
            _ => return 0,
        };
        rows.iter().map(|(key, _)| key.len()).sum()
    }

    /// How many places it lists: one for each child, or one for its range, and one for each run of
    /// suspects.
    pub(super) fn places(&self) -> u64 {
        match self {
            Self::Split(split) => split.len() as u64,
            Self::Echo(Echo {
                form: EchoForm::Suspect { .. },
                ..
            }) => 2,
            Self::Echo(Echo {
                form: EchoForm::Suspects(suspects),
                ..
            }) => 1 + suspects.len() as u64,
            Self::Echo(_) | Self::Sum(_) | Self::Items(_) | Self::Inquire(_) => 1,
            // Nothing is left to say about these.
            Self::Answer(_) | Self::Explain(_) | Self::Tell(_) => 0,
        }
    }
}

impl Split<'_> {
    pub(super) const FIRST: usize = 5;
    pub(super) const CHILD: usize = 8;

    /// How many children there are.
    pub(super) fn len(&self) -> usize {
        1 + (self.children.len() - Self::FIRST) / Self::CHILD
    }

    /// The digests of all children, and the tags of all but the first.
    pub(super) fn unzip(&self) -> (Vec<u64>, Vec<u32>) {
        let (first, rest) = self.children.split_at(Self::FIRST);
        let mut digests = Vec::with_capacity(self.len());
        let mut tags = Vec::with_capacity(self.len() - 1);
        digests.push(little_endian(first));
        for child in rest.chunks_exact(Self::CHILD) {
            tags.push(little_endian(&child[..3]) as u32);
            digests.push(little_endian(&child[3..]));
        }
        (digests, tags)
    }
}

impl Items<'_> {
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids
            .chunks_exact(self.width as usize)
            .map(little_endian)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len() / self.width as usize
    }
}

impl IdWidth {
    /// An id cut to this width.
    pub(super) fn cut(self, id: u64) -> u64 {
        id & u64::MAX >> (64 - 8 * self as u32)
    }

    fn code(self) -> u8 {
        match self {
            Self::Two => 0,
            Self::Four => 1,
            Self::Eight => 2,
        }
    }
}

/// A number of up to 8 bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Writes the start of a message.
pub(super) fn write_header(out: &mut Vec<u8>, header: Header) {
    out.push(VERSION);
    write_varint(out, header.turn);
    out.push(u8::from(header.more));
}

/// Writes a part. Listed places have to come in ascending order: `next` is where the last one
/// ended.
pub(super) fn write_part(out: &mut Vec<u8>, next: &mut u64, place: &Place, part: &Part<'_>) {
    let (kind, form) = match part {
        Part::Split(_) => (0, 0),
        Part::Sum(Sum { form, .. }) => (1, form.code()),
        Part::Echo(Echo { form, .. }) => (2, form.code()),
        Part::Items(Items { width, .. }) => (3, width.code()),
        Part::Answer(_) => (4, 0),
        Part::Explain(_) => (5, 0),
        Part::Inquire(_) => (6, 0),
        Part::Tell(_) => (7, 0),
    };
    let place_code = match place {
        Place::Listed { first, len: 1 } if first == next => 0,
        Place::Listed { len: 1, .. } => 1,
        Place::Listed { .. } => 2,
        Place::Bounds(_) => 3,
    };
    out.push(kind | place_code << 3 | form << 5);
    match place {
        Place::Listed { first, len } => {
            if place_code > 0 {
                write_varint(out, first - *next);
            }
            if place_code == 2 {
                write_varint(out, len - 2);
            }
            *next = first + len;
        }
        Place::Bounds(range) => write_bounds(out, range),
    }
    write_body(out, part);
}

fn write_body(out: &mut Vec<u8>, part: &Part<'_>) {
    match part {
        Part::Split(split) => {
            out.push(split.level);
            write_varint(out, split.count);
            write_varint(out, split.len() as u64 - 2);
            out.extend_from_slice(split.children);
        }
        Part::Sum(Sum { count, sum, form }) => {
            write_varint(out, *count);
            out.extend_from_slice(&sum.to_le_bytes());
            match form {
                SumForm::Bare => {}
                SumForm::Mixed { mix } => out.extend_from_slice(&mix.to_le_bytes()),
                SumForm::Hinted { hints } => write_bytes(out, hints),
            }
        }
        Part::Echo(Echo { count, sum, form }) => {
            write_varint(out, *count);
            out.extend_from_slice(&sum.to_le_bytes());
            match form {
                EchoForm::Bare => {}
                EchoForm::Mixed { mix } => out.extend_from_slice(&mix.to_le_bytes()),
                EchoForm::Suspect { run, mix } => {
                    write_run(out, 0, *run);
                    out.extend_from_slice(&mix.to_le_bytes());
                }
                EchoForm::Suspects(suspects) => {
                    write_varint(out, suspects.len() as u64);
                    let mut next = 0;
                    for Suspect {
                        run,
                        count,
                        sum,
                        mix,
                    } in suspects
                    {
                        write_run(out, next, *run);
                        write_varint(out, *count);
                        out.extend_from_slice(&sum.to_le_bytes());
                        out.extend_from_slice(&mix.to_le_bytes());
                        next = run.first + run.len;
                    }
                }
            }
        }
        Part::Items(items) => {
            out.extend_from_slice(&items.sum.to_le_bytes());
            write_varint(out, items.len() as u64);
            out.extend_from_slice(items.ids);
        }
        Part::Answer(Answer {
            matched,
            lacking,
            mine,
        }) => {
            out.extend_from_slice(&matched.to_le_bytes());
            write_lacking(out, lacking);
            write_described(out, mine);
        }
        Part::Explain(Explain { theirs, mine }) => {
            out.extend_from_slice(&theirs.to_le_bytes());
            write_described(out, mine);
        }
        Part::Inquire(Inquire { matched, lacking }) => {
            out.extend_from_slice(&matched.to_le_bytes());
            write_lacking(out, lacking);
        }
        Part::Tell(tell) => {
            out.extend_from_slice(&tell.sum.to_le_bytes());
            write_varint(out, tell.ids.len() as u64 / IdWidth::Eight as u64);
            out.extend_from_slice(tell.ids);
            write_described(out, &tell.rows);
            for low in &tell.lows {
                out.extend_from_slice(&low.to_le_bytes());
            }
        }
    }
}

impl SumForm<'_> {
    fn code(&self) -> u8 {
        match self {
            Self::Bare => 0,
            Self::Mixed { .. } => 1,
            Self::Hinted { .. } => 2,
        }
    }
}

impl EchoForm {
    fn code(&self) -> u8 {
        match self {
            Self::Bare => 0,
            Self::Mixed { .. } => 1,
            Self::Suspect { .. } => 2,
            Self::Suspects(_) => 3,
        }
    }
}

fn write_run(out: &mut Vec<u8>, next: usize, run: Run) {
    write_varint(out, (run.first - next) as u64);
    write_varint(out, run.len as u64 - 1);
}

fn write_lacking(out: &mut Vec<u8>, places: &[usize]) {
    write_varint(out, places.len() as u64);
    let mut next = 0;
    for place in places {
        write_varint(out, (place - next) as u64);
        next = place + 1;
    }
}

fn write_described(out: &mut Vec<u8>, rows: &[Described]) {
    write_varint(out, rows.len() as u64);
    let mut before: &[u8] = &[];
    for (key, description) in rows {
        let shared = shared_prefix(before, key);
        write_varint(out, shared as u64);
        write_bytes(out, &key[shared..]);
        write_bytes(out, description);
        before = key;
    }
}

fn write_bounds(out: &mut Vec<u8>, range: &KeyRange) {
    write_bytes(out, &range.lower);
    match &range.upper {
        None => write_varint(out, 0),
        Some(upper) => {
            let shared = shared_prefix(&range.lower, upper);
            write_varint(out, 1 + shared as u64);
            write_bytes(out, &upper[shared..]);
        }
    }
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads a message from its start.
#[derive(Debug)]
pub(super) struct Reader<'m> {
    rest: &'m [u8],
    /// Where the last listed place ended.
    next: u64,
    /// How many bytes of front-coded keys may still be written out.
    keys: usize,
}

impl<'m> Reader<'m> {
    /// A reader of `message` that writes out at most `keys` bytes of keys.
    pub(super) fn new(message: &'m [u8], keys: usize) -> Self {
        Self {
            rest: message,
            next: 0,
            keys,
        }
    }

    /// The header; the version comes first and alone, since it decides about everything after it.
    pub(super) fn version(&mut self) -> Result<u8, Malformed> {
        self.byte()
    }

    pub(super) fn header(&mut self) -> Result<Header, Malformed> {
        let turn = self.varint()?;
        let more = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err("a flag is neither 0 nor 1"),
        };
        Ok(Header { turn, more })
    }

    /// The next part, or nothing at the end of the message.
    pub(super) fn part(&mut self) -> Result<Option<(Place, Part<'m>)>, Malformed> {
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
            (5, 0) => Part::Explain(self.explain()?),
            (6, 0) => Part::Inquire(self.inquire()?),
            (7, 0) => Part::Tell(self.tell()?),
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
        if level == 0 || level > crate::MAX_LEVEL {
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
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if shift == 63 && byte > 1 {
                break;
            }
            if byte < 0x80 {
                return if byte == 0 && shift > 0 {
                    Err("a number is over-long")
                } else {
                    Ok(n)
                };
            }
        }
        Err("a number is over-long")
    }
}

const ENDS: Malformed = "it ends too early";
const TOO_LARGE: Malformed = "a place lies beyond all numbers";
