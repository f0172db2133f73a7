//! Keys found by looking: all that match, one after the other, any.

use std::ops::Bound;

use bytes::Bytes;
use rand::Rng;
use syncline::Error;
use syncline::ops::{self, Items};

use super::generic::kind_name;
use crate::cursors::Place;
use crate::execute::Reads;
use crate::glob;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::read("keys", 2, keys).slow().docs(
            "1.0.0",
            "O(N) with N being the number of keys that begin as the pattern does, up to its first special character",
            "Returns all key names that match a pattern.",
        ),
        Command::read("randomkey", 1, random).docs(
            "1.0.0",
            "O(log(N)) for a draw, and some dozens of draws at most",
            "Returns a random key name from the database.",
        ),
        Command::read("scan", -2, scan).slow().docs(
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, where N is the number of keys that begin as the pattern does.",
            "Iterates over the key names in the database.",
        ),
    ],
};

/// Of names.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that a pattern may mean, behind one if there is one.
fn bounds(pattern: &[u8], last: Option<&[u8]>) -> Bounds {
    let prefix = glob::prefix(pattern);
    let upper = successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
    // A scan may go on with another pattern than before.
    let lower = match last {
        Some(last) if matches!(&upper, Bound::Excluded(upper) if last >= &upper[..]) => {
            upper.clone()
        }
        Some(last) if last >= &prefix[..] => Bound::Excluded(last.to_vec()),
        _ => Bound::Included(prefix),
    };
    (lower, upper)
}

/// The least bytes behind all that begin so; nothing where nothing is.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

fn keys(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let pattern = request.get(1);
    let mut found = Vec::new();
    for key in ops::keys(reads.rows, bounds(pattern, None))? {
        let (key, _) = key?;
        if glob::matches(pattern, &key, false) {
            found.push(Reply::bulk(key));
        }
    }
    Ok(Reply::Array(found))
}

fn random(reads: &Reads<'_>, _: &Request) -> Result<Reply, Refusal> {
    let mut random = rand::rng();
    let key = ops::random_key(reads.rows, |rows| random.random_range(0..rows))?;
    Ok(Reply::maybe(key))
}

/// What a scan of keys, fields or members is asked for.
pub(crate) struct ScanOptions {
    pub(crate) pattern: Bytes,
    /// How many are to be looked at.
    pub(crate) count: usize,
    kind: Option<Bytes>,
}

/// How many keys one call looks at, at most: a reply is made as a whole.
const MAX_COUNT: i64 = 100_000;

impl ScanOptions {
    /// Those from an argument on. `TYPE` is of keys only.
    pub(crate) fn read(request: &Request, from: usize, are_keys: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            pattern: Bytes::from_static(b"*"),
            count: 10,
            kind: None,
        };
        for at in (from..request.len()).step_by(2) {
            let (word, said) = (request.get(at), at + 1);
            if said == request.len() {
                return Err(Refusal::SYNTAX);
            }
            match word.to_ascii_lowercase().as_slice() {
                b"match" => options.pattern = request.share(said),
                b"count" => {
                    let count = number::required(request.get(said))?;
                    if count < 1 {
                        return Err(Refusal::SYNTAX);
                    }
                    options.count = count.min(MAX_COUNT) as usize;
                }
                b"type" if are_keys => options.kind = Some(request.share(said)),
                _ => return Err(Refusal::SYNTAX),
            }
        }
        Ok(options)
    }

    /// Whether a name is one of those asked for.
    pub(crate) fn admits(&self, name: &[u8]) -> bool {
        self.pattern == "*" || glob::matches(&self.pattern, name, false)
    }

    fn admits_kind(&self, kind: &str) -> bool {
        self.kind
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind.as_bytes()))
    }
}

/// In the order of keys, so what is there from the beginning to the end is found, whatever comes and goes.
fn scan(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let cursors = &reads.server.cursors;
    let last = cursors.recall(request.get(1), reads.database, None)?;
    let options = ScanOptions::read(request, 2, true)?;
    let keys = ops::keys(reads.rows, bounds(&options.pattern, last.as_deref()))?;
    let mut found = Vec::new();
    let cursor = step(reads, None, options.count, keys, |(key, kind)| {
        if options.admits(&key) && options.admits_kind(kind_name(kind)) {
            found.push(Reply::bulk(key.clone()));
        }
        key
    })?;
    Ok(scanned(cursor, found))
}

/// The members of a set or the fields of a hash, as [`scan`] has keys: `parts` gives those within bounds, each by its name and with what else there is.
pub(crate) fn scan_parts<'r>(
    reads: &Reads<'_>,
    request: &Request,
    parts: impl FnOnce(Bounds) -> Result<Items<'r, (Vec<u8>, Option<Vec<u8>>)>, Error>,
) -> Result<Reply, Refusal> {
    let (key, cursors) = (request.get(1), &reads.server.cursors);
    let last = cursors.recall(request.get(2), reads.database, Some(key))?;
    let options = ScanOptions::read(request, 3, false)?;
    let parts = parts(bounds(&options.pattern, last.as_deref()))?;
    let mut found = Vec::new();
    let cursor = step(reads, Some(key), options.count, parts, |(name, more)| {
        if options.admits(&name) {
            found.push(Reply::bulk(name.clone()));
            found.extend(more.map(Reply::bulk));
        }
        name
    })?;
    Ok(scanned(cursor, found))
}

fn scanned(cursor: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(found)])
}

/// Looks at as many items as are wanted, each of which `look` gives the name of; returns the cursor to go on with, 0 where nothing is left.
fn step<T>(
    reads: &Reads<'_>,
    key: Option<&[u8]>,
    count: usize,
    mut items: Items<'_, T>,
    mut look: impl FnMut(T) -> Vec<u8>,
) -> Result<u64, Refusal> {
    let names = items.by_ref().take(count).map(|item| item.map(&mut look));
    let mut last = None;
    for name in names {
        last = Some(name?);
    }
    // Whether there is more is known by the next one.
    let Some(last) = last.filter(|_| items.next().is_some()) else {
        return Ok(0);
    };
    Ok(reads.server.cursors.remember(Place {
        database: reads.database,
        key: key.map(Bytes::copy_from_slice),
        last: last.into(),
    }))
}
