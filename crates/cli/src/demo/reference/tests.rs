//! The cases of `docs/semantics.md`, run on the interpreter alone: it must be right before anything is held against it.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::log::Transaction;
use super::*;

/// Writes a log as a story: who does what, who syncs with whom.
struct Story {
    log: Log,
    clock: u64,
}

fn set(key: &str, value: &str) -> Operation {
    Operation::Set {
        key: key.into(),
        value: value.into(),
    }
}
fn increment(key: &str, by: i64) -> Operation {
    Operation::Increment {
        key: key.into(),
        by,
    }
}
fn add(key: &str, member: &str) -> Operation {
    Operation::Add {
        key: key.into(),
        member: member.into(),
    }
}
fn remove(key: &str, member: &str) -> Operation {
    Operation::Remove {
        key: key.into(),
        member: member.into(),
    }
}
fn set_field(key: &str, field: &str, value: &str) -> Operation {
    Operation::SetField {
        key: key.into(),
        field: field.into(),
        value: value.into(),
    }
}
fn remove_field(key: &str, field: &str) -> Operation {
    Operation::RemoveField {
        key: key.into(),
        field: field.into(),
    }
}
fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.into() }
}

impl Story {
    fn new() -> Self {
        Self {
            log: Log::new(2),
            clock: 0,
        }
    }

    /// `before` on replica 0, then a sync, then `ours` and `theirs` without knowledge of each other.
    fn of(before: &[Operation], ours: &[Operation], theirs: &[Operation]) -> Self {
        let mut story = Self::new();
        for operation in before {
            story.does(0, std::slice::from_ref(operation));
        }
        story.log.agreed(0, 1);
        for operation in ours {
            story.does(0, std::slice::from_ref(operation));
        }
        for operation in theirs {
            story.does(1, std::slice::from_ref(operation));
        }
        story
    }

    fn does(&mut self, replica: usize, operations: &[Operation]) {
        self.clock += 1;
        let transaction = Transaction {
            number: self.log.next_number(replica),
            operations: operations.to_vec(),
        };
        let stamp = Stamp {
            clock: self.clock,
            writer: replica.to_string(),
        };
        self.log.record(replica, transaction, stamp);
    }

    /// What a reader sees after both have synced, as text.
    fn ends(&mut self) -> String {
        self.log.agreed(0, 1);
        let state = interpret(&self.log, self.log.known_to(0)).state();
        assert_eq!(stamps_out_of_order(&self.log), 0);
        let mut shown = Vec::new();
        for (key, places) in &state {
            for (place, seen) in places {
                let name = match place {
                    Place::Value => key.clone(),
                    Place::Field(field) => format!("{key}.{field}"),
                    Place::Member(member) => format!("{key}∋{member}"),
                };
                let others: String = seen
                    .others
                    .iter()
                    .map(|other| format!("|{other}"))
                    .collect();
                shown.push(format!("{name}={}{others}", seen.value));
            }
        }
        shown.join(" ")
    }
}

#[test]
fn concurrent_operations_come_to_what_the_semantics_say() {
    let ten = [increment("x", 10)];
    let five = [increment("x", 5)];
    for (before, ours, theirs, want) in [
        (&[][..], &[set("x", "a")][..], &[set("x", "b")][..], "x=b|a"),
        (&[set("x", "0")], &[set("x", "a")], &[delete("x")], "x=a"),
        (&ten, &[increment("x", 7)], &[increment("x", 3)], "x=20"),
        (&ten, &[set("x", "100")], &[increment("x", 1)], "x=101"),
        (&ten, &[set("x", "text")], &[increment("x", 1)], "x=text"),
        (&five, &[delete("x")], &[increment("x", 1)], "x=1"),
        (&five, &[delete("x")], &[delete("x")], ""),
        (
            &five,
            &[delete("x"), increment("x", 1)],
            &[delete("x")],
            "x=1",
        ),
        (
            &[add("s", "e")],
            &[add("s", "e")],
            &[remove("s", "e")],
            "s∋e=",
        ),
        (&[add("s", "a")], &[add("s", "e")], &[delete("s")], "s∋e="),
        (
            &[add("s", "e")],
            &[remove("s", "e")],
            &[remove("s", "e")],
            "",
        ),
        (
            &[],
            &[set_field("h", "f", "a")],
            &[set_field("h", "g", "b")],
            "h.f=a h.g=b",
        ),
        (
            &[],
            &[set_field("h", "f", "a")],
            &[set_field("h", "f", "b")],
            "h.f=b|a",
        ),
        (
            &[set_field("h", "f", "0")],
            &[set_field("h", "f", "a")],
            &[remove_field("h", "f")],
            "h.f=a",
        ),
        (
            &[set_field("h", "f", "0")],
            &[set_field("h", "g", "a")],
            &[delete("h")],
            "h.g=a",
        ),
        (&[set("x", "0"), set("x", "1")], &[], &[], "x=1"),
    ] {
        let mut story = Story::of(before, ours, theirs);
        assert_eq!(story.ends(), want, "{before:?}, {ours:?} ∥ {theirs:?}");
    }
}

#[test]
fn a_later_write_settles_a_conflict() {
    let mut story = Story::of(&[], &[set("x", "a")], &[set("x", "b")]);
    story.log.agreed(0, 1);
    story.does(0, &[set("x", "c")]);
    assert_eq!(story.ends(), "x=c");
}

#[test]
fn within_a_transaction_the_order_decides() {
    let mut story = Story::new();
    story.does(
        0,
        &[
            set("x", "a"),
            delete("x"),
            increment("x", 2),
            add("s", "e"),
            remove("s", "e"),
        ],
    );
    assert_eq!(story.ends(), "x=2");
}

#[test]
fn differing_places_are_counted_before_a_sync_and_none_after() {
    let mut story = Story::of(
        &[set("x", "0"), add("s", "e")],
        &[set("x", "1"), set("y", "1")],
        &[remove("s", "e")],
    );
    let log = &story.log;
    let (one, other) = (log.known_to(0), log.known_to(1));
    assert_eq!(differing(log, one, other), 3);
    assert_eq!(differing(log, other, one), 3);
    story.log.agreed(0, 1);
    let log = &story.log;
    assert_eq!(differing(log, log.known_to(0), log.known_to(1)), 0);
}

#[test]
fn a_stamp_behind_what_was_observed_is_found() {
    let mut story = Story::of(&[set("x", "0")], &[], &[]);
    story.clock = 0;
    story.does(1, &[set("x", "1")]);
    assert_eq!(stamps_out_of_order(&story.log), 1);
}
