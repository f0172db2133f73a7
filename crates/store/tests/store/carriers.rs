//! Who carries a namespace, and what of that outlives the process.

use syncline_crdt::{CarrierId, Roster};
use syncline_store::{Engine, Snapshot, Statement, Table, format};

use crate::harness::*;

crate::over_all_engines! {
    a_store_keeps_its_name_and_roster
    time_does_not_go_back_behind_what_was_told
    a_store_of_format_2_gets_a_name
    a_copy_takes_another_name
    what_was_heard_is_kept
    only_what_the_oldest_session_began_with_is_said
}

const OTHER: CarrierId = CarrierId::from_bytes([9; 16]);
const GONE: CarrierId = CarrierId::from_bytes([8; 16]);

fn a_store_keeps_its_name_and_roster<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let me = store.carrier();
    assert_eq!(store.carriers(), Roster::new(me));
    assert!(store.enrol(&Roster::new(OTHER)).unwrap());
    assert!(!store.enrol(&Roster::new(OTHER)).unwrap(), "it is known");
    assert!(store.forget_carrier(GONE).unwrap());
    let roster = store.carriers();
    assert!(roster.counts(&OTHER) && roster.has_forgotten(&GONE));
    assert!(store.has_forgotten(&GONE) && !store.has_forgotten(&OTHER));
    drop(store);
    harness.crash();
    let store = harness.open();
    assert_eq!((store.carrier(), store.carriers()), (me, roster));
    assert_ne!(H::new().open().carrier(), me);
}

fn time_does_not_go_back_behind_what_was_told<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    assert_eq!(
        store.begin().unwrap().own.as_of_ms,
        0,
        "nothing is known yet"
    );
    store.tend().unwrap();
    assert_eq!(store.begin().unwrap().own.as_of_ms, 1_000);
    put(&store, "a", "1");
    drop(store);
    harness.crash();
    let early = syncline_store::Config {
        environment: std::sync::Arc::new(At(400)),
        ..config()
    };
    let store = syncline_store::Store::open(harness.mount(), early).unwrap();
    assert_eq!(store.view().unwrap().now_ms(), 1_000);
    put(&store, "a", "2");
    store.tend().unwrap();
    assert_eq!(store.begin().unwrap().own.as_of_ms, 1_000);
}

fn a_store_of_format_2_gets_a_name<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    let before = store.carrier();
    drop(store);
    let engine = harness.mount();
    let state = engine.snapshot().unwrap().get(Table::Meta, b"state");
    let state = state.unwrap().unwrap();
    drop(engine);
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &2u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..56]);
        batch.remove(Table::Meta, b"carrier");
        batch.remove(Table::Meta, b"roster");
    });
    let store = harness.open();
    let me = store.carrier();
    assert_ne!(me, before);
    assert_eq!(store.carriers(), Roster::new(me));
    assert_eq!(payloads(&store.view().unwrap(), "a"), ["1"]);
    assert_sound(&store);
    drop(store);
    assert_eq!(harness.open().carrier(), me, "it is made once");
    let engine = harness.mount();
    let format = engine.snapshot().unwrap().get(Table::Meta, b"format");
    assert_eq!(format.unwrap(), Some(format::FORMAT.to_be_bytes().to_vec()));
}

fn a_copy_takes_another_name<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let before = store.carrier();
    let name = store.rename_carrier().unwrap();
    assert_ne!(name, before);
    assert!(store.carriers().counts(&before) && store.carriers().counts(&name));
    drop(store);
    assert_eq!(harness.open().carrier(), name);
}

fn what_was_heard_is_kept<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    store.enrol(&Roster::new(OTHER)).unwrap();
    let dot = put(&store, "a", "1");
    store.tend().unwrap();
    assert_eq!(store.stability().unwrap().awaited, [OTHER]);
    let said = Statement {
        context: context([dot]).into(),
        as_of_ms: 70,
    };
    // What is said among others counts for nothing.
    store.hear(&Roster::new(OTHER), [(OTHER, said.clone())]);
    assert_eq!(store.stability().unwrap().unstable_dots, 1);
    store.hear(&store.carriers(), [(OTHER, said)]);
    let status = store.stability().unwrap();
    assert_eq!((status.unstable_dots, status.as_of_ms), (0, 70));
    store.tend().unwrap();
    drop(store);
    harness.crash();
    let store = harness.open();
    assert_eq!(store.stability().unwrap(), status);
    assert_eq!(store.begin().unwrap().others.len(), 1);
    // With another carrier all are to be heard anew.
    store.enrol(&Roster::new(GONE)).unwrap();
    assert_eq!(store.begin().unwrap().others.len(), 0);
    drop(store);
    assert_eq!(harness.open().begin().unwrap().others.len(), 0);
}

fn only_what_the_oldest_session_began_with_is_said<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let first = store.begin().unwrap();
    put(&store, "a", "1");
    let second = store.begin().unwrap();
    put(&store, "b", "2");
    assert!(second.own.context.is_empty());
    assert_eq!(second.view.context().len(), 1);
    drop(first);
    assert_eq!(store.begin().unwrap().own.context.len(), 1);
    drop(second);
    assert_eq!(store.begin().unwrap().own.context.len(), 2);
}

/// A clock that shows this.
struct At(u64);

impl syncline_store::Environment for At {
    fn wall_ms(&self) -> u64 {
        self.0
    }

    fn entropy(&self) -> [u8; 10] {
        StoppedClock.entropy()
    }
}
