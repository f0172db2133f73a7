//! The numeric cell: sets, deletes and increments on replicas that also crash and come back under a new id.

use std::collections::BTreeSet;

use syncline_crdt::cell::{self, Cell, Value};
use syncline_crdt::{CausalMap, Decimal, ReplicaId, Siblings, Stamp};

use crate::rng::{Bytes, Choices};

type Map = CausalMap<(), Cell>;

const REPLICAS: usize = 3;
const MAX_STEPS: usize = 120;

#[derive(Clone, Default)]
struct Replica {
    state: Map,
    /// The operations whose effects are in the state.
    knows: BTreeSet<usize>,
}

/// One operation, and what its replica knew.
enum Operation {
    Base {
        value: Option<Vec<u8>>,
        order: (Stamp, ReplicaId),
        observed: BTreeSet<usize>,
    },
    Add(Decimal),
}

/// Tenths.
fn number(count: i64) -> Decimal {
    Decimal::parse(format!("{count}e-1").as_bytes()).unwrap()
}

pub(super) fn play(choices: &mut Bytes<'_>) {
    let mut replicas = vec![Replica::default(); REPLICAS];
    // What a crash goes back to.
    let mut saved = replicas.clone();
    let mut openings = [0u8; REPLICAS];
    let mut operations: Vec<Operation> = Vec::new();
    let mut lost = BTreeSet::new();
    for clock in 1..=MAX_STEPS as u64 {
        if choices.is_empty() {
            break;
        }
        let at = choices.below(REPLICAS);
        let id = ReplicaId::from_bytes([[at as u8, openings[at]]; 8].concat().try_into().unwrap());
        let replica = &mut replicas[at];
        let row = replica.state.row(&()).cloned().unwrap_or_default();
        let dot = replica.state.context().next_dot(id);
        match choices.below(8) {
            0..=2 => {
                let by = choices.below(19) as i64 - 9;
                // An increment by zero changes nothing but whether the key is there.
                let by = number(if by == 0 { 1 } else { by });
                let Ok(increment) = cell::add_decimal(&row, id, by) else {
                    assert!(matches!(cell::read(&row), Some(Value::Bytes(_))));
                    continue;
                };
                replica.state.put_superseding(
                    (),
                    dot,
                    Stamp::from_u64(clock),
                    increment.cell,
                    &increment.supersedes,
                );
                replica.knows.insert(operations.len());
                operations.push(Operation::Add(by));
            }
            3 => {
                let value = match choices.below(4) {
                    0 => Some(b"text".to_vec()),
                    1 => Some(number(choices.below(200) as i64).to_string().into_bytes()),
                    _ => None,
                };
                replica.state.put(
                    (),
                    dot,
                    Stamp::from_u64(clock),
                    cell::assign(&row, value.clone()),
                );
                let observed = replica.knows.clone();
                replica.knows.insert(operations.len());
                operations.push(Operation::Base {
                    value,
                    order: (Stamp::from_u64(clock), id),
                    observed,
                });
            }
            4 if openings[at] < u8::MAX => {
                openings[at] += 1;
                let gone = replica.knows.clone();
                *replica = saved[at].clone();
                lost.extend(
                    gone.into_iter()
                        .filter(|known| replicas.iter().all(|other| !other.knows.contains(known))),
                );
            }
            5 => saved[at] = replica.clone(),
            _ => {
                let other = replicas[choices.below(REPLICAS)].clone();
                meet(&mut replicas[at], &other);
            }
        }
        decodes(&replicas[at].state);
    }
    for _ in 0..2 {
        for at in 0..REPLICAS {
            let other = replicas[(at + 1) % REPLICAS].clone();
            meet(&mut replicas[at], &other);
        }
    }
    let want = value(&operations, &lost);
    for replica in &replicas {
        let row = replica.state.row(&()).cloned().unwrap_or_default();
        assert_eq!(cell::read(&row), want);
        assert_eq!(replica.state, replicas[0].state);
    }
}

fn meet(ours: &mut Replica, theirs: &Replica) {
    ours.state.join(&theirs.state);
    ours.knows.extend(&theirs.knows);
}

fn decodes(state: &Map) {
    let payloads = |cell: &Cell| Ok::<_, ()>(cell.to_bytes());
    if let Some(row) = state.row(&()) {
        let row = row.try_map(payloads).unwrap();
        let back: Siblings<Cell> = row.try_map(|bytes| Cell::from_bytes(bytes)).unwrap();
        assert_eq!(Some(&back), state.row(&()));
    }
}

/// The winner among the sets that no set or delete observed, plus exactly the increments that none observed.
fn value(operations: &[Operation], lost: &BTreeSet<usize>) -> Option<Value> {
    let left = || {
        operations
            .iter()
            .enumerate()
            .filter(|(at, _)| !lost.contains(at))
    };
    let mut erased = BTreeSet::<usize>::new();
    for (_, operation) in left() {
        if let Operation::Base { observed, .. } = operation {
            erased.extend(observed);
        }
    }
    let (mut winner, mut extra) = (None, None);
    for (_, operation) in left().filter(|(at, _)| !erased.contains(at)) {
        match operation {
            Operation::Base {
                value: Some(value),
                order,
                ..
            } => winner = winner.max(Some((*order, value))),
            Operation::Base { value: None, .. } => {}
            Operation::Add(by) => extra = Some(by.saturating_add(extra.unwrap_or_default())),
        }
    }
    let sum = match winner {
        None => extra?,
        Some((_, text)) => match Decimal::parse(text) {
            Some(number) => number.saturating_add(extra.unwrap_or_default()),
            None => return Some(Value::Bytes(text.clone())),
        },
    };
    Some(sum.to_integer().map_or(Value::Decimal(sum), Value::Integer))
}
