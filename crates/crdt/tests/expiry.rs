//! Which deadline is in force, and when what it hides is garbage.
#![allow(missing_docs, clippy::unwrap_used)]

use syncline_crdt::expiry::{Deadline, in_force, is_garbage, is_hidden};
use syncline_crdt::{Advert, Dot, ReplicaId, Sibling, Siblings, Stability, Stamp};

fn dot(counter: u64) -> Dot {
    Dot::new(ReplicaId::from_bytes([1; 16]), counter)
}

/// Deadlines with their dots' counters, stamped at these times.
fn deadlines(all: &[(u64, u64, Deadline)]) -> Siblings<Deadline> {
    let sibling = |&(counter, ms, payload): &(u64, u64, Deadline)| Sibling {
        dot: dot(counter),
        stamp: Stamp::new(ms, 0),
        payload,
    };
    all.iter().map(sibling).collect()
}

/// All carriers, who have seen these many dots, had got to this time.
fn stable(counters: u64, as_of_ms: u64) -> Stability<u8> {
    let mut stability = Stability::new([0, 1]);
    let carriers = stability.carriers().clone();
    let context = (1..=counters).map(dot).collect();
    let advert = Advert {
        carriers,
        context,
        as_of_ms,
    };
    stability.hear(0, &advert);
    stability.hear(1, &advert);
    stability
}

#[test]
fn the_latest_is_in_force_and_none_is_the_latest() {
    let two = deadlines(&[(1, 9, Some(100)), (2, 5, Some(200))]);
    assert_eq!(in_force(&two, None).unwrap().dot, dot(2));
    let persisted = deadlines(&[(1, 9, Some(100)), (2, 5, Some(200)), (3, 1, None)]);
    assert_eq!(in_force(&persisted, None).unwrap().dot, dot(3));
    assert!(!is_hidden(in_force(&persisted, None), u64::MAX));
    assert!(in_force(&deadlines(&[]), None).is_none());
}

#[test]
fn what_was_stamped_before_the_winning_set_does_not_apply() {
    let row = deadlines(&[(1, 5, Some(300)), (3, 7, Some(100))]);
    let in_force_after = |ms, counter| {
        let set = Some((Stamp::new(ms, 0), dot(counter)));
        in_force(&row, set).map(|sibling| sibling.dot)
    };
    assert_eq!(in_force_after(4, 9), Some(dot(1)));
    assert_eq!(
        in_force_after(5, 2),
        Some(dot(3)),
        "a tie of stamps falls to the dot"
    );
    assert_eq!(in_force_after(8, 2), None);
}

#[test]
fn a_key_is_hidden_from_its_deadline_on() {
    let row = deadlines(&[(1, 5, Some(100))]);
    assert!(!is_hidden(in_force(&row, None), 99));
    assert!(is_hidden(in_force(&row, None), 100));
    assert!(!is_hidden(None, u64::MAX));
}

#[test]
fn garbage_is_what_everybody_has_seen_expire() {
    let row = deadlines(&[(1, 5, Some(100))]);
    let deadline = in_force(&row, None);
    assert!(is_garbage(deadline, false, &stable(1, 100)));
    assert!(
        !is_garbage(deadline, false, &stable(1, 99)),
        "somebody may still put it off"
    );
    assert!(
        !is_garbage(deadline, false, &stable(0, 100)),
        "somebody may not know of it"
    );
    assert!(!is_garbage(None, true, &stable(1, 100)));
}

#[test]
fn a_leftover_no_deadline_goes_when_its_key_is_absent() {
    let row = deadlines(&[(1, 5, None)]);
    let deadline = in_force(&row, None);
    assert!(is_garbage(deadline, true, &stable(1, 0)));
    assert!(!is_garbage(deadline, false, &stable(1, 0)));
    assert!(!is_garbage(deadline, true, &stable(0, 0)));
}
