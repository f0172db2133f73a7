//! What the replicas must have come to, computed a second time by other means.
//!
//! The engine keeps rows, dots and contexts, exchanges differences and joins them. None of that is here: this file takes
//! the log of all operations with what each had observed, and applies the one rule of `docs/semantics.md`, "an operation
//! acts only on what its replica had observed", to all of them at once. It uses the standard library and nothing of the
//! engine, so the two can only agree if both are right, or wrong in the same way by chance.

use std::collections::{BTreeMap, HashSet};

use super::log::{Entry, Log, Operation, Place, Stamp};

/// What readers see: for each key and place with anything to see, its content.
pub(crate) type State = BTreeMap<String, BTreeMap<Place, Seen>>;

/// The content of a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// What is read: text, a number in decimal digits; nothing for a member, which is there or not.
    pub(crate) value: String,
    /// Values that lost to it without either having observed the other, the latest first.
    pub(crate) others: Vec<String>,
}

/// An operation that no later one has undone, at one place.
#[derive(Clone, Debug)]
struct Standing<'a> {
    entry: &'a Entry,
    /// Its position in the transaction.
    position: usize,
    effect: Effect<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Effect<'a> {
    Write(&'a str),
    Increment(i64),
    Membership,
}

/// All that stands, by key and place.
#[derive(Default)]
pub(crate) struct Interpreter<'a> {
    standing: BTreeMap<&'a str, BTreeMap<Place, Vec<Standing<'a>>>>,
}

/// Interprets the operations of `log` of which `known` counts how many of each replica to take.
pub(crate) fn interpret<'a>(log: &'a Log, known: &[u64]) -> Interpreter<'a> {
    interpret_if(log, known, |_| true)
}

fn interpret_if<'a>(log: &'a Log, known: &[u64], wanted: impl Fn(&str) -> bool) -> Interpreter<'a> {
    let mut entries: Vec<&Entry> = log
        .entries
        .iter()
        .filter(|entry| entry.is_known(known))
        .collect();
    // Whoever observed an operation has observed more than it had, so this order has causes before effects. Which of two
    // operations comes first that did not observe each other makes no difference: neither acts on the other.
    entries.sort_by_key(|entry| entry.observed.iter().sum::<u64>());
    let mut interpreter = Interpreter::default();
    for entry in entries {
        for (position, operation) in entry.transaction.operations.iter().enumerate() {
            if wanted(operation.key()) {
                interpreter.apply(entry, position, operation);
            }
        }
    }
    interpreter
}

/// In how many places other operations stand for one who knows this much of each replica than for one who knows that much.
/// Equal values written by different operations differ: who has seen one and not the other still has something to learn.
pub(crate) fn differing(log: &Log, one: &[u64], other: &[u64]) -> u64 {
    // Only keys on which one of them knows of an operation more can differ, and those are few.
    let touched: HashSet<&str> = log
        .entries
        .iter()
        .filter(|entry| entry.is_known(one) != entry.is_known(other))
        .flat_map(|entry| entry.transaction.operations.iter().map(Operation::key))
        .collect();
    let standing = |known| interpret_if(log, known, |key| touched.contains(key));
    standing(one).differing(&standing(other))
}

impl<'a> Interpreter<'a> {
    fn apply(&mut self, entry: &'a Entry, position: usize, operation: &'a Operation) {
        let (key, place, effect) = match operation {
            Operation::Set { key, value } => {
                self.undo_key(entry, key);
                (key, Place::Value, Effect::Write(value))
            }
            Operation::Increment { key, by } => (key, Place::Value, Effect::Increment(*by)),
            Operation::Add { key, member } => {
                let place = Place::Member(member.clone());
                self.undo(entry, key, &place);
                (key, place, Effect::Membership)
            }
            Operation::SetField { key, field, value } => {
                let place = Place::Field(field.clone());
                self.undo(entry, key, &place);
                (key, place, Effect::Write(value))
            }
            Operation::IncrementField { key, field, by } => {
                (key, Place::Field(field.clone()), Effect::Increment(*by))
            }
            Operation::Remove { key, member } => {
                return self.undo(entry, key, &Place::Member(member.clone()));
            }
            Operation::RemoveField { key, field } => {
                return self.undo(entry, key, &Place::Field(field.clone()));
            }
            Operation::Delete { key } => return self.undo_key(entry, key),
        };
        let places = self.standing.entry(key).or_default();
        places.entry(place).or_default().push(Standing {
            entry,
            position,
            effect,
        });
    }

    /// Undoes what `entry` had observed at one place. All that stands there of the same transaction came before.
    fn undo(&mut self, entry: &Entry, key: &str, place: &Place) {
        if let Some(places) = self.standing.get_mut(key)
            && let Some(standing) = places.get_mut(place)
        {
            standing.retain(|earlier| !observed(entry, earlier.entry));
            if standing.is_empty() {
                places.remove(place);
            }
        }
    }

