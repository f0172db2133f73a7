//! Causal stability: when something counts as stable, and what holds it up.
#![allow(missing_docs, clippy::unwrap_used)]

use syncline_crdt::{Advert, Context, Dot, ReplicaId, Stability};

fn dot(replica: u8, counter: u64) -> Dot {
    Dot::new(ReplicaId::from_bytes([replica; 16]), counter)
}

/// An advert that counts with the same carriers as its receiver does.
fn advert(to: &Stability<char>, dots: &[Dot], as_of_ms: u64) -> Advert<char> {
    Advert {
        carriers: to.carriers().clone(),
        context: dots.iter().copied().collect(),
        as_of_ms,
    }
}

fn hear(stability: &mut Stability<char>, from: char, dots: &[Dot], as_of_ms: u64) -> bool {
    let advert = advert(stability, dots, as_of_ms);
    stability.hear(from, &advert)
}

#[test]
fn nothing_is_stable_before_everybody_was_heard() {
    let mut stability = Stability::new(['a', 'b', 'c']);
    assert!(!hear(&mut stability, 'a', &[dot(1, 1)], 5));
    assert!(!hear(&mut stability, 'b', &[dot(1, 1)], 5));
    assert_eq!(
        (stability.stable().is_empty(), stability.as_of_ms()),
        (true, 0)
    );
    assert!(hear(&mut stability, 'c', &[dot(1, 1)], 4));
    assert!(stability.is_stable(&dot(1, 1)));
    assert_eq!(stability.as_of_ms(), 4, "the earliest");
}

#[test]
fn what_was_made_in_ignorance_must_be_with_everybody_first() {
    let (ours, other, later) = (dot(1, 1), dot(2, 1), dot(2, 2));
    let mut stability = Stability::new(['a', 'b']);
    hear(&mut stability, 'a', &[ours], 1);
    hear(&mut stability, 'b', &[ours, other], 2);
    assert_eq!(stability.seen_by(&ours), 2);
    assert!(!stability.is_stable(&ours));
    // What b makes in the knowledge of it holds nothing up.
    hear(&mut stability, 'b', &[ours, other, later], 3);
    assert!(hear(&mut stability, 'a', &[ours, other], 4));
    assert!(stability.is_stable(&ours));
    let settled: Context = [ours, other].into_iter().collect();
    assert_eq!(stability.settled(), &settled);
    assert_eq!(
        stability.as_of_ms(),
        1,
        "of when the first was known to be with all"
    );
}

#[test]
fn adverts_may_come_late_and_twice() {
    let (first, second) = (dot(1, 1), dot(1, 2));
    let mut stability = Stability::new(['a', 'b']);
    hear(&mut stability, 'a', &[first, second], 9);
    hear(&mut stability, 'b', &[first, second], 9);
    assert!(stability.is_stable(&second));
    hear(&mut stability, 'b', &[first], 2);
    hear(&mut stability, 'b', &[first], 2);
    assert!(stability.is_stable(&second));
    assert_eq!(stability.as_of_ms(), 9);
}

#[test]
fn one_that_left_holds_everything_up_until_it_is_forgotten() {
    let mut stability = Stability::new(['a', 'b', 'c']);
    hear(&mut stability, 'a', &[dot(1, 1)], 1);
    hear(&mut stability, 'b', &[dot(1, 1)], 1);
    assert!(!stability.is_stable(&dot(1, 1)));
    let before = advert(&stability, &[dot(1, 1)], 2);

    assert!(stability.forget('c'));
    assert!(!stability.forget('c'), "no news");
    assert!(!stability.hear('b', &before), "b may still listen to c");
    assert!(!stability.is_stable(&dot(1, 1)));
    hear(&mut stability, 'a', &[dot(1, 1)], 3);
    assert!(
        !stability.is_stable(&dot(1, 1)),
        "what b said before counts no more"
    );
    hear(&mut stability, 'b', &[dot(1, 1)], 3);
    assert!(stability.is_stable(&dot(1, 1)));

    assert!(!stability.add('c'), "for good");
    assert!(!hear(&mut stability, 'c', &[], 4));
    assert_eq!(stability.forgotten().len(), 1);
}

#[test]
fn a_new_carrier_is_waited_for_and_takes_nothing_back() {
    let mut stability = Stability::new(['a']);
    hear(&mut stability, 'a', &[dot(1, 1)], 1);
    assert!(stability.is_stable(&dot(1, 1)));
    assert!(stability.add('b'));
    hear(&mut stability, 'a', &[dot(1, 1), dot(1, 2)], 2);
    assert!(stability.is_stable(&dot(1, 1)) && !stability.is_stable(&dot(1, 2)));
    hear(&mut stability, 'b', &[dot(1, 1), dot(1, 2)], 2);
    assert!(stability.is_stable(&dot(1, 2)));
}

#[test]
fn what_a_forgotten_carrier_told_one_of_the_others_last_is_waited_for() {
    let (ours, theirs, last) = (dot(1, 1), dot(3, 1), dot(3, 2));
    let mut stability = Stability::new(['a', 'b', 'c']);
    hear(&mut stability, 'a', &[ours], 1);
    hear(&mut stability, 'b', &[ours], 1);
    hear(&mut stability, 'c', &[ours, theirs], 1);
    stability.forget('c');
    hear(&mut stability, 'a', &[ours, theirs], 2);
    hear(&mut stability, 'b', &[ours, theirs, last], 2);
    assert!(
        !stability.is_stable(&ours),
        "the last may have been made in ignorance of it"
    );
    hear(&mut stability, 'a', &[ours, theirs, last], 3);
    assert!(stability.is_stable(&ours));
}
