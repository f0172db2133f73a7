//! `DUMP` and `RESTORE`: what a key shows as bytes that can be kept elsewhere.
//!
//! The bytes are ours, not Redis's: a version, a kind, then a value as it is, or members, or fields and values in turn, or members and scores, each after its
//! length in 32 bits, lowest byte first, and in order; at the end 8 bytes of the BLAKE3 digest of all before. A score is its 64 bits, lowest byte first.
//! What is the same has the same bytes.

use syncline::ops::{Entry, ReadRows};

use super::deadlines::{time, unix_ms};
use crate::contents::{Contents, MAX_PARTS, Shown};
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::{self, among};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::read("dump", 2, dump).key().slow().docs(
            "2.6.0",
            "O(N) in the fields or members of the key",
            "Returns a serialized representation of the value stored at a key.",
        ),
        Command::write("restore", -4, restore)
            .key()
            .flags(Flags::DENYOOM)
            .docs(
                "2.6.0",
                "O(N) in the fields or members of the key",
                "Creates a key from the serialized representation of a value.",
            ),
    ],
};

/// The first byte.
const VERSION: u8 = 1;
/// The last bytes.
const CHECKSUM: usize = 8;

const VALUE: u8 = 0;
const MAP: u8 = 1;
const SET: u8 = 2;
const SORTED_SET: u8 = 3;

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    sum
}

fn encode(shown: &Shown) -> Vec<u8> {
    let mut out = vec![VERSION];
    let part = |out: &mut Vec<u8>, bytes: &[u8]| {
        // Within the limits of fields and values, which are far below.
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match shown {
        Shown::Value(value) => {
            out.push(VALUE);
            out.extend_from_slice(value);
        }
        Shown::Map(entries) => {
            out.push(MAP);
            for (field, value) in entries {
                part(&mut out, field);
                part(&mut out, value);
            }
        }
        Shown::Set(members) => {
            out.push(SET);
            members.iter().for_each(|member| part(&mut out, member));
        }
        Shown::SortedSet(members) => {
            out.push(SORTED_SET);
            for (member, score) in members {
                part(&mut out, member);
                part(&mut out, &score.to_le_bytes());
            }
        }
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum);
    out
}

const UNSOUND: Refusal = Refusal::said("ERR DUMP payload version or checksum are wrong");
const MALFORMED: Refusal = Refusal::said("ERR Bad data format");

fn decode(bytes: &[u8]) -> Result<Shown, Refusal> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(UNSOUND)?;
    let [VERSION, kind, rest @ ..] = body else {
        return Err(UNSOUND);
    };
    if checksum(body) != *sum {
        return Err(UNSOUND);
    }
    if *kind == VALUE {
        return Ok(Shown::Value(rest.to_vec()));
    }
    let (mut parts, mut rest) = (Vec::new(), rest);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (part, behind) = behind.split_at_checked(length).ok_or(MALFORMED)?;
        if parts.len() == 2 * MAX_PARTS {
            return Err(MALFORMED);
        }
        parts.push(part.to_vec());
        rest = behind;
    }
    let shown = match *kind {
        SET => Shown::Set(parts),
        MAP => Shown::Map(pairs(parts)?),
        SORTED_SET => {
            let members = pairs(parts)?.into_iter();
            let members = members.map(|(member, bits)| Ok((member, score(&bits)?)));
            Shown::SortedSet(members.collect::<Result<_, Refusal>>()?)
        }
        _ => return Err(MALFORMED),
    };
    let is_sound = match &shown {
        Shown::Set(members) => !members.is_empty() && members.is_sorted_by(|a, b| a < b),
        Shown::Map(entries) => !entries.is_empty() && entries.is_sorted_by(|a, b| a.0 < b.0),
        Shown::SortedSet(members) => !members.is_empty() && members.is_sorted_by(|a, b| a.0 < b.0),
        Shown::Value(_) => true,
    };
    is_sound.then_some(shown).ok_or(MALFORMED)
}

/// Of parts in turn.
fn pairs(parts: Vec<Vec<u8>>) -> Result<Vec<Entry>, Refusal> {
    let mut pairs = Vec::with_capacity(parts.len() / 2);
    let mut parts = parts.into_iter();
    while let Some(first) = parts.next() {
        pairs.push((first, parts.next().ok_or(MALFORMED)?));
    }
    Ok(pairs)
}

