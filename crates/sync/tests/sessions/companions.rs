//! A companion makes of any ordered rows a replica that nobody can tell from a store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use syncline_crdt::{Context, ReplicaId, Row, RowKey};
use syncline_merkle::{KeyRange, Source};
use syncline_store::{Durability, StoreError};
use syncline_sync::companion::{Companion, OrderedRows, Snapshot};
use syncline_sync::{Incoming, Opening, Replica, ReplicaError, Session, Strategy, View};

use crate::pump::{self, CLOCK_MS, Memory, Random, assert_sound, config, request, store, value};

#[derive(Clone, Default)]
struct Map(BTreeMap<RowKey, Row>);

impl OrderedRows for Map {
    fn get(&self, key: &RowKey) -> Option<Row> {
        self.0.get(key).cloned()
    }

    fn range(&self, range: &KeyRange) -> impl Iterator<Item = (RowKey, Row)> {
        let bounds = range.bounds().into_iter();
        let rows = bounds.flat_map(|bounds| self.0.range::<[u8], _>(bounds));
        rows.map(|(key, row)| (key.clone(), row.clone()))
    }

    fn set(&mut self, key: &RowKey, row: Row) {
        match row.is_empty() {
            true => self.0.remove(key),
            false => self.0.insert(key.clone(), row),
        };
    }
}

struct Own(ReplicaId, Mutex<Arc<Companion<Map>>>);

impl Own {
    fn new(id: u8) -> Self {
        let companion = Companion::new(Map::default(), Context::new(), &[7; 32]);
        Self(
            ReplicaId::from_bytes([id; 16]),
            Mutex::new(Arc::new(companion)),
        )
    }

    fn change<T>(&self, change: impl FnOnce(&mut Companion<Map>) -> T) -> T {
        change(Arc::make_mut(&mut self.1.lock().unwrap()))
    }
}

impl Replica for Own {
    type View = Snapshot<Map>;

    fn view(&self) -> Result<Snapshot<Map>, ReplicaError> {
        Ok(Snapshot(self.1.lock().unwrap().clone()))
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        self.change(|companion| companion.join(incoming))
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        Ok(())
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        self.change(|companion| companion.withdraw(key));
        Ok(())
    }
}

trait Write {
    fn write(&self, key: &RowKey, payload: Option<Vec<u8>>);
}

impl Write for Own {
    fn write(&self, key: &RowKey, payload: Option<Vec<u8>>) {
        self.change(|companion| companion.write(self.0, CLOCK_MS, key, payload));
    }
}

impl Write for Memory {
    fn write(&self, key: &RowKey, payload: Option<Vec<u8>>) {
        let done = self.transact(Durability::Memory, |txn| match payload {
            Some(payload) => txn.put(key, payload).map(drop),
            None => txn.remove(key).map(drop),
        });
        done.unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
}

fn member(n: u16) -> RowKey {
    RowKey::member(b"set", &n.to_be_bytes())
}

fn some_write(store: &impl Write, random: &mut Random) {
    let key = member(random.below(400) as u16);
    let payload = (random.below(3) > 0).then(|| value(&[random.below(9) as u8]));
    store.write(&key, payload);
}

/// A session in small frames, with writes on both sides meanwhile; cut after so many frames. Whether both agreed.
fn session(
    ours: &(impl Replica + Write),
    theirs: &(impl Replica + Write),
    random: &mut Random,
    frames: usize,
    live: bool,
) -> bool {
    let config = |node| {
        let mut config = config(node);
        config.batch_bytes = 400;
        config
    };
    let request = request(Strategy::Auto, random.next());
    let mut initiator = Session::initiate(ours, config(1), request).unwrap();
    let greeting = initiator.poll_frame().unwrap().unwrap();
    let opening = Opening::read(&greeting).unwrap();
    let mut responder = Session::respond(theirs, config(2), opening).unwrap();
    let mut left = frames;
    while !(initiator.is_finished() && responder.is_finished()) {
        let frame = responder.poll_frame().unwrap();
        let back = initiator.poll_frame().unwrap();
        for (frame, to_initiator) in [(frame, true), (back, false)] {
            let Some(frame) = frame else { continue };
            if left == 0 {
                return false;
            }
            left -= 1;
            match to_initiator {
                true => initiator.handle_frame(&frame).unwrap(),
                false => responder.handle_frame(&frame).unwrap(),
            }
        }
        if live && left > frames / 2 {
            some_write(ours, random);
            some_write(theirs, random);
        }
    }
    initiator.report().agreed
}

#[test]
fn whatever_was_written_where_all_end_with_the_same() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let (ada, bob, eve) = (Own::new(1), Own::new(2), store(seed));
        for _ in 0..40 {
            match random.below(9) {
                0 => (0..60).for_each(|_| some_write(&ada, &mut random)),
                1 => (0..60).for_each(|_| some_write(&bob, &mut random)),
                2 => (0..60).for_each(|_| some_write(&eve, &mut random)),
                3 => {
                    let view = ada.view().unwrap();
                    let row = view.rows(&KeyRange::ALL, 1).unwrap().rows.pop();
                    row.into_iter()
                        .for_each(|(key, _)| ada.withdraw(&key).unwrap());
                }
                // Of which only the store keeps a log, so the others are told of no range.
                4 => {
                    let from = member(random.below(400) as u16).as_bytes().to_vec();
                    let upper = KeyRange::prefix(&RowKey::key_prefix(b"set")).upper;
                    pump::remove_range(&eve, KeyRange { lower: from, upper }, 10);
                }
                n => {
                    let frames = [2, 5, 30, usize::MAX][random.below(4)];
                    let live = frames < 100 && random.below(2) == 0;
                    let agreed = match n % 3 {
                        0 => session(&ada, &bob, &mut random, frames, live),
                        1 => session(&bob, &eve, &mut random, frames, live),
                        _ => session(&eve, &ada, &mut random, frames, live),
                    };
                    assert!(agreed || frames != usize::MAX, "seed {seed}");
                }
            }
        }
        for _ in 0..2 {
            assert!(session(&ada, &bob, &mut random, usize::MAX, false));
            assert!(session(&bob, &eve, &mut random, usize::MAX, false));
            assert!(session(&eve, &ada, &mut random, usize::MAX, false));
        }
        let (a, b, e) = (
            ada.view().unwrap(),
            bob.view().unwrap(),
            eve.view().unwrap(),
        );
        let rows: BTreeMap<_, _> = e.scan(&KeyRange::ALL).map(Result::unwrap).collect();
        assert!(a.0.rows().0 == rows && b.0.rows().0 == rows, "seed {seed}");
        assert_eq!(a.context(), b.context());
        assert_eq!(e.root().unwrap(), a.digest(&KeyRange::ALL).unwrap());
        // Made anew from what a program keeps, it is the same.
        let again = Companion::new(a.0.rows().clone(), a.context().clone(), &[7; 32]);
        assert_eq!((again.root(), again.context()), (a.0.root(), a.context()));
        assert_sound(&eve);
    }
}
