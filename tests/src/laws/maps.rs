//! Replicas that write, remove, exchange deltas and whole states, in the order that the bytes say.

use std::collections::BTreeMap;

use syncline_crdt::{Canonical, CausalMap, Context, Dot, ReplicaId, Seen, Siblings, Stamp};

use crate::reference::{Operation, Reference};
use crate::rng::{Bytes, Choices};

type Map = CausalMap<u8, u8>;

const REPLICAS: usize = 3;
const KEYS: usize = 4;
/// Beyond this the fuzzer only gets slower.
const MAX_STEPS: usize = 200;

pub(super) fn play(choices: &mut Bytes<'_>) {
    let mut states = vec![Map::new(); REPLICAS];
    let mut deltas: Vec<Map> = Vec::new();
    let mut reference = Reference::default();
    let mut clock = 0;
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        let at = choices.below(REPLICAS);
        let dot = states[at]
            .context()
            .next_dot(ReplicaId::from_bytes([at as u8 + 1; 16]));
        let key = choices.below(KEYS) as u8;
        match choices.below(6) {
            // A delta from anywhere, any number of times; some are never delivered.
            0 if !deltas.is_empty() => {
                let delta = choices.pick(&deltas);
                join(&mut states[at], delta);
            }
            // A whole state.
            1 => {
                let other = states[choices.below(REPLICAS)].clone();
                join(&mut states[at], &other);
            }
            2 => {
                let superseded = live(&states[at], Some(key));
                reference.record(Operation {
                    writes: Vec::new(),
                    superseded,
                });
                deltas.push(states[at].remove(&key, dot));
            }
            3 if choices.chance(20) => {
                let superseded = live(&states[at], None);
                reference.record(Operation {
                    writes: Vec::new(),
                    superseded,
                });
                deltas.push(states[at].clear(dot));
            }
            // Supersedes what the bytes choose of what it observed.
            4 => {
                let mut superseded = live(&states[at], Some(key));
                superseded.retain(|_| choices.chance(50));
                clock += choices.below(3) as u64;
                let (stamp, payload) = (Stamp::from_u64(clock), choices.below(4) as u8);
                deltas.push(states[at].put_superseding(key, dot, stamp, payload, &superseded));
                reference.record(Operation {
                    writes: vec![(key, dot, payload)],
                    superseded,
                });
            }
            _ => {
                let superseded = live(&states[at], Some(key));
                clock += choices.below(3) as u64;
                let (stamp, payload) = (Stamp::from_u64(clock), choices.below(4) as u8);
                deltas.push(states[at].put(key, dot, stamp, payload));
                reference.record(Operation {
                    writes: vec![(key, dot, payload)],
                    superseded,
                });
            }
        }
        check_invariants(&states[at]);
    }
    laws(&states);
    converge(&states, deltas, &reference, choices);
}

/// The dots that are live in a row, or in all.
fn live(state: &Map, key: Option<u8>) -> Vec<Dot> {
    let rows = state
        .rows()
        .filter(|(at, _)| key.is_none_or(|key| key == **at));
    rows.flat_map(|(_, row)| row.dots()).collect()
}

/// Joins, and sees to it that the answer "has it changed" is right.
fn join(state: &mut Map, other: &Map) {
    let before = state.clone();
    let changed = state.join(other);
    assert_eq!(changed, before != *state);
}

fn joined(a: &Map, b: &Map) -> Map {
    let mut both = a.clone();
    join(&mut both, b);
    both
}

fn check_invariants(state: &Map) {
    let mut live = Context::new();
    for (_, row) in state.rows() {
        assert!(!row.is_empty());
        for dot in row.dots() {
            assert!(
                state.context().contains(&dot),
                "{dot} is live and not in the context"
            );
            assert!(live.insert(dot), "{dot} is live twice");
        }
    }
    let bytes = state.to_bytes();
    assert_eq!(Map::from_bytes(&bytes).as_ref(), Ok(state));
}

fn laws(states: &[Map]) {
    for a in states {
        assert_eq!(joined(a, a), *a, "idempotent");
        for b in states {
            let both = joined(a, b);
            assert_eq!(both, joined(b, a), "commutative");
            assert_eq!(both.to_bytes(), joined(b, a).to_bytes(), "canonical");
            rows_agree(a, b, &both);
            for c in states {
                assert_eq!(joined(&both, c), joined(a, &joined(b, c)), "associative");
            }
        }
    }
}

/// Row by row, in place or not, under contexts or unions of them, the join is the same.
fn rows_agree(a: &Map, b: &Map, both: &Map) {
    let absent = Siblings::new();
    for key in 0..KEYS as u8 {
        let (ours, theirs) = (
            a.row(&key).unwrap_or(&absent),
            b.row(&key).unwrap_or(&absent),
        );
        let want = both.row(&key).unwrap_or(&absent);
        assert_eq!(ours.join(a.context(), theirs, b.context()), *want);
        let mut in_place = ours.clone();
        let changed = in_place.join_in_place(a.context(), theirs, b.context());
        assert_eq!((&in_place, changed), (want, ours != want));
        // A row that comes alone adds nothing but its own dots to what is seen.
        let seen = (a.context(), ours);
        assert!(ours.dots().all(|dot| seen.contains(&dot)));
        assert_eq!(ours.join(&seen, theirs, &(b.context(), theirs)), *want);
        let mut head = ours.clone();
        head.join_head(theirs, b.context());
        assert!(head.dots().all(|dot| want.get(&dot).is_some()));
    }
}

/// However all meet, by states or by deltas alone, they are equal and hold what the reference says.
fn converge(
    states: &[Map],
    deltas: Vec<Map>,
    reference: &Reference<u8, u8>,
    choices: &mut Bytes<'_>,
) {
    let mut order: Vec<usize> = (0..states.len()).collect();
    choices.shuffle(&mut order);
    let by_states = order
        .iter()
        .fold(Map::new(), |all, at| joined(&all, &states[*at]));
    let expected = reference.expected();
    if let Err(why) = expected.check(by_states.rows(), by_states.context()) {
        panic!("{why}");
    }

    let mut order: Vec<usize> = (0..deltas.len()).chain(0..deltas.len() / 2).collect();
    choices.shuffle(&mut order);
    let by_deltas = order
        .iter()
        .fold(Map::new(), |all, at| joined(&all, &deltas[*at]));
    assert_eq!(
        by_deltas, by_states,
        "deltas in any order, doubled, are the full join"
    );
    let winners = |map: &Map| -> BTreeMap<u8, u8> {
        map.rows()
            .filter_map(|(key, row)| Some((*key, row.winner()?.payload)))
            .collect()
    };
    assert_eq!(winners(&by_deltas), winners(&by_states));
}
