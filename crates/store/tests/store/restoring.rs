//! Stores that begin with the backup of another.

use syncline_crdt::{CarrierId, Roster, Stamp};
use syncline_store::StoreError;

use crate::harness::*;

crate::over_all_engines! {
    it_counts_with_whoever_made_its_rows
    it_stops_at_the_news_that_its_origin_was_forgotten
    once_it_is_counted_its_origin_may_be_forgotten
    a_store_that_was_met_needs_no_origin
}

const ORIGIN: CarrierId = CarrierId::from_bytes([9; 16]);
const OTHER: CarrierId = CarrierId::from_bytes([8; 16]);

fn both() -> Roster {
    let mut roster = Roster::new(ORIGIN);
    roster.merge(&Roster::new(OTHER));
    roster
}

fn without_origin(me: CarrierId) -> Roster {
    let mut roster = both();
    roster.merge(&Roster::new(me));
    roster.forget(ORIGIN);
    roster
}

fn it_counts_with_whoever_made_its_rows<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let clock = Stamp::from_u64(77 << 16);
    store.adopt(&[ORIGIN], &both(), clock).unwrap();
    let me = store.carrier();
    drop(store);
    harness.crash();
    let store = harness.open();
    assert_eq!(store.carrier(), me, "a name of its own, and durable");
    assert!(me != ORIGIN && store.counts(&ORIGIN) && store.counts(&OTHER));
    assert_eq!(store.view().unwrap().clock(), clock);
    assert_eq!(store.origins(), [ORIGIN]);
    assert!(store.stability().unwrap().awaited.contains(&ORIGIN));
    // It is this store that knows what the other had: whoever runs it may decide so.
    store.forget_carrier(ORIGIN).unwrap();
    assert!(store.origins().is_empty());
}

fn it_stops_at_the_news_that_its_origin_was_forgotten<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    store.adopt(&[ORIGIN], &both(), Stamp::ZERO).unwrap();
    drop(store);
    harness.crash();
    let store = harness.open();
    let refused = store.enrol(&without_origin(OTHER)).unwrap_err();
    assert!(matches!(refused, StoreError::OriginForgotten { origin } if origin == ORIGIN));
    assert!(store.counts(&ORIGIN), "nothing has changed");
    let late = harness_that_forgot();
    let refused = late.1.adopt(&[ORIGIN], &both(), Stamp::ZERO).unwrap_err();
    assert!(matches!(refused, StoreError::OriginForgotten { .. }));

    fn harness_that_forgot() -> (Memory, syncline_store::Store<<Memory as Harness>::Engine>) {
        let harness = Memory::new();
        let store = harness.open();
        store.forget_carrier(ORIGIN).unwrap();
        (harness, store)
    }
}

fn once_it_is_counted_its_origin_may_be_forgotten<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    store.adopt(&[ORIGIN], &both(), Stamp::ZERO).unwrap();
    // As a session does with a peer that counts with the same roster.
    store.hear(&store.carriers(), []);
    store.tend().unwrap();
    assert!(store.origins().is_empty());
    drop(store);
    harness.crash();
    let store = harness.open();
    assert!(store.enrol(&without_origin(store.carrier())).unwrap());
    assert!(store.has_forgotten(&ORIGIN));
}

fn a_store_that_was_met_needs_no_origin<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    store.enrol(&Roster::new(OTHER)).unwrap();
    store
        .adopt(&[ORIGIN], &Roster::new(ORIGIN), Stamp::ZERO)
        .unwrap();
    assert!(store.origins().is_empty() && store.counts(&ORIGIN));
    let mut forgotten = both();
    forgotten.forget(store.carrier());
    let refused = store.adopt(&[OTHER], &forgotten, Stamp::ZERO).unwrap_err();
    assert!(matches!(refused, StoreError::Forgotten));
}
