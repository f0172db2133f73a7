//! Carriers get to know each other, pass on what they have seen, and take nothing from one that was forgotten.

use syncline_crdt::{CarrierId, Context, Roster, RowKey};
use syncline_store::{MemoryDisk, StoreError};
use syncline_sync::{
    Incoming, Opening, RefusalCode, Replica, ReplicaError, Report, Session, SessionError, Strategy,
};

use crate::pump::{self, Memory, Pair, config, put, request, store};

fn key(name: &str) -> RowKey {
    RowKey::cell(name.as_bytes())
}

/// A session of two that have met before, and know it.
fn meet(a: &Memory, b: &Memory) -> Report {
    let (report, _) = Pair::new(a, b, request(Strategy::Auto, 1).introducing(true)).run();
    assert!(report.agreed && report.knows_carriers);
    report
}

fn unstable(store: &Memory) -> u64 {
    store.stability().unwrap().unstable_dots
}

fn roster<'a>(stores: impl IntoIterator<Item = &'a Memory>) -> Roster {
    let mut roster = Roster::default();
    for store in stores {
        roster.merge(&Roster::new(store.carrier()));
    }
    roster
}

#[test]
fn the_first_session_makes_acquainted_whoever_begins_it() {
    for introducing in [false, true] {
        for differ in [false, true] {
            let (a, b, c) = (store(1), store(2), store(3));
            if differ {
                put(&a, [key("a")], b"1");
                put(&b, [key("b")], b"2");
            }
            b.enrol(&c.carriers()).unwrap();
            let request = request(Strategy::Auto, 1).introducing(introducing);
            let (report, _) = Pair::new(&a, &b, request).run();
            assert!(report.agreed);
            assert_eq!(report.round_trips(), if differ { 2.0 } else { 1.5 });
            for store in [&a, &b] {
                assert_eq!(store.carriers(), roster([&a, &b, &c]));
            }
        }
    }
}

#[test]
fn what_both_have_seen_is_stable_after_they_have_said_so() {
    let (a, b) = (store(1), store(2));
    put(&a, [key("a")], b"1");
    pump::sync(&a, &b, request(Strategy::Auto, 1));
    assert_eq!((unstable(&a), unstable(&b)), (1, 1));
    meet(&a, &b);
    assert_eq!((unstable(&a), unstable(&b)), (0, 0));
    // In either direction, and one that does not know the peer yet tells it no less.
    put(&a, [key("b")], b"2");
    meet(&b, &a);
    pump::sync(&a, &b, request(Strategy::Auto, 1));
    assert_eq!(unstable(&b), 0);
}

#[test]
fn time_passes_in_what_is_said() {
    let (a, b) = (store(1), store(2));
    pump::acquaint(&[&a, &b]);
    let as_of = |store: &Memory| store.stability().unwrap().as_of_ms;
    for _ in 0..3 {
        let before = [as_of(&a), as_of(&b)];
        a.tend().unwrap();
        b.tend().unwrap();
        meet(&a, &b);
        meet(&a, &b);
        assert!(as_of(&a) > before[0] && as_of(&b) > before[1]);
    }
}

#[test]
fn what_others_say_is_passed_on_along_a_chain() {
    let chain = [store(1), store(2), store(3), store(4)];
    pump::acquaint(&chain.each_ref());
    put(&chain[0], [key("a")], b"1");
    for round in 0..24 {
        // Nobody is idle, so no two say the same.
        for (at, store) in chain.iter().enumerate() {
            put(store, [key(&format!("{at} in {round}"))], b"busy");
        }
        for pair in chain.windows(2) {
            meet(&pair[round % 2], &pair[1 - round % 2]);
        }
    }
    for store in &chain {
        let dots: Context = store.view().unwrap().context().clone();
        assert!(u128::from(unstable(store)) < dots.len() / 2, "{dots:?}");
        assert!(store.stability().unwrap().as_of_ms > pump::CLOCK_MS);
    }
}

#[test]
fn a_carrier_that_is_away_holds_everything_up_until_it_is_forgotten() {
    let (a, b, gone) = (store(1), store(2), store(3));
    pump::acquaint(&[&a, &b, &gone]);
    put(&a, [key("a")], b"1");
    for _ in 0..3 {
        meet(&a, &b);
    }
    assert_eq!(unstable(&a), 1);
    assert_eq!(a.stability().unwrap().awaited, [gone.carrier()]);

    assert!(a.forget_carrier(gone.carrier()).unwrap());
    assert!(!a.forget_carrier(gone.carrier()).unwrap());
    meet(&a, &b);
    assert!(
        b.carriers().has_forgotten(&gone.carrier()),
        "it hears of that"
    );
    meet(&a, &b);
    assert_eq!((unstable(&a), unstable(&b)), (0, 0));
    assert!(matches!(
        a.forget_carrier(a.carrier()),
        Err(StoreError::OwnCarrier)
    ));
}

