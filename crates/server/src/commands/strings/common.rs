//! `LCS`: what two strings have in common.

use syncline::ops::{Key, Kind};

use crate::execute::Reads;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group, Keys};

pub(crate) const FAMILY: Family = Family {
    group: Group::String,
    commands: &[Command::read("lcs", -3, common)
        .keys(Keys::Range {
            first: 1,
            last: 2,
            step: 1,
        })
        .slow()
        .docs(
            "7.0.0",
            "O(N*M) where N and M are the lengths of s1 and s2, respectively",
            "Finds the longest common substring.",
        )],
};

/// What `LCS` is asked for.
#[derive(Default)]
struct Options {
    length: bool,
    matches: bool,
    min_length: usize,
    with_lengths: bool,
}

impl Options {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut at = 3;
        while at < request.len() {
            match request.get(at).to_ascii_lowercase().as_slice() {
                b"len" => options.length = true,
                b"idx" => options.matches = true,
                b"withmatchlen" => options.with_lengths = true,
                b"minmatchlen" if at + 1 < request.len() => {
                    at += 1;
                    let length = number::required(request.get(at))?;
                    options.min_length = usize::try_from(length).unwrap_or(0);
                }
                _ => return Err(Refusal::SYNTAX),
            }
            at += 1;
        }
        if options.length && options.matches {
            return Err("ERR If you want both the length and indexes, please just use IDX.".into());
        }
        Ok(options)
    }
}

fn common(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let value = |at: usize| -> Result<Vec<u8>, Refusal> {
        let key = Key::of(reads.rows, request.get(at));
        match key.kind()? {
            None | Some(Kind::Value) => Ok(key.value()?.unwrap_or_default()),
            Some(_) => Err("ERR The specified keys must contain string values".into()),
        }
    };
    let (a, b) = (value(1)?, value(2)?);
    let options = Options::read(request)?;
    // Where Redis says so, which takes 32 times as much for it.
    if (a.len() + 1) * (b.len() + 1) > MAX_STEPS {
        return Err(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".into(),
        );
    }
    if options.length {
        return Ok(Reply::Integer(lengths(&a, &b, |_| {}).into()));
    }
    let found = matches(&a, &b);
    if !options.matches {
        let mut text = Vec::new();
        for run in found.runs.iter().rev() {
            text.extend_from_slice(&a[run.a..run.a + run.length]);
        }
        return Ok(Reply::bulk(text));
    }
    let pair = |from: usize, length: usize| {
        let ends = [from, from + length - 1];
        Reply::Array(ends.map(|end| Reply::Integer(end as i64)).into())
    };
    let runs = found.runs.into_iter();
    let runs = runs
        .filter(|run| run.length >= options.min_length)
        .map(|run| {
            let mut told = vec![pair(run.a, run.length), pair(run.b, run.length)];
            if options.with_lengths {
                told.push(Reply::Integer(run.length as i64));
            }
            Reply::Array(told)
        });
    Ok(Reply::Map(vec![
        (Reply::word("matches"), Reply::Array(runs.collect())),
        (Reply::word("len"), Reply::Integer(found.length.into())),
    ]))
}

/// Steps that one comparison may take; it holds a bit for each.
const MAX_STEPS: usize = (512 << 20) / size_of::<u32>();

/// A stretch that is the same in both.
struct Run {
    a: usize,
    b: usize,
    length: usize,
}

struct Matches {
    length: u32,
    /// From the last to the first.
    runs: Vec<Run>,
}

/// The length of the longest common subsequence. Tells for each pair of ends, in order, whether more is common without the last of `a` than without
/// that of `b`. O(a b) time, O(b) memory.
fn lengths(a: &[u8], b: &[u8], mut tell: impl FnMut(bool)) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for x in a {
        // Of both without their last.
        let mut before = 0;
        for (at, y) in b.iter().enumerate() {
            let (without_a, without_b) = (row[at + 1], row[at]);
            row[at + 1] = match x == y {
                true => before + 1,
                false => without_a.max(without_b),
            };
            tell(without_a > without_b);
            before = without_a;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The longest common subsequence, of several that one which Redis finds. A bit of memory for each pair of ends.
fn matches(a: &[u8], b: &[u8]) -> Matches {
    let mut without_a = Vec::with_capacity((a.len() * b.len()).div_ceil(8));
    let mut told = 0;
    let length = lengths(a, b, |is_more| {
        if told % 8 == 0 {
            without_a.push(0u8);
        }
        if let Some(last) = without_a.last_mut() {
            *last |= u8::from(is_more) << (told % 8);
        }
        told += 1;
    });
    let mut runs: Vec<Run> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        let at = (i - 1) * b.len() + j - 1;
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            match runs.last_mut() {
                Some(run) if (run.a, run.b) == (i + 1, j + 1) => {
                    *run = Run {
                        a: i,
                        b: j,
                        length: run.length + 1,
                    };
                }
                _ => runs.push(Run {
                    a: i,
                    b: j,
                    length: 1,
                }),
            }
        } else if without_a[at / 8] >> (at % 8) & 1 == 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    Matches { length, runs }
}
