//! The context against the plainest model of it: a set of dots.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::{Canonical, Context, Dot, Edit, ReplicaId, Seen, VersionVector};

#[derive(Clone, Debug)]
enum Change {
    Insert(Dot),
    InsertRange(ReplicaId, u64, u64),
    Remove(Dot),
    Merge(Vec<(ReplicaId, u64, u64)>),
}

fn replica() -> impl Strategy<Value = ReplicaId> {
    (1..4u8).prop_map(|id| ReplicaId::from_bytes([id; 16]))
}

/// Counters at both ends of the range, close enough to touch.
fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..24u64, 1 => (0..6u64).prop_map(|below| u64::MAX - below)]
}

fn dot() -> impl Strategy<Value = Dot> {
    (replica(), counter()).prop_map(|(replica, counter)| Dot::new(replica, counter))
}

/// Short, and at either end: the model lists every dot.
fn range() -> impl Strategy<Value = (ReplicaId, u64, u64)> {
    (replica(), counter(), 0..9u64)
        .prop_map(|(replica, start, length)| (replica, start, start.saturating_add(length)))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => dot().prop_map(Change::Insert),
        3 => range().prop_map(|(replica, start, end)| Change::InsertRange(replica, start, end)),
        2 => dot().prop_map(Change::Remove),
        1 => vec(range(), 0..4).prop_map(Change::Merge),
    ]
}

/// Counter 0 names nothing.
fn dots(replica: ReplicaId, start: u64, end: u64) -> impl Iterator<Item = Dot> {
    (start.max(1)..=end).map(move |counter| Dot::new(replica, counter))
}

fn context_of(ranges: &[(ReplicaId, u64, u64)]) -> Context {
    let mut context = Context::new();
    for &(replica, start, end) in ranges {
        context.insert_range(replica, start, end);
    }
    context
}

fn dots_of(context: &Context) -> BTreeSet<Dot> {
    context
        .intervals()
        .flat_map(|(replica, start, end)| dots(replica, start, end))
        .collect()
}

/// What a store persists: one row for an interval. Every edit must change something, or commits would write what is
/// there.
fn persist(rows: &mut BTreeMap<(ReplicaId, u64), u64>, edits: &[Edit]) {
    for edit in edits {
        match *edit {
            Edit::Put {
                replica,
                start,
                end,
            } => {
                assert_ne!(
                    rows.insert((replica, start), end),
                    Some(end),
                    "an edit without effect: {edit:?}"
                );
            }
            Edit::Remove { replica, start } => {
                assert!(
                    rows.remove(&(replica, start)).is_some(),
                    "an edit without effect: {edit:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_are_those_of_a_set_and_edits_persist_them(changes in vec(change(), 0..24)) {
        let mut context = Context::new();
        let mut model = BTreeSet::new();
        let mut rows = BTreeMap::new();
        for change in changes {
            let mut edits = Vec::new();
            match change {
                Change::Insert(dot) => {
                    let is_new = context.clone().insert(dot);
                    prop_assert_eq!(is_new, dot.counter > 0 && model.insert(dot));
                    context.insert_recording(dot.replica, dot.counter, dot.counter, &mut edits);
                }
                Change::InsertRange(replica, start, end) => {
                    model.extend(dots(replica, start, end));
                    context.insert_recording(replica, start, end, &mut edits);
                }
                Change::Remove(dot) => {
                    let was_there = context.remove_recording(dot, &mut edits);
                    prop_assert_eq!(was_there, model.remove(&dot));
                }
                Change::Merge(ranges) => {
                    let other = context_of(&ranges);
                    model.extend(dots_of(&other));
                    context.merge_recording(&other, &mut edits);
                }
            }
            persist(&mut rows, &edits);

            prop_assert_eq!(&dots_of(&context), &model);
            let held: BTreeMap<_, _> = context.intervals().map(|(id, start, end)| ((id, start), end)).collect();
            prop_assert_eq!(&held, &rows);
            prop_assert_eq!(context.len(), model.len() as u128);
            for ((one, start, end), (next, next_start, _)) in context.intervals().zip(context.intervals().skip(1)) {
                prop_assert!(start <= end && (one < next || end + 1 < next_start), "intervals touch");
            }
        }
    }

    #[test]
    fn questions_are_answered_as_by_a_set(ranges in vec(range(), 0..8), others in vec(range(), 0..8), dot in dot()) {
        let (context, other) = (context_of(&ranges), context_of(&others));
        let (model, other_model) = (dots_of(&context), dots_of(&other));

        prop_assert_eq!(context.contains(&dot), model.contains(&dot));
        prop_assert_eq!((&context, &other).contains(&dot), model.contains(&dot) || other_model.contains(&dot));
        prop_assert_eq!(context.covers(&other), model.is_superset(&other_model));
        let difference = context.difference(&other);
        prop_assert_eq!(dots_of(&difference), &model - &other_model);
        // The difference is canonical too, not just the right dots.
        prop_assert_eq!(&difference, &dots_of(&difference).into_iter().collect::<Context>());
        let both = context.intersection(&other);
        prop_assert_eq!(&both, &(&model & &other_model).into_iter().collect::<Context>());
        let up_to = context.up_to(dot);
        prop_assert_eq!(dots_of(&up_to), model.range(..=dot).copied().collect::<BTreeSet<_>>());

        let replicas: BTreeSet<_> = model.iter().map(|dot| dot.replica).collect();
        prop_assert_eq!(context.replicas().collect::<Vec<_>>(), replicas.into_iter().collect::<Vec<_>>());
        let head = (1..).find(|&counter| !model.contains(&Dot::new(dot.replica, counter))).unwrap() - 1;
        prop_assert_eq!(context.head(dot.replica), head);
        prop_assert_eq!(VersionVector::from(&context).get(dot.replica), head);
        let last = model.iter().filter(|seen| seen.replica == dot.replica).map(|seen| seen.counter).max();
        prop_assert_eq!(context.next_dot(dot.replica).counter, last.unwrap_or(0).saturating_add(1));
        let of_replica: Vec<_> = context.intervals_of(dot.replica).collect();
        let among_all = context.intervals().filter(|(id, ..)| *id == dot.replica);
        prop_assert_eq!(of_replica, among_all.map(|(_, start, end)| (start, end)).collect::<Vec<_>>());

        prop_assert_eq!(Context::from_bytes(&context.to_bytes()), Ok(context));
    }
}

#[test]
fn a_version_vector_is_a_context_without_gaps() {
    let ids = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
    let mut context = context_of(&[(ids[0], 1, 5), (ids[0], 8, 9), (ids[1], 2, 3)]);
    let vector = VersionVector::from(&context);
    assert_eq!(vector.iter().collect::<Vec<_>>(), [(ids[0], 5)]);
    let back = Context::from(&vector);
    assert_eq!(back, context_of(&[(ids[0], 1, 5)]));
    assert!(context.covers(&back));
    context.insert_range(ids[0], 6, 7);
    assert_eq!(context.head(ids[0]), 9);
}
