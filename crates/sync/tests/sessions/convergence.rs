//! Whatever two replicas hold, and in whatever order frames arrive, both end with the join of what they held.

use proptest::prelude::*;
use syncline_crdt::RowKey;
use syncline_store::Durability;
use syncline_sync::Strategy as By;

use crate::pump::{
    Memory, Pair, Random, assert_joined, assert_sound, context, join, needed, put, remove, request,
    rows, store, sync,
};

/// What happens before the session.
#[derive(Clone, Debug)]
enum Step {
    Put {
        on: usize,
        from: u16,
        count: u16,
        value: u8,
    },
    Remove {
        on: usize,
        from: u16,
        count: u16,
    },
    /// One takes over some rows of the other, and their dots alone.
    Rumour {
        from: usize,
        first: u16,
        count: u16,
    },
    /// A session, in the course of which both take over all.
    Sync {
        from: usize,
    },
}

fn key(n: u16) -> RowKey {
    match n % 5 {
        0 => RowKey::cell(format!("cell:{n}").as_bytes()),
        1 => RowKey::field(b"map", &n.to_be_bytes()),
        2 => RowKey::new(b"later", syncline_crdt::Family(77), &n.to_be_bytes()),
        _ => RowKey::member(format!("set:{}", n % 3).as_bytes(), &n.to_be_bytes()),
    }
}

fn keys(from: u16, count: u16) -> impl Iterator<Item = RowKey> {
    (from..from.saturating_add(count)).map(|n| key(n % 3000))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let count = prop_oneof![4 => 1u16..6, 2 => 1u16..100, 1 => 500u16..2500];
    let step = prop_oneof![
        4 => (0..3usize, 0u16..3000, count.clone(), any::<u8>())
            .prop_map(|(on, from, count, value)| Step::Put { on, from, count, value }),
        3 => (0..3usize, 0u16..3000, count.clone()).prop_map(|(on, from, count)| Step::Remove { on, from, count }),
        2 => (0..3usize, 0u16..3000, count).prop_map(|(from, first, count)| Step::Rumour { from, first, count }),
        2 => (0..3usize).prop_map(|from| Step::Sync { from }),
    ];
    prop::collection::vec(step, 1..14)
}

/// Three stores after these steps.
fn play(steps: &[Step]) -> [Memory; 3] {
    let stores = [store(1), store(2), store(3)];
    for step in steps {
        match *step {
            Step::Put {
                on,
                from,
                count,
                value,
            } => put(&stores[on], keys(from, count), &[value; 20]),
            Step::Remove { on, from, count } => remove(&stores[on], keys(from, count)),
            Step::Rumour { from, first, count } => {
                let view = stores[from].view().unwrap();
                let rows = keys(first, count)
                    .filter_map(|key| Some((key.clone(), view.get(&key).unwrap()?)));
                let incoming = syncline_store::Incoming {
                    rows: rows.collect(),
                    ..syncline_store::Incoming::from_peer(view.context())
                };
                stores[(from + 1) % 3]
                    .join(incoming, Durability::Memory)
                    .unwrap();
            }
            Step::Sync { from } => {
                sync(&stores[from], &stores[(from + 1) % 3], request(By::Auto, 3));
            }
        }
    }
    stores
}

/// Bytes of rows in a frame.
fn batches() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1usize), Just(500), Just(20_000), Just(256 << 10)]
}

fn strategies() -> impl Strategy<Value = By> {
    proptest::sample::select(By::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn both_end_with_the_join(steps in steps(), by in strategies(), seed in any::<u64>()) {
        let [a, b, _] = play(&steps);
        let ours = (rows(&a), context(&a));
        let theirs = (rows(&b), context(&b));
        let joined = join((&ours.0, &ours.1), (&theirs.0, &theirs.1));

        let (report, other) = sync(&a, &b, request(by, seed));
        prop_assert!(report.agreed && other.agreed);
        prop_assert_eq!(report.root, b.view().unwrap().root().unwrap());
        assert_joined(&a, &b, &joined);
        if by != By::Full {
            prop_assert_eq!(report.rows_received, needed(&ours.1, &joined.0));
            prop_assert_eq!(report.rows_sent, needed(&theirs.1, &joined.0));
        }
        prop_assert_eq!(report.sent, other.received);
        prop_assert_eq!(report.received, other.sent);
        prop_assert!(report.flights <= 30, "{} flights", report.flights);
    }

    #[test]
    fn frames_interleave_and_sessions_abort(
        steps in steps(),
        cuts in prop::collection::vec((strategies(), 0usize..60), 0..6),
        batch in batches(),
        seed in any::<u64>(),
    ) {
        let [a, b, _] = play(&steps);
        let joined = join((&rows(&a), &context(&a)), (&rows(&b), &context(&b)));
        let mut random = Random::new(seed);
        for (by, cut) in cuts {
            let mut pair = Pair::with_batches(&a, &b, request(by, random.next()), batch);
            pair.shuffle(&mut random, cut, |_| {});
            assert_sound(&a);
            assert_sound(&b);
            prop_assert_eq!(&join((&rows(&a), &context(&a)), (&rows(&b), &context(&b))), &joined);
        }
        let mut pair = Pair::with_batches(&a, &b, request(By::Auto, seed), batch);
        let finished = pair.shuffle(&mut random, 100_000, |_| {});
        prop_assert!(finished);
        prop_assert!(pair.reports().0.agreed && pair.reports().1.agreed);
        assert_joined(&a, &b, &joined);
    }
}

#[test]
fn siblings_under_one_key() {
    for by in By::ALL {
        let (a, b) = (store(1), store(2));
        put(&a, keys(0, 300), b"ours");
        put(&b, keys(100, 300), b"theirs");
        let joined = join((&rows(&a), &context(&a)), (&rows(&b), &context(&b)));
        let (report, _) = sync(&a, &b, request(by, 1));
        assert!(report.agreed);
        assert_joined(&a, &b, &joined);
        assert_eq!(joined.0.values().filter(|row| row.len() == 2).count(), 200);
    }
}

/// A row that one side adds to and the other removes from comes as an addition, and its removal is found by the walk. What
/// came first is not sent a second time.
#[test]
fn what_came_as_an_addition_is_not_found_again() {
    let (a, b) = (store(1), store(2));
    put(&a, keys(0, 500), b"common");
    sync(&a, &b, request(By::Auto, 1));
    let c = store(3);
    put(&c, keys(490, 20), b"concurrent");
    sync(&b, &c, request(By::Auto, 1));
    remove(&a, keys(0, 500));
    let (report, other) = sync(&a, &b, request(By::Auto, 1));
    assert!(report.agreed);
    assert_eq!((report.rows_received, other.rows_sent), (20, 20));
    assert_eq!((report.rows_sent, rows(&b).len()), (0, 20));
}
