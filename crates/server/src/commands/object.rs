//! `OBJECT`: what Redis tells of how it keeps a key.

use syncline::ops::{Key, Kind, Map, Scored, Set, SortedSet};

use crate::execute::Reads;
use crate::number::integer;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group, Keys};

/// The key after the word.
const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[Command::of_parts(
        "object",
        &[
            Command::read("encoding", 3, encoding).keys(SECOND).docs(
                "2.2.3",
                "O(1)",
                "Returns the internal encoding that Redis would choose.",
            ),
            Command::read("refcount", 3, |reads, request| told(reads, request, 1))
                .keys(SECOND)
                .docs(
                    "2.2.3",
                    "O(1)",
                    "Returns the reference count of a value: 1.",
                ),
            Command::read("idletime", 3, |reads, request| told(reads, request, 0))
                .keys(SECOND)
                .docs(
                    "2.2.3",
                    "O(1)",
                    "Returns the time since the last access to a key, which is not kept: 0.",
                ),
            Command::read("freq", 3, frequency).keys(SECOND).docs(
                "4.0.0",
                "O(1)",
                "Returns the access frequency of a key, which is not kept.",
            ),
            Command::read("help", 2, |_, _| {
                let lines = HELP.lines().map(|line| Reply::Simple(line.into()));
                Ok(Reply::Array(lines.collect()))
            })
            .docs(
                "6.2.0",
                "O(1)",
                "Returns helpful text about the different subcommands.",
            ),
        ],
    )
    .docs(
        "2.2.3",
        "Depends on subcommand.",
        "A container for object introspection commands.",
    )],
};

const HELP: &str = "\
OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
HELP
    Prints this help.";

/// A number that is the same for every key that is there.
fn told(reads: &Reads<'_>, request: &Request, number: i64) -> Result<Reply, Refusal> {
    let kind = Key::of(reads.rows, request.get(2)).kind()?;
    Ok(kind.map_or(Reply::Null, |_| Reply::Integer(number)))
}

fn frequency(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    match Key::of(reads.rows, request.get(2)).kind()? {
        None => Ok(Reply::Null),
        Some(_) => Err("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.".into()),
    }
}

/// Longest string that Redis keeps together with its header, in bytes.
const EMBEDDED: usize = 44;
/// Members of a set of integers, and fields of a short hash, at most.
const FEW: u64 = 512;
/// Members of a short sorted set at most.
const FEW_SCORES: u64 = 128;
/// Longest field or value of a short hash, and member of a short sorted set, in bytes.
const SHORT: usize = 64;

/// What Redis would choose for what there is, by the thresholds that it has at first; not by how it came to be so, which
/// counts in Redis too.
fn encoding(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(2);
    let at = Key::of(reads.rows, key);
    let Some(kind) = at.kind()? else {
        return Ok(Reply::Null);
    };
    let encoding = match kind {
        Kind::Value => {
            let value = at.value()?.unwrap_or_default();
            match value.len() {
                _ if integer(&value).is_some() => "int",
                0..=EMBEDDED => "embstr",
                _ => "raw",
            }
        }
        Kind::Set => {
            let set = Set::of(reads.rows, key);
            let is_number = |member: Result<Vec<u8>, _>| member.map(|it| integer(&it).is_some());
            match set.len()? <= FEW && all(set.members()?.map(is_number))? {
                true => "intset",
                false => "hashtable",
            }
        }
        Kind::Map => {
            let map = Map::of(reads.rows, key);
            let is_short = |entry: Result<(Vec<u8>, Vec<u8>), _>| {
                entry.map(|(field, value)| field.len() <= SHORT && value.len() <= SHORT)
            };
            match map.len()? <= FEW && all(map.fields()?.map(is_short))? {
                true => "listpack",
                false => "hashtable",
            }
        }
        Kind::SortedSet => {
            let set = SortedSet::of(reads.rows, key);
            let is_short = |scored: Result<Scored, _>| scored.map(|(it, _)| it.len() <= SHORT);
            match set.len()? <= FEW_SCORES && all(set.members()?.map(is_short))? {
                true => "listpack",
                false => "skiplist",
            }
        }
        _ => "unknown",
    };
    Ok(Reply::word(encoding))
}

fn all<E>(mut tests: impl Iterator<Item = Result<bool, E>>) -> Result<bool, E> {
    tests
        .find(|test| !matches!(test, Ok(true)))
        .unwrap_or(Ok(true))
}