    fn undo_key(&mut self, entry: &Entry, key: &str) {
        if let Some(places) = self.standing.get_mut(key) {
            places.retain(|_, standing| {
                standing.retain(|earlier| !observed(entry, earlier.entry));
                !standing.is_empty()
            });
        }
    }

    /// What readers see.
    pub(crate) fn state(&self) -> State {
        let mut state = State::new();
        for (key, places) in &self.standing {
            let seen: BTreeMap<Place, Seen> = places
                .iter()
                .map(|(place, standing)| (place.clone(), read(standing)))
                .collect();
            if !seen.is_empty() {
                state.insert((*key).to_owned(), seen);
            }
        }
        state
    }

    fn differing(&self, other: &Self) -> u64 {
        let mut count = 0;
        for (key, places) in &self.standing {
            let theirs = other.standing.get(key);
            for (place, standing) in places {
                let matched = theirs.and_then(|places| places.get(place));
                count += u64::from(matched.is_none_or(|matched| !same(standing, matched)));
            }
        }
        for (key, places) in &other.standing {
            let ours = self.standing.get(key);
            let absent = |place: &&Place| ours.is_none_or(|places| !places.contains_key(*place));
            count += places.keys().filter(absent).count() as u64;
        }
        count
    }
}

/// Whether an operation of `later` acts on one of `earlier`. Within a transaction the order of its operations decides, and
/// those that follow have not been applied yet.
fn observed(later: &Entry, earlier: &Entry) -> bool {
    std::ptr::eq(later, earlier) || later.had_observed(earlier)
}

fn same(one: &[Standing<'_>], other: &[Standing<'_>]) -> bool {
    let names = |standing: &[Standing<'_>]| {
        let mut names: Vec<(usize, u64, usize)> = standing
            .iter()
            .map(|standing| {
                (
                    standing.entry.replica,
                    standing.entry.transaction.number,
                    standing.position,
                )
            })
            .collect();
        names.sort_unstable();
        names
    };
    names(one) == names(other)
}

/// The latest write is read. Increments that stand count on top of it if it is a number, and on their own if nothing was
/// written; text is read as it is.
fn read(standing: &[Standing<'_>]) -> Seen {
    let mut writes: Vec<(&Stamp, &str)> = Vec::new();
    let mut sum: Option<i128> = None;
    for one in standing {
        match one.effect {
            Effect::Write(value) => writes.push((&one.entry.stamp, value)),
            Effect::Increment(by) => sum = Some(sum.unwrap_or(0) + i128::from(by)),
            Effect::Membership => {}
        }
    }
    writes.sort_unstable();
    let mut values = writes.iter().rev().map(|(_, value)| (*value).to_owned());
    let value = match (values.next(), sum) {
        (None, None) => String::new(),
        (None, Some(sum)) => saturated(sum),
        (Some(text), None) => text,
        (Some(text), Some(sum)) => match number(&text) {
            Some(number) => saturated(i128::from(number) + sum),
            None => text,
        },
    };
    Seen {
        value,
        others: values.collect(),
    }
}

/// A number as it is written by numbers' own formatting; "007" and "+7" are text.
fn number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn saturated(sum: i128) -> String {
    sum.clamp(i64::MIN.into(), i64::MAX.into()).to_string()
}

/// Checks that stamps follow causes: whoever observed an operation has a greater one. Winners are chosen by stamp, so
/// without this a later write could lose to one that it replaced. Returns how many transactions break it.
pub(crate) fn stamps_out_of_order(log: &Log) -> u64 {
    // The greatest stamp among the first n transactions of each replica.
    let mut greatest: Vec<BTreeMap<u64, u64>> = Vec::new();
    let mut entries: Vec<&Entry> = log.entries.iter().collect();
    entries.sort_by_key(|entry| (entry.replica, entry.transaction.number));
    for entry in &entries {
        if greatest.len() <= entry.replica {
            greatest.resize_with(entry.replica + 1, BTreeMap::new);
        }
        let mine = &mut greatest[entry.replica];
        let so_far = mine.last_key_value().map_or(0, |(_, clock)| *clock);
        mine.insert(entry.transaction.number, so_far.max(entry.stamp.clock));
    }
    let late = |entry: &&&Entry| {
        entry.observed.iter().zip(&greatest).any(|(count, stamps)| {
            let observed = stamps.range(..=count).next_back();
            observed.is_some_and(|(_, clock)| *clock >= entry.stamp.clock)
        })
    };
    entries.iter().filter(late).count() as u64
}

#[cfg(test)]
mod tests;
