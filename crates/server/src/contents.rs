//! All that a key shows, taken out to be written elsewhere.

use std::time::SystemTime;

use syncline::ops::{Entry, Key, Kind, Map, ReadRows, Scored, Set, SortedSet};
use syncline::{Error, ExpireIf, Transaction};

use crate::refusal::Refusal;

/// What a key shows, and until when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) shown: Shown,
    pub(crate) deadline: Option<SystemTime>,
}

/// What a key shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Value(Vec<u8>),
    /// Fields with their values, in order.
    Map(Vec<Entry>),
    /// Members, in order.
    Set(Vec<Vec<u8>>),
    /// Members with their scores, in the order of the members.
    SortedSet(Vec<Scored>),
}

/// Fields or members that are taken out at most: what one transaction could write.
pub(crate) const MAX_PARTS: usize = 1_000_000;

const TOO_MANY: Refusal = Refusal::said(
    "ERR the key has more than 1000000 fields or members, which one transaction cannot write",
);

impl Contents {
    /// What a key shows; `None` where that is nothing.
    pub(crate) fn of(rows: &(impl ReadRows + ?Sized), key: &[u8]) -> Result<Option<Self>, Refusal> {
        let at = Key::of(rows, key);
        let Some(kind) = at.kind()? else {
            return Ok(None);
        };
        let shown = match kind {
            Kind::Value => Shown::Value(at.value()?.unwrap_or_default()),
            Kind::Map => Shown::Map(all(Map::of(rows, key).fields()?)?),
            Kind::Set => Shown::Set(all(Set::of(rows, key).members()?)?),
            Kind::SortedSet => Shown::SortedSet(all(SortedSet::of(rows, key).members()?)?),
            _ => return Err("ERR the key holds what this version does not know".into()),
        };
        let deadline = at.deadline()?;
        Ok(Some(Self { shown, deadline }))
    }

    /// Writes it in place of all that was observed under a key.
    pub(crate) fn put(&self, rows: &mut Transaction<'_>, key: &[u8]) -> Result<(), Error> {
        match &self.shown {
            Shown::Value(value) => rows.put(key, value)?,
            Shown::Map(entries) => {
                rows.delete(key)?;
                let mut map = rows.map(key);
                for (field, value) in entries {
                    map.set(field, value)?;
                }
            }
            Shown::Set(members) => {
                rows.delete(key)?;
                let mut set = rows.set(key);
                for member in members {
                    set.insert(member)?;
                }
            }
            Shown::SortedSet(members) => {
                rows.delete(key)?;
                let mut set = rows.sorted_set(key);
                for (member, score) in members {
                    set.insert(member, *score)?;
                }
            }
        }
        if let Some(deadline) = self.deadline {
            rows.expire_at(key, deadline, ExpireIf::Always)?;
        }
        Ok(())
    }
}

fn all<T>(parts: impl Iterator<Item = Result<T, Error>>) -> Result<Vec<T>, Refusal> {
    let mut all = Vec::new();
    for part in parts {
        if all.len() == MAX_PARTS {
            return Err(TOO_MANY);
        }
        all.push(part?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_transaction_could_write_is_not_taken_out() {
        let parts = |count| (0..count).map(Ok);
        assert_eq!(all(parts(MAX_PARTS)).unwrap().len(), MAX_PARTS);
        let refused = all(parts(MAX_PARTS + 1)).unwrap_err();
        assert_eq!(refused.to_string(), TOO_MANY.to_string());
    }
}
