//! Which commits are of the store's own past.
//!
//! Commits are numbered, but a number alone names none: after a crash that lost the last commits,
//! in a copy of the file and in another replica the same numbers stand for others. So each opening
//! of the store that commits anything draws an id, and the store remembers from which commit on it
//! was which opening. An id with a number names a commit for good; the store has it if it is of that
//! opening by what is remembered.

use syncline_crdt::ReplicaId;

use crate::Environment;

/// Names an opening of a store.
pub(crate) type OpeningId = [u8; 16];

/// An opening by its first commit.
pub(crate) type Opening = (u64, OpeningId);

/// How many openings are remembered. What was told by one before these begins anew.
const REMEMBERED: usize = 1024;

/// The openings of a store, this one included.
#[derive(Debug)]
pub(crate) struct Openings {
    /// Ascending. The last is this one, whose first commit is yet to be made.
    all: Vec<Opening>,
}

impl Openings {
    /// After those that are remembered, one whose first commit comes after `commits`.
    pub(crate) fn new(mut past: Vec<Opening>, commits: u64, environment: &dyn Environment) -> Self {
        let id = ReplicaId::mint(environment.wall_ms(), environment.entropy());
        past.push((commits + 1, *id.as_bytes()));
        past.drain(..past.len().saturating_sub(REMEMBERED));
        Self { all: past }
    }

    /// Who made a commit: zeroes if nobody remembers.
    pub(crate) fn of(&self, commit: u64) -> OpeningId {
        let after = self.all.partition_point(|(first, _)| *first <= commit);
        match after.checked_sub(1) {
            Some(at) => self.all[at].1,
            None => OpeningId::default(),
        }
    }

    /// What is to be remembered with a commit: something new only with the first of an opening.
    pub(crate) fn to_remember(&self, commit: u64) -> Option<Vec<u8>> {
        let (first, _) = self.all.last()?;
        (*first == commit).then(|| self.to_bytes())
    }

    /// All that is remembered once this opening has committed anything.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let openings = self.all.iter();
        let bytes = openings.flat_map(|(first, id)| first.to_be_bytes().into_iter().chain(*id));
        bytes.collect()
    }

    /// What was remembered.
    pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Opening>> {
        let (entries, rest) = bytes.as_chunks::<24>();
        let openings: Vec<Opening> = entries
            .iter()
            .filter_map(|entry| {
                let (first, id) = entry.split_first_chunk()?;
                Some((u64::from_be_bytes(*first), id.try_into().ok()?))
            })
            .collect();
        let ascend = openings.is_sorted_by(|a, b| a.0 < b.0);
        (rest.is_empty() && ascend).then_some(openings)
    }
}