fn greeted(
    initiator: &Memory,
    responder: &Memory,
    introducing: bool,
) -> (SessionError, SessionError) {
    let request = request(Strategy::Auto, 1).introducing(introducing);
    let mut pair = Pair::new(initiator, responder, request);
    for side in [1, 0].into_iter().cycle() {
        while pair.poll(side).unwrap() {}
        loop {
            match pair.deliver(side) {
                Ok(true) => {}
                Ok(false) => break,
                Err(noticed) => {
                    let farewell = syncline_sync::frame::refusal(noticed.farewell().unwrap());
                    let other = match side {
                        0 => pair.initiator.handle_frame(&farewell),
                        _ => pair.responder.handle_frame(&farewell),
                    };
                    return (noticed, other.unwrap_err());
                }
            }
        }
        assert!(!pair.is_finished(), "they went on");
    }
    unreachable!()
}

#[test]
fn a_forgotten_carrier_is_refused_and_told_why() {
    for introducing in [false, true] {
        let (a, gone) = (store(1), store(2));
        pump::acquaint(&[&a, &gone]);
        put(&gone, [key("late")], b"1");
        a.forget_carrier(gone.carrier()).unwrap();
        for (one, other) in [(&a, &gone), (&gone, &a)] {
            let (noticed, told) = greeted(one, other, introducing);
            let code = noticed.farewell().unwrap().code;
            assert_eq!(code, RefusalCode::Forgotten);
            assert!(noticed.to_string().contains("empty store"), "{noticed}");
            assert!(
                matches!(told, SessionError::Refused(refusal) if refusal.code == RefusalCode::Forgotten)
            );
        }
        assert_eq!(pump::rows(&a).len(), 0);
        // It comes back as an empty store.
        let (again, _) = (store(3), gone);
        pump::sync(&again, &a, request(Strategy::Auto, 1));
        assert!(a.carriers().counts(&again.carrier()));
    }
}

#[test]
fn one_that_is_forgotten_meanwhile_is_not_joined_any_more() {
    let (a, gone) = (store(1), store(2));
    pump::acquaint(&[&a, &gone]);
    put(&gone, [key("late")], b"1");
    let mut pair = Pair::new(&a, &gone, request(Strategy::Auto, 1).introducing(true));
    while pair.poll(0).unwrap() {}
    while pair.deliver(0).unwrap() {}
    while pair.poll(1).unwrap() {}
    a.forget_carrier(gone.carrier()).unwrap();
    let refused = loop {
        match pair.deliver(1) {
            Ok(true) => {}
            Ok(false) => panic!("it was joined"),
            Err(error) => break error,
        }
    };
    assert!(matches!(
        refused,
        SessionError::Replica(ReplicaError::Forgotten)
    ));
    assert_eq!(pump::rows(&a).len(), 0);
}

#[test]
fn a_copy_of_our_own_files_is_refused() {
    // The same entropy at the same time: the same name.
    let (a, b) = (store(1), store(1));
    let (noticed, _) = greeted(&a, &b, true);
    assert_eq!(noticed.farewell().unwrap().code, RefusalCode::Copied);
}

/// What an older session of ours speaks under is all that we may say we have seen.
#[test]
fn a_session_under_way_holds_back_what_is_said() {
    let (a, b, c) = (store(1), store(2), store(3));
    pump::acquaint(&[&a, &b, &c]);
    let request = || request(Strategy::Auto, 1).introducing(true);
    let old = Session::initiate(&a, config(1), request()).unwrap();
    put(&b, [key("b")], b"1");
    for _ in 0..4 {
        for (one, other) in [(&a, &b), (&b, &c), (&a, &c)] {
            meet(one, other);
            one.tend().unwrap();
        }
    }
    for store in [&a, &b, &c] {
        assert_eq!(unstable(store), 1);
    }
    drop(old);
    for _ in 0..2 {
        for (one, other) in [(&a, &b), (&b, &c), (&a, &c)] {
            meet(one, other);
        }
    }
    for store in [&a, &b, &c] {
        assert_eq!(unstable(store), 0);
    }
}

/// A store that keeps no roster.
struct Silent<'s>(&'s Memory);

impl Replica for Silent<'_> {
    type View = <Memory as Replica>::View;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        Replica::view(self.0)
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        Replica::join(self.0, incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        Replica::flush(self.0)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        Replica::withdraw(self.0, key)
    }
}