/// One that a member can have: zero has no sign.
fn score(bits: &[u8]) -> Result<f64, Refusal> {
    let score = f64::from_le_bytes(bits.try_into().map_err(|_| MALFORMED)?);
    match score.is_nan() || (score == 0.0 && score.is_sign_negative()) {
        true => Err(MALFORMED),
        false => Ok(score),
    }
}

fn dump(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let contents = Contents::of(reads.rows, request.get(1))?;
    let encoded = contents.map(|contents| encode(&contents.shown));
    Ok(Reply::maybe(encoded))
}

fn restore(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (mut replaces, mut is_absolute, mut at) = (false, false, 4);
    while at < request.len() {
        let said = at + 1 < request.len();
        match request.get(at).to_ascii_lowercase().as_slice() {
            b"replace" => replaces = true,
            b"absttl" => is_absolute = true,
            // Neither is kept.
            b"idletime" if said => {
                at += 1;
                if number::required(request.get(at))? < 0 {
                    return Err("ERR Invalid IDLETIME value, must be >= 0".into());
                }
            }
            b"freq" if said => {
                at += 1;
                number::required(request.get(at))?;
                let refusal = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                among(request.get(at), 0..=255, refusal)?;
            }
            _ => return Err(Refusal::SYNTAX),
        }
        at += 1;
    }
    let key = request.get(1);
    if !replaces && writes.rows.kind(key)?.is_some() {
        return Err("BUSYKEY Target key name already exists.".into());
    }
    let ttl = number::required(request.get(2))?;
    if ttl < 0 {
        return Err("ERR Invalid TTL value, must be >= 0".into());
    }
    let shown = decode(request.get(3))?;
    let now = i64::try_from(writes.rows.now_ms()).unwrap_or(i64::MAX);
    let deadline = match (ttl, is_absolute) {
        (0, _) => None,
        (ttl, true) => time(ttl),
        (ttl, false) => time(ttl.saturating_add(now)),
    };
    if deadline.is_some_and(|deadline| unix_ms(deadline) <= now) {
        // As if it had been there, and expired.
        if writes.rows.delete(key)? {
            writes.note(Class::Generic, "del", key);
        }
        return Ok(Reply::OK);
    }
    Contents { shown, deadline }.put(writes.rows, key)?;
    writes.note(Class::Generic, "restore", key);
    Ok(Reply::OK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_the_same_has_the_same_bytes_and_comes_back() {
        for shown in [
            Shown::Value(b"hello".to_vec()),
            Shown::Value(Vec::new()),
            Shown::Set(vec![Vec::new(), b"a".to_vec(), b"b".to_vec()]),
            Shown::Map(vec![
                (b"f".to_vec(), b"1".to_vec()),
                (b"g".to_vec(), Vec::new()),
            ]),
            Shown::SortedSet(vec![
                (b"a".to_vec(), f64::NEG_INFINITY),
                (b"b".to_vec(), 0.1),
                (b"c".to_vec(), 0.0),
            ]),
        ] {
            assert_eq!(decode(&encode(&shown)).unwrap(), shown);
        }
        let unordered = Shown::Set(vec![b"b".to_vec(), b"a".to_vec()]);
        let scored = |score| Shown::SortedSet(vec![(b"a".to_vec(), score)]);
        for malformed in [
            unordered,
            Shown::Set(Vec::new()),
            Shown::Map(Vec::new()),
            Shown::SortedSet(Vec::new()),
            scored(f64::NAN),
            scored(-0.0),
        ] {
            assert!(decode(&encode(&malformed)).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_byte_that_is_not_as_it_was_is_noticed(at in 0usize..24, by in 1u8..) {
            let shown = Shown::Set(vec![b"ada".to_vec(), b"bob".to_vec()]);
            let mut bytes = encode(&shown);
            let at = at % bytes.len();
            bytes[at] ^= by;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn bytes_that_nobody_made_are_refused(mut bytes: Vec<u8>, is_summed: bool) {
            if is_summed {
                let sum = checksum(&bytes);
                bytes.extend_from_slice(&sum);
            }
            if let Ok(shown) = decode(&bytes) {
                prop_assert_eq!(encode(&shown), bytes);
            }
        }
    }
}
