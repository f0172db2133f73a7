//! Contexts are sets of dots: every operation is held against the same one on a plain set.

use std::collections::{BTreeMap, BTreeSet};

use syncline_crdt::{Canonical, Context, Dot, Edit, ReplicaId};

use crate::rng::{Bytes, Choices};

/// Counters come from the two ends of their range, where the arithmetic has its corners.
const ENDS: usize = 24;
const REPLICAS: usize = 3;

#[derive(Clone, Default)]
struct Model {
    context: Context,
    set: BTreeSet<Dot>,
    /// The persisted intervals, kept by the recorded edits alone.
    persisted: BTreeMap<(ReplicaId, u64), u64>,
}

pub(super) fn play(choices: &mut Bytes<'_>) {
    let mut models = [Model::default(), Model::default(), Model::default()];
    while !choices.is_empty() {
        let at = choices.below(models.len());
        let other = models[choices.below(models.len())].clone();
        step(&mut models[at], &other, choices);
        models[at].check();
        relate(&models[at], &other, choices);
    }
}

fn replica(choices: &mut Bytes<'_>) -> ReplicaId {
    ReplicaId::from_bytes([choices.below(REPLICAS) as u8 * 0x7f; 16])
}

fn counter(choices: &mut Bytes<'_>) -> u64 {
    let at = choices.below(2 * ENDS) as u64;
    if at < ENDS as u64 {
        at
    } else {
        u64::MAX - (at - ENDS as u64)
    }
}

fn step(model: &mut Model, other: &Model, choices: &mut Bytes<'_>) {
    let mut edits = Vec::new();
    match choices.below(4) {
        0 => {
            let dot = Dot::new(replica(choices), counter(choices));
            let new = model.context.clone().insert(dot);
            model.context.insert_recording(
                dot.replica,
                dot.counter.max(1),
                dot.counter,
                &mut edits,
            );
            assert_eq!(new, dot.counter > 0 && model.set.insert(dot));
        }
        1 => {
            let (replica, a) = (replica(choices), counter(choices));
            // Never across the middle of the range, which no plain set can hold.
            let b = a.saturating_add(choices.below(ENDS) as u64);
            model.context.insert_recording(replica, a, b, &mut edits);
            model
                .set
                .extend((a.max(1)..=b).map(|counter| Dot::new(replica, counter)));
        }
        2 => {
            let dot = Dot::new(replica(choices), counter(choices));
            let was_there = model.context.remove_recording(dot, &mut edits);
            assert_eq!(was_there, model.set.remove(&dot));
        }
        _ => {
            model.context.merge_recording(&other.context, &mut edits);
            model.set.extend(other.set.iter().copied());
        }
    }
    for edit in edits {
        match edit {
            Edit::Put {
                replica,
                start,
                end,
            } => {
                model.persisted.insert((replica, start), end);
            }
            Edit::Remove { replica, start } => {
                assert!(
                    model.persisted.remove(&(replica, start)).is_some(),
                    "removes a row that is not there"
                );
            }
        }
    }
}

impl Model {
    fn check(&self) {
        let context = &self.context;
        let persisted: BTreeMap<_, _> = context
            .intervals()
            .map(|(replica, start, end)| ((replica, start), end))
            .collect();
        assert_eq!(
            persisted, self.persisted,
            "the recorded edits tell the intervals"
        );
        assert_eq!(context.len(), self.set.len() as u128);
        assert_eq!(context.is_empty(), self.set.is_empty());
        assert_eq!(context.interval_count(), context.intervals().len());
        assert!(self.set.iter().all(|dot| context.contains(dot)));
        assert_eq!(
            *context,
            self.set.iter().copied().collect(),
            "equal sets are equal contexts"
        );
        let bytes = context.to_bytes();
        assert_eq!(Context::from_bytes(&bytes).as_ref(), Ok(context));

        let replicas: BTreeSet<ReplicaId> = self.set.iter().map(|dot| dot.replica).collect();
        assert!(context.replicas().eq(replicas));
        for index in 0..REPLICAS {
            let replica = ReplicaId::from_bytes([index as u8 * 0x7f; 16]);
            let own: Vec<u64> = self
                .set
                .iter()
                .filter(|dot| dot.replica == replica)
                .map(|dot| dot.counter)
                .collect();
            let head = (1..)
                .zip(&own)
                .take_while(|(n, counter)| n == *counter)
                .count() as u64;
            assert_eq!(context.head(replica), head);
            let next = own.last().map_or(1, |last| last.saturating_add(1));
            assert_eq!(context.next_dot(replica), Dot::new(replica, next));
        }
    }
}

/// What is asked of two contexts.
fn relate(ours: &Model, theirs: &Model, choices: &mut Bytes<'_>) {
    let as_set = |context: &Context| -> BTreeSet<Dot> {
        let dots =
            |(replica, start, end)| (start..=end).map(move |counter| Dot::new(replica, counter));
        context.intervals().flat_map(dots).collect()
    };
    let mut union = ours.context.clone();
    union.merge(&theirs.context);
    assert_eq!(as_set(&union), &ours.set | &theirs.set);
    let mut flipped = theirs.context.clone();
    flipped.merge(&ours.context);
    assert_eq!(union.to_bytes(), flipped.to_bytes());

    assert_eq!(
        as_set(&ours.context.difference(&theirs.context)),
        &ours.set - &theirs.set
    );
    assert_eq!(
        ours.context.covers(&theirs.context),
        ours.set.is_superset(&theirs.set)
    );

    let dot = Dot::new(replica(choices), counter(choices));
    let up_to: BTreeSet<Dot> = ours.set.range(..=dot).copied().collect();
    assert_eq!(as_set(&ours.context.up_to(dot)), up_to);
}
