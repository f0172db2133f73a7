//! Conflicts made on purpose: the cases of `docs/semantics.md`, each under a key of its own, with what every replica must
//! read in the end.

use super::log::{Operation, Place};
use super::reference::State;

/// One case.
pub(crate) struct Scene {
    /// What was there before, as the report says it.
    pub(crate) before: &'static str,
    /// What each replica does while it is cut off, as the report says it; nothing if it only watches.
    pub(crate) apart: [&'static str; 3],
    /// What all must read then; none where it depends on which write came later.
    pub(crate) comes_to: Option<&'static str>,
    key: String,
    pub(crate) setup: Vec<Operation>,
    pub(crate) operations: [Vec<Operation>; 3],
}

impl Scene {
    /// What a replica in this state reads.
    pub(crate) fn reading(&self, state: &State) -> String {
        let Some(places) = state.get(&self.key) else {
            return "absent".to_owned();
        };
        let mut shown = Vec::new();
        let mut members = Vec::new();
        for (place, seen) in places {
            let others = if seen.others.is_empty() {
                String::new()
            } else {
                format!(" (kept aside: {})", seen.others.join(", "))
            };
            match place {
                Place::Value => shown.push(format!("{}{others}", seen.value)),
                Place::Field(field) => shown.push(format!("{field} = {}{others}", seen.value)),
                Place::Member(member) => members.push(member.as_str()),
            }
        }
        if !members.is_empty() {
            shown.push(format!("{{{}}}", members.join(", ")));
        }
        shown.join(", ")
    }
}

/// All of them. A, B and C take turns at the parts, so that each is cut off from each in some of them.
pub(crate) fn all() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut scene = |before, setup: &[Do], apart: [(&'static str, &[Do]); 3], comes_to| {
        let key = format!("scene/{:02}", scenes.len() + 1);
        let on = |steps: &[Do]| steps.iter().map(|step| step.on(&key)).collect::<Vec<_>>();
        scenes.push(Scene {
            before,
            setup: on(setup),
            apart: apart.map(|(text, _)| text),
            operations: apart.map(|(_, steps)| on(steps)),
            comes_to,
            key,
        });
    };
    let idle: (&'static str, &[Do]) = ("", &[]);
    use Do::*;
    scene(
        "absent",
        &[],
        [
            ("SET red", &[Set("red")]),
            ("SET blue", &[Set("blue")]),
            idle,
        ],
        None,
    );
    scene(
        "old",
        &[Set("old")],
        [("SET new", &[Set("new")]), ("DEL", &[Del]), idle],
        Some("new"),
    );
    scene(
        "10",
        &[Incr(10)],
        [
            ("INCRBY 7", &[Incr(7)]),
            ("INCRBY 3", &[Incr(3)]),
            ("INCRBY -5", &[Incr(-5)]),
        ],
        Some("15"),
    );
    scene(
        "10",
        &[Incr(10)],
        [idle, ("SET 100", &[Set("100")]), ("INCR", &[Incr(1)])],
        Some("101"),
    );
    scene(
        "10",
        &[Incr(10)],
        [("SET text", &[Set("text")]), idle, ("INCR", &[Incr(1)])],
        Some("text"),
    );
    scene(
        "5",
        &[Incr(5)],
        [("DEL", &[Del]), ("INCR", &[Incr(1)]), idle],
        Some("1"),
    );
    scene(
        "5",
        &[Incr(5)],
        [("DEL", &[Del]), idle, ("DEL", &[Del])],
        Some("absent"),
    );
    scene(
        "{e}",
        &[Sadd("e")],
        [idle, ("SADD e", &[Sadd("e")]), ("SREM e", &[Srem("e")])],
        Some("{e}"),
    );
    scene(
        "{a, b}",
        &[Sadd("a"), Sadd("b")],
        [("SADD e", &[Sadd("e")]), ("DEL", &[Del]), idle],
        Some("{e}"),
    );
    scene(
        "{e}",
        &[Sadd("e")],
        [
            ("SREM e", &[Srem("e")]),
            ("SREM e", &[Srem("e")]),
            ("SREM e", &[Srem("e")]),
        ],
        Some("absent"),
    );
    scene(
        "absent",
        &[],
        [
            ("HSET f 1", &[Hset("f", "1")]),
            idle,
            ("HSET g 2", &[Hset("g", "2")]),
        ],
        Some("f = 1, g = 2"),
    );
    scene(
        "f = old",
        &[Hset("f", "old")],
        [
            ("HDEL f", &[Hdel("f")]),
            ("HSET f new", &[Hset("f", "new")]),
            idle,
        ],
        Some("f = new"),
    );
    scene(
        "f = old",
        &[Hset("f", "old")],
        [("DEL", &[Del]), idle, ("HSET g 2", &[Hset("g", "2")])],
        Some("g = 2"),
    );
    scene(
        "n = 40",
        &[Hincr("n", 40)],
        [
            idle,
            ("HINCRBY n 1", &[Hincr("n", 1)]),
            ("HINCRBY n 1", &[Hincr("n", 1)]),
        ],
        Some("n = 42"),
    );
    scenes
}

/// An operation whose key is that of its scene.
enum Do {
    Set(&'static str),
    Incr(i64),
    Del,
    Sadd(&'static str),
    Srem(&'static str),
    Hset(&'static str, &'static str),
    Hincr(&'static str, i64),
    Hdel(&'static str),
}

impl Do {
    fn on(&self, key: &str) -> Operation {
        let key = key.to_owned();
        match *self {
            Self::Set(value) => Operation::Set {
                key,
                value: value.to_owned(),
            },
            Self::Incr(by) => Operation::Increment { key, by },
            Self::Del => Operation::Delete { key },
            Self::Sadd(member) => Operation::Add {
                key,
                member: member.to_owned(),
            },
            Self::Srem(member) => Operation::Remove {
                key,
                member: member.to_owned(),
            },
            Self::Hset(field, value) => Operation::SetField {
                key,
                field: field.to_owned(),
                value: value.to_owned(),
            },
            Self::Hincr(field, by) => Operation::IncrementField {
                key,
                field: field.to_owned(),
                by,
            },
            Self::Hdel(field) => Operation::RemoveField {
                key,
                field: field.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::super::log::{Log, Stamp, Transaction};
    use super::super::reference::interpret;
    use super::*;

    /// The table in the documentation and the interpreter must say the same before the engine is asked.
    #[test]
    fn the_reference_comes_to_what_each_scene_says() {
        let mut log = Log::new(3);
        let mut clock = 0;
        let mut does = |log: &mut Log, replica: usize, operations: &[Operation]| {
            clock += 1;
            let transaction = Transaction {
                number: log.next_number(replica),
                operations: operations.to_vec(),
            };
            let writer = replica.to_string();
            log.record(replica, transaction, Stamp { clock, writer });
        };
        let scenes = all();
        for scene in &scenes {
            does(&mut log, 0, &scene.setup);
        }
        log.agreed(0, 1);
        log.agreed(0, 2);
        for scene in &scenes {
            for (replica, operations) in scene.operations.iter().enumerate() {
                does(&mut log, replica, operations);
            }
        }
        log.agreed(0, 1);
        log.agreed(0, 2);
        let state = interpret(&log, log.known_to(0)).state();
        for (index, scene) in scenes.iter().enumerate() {
            let reading = scene.reading(&state);
            match scene.comes_to {
                Some(expected) => assert_eq!(reading, expected, "scene {}", index + 1),
                None => assert_eq!(reading, "blue (kept aside: red)"),
            }
        }
    }
}
