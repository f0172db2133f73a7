//! Messages to bytes.

use alloc::vec::Vec;

use super::{
    Answer, Described, Echo, EchoForm, Explain, Header, IdWidth, Inquire, Items, Part, Place, Run,
    Sum, SumForm, Suspect, VERSION,
};
use crate::KeyRange;
use crate::varint::write as write_varint;

/// Writes the start of a message.
pub(in crate::reconcile) fn write_header(out: &mut Vec<u8>, header: Header) {
    out.push(VERSION);
    write_varint(out, header.turn);
    out.push(u8::from(header.more));
}

/// Writes a part. Listed places have to come in ascending order: `next` is where the last one
/// ended.
pub(in crate::reconcile) fn write_part(
    out: &mut Vec<u8>,
    next: &mut u64,
    place: &Place,
    part: &Part<'_>,
) {
    let (kind, form) = match part {
        Part::Split(_) => (0, 0),
        Part::Sum(Sum { form, .. }) => (1, form.code()),
        Part::Echo(Echo { form, .. }) => (2, form.code()),
        Part::Items(Items { width, .. }) => (3, width.code()),
        Part::Answer(_) => (4, 0),
        Part::Explain(_) => (7, 0),
        Part::Inquire(_) => (5, 0),
        Part::Tell(_) => (6, 0),
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
