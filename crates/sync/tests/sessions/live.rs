//! Sessions while others write, and several at a time.

use syncline_crdt::RowKey;
use syncline_sync::Strategy;

use crate::pump::{
    Memory, Pair, Random, acquaint, assert_sound, context, put, remove, request, rows, store, sync,
};

const KEYS: usize = 400;

fn key(n: usize) -> RowKey {
    RowKey::member(
        format!("set:{}", n % 7).as_bytes(),
        format!("member {n}").as_bytes(),
    )
}

/// A write of one row, and what is live by it: each value is written once.
struct Writer {
    /// Which writes nobody that had observed them removed.
    next: u64,
    journal: Journal,
}

/// What each store did, in its order: enough to say what must be there in the end.
#[derive(Default)]
struct Journal {
    written: Vec<(RowKey, Vec<u8>)>,
    dead: std::collections::BTreeSet<Vec<u8>>,
}

impl Writer {
    fn new() -> Self {
        Self {
            next: 0,
            journal: Journal::default(),
        }
    }

    /// Writes or removes a random row; what the store held there is dead by that.
    fn write(&mut self, on: &Memory, random: &mut Random) {
        let key = key(random.below(KEYS));
        if let Some(row) = on.view().unwrap().get(&key).unwrap() {
            self.journal
                .dead
                .extend(row.into_iter().map(|sibling| sibling.payload));
        }
        if random.below(3) == 0 {
            remove(on, [key]);
        } else {
            self.next += 1;
            let value = self.next.to_be_bytes();
            put(on, [key.clone()], &value);
            self.journal.written.push((key, crate::pump::value(&value)));
        }
    }

    /// Every write that nobody who had observed it superseded, and no other.
    fn check(&self, store: &Memory) {
        let mut live: Vec<(RowKey, Vec<u8>)> = rows(store)
            .into_iter()
            .flat_map(|(key, row)| {
                row.into_iter()
                    .map(move |sibling| (key.clone(), sibling.payload))
            })
            .collect();
        live.sort();
        let mut expected: Vec<_> = self
            .journal
            .written
            .iter()
            .filter(|(_, value)| !self.journal.dead.contains(value))
            .cloned()
            .collect();
        expected.sort();
        assert_eq!(live, expected);
    }
}

const STRATEGIES: [Strategy; 3] = [Strategy::Auto, Strategy::Walk, Strategy::Full];

#[test]
fn writes_between_frames_are_neither_lost_nor_undone() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut writer = Writer::new();
        let (a, b) = (store(1), store(2));
        for _ in 0..200 {
            writer.write([&a, &b][random.below(2)], &mut random);
        }
        for by in [STRATEGIES[random.below(3)], STRATEGIES[random.below(3)]] {
            let mut pair = Pair::new(&a, &b, request(by, random.next()));
            let finished = pair.shuffle(&mut random, 10_000, |random| {
                if random.below(2) == 0 {
                    writer.write([&a, &b][random.below(2)], random);
                }
            });
            assert!(finished);
        }
        let (report, other) = sync(&a, &b, request(Strategy::Auto, seed));
        assert!(report.agreed && other.agreed);
        assert_eq!(context(&a), context(&b));
        for store in [&a, &b] {
            writer.check(store);
            assert_sound(store);
        }
    }
}

/// Six sessions at a time, in both directions between each two of three replicas, some cut, while all three are written
/// to.
#[test]
fn sessions_side_by_side() {
    for seed in 0..40 {
        let mut random = Random::new(1000 + seed);
        let mut writer = Writer::new();
        let stores = [store(1), store(2), store(3)];
        for _ in 0..300 {
            writer.write(&stores[random.below(3)], &mut random);
        }
        let mut pairs: Vec<Pair<&Memory>> = Vec::new();
        for _ in 0..4_000 {
            if pairs.len() < 6 {
                let (from, to) = (random.below(3), 1 + random.below(2));
                let by = STRATEGIES[random.below(3)];
                let request = request(by, random.next());
                pairs.push(Pair::new(&stores[from], &stores[(from + to) % 3], request));
            }
            let at = random.below(pairs.len());
            let finished = pairs[at].shuffle(&mut random, 3, |_| {});
            if finished || random.below(60) == 0 {
                pairs.swap_remove(at);
            }
            if random.below(8) == 0 {
                writer.write(&stores[random.below(3)], &mut random);
            }
        }
        drop(pairs);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            sync(&stores[from], &stores[to], request(Strategy::Auto, seed));
        }
        for store in &stores {
            assert_eq!(rows(store), rows(&stores[0]));
            writer.check(store);
            assert_sound(store);
        }
    }
}

/// A value is overwritten while it is being told. Wherever the session breaks, and though its only holder is then lost with
/// the new value, nobody who holds the old one learns of its end without the new one.
#[test]
fn the_end_of_a_value_does_not_travel_without_the_new_one() {
    let key = RowKey::cell(b"overwritten");
    for by in [Strategy::Auto, Strategy::Log, Strategy::Sketch] {
        for source_initiates in [false, true] {
            for steps in 0..24 {
                let [source, middle, other] = [store(1), store(2), store(3)];
                put(&source, [key.clone()], b"old");
                sync(&other, &source, request(by, 1));
                put(&middle, [RowKey::cell(b"own")], b"x");
                let pair = match source_initiates {
                    true => [&source, &middle],
                    false => [&middle, &source],
                };
                let mut pair = Pair::new(pair[0], pair[1], request(by, 2));
                put(&source, [key.clone()], b"new");
                for step in 0..steps {
                    let side = usize::from(step % 4 < 2);
                    if step % 2 == 0 {
                        pair.poll(side).unwrap();
                    } else {
                        pair.deliver(side).unwrap();
                    }
                }
                drop(pair);
                drop(source);
                let (report, _) = sync(&middle, &other, request(by, 3));
                assert!(report.agreed);
                assert!(rows(&other).contains_key(&key), "{by}, after {steps} steps");
            }
        }
    }
}

/// The peer has seen a value and its removal, which leaves its root as it was. The value alone comes by another way while contexts are on theirs.
#[test]
fn a_value_whose_removal_is_learnt_with_the_context_does_not_stay() {
    for is_initiator in [true, false] {
        let (here, peer, other) = (store(1), store(2), store(3));
        acquaint(&[&here, &peer, &other]);
        put(&peer, [key(1)], b"short-lived");
        sync(&other, &peer, request(Strategy::Auto, 1));
        remove(&peer, [key(1)]);

        let (one, two) = match is_initiator {
            true => (&here, &peer),
            false => (&peer, &here),
        };
        let pair = Pair::new(one.clone(), two.clone(), request(Strategy::Auto, 2));
        sync(&here, &other, request(Strategy::Auto, 3));
        let (first, second) = pair.run();
        assert!(first.agreed && second.agreed);

        // Either it has not seen the removal, or it has it.
        let (here, peer) = ((rows(&here), context(&here)), (rows(&peer), context(&peer)));
        assert_eq!(here.0.is_empty(), here.1 == peer.1, "{is_initiator}");
        assert!(!is_initiator || here == peer);
    }
}