/// Replicas of two kinds in one session.
fn run<A: Replica, B: Replica>(a: A, b: B, introducing: bool) {
    let request = request(Strategy::Auto, 1).introducing(introducing);
    let mut a = Session::initiate(a, config(1), request).unwrap();
    let greeting = a.poll_frame().unwrap().unwrap();
    let mut b = Session::respond(b, config(2), Opening::read(&greeting).unwrap()).unwrap();
    while !(a.is_finished() && b.is_finished()) {
        while let Some(frame) = a.poll_frame().unwrap() {
            b.handle_frame(&frame).unwrap();
        }
        while let Some(frame) = b.poll_frame().unwrap() {
            a.handle_frame(&frame).unwrap();
        }
    }
    assert!(a.report().agreed);
}

#[test]
fn a_peer_that_keeps_no_roster_converges_counts_and_can_be_forgotten() {
    for (seed, introducing) in [(1, false), (2, true)] {
        let (ours, silent) = (store(seed), store(seed + 2));
        run(&ours, Silent(&silent), introducing); // both empty: equal roots
        put(&ours, [key("a")], b"1");
        put(&silent, [key("b")], b"2");
        run(&ours, Silent(&silent), introducing);
        run(Silent(&silent), &ours, false);
        assert_eq!(pump::rows(&ours), pump::rows(&silent));
        ours.tend().unwrap();
        let expected = [2u8, 1].map(|node| CarrierId::from_bytes([node; 16]));
        for peer in expected {
            assert!(ours.carriers().counts(&peer));
            assert!(ours.stability().unwrap().awaited.contains(&peer));
        }
        for peer in expected {
            ours.forget_carrier(peer).unwrap();
        }
        let request = request(Strategy::Auto, 1);
        let mut initiator = Session::initiate(Silent(&silent), config(1), request).unwrap();
        let greeting = initiator.poll_frame().unwrap().unwrap();
        let refused = Session::respond(&ours, config(2), Opening::read(&greeting).unwrap());
        let refused = refused.err().unwrap().farewell().unwrap();
        assert_eq!(refused.code, RefusalCode::Forgotten);
    }
}

#[test]
fn a_restart_does_not_begin_from_nothing() {
    let (a, disk) = (store(1), MemoryDisk::new());
    let b = pump::open(disk.mount().unwrap(), 2);
    put(&a, [key("a")], b"1");
    pump::sync(&a, &b, request(Strategy::Auto, 1));
    meet(&a, &b);
    b.tend().unwrap();
    let (carrier, clock) = (b.carrier(), b.begin().unwrap().own.as_of_ms);
    drop(b);
    disk.crash();
    let b = pump::open(disk.mount().unwrap(), 2);
    assert_eq!((b.carrier(), unstable(&b)), (carrier, 0));
    assert_eq!(b.carriers(), a.carriers());
    assert!(
        b.view().unwrap().now_ms() >= clock,
        "its clock has started anew"
    );
}

#[test]
fn many_carriers_in_a_quiet_session() {
    let stores: Vec<Memory> = (1..=40).map(store).collect();
    pump::acquaint(&stores.iter().collect::<Vec<_>>());
    put(&stores[0], [key("a")], b"1");
    for other in &stores[1..] {
        pump::sync(&stores[0], other, request(Strategy::Auto, 1));
    }
    for round in 0..20u64 {
        for other in &stores[1..] {
            let request = request(Strategy::Auto, round).introducing(true);
            let (report, _) = Pair::new(&stores[0], other, request).run();
            assert_eq!(report.round_trips(), 1.0);
            assert!(report.bytes_total() <= 512, "{}", report.bytes_total());
        }
    }
    for store in &stores {
        assert_eq!(unstable(store), 0);
    }
}

/// Contexts that cross after the greetings, and more to say of carriers than finds room in these.
#[test]
fn what_finds_no_room_in_the_greeting_follows() {
    let stores: Vec<Memory> = (1..=12).map(store).collect();
    pump::acquaint(&stores.iter().collect::<Vec<_>>());
    for round in 0..6u64 {
        for (at, one) in stores.iter().enumerate() {
            put(one, [key(&format!("{at} in {round}"))], b"busy");
            let other = &stores[(at + 1 + round as usize % 3) % stores.len()];
            meet(one, other);
        }
    }
    for store in &stores {
        assert!(pump::context(store).interval_count() > 10);
        assert!(store.stability().unwrap().as_of_ms > pump::CLOCK_MS);
    }
}
