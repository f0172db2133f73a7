//! Whether a replica's state is the one that it must be.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use super::log::Place;
use super::protocol::Shown;
use super::reference::{Seen, State};
use crate::failure::{Doing, Failure};

/// Differences shown of each replica; the others are counted.
const SHOWN: usize = 10;

/// How a replica's state compares with the reference.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Comparison {
    /// Places compared: all of both.
    pub(crate) places: u64,
    /// How many of them are not the same.
    pub(crate) different: u64,
    /// Some of these, in words.
    pub(crate) examples: Vec<String>,
}

/// Compares every place of both.
pub(crate) fn compare(reference: &State, replica: &State) -> Comparison {
    let mut comparison = Comparison::default();
    let nothing = Default::default();
    for (key, expected) in reference {
        let found = replica.get(key).unwrap_or(&nothing);
        for (place, seen) in expected {
            comparison.note(key, place, Some(seen), found.get(place));
        }
        for (place, seen) in found
            .iter()
            .filter(|(place, _)| !expected.contains_key(*place))
        {
            comparison.note(key, place, None, Some(seen));
        }
    }
    for (key, found) in replica
        .iter()
        .filter(|(key, _)| !reference.contains_key(*key))
    {
        for (place, seen) in found {
            comparison.note(key, place, None, Some(seen));
        }
    }
    comparison
}

impl Comparison {
    fn note(&mut self, key: &str, place: &Place, expected: Option<&Seen>, found: Option<&Seen>) {
        self.places += 1;
        if expected == found {
            return;
        }
        self.different += 1;
        if self.examples.len() < SHOWN {
            let place = match place {
                Place::Value => String::new(),
                Place::Field(field) => format!(" field {field:?}"),
                Place::Member(member) => format!(" member {member:?}"),
            };
            let (expected, found) = (words(expected), words(found));
            self.examples
                .push(format!("{key:?}{place}: {found}, and must be {expected}"));
        }
    }
}

fn words(seen: Option<&Seen>) -> String {
    match seen {
        None => "absent".to_owned(),
        Some(seen) if seen.others.is_empty() => format!("{:?}", seen.value),
        Some(seen) => format!("{:?} before {:?}", seen.value, seen.others),
    }
}

/// Reads what a replica dumped.
pub(crate) fn read_dump(path: &Path) -> Result<State, Failure> {
    let reading = || format!("cannot read {}", path.display());
    let mut state = State::new();
    for line in BufReader::new(File::open(path).doing(reading)?).lines() {
        let shown: Shown = serde_json::from_str(&line.doing(reading)?).doing(reading)?;
        let seen = Seen {
            value: shown.value,
            others: shown.others,
        };
        state
            .entry(shown.key)
            .or_default()
            .insert(shown.place, seen);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn state(entries: &[(&str, Place, &str, &[&str])]) -> State {
        let mut state = State::new();
        for (key, place, value, others) in entries {
            let seen = Seen {
                value: (*value).to_owned(),
                others: others.iter().map(|other| (*other).to_owned()).collect(),
            };
            state
                .entry((*key).to_owned())
                .or_default()
                .insert(place.clone(), seen);
        }
        state
    }

    fn field(name: &str) -> Place {
        Place::Field(name.to_owned())
    }

    #[test]
    fn equal_states_do_not_differ() {
        let one = state(&[
            ("a", Place::Value, "1", &["0"]),
            ("b", field("f"), "x", &[]),
        ]);
        let comparison = compare(&one, &one.clone());
        assert_eq!((comparison.places, comparison.different), (2, 0));
    }

    #[test]
    fn every_way_of_tampering_is_found() {
        let reference = state(&[
            ("a", Place::Value, "1", &["0"]),
            ("b", field("f"), "x", &[]),
            ("c", Place::Member("m".into()), "", &[]),
        ]);
        for (what, change) in [
            ("a value", "a"),
            ("a loser", "others"),
            ("a lost field", "lost field"),
            ("a lost key", "lost key"),
            ("a member too many", "extra"),
            ("a key too many", "extra key"),
        ] {
            let mut tampered = reference.clone();
            match change {
                "a" => {
                    tampered
                        .get_mut("a")
                        .unwrap()
                        .get_mut(&Place::Value)
                        .unwrap()
                        .value = "2".into()
                }
                "others" => tampered
                    .get_mut("a")
                    .unwrap()
                    .get_mut(&Place::Value)
                    .unwrap()
                    .others
                    .clear(),
                "lost field" => drop(tampered.get_mut("b").unwrap().remove(&field("f"))),
                "lost key" => drop(tampered.remove("c")),
                "extra" => tampered.get_mut("c").unwrap().extend(
                    state(&[("c", Place::Member("n".into()), "", &[])])
                        .remove("c")
                        .unwrap(),
                ),
                _ => tampered.extend(state(&[("d", Place::Value, "1", &[])])),
            }
            let comparison = compare(&reference, &tampered);
            assert_eq!(comparison.different, 1, "{what}");
            assert_eq!(comparison.examples.len(), 1, "{what}");
        }
    }
}
