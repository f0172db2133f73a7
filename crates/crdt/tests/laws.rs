//! Every type that joins, held against the law suite; and types that break a law, which it must catch.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "laws/broken.rs"]
mod broken;

use proptest::prelude::*;
use syncline_crdt::laws::{self, History, MapOperation, Replicated};
use syncline_crdt::{
    Canonical, CausalMap, Context, EnableWinsFlag, LwwMap, LwwRegister, MvRegister, OrSet,
    PnCounter, VersionVector,
};

const CASES: u32 = 500;

fn holds<T: Replicated + Canonical>() {
    if let Err(broken) = laws::check::<T>(CASES).and_then(|()| laws::check_codec::<T>(CASES)) {
        panic!("{broken}");
    }
}

#[test]
fn causal_map() {
    holds::<CausalMap<u8, u8>>();
}

#[test]
fn context() {
    holds::<Context>();
}

#[test]
fn version_vector() {
    holds::<VersionVector>();
}

#[test]
fn or_set() {
    holds::<OrSet<u8>>();
}

#[test]
fn lww_map() {
    holds::<LwwMap<String, u8>>();
}

#[test]
fn lww_register() {
    holds::<LwwRegister<u8>>();
}

#[test]
fn mv_register() {
    holds::<MvRegister<u8>>();
}

#[test]
fn pn_counter() {
    holds::<PnCounter>();
}

#[test]
fn enable_wins_flag() {
    holds::<EnableWinsFlag>();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A caller forwards a delta on the strength of it.
    #[test]
    fn join_says_whether_it_changed_anything(
        history in History::strategy(CausalMap::<u8, u8>::operations()),
        doubled: bool,
    ) {
        let run = history.replay::<CausalMap<u8, u8>>();
        for mine in run.past.iter().chain(&run.states) {
            for other in run.states.iter().chain(&run.deltas) {
                let mut joined = mine.clone();
                let mut changed = joined.join(other);
                prop_assert_eq!(changed, joined != *mine);
                if doubled {
                    changed = joined.join(other);
                    prop_assert!(!changed);
                }
            }
        }
    }
}

#[test]
fn a_history_is_not_trivial() {
    let write = |at, operation| laws::Step::Write {
        at,
        wall_ms: 0,
        operation,
    };
    let history = History {
        more_replicas: 0,
        steps: vec![
            write(0, MapOperation::Put(1, 1)),
            laws::Step::Deliver { delta: 0, to: 1 },
            write(1, MapOperation::Remove(1)),
            write(0, MapOperation::Put(1, 2)),
            laws::Step::Merge { from: 1, to: 0 },
        ],
        order: vec![],
    };
    let run = history.replay::<CausalMap<u8, u8>>();
    assert_eq!(run.deltas.len(), 3);
    let values: Vec<u8> = run.states[0]
        .row(&1)
        .unwrap()
        .iter()
        .map(|sibling| sibling.payload)
        .collect();
    assert_eq!(
        values,
        [2],
        "the removal took what it observed, and no more"
    );
    assert!(run.states[1].row(&1).is_none());
}

/// The first line of what the suite says of a type that breaks a law.
fn verdict<T: Replicated>() -> String {
    let broken = laws::check::<T>(CASES).unwrap_err();
    broken.law().lines().next().unwrap().to_owned()
}

#[test]
fn a_sum_is_not_idempotent() {
    assert_eq!(verdict::<broken::Sum>(), "join is idempotent: a ⊔ a = a");
}

#[test]
fn the_last_to_arrive_is_not_commutative() {
    assert_eq!(
        verdict::<broken::LastToArrive>(),
        "join is commutative: a ⊔ b = b ⊔ a"
    );
}

#[test]
fn an_average_is_not_associative() {
    let law = "join is associative: (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)";
    assert_eq!(verdict::<broken::Average>(), law);
}

#[test]
fn a_delta_must_carry_the_write() {
    let law = "a write does what joining its delta does";
    assert_eq!(verdict::<broken::EmptyDelta>(), law);
}

#[test]
fn a_reading_must_not_show_the_order_of_arrival() {
    assert!(verdict::<broken::ArrivalOrder>().ends_with("but the two read differently"));
}

#[test]
fn an_encoding_must_not_show_the_order_of_arrival() {
    let broken = laws::check_codec::<broken::ArrivalOrder>(CASES).unwrap_err();
    assert!(
        broken.law().starts_with("equal states have equal bytes"),
        "{broken}"
    );
    let lines = broken.history().lines().count();
    assert!(lines <= 6, "not shrunk: {broken}");
}
