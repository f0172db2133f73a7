//! Cursors of `SCAN` and its kin.
//!
//! Clients take a cursor for a number; to go on where a scan was, in an order that no change disturbs, takes the last key. So the keys
//! are held here, each under a number that is made of it. Memory is bounded: cursors that nobody has used for long are forgotten, as all are with
//! the server, and then the scan has to begin anew.

use std::collections::HashMap;
use std::mem;
use std::sync::Mutex;

use bytes::Bytes;
use rand::random;

use crate::client::lock;
use crate::refusal::Refusal;

/// What all places take at most, in bytes; as much again is held of those that were used before.
const MAX_SIZE: usize = 4 << 20;
/// What a place takes beside its keys.
const PLACE: usize = 128;
/// The bits of a cursor: as many as every client's numbers have.
const BITS: u32 = 53;

/// Where a scan has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) database: u8,
    /// The key whose parts are scanned; `None` where keys are.
    pub(crate) key: Option<Bytes>,
    /// The last key, field or member that was looked at.
    pub(crate) last: Bytes,
}

/// The cursors that clients may come back with.
pub(crate) struct Cursors {
    /// So that nobody can guess which keys make the same number.
    secret: [u8; 32],
    places: Mutex<Places>,
}

/// In two generations: what is used comes to the younger, which becomes the older when it is full.
#[derive(Default)]
struct Places {
    young: HashMap<u64, Place>,
    /// What the younger take.
    size: usize,
    old: HashMap<u64, Place>,
}

impl Default for Cursors {
    fn default() -> Self {
        Self {
            secret: random(),
            places: Mutex::default(),
        }
    }
}

impl Cursors {
    /// The cursor to go on with behind a place; never 0.
    pub(crate) fn remember(&self, place: Place) -> u64 {
        let mut places = lock(&self.places);
        let mut cursor = self.number(&place);
        // Another place under the same number is as good as impossible, and yet not to be mistaken for this one.
        while places.get(cursor).is_some_and(|other| other != place) {
            cursor = (cursor % ((1 << BITS) - 1)) + 1;
        }
        places.keep(cursor, place);
        cursor
    }

    /// What was last looked at in a scan of this database, or of the parts of this key, by its cursor. `None` for the
    /// cursor that begins it.
    pub(crate) fn recall(
        &self,
        cursor: &[u8],
        database: u8,
        key: Option<&[u8]>,
    ) -> Result<Option<Bytes>, Refusal> {
        const INVALID: Refusal = Refusal::said("ERR invalid cursor");
        let is_number = cursor.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(cursor).ok().filter(|_| is_number);
        let cursor: u64 = match number {
            // As Redis.
            Some("") => 0,
            number => number.and_then(|text| text.parse().ok()).ok_or(INVALID)?,
        };
        if cursor == 0 {
            return Ok(None);
        }
        let mut places = lock(&self.places);
        let place = places.get(cursor).ok_or(INVALID)?;
        if place.database != database || place.key.as_deref() != key {
            return Err(INVALID);
        }
        let last = place.last.clone();
        places.keep(cursor, place);
        Ok(Some(last))
    }

    fn number(&self, place: &Place) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        let key = place.key.as_deref();
        let length = key.map_or(u64::MAX, |key| key.len() as u64);
        hasher.update(&[place.database]);
        hasher.update(&length.to_le_bytes());
        hasher.update(key.unwrap_or_default());
        hasher.update(&place.last);
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        (u64::from_le_bytes(number) >> (64 - BITS)).max(1)
    }
}

impl Places {
    fn get(&self, cursor: u64) -> Option<Place> {
        let place = self.young.get(&cursor).or_else(|| self.old.get(&cursor));
        place.cloned()
    }

    fn keep(&mut self, cursor: u64, place: Place) {
        let size = PLACE + place.last.len() + place.key.as_ref().map_or(0, Bytes::len);
        if self.size + size > MAX_SIZE {
            self.old = mem::take(&mut self.young);
            self.size = 0;
        }
        if self.young.insert(cursor, place).is_none() {
            self.size += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(last: &str) -> Place {
        Place {
            database: 3,
            key: None,
            last: Bytes::copy_from_slice(last.as_bytes()),
        }
    }

    #[test]
    fn a_cursor_is_good_for_the_scan_that_it_came_from() {
        let cursors = Cursors::default();
        let cursor = cursors.remember(place("user:7")).to_string();
        let recall = |cursor: &str, database, key| cursors.recall(cursor.as_bytes(), database, key);
        assert_eq!(
            recall(&cursor, 3, None).unwrap().as_deref(),
            Some(&b"user:7"[..])
        );
        assert_eq!(recall("0", 3, None).unwrap(), None);
        assert!(recall(&cursor, 4, None).is_err());
        assert!(recall(&cursor, 3, Some(b"user:7")).is_err());
        for other in [
            "-1",
            "+0",
            " 0",
            "x",
            "18446744073709551616",
            "9007199254740993",
        ] {
            assert!(recall(other, 3, None).is_err(), "{other}");
        }
        // As often as it is asked for.
        assert_eq!(cursors.remember(place("user:7")).to_string(), cursor);
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cursors = Cursors::default();
        let used = cursors.remember(place("used")).to_string();
        let left = cursors.remember(place("left")).to_string();
        for round in 0..3 * MAX_SIZE / PLACE {
            cursors.remember(place(&round.to_string()));
            assert!(cursors.recall(used.as_bytes(), 3, None).is_ok());
        }
        assert!(cursors.recall(left.as_bytes(), 3, None).is_err());
        let places = lock(&cursors.places);
        assert!(places.young.len() + places.old.len() <= 2 * MAX_SIZE / PLACE);
    }
}
