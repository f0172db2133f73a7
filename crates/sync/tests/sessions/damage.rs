//! Rows damaged on disk. Damage enters no join, and what it took away comes back from the peer; whoever withdraws a row
//! while sessions run ends them, since they have promised its dots.

use syncline_crdt::{Row, RowKey};
use syncline_store::{Batch, Direction, Durability, Engine, MemoryDisk, Snapshot, Table};
use syncline_sync::{RefusalCode, ReplicaError, SessionError, Strategy};

use crate::pump::{
    Memory, Pair, Random, State, assert_sound, open, put, request, rows, store, sync,
};

const ROWS: u32 = 300;

fn key(n: u32) -> RowKey {
    RowKey::cell(&n.to_be_bytes())
}

/// Two replicas with rows in common and news for each other; the first has some rows damaged.
fn damaged(keys: &[RowKey]) -> (Memory, Memory, State) {
    let disk = MemoryDisk::new();
    let (a, b) = (open(disk.mount().unwrap(), 1), store(2));
    put(&b, (0..ROWS).map(key), b"common");
    sync(&a, &b, request(Strategy::Auto, 1));
    put(&a, (0..ROWS).step_by(10).map(key), b"ours");
    put(&b, (5..ROWS).step_by(10).map(key), b"theirs");
    a.flush().unwrap();
    let mut expected = rows(&a);
    let theirs = |row: &Row| {
        row.iter()
            .any(|sibling| sibling.payload.ends_with(b"theirs"))
    };
    expected.extend(rows(&b).into_iter().filter(|(_, row)| theirs(row)));
    drop(a);

    let engine = disk.mount().unwrap();
    let mut batch = Batch::new();
    for key in keys {
        let key = key.as_bytes();
        let mut value = engine
            .snapshot()
            .unwrap()
            .get(Table::Rows, key)
            .unwrap()
            .unwrap();
        *value.last_mut().unwrap() ^= 1;
        batch.put(Table::Rows, key, &value);
    }
    engine.commit(batch, Durability::Durable).unwrap();
    let mut count = 0;
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let seen = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    };
    engine
        .snapshot()
        .unwrap()
        .visit(Table::Rows, all, Direction::Forward, seen)
        .unwrap();
    assert_eq!(count, ROWS);
    (open(engine, 3), b, expected)
}

/// Steps through a session until it ends or fails.
fn run(pair: &mut Pair<&Memory>) -> Result<(), SessionError> {
    while !pair.is_finished() {
        for side in [1, 0] {
            while pair.poll(side)? {}
            while pair.deliver(side)? {}
        }
    }
    Ok(())
}

/// Rows that the session has to read are found out and withdrawn by it.
#[test]
fn a_session_that_meets_damage_ends_and_the_next_one_heals() {
    // One of the news of the damaged side: nobody else has it, so it is gone, with what it overwrote. The other is
    // common.
    let (lost, common) = (key(20), key(33));
    let (a, b, mut expected) = damaged(&[lost.clone(), common.clone()]);
    expected.remove(&lost);
    let mut failures = Vec::new();
    let agreed = (0..6).any(|round| {
        let by = [Strategy::Auto, Strategy::Full][round as usize % 2];
        let mut pair = Pair::new(&a, &b, request(by, round));
        match run(&mut pair) {
            Ok(()) => pair.reports().0.agreed && rows_readable(&a),
            Err(error) => {
                failures.push(error);
                false
            }
        }
    });
    assert!(agreed);
    for error in &failures {
        assert!(is_damage(error), "{error}");
        assert_eq!(error.farewell().unwrap().code, RefusalCode::Replica);
    }
    assert!(!failures.is_empty());
    assert_eq!(rows(&a), rows(&b));
    assert_eq!(rows(&b), expected);
    assert_sound(&a);
    assert_sound(&b);
}

fn is_damage(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::Replica(ReplicaError::Damaged { .. } | ReplicaError::Withdrawn)
    )
}

fn rows_readable(store: &Memory) -> bool {
    store.view().unwrap().recount().unwrap().is_sound()
}

/// A scrub withdraws a row at each possible moment of a session of each strategy, on the side of the initiator and of
/// the responder. The session may end or not; never does the other replica take the row for removed.
#[test]
fn a_withdrawal_at_any_moment_removes_nothing() {
    for by in [Strategy::Auto, Strategy::Walk, Strategy::Full] {
        for damaged_initiates in [true, false] {
            let mut moment = 0;
            loop {
                let common = [key(287), key(299)];
                let (a, b, expected) = damaged(&common);
                let (initiator, responder) = if damaged_initiates {
                    (&a, &b)
                } else {
                    (&b, &a)
                };
                let request_now = request(by, moment as u64);
                let mut pair = Pair::with_batches(initiator, responder, request_now, 512);
                let mut random = Random::new(moment as u64);
                let over = step(&mut pair, &mut random, moment);
                let last = !matches!(over, Ok(false));
                a.withdraw(&common).unwrap();
                let outcome = match over {
                    Ok(_) => step(&mut pair, &mut random, 10_000),
                    Err(error) => Err(error),
                };
                if let Err(error) = &outcome {
                    assert!(is_damage(error), "{error}");
                }
                assert!(
                    common.iter().all(|key| rows(&b).contains_key(key)),
                    "{by} at {moment}"
                );

                let agreed =
                    (0..3).any(|round| sync(&a, &b, request(Strategy::Auto, round)).0.agreed);
                assert!(agreed);
                assert_eq!(rows(&a), expected, "{by} at {moment}");
                assert_eq!(rows(&b), expected, "{by} at {moment}");
                assert_sound(&a);
                if last {
                    break;
                }
                moment += 1;
            }
            assert!(moment > 5);
        }
    }
}

/// So many frames polled or delivered; whether the session was over by then.
fn step(pair: &mut Pair<&Memory>, random: &mut Random, steps: usize) -> Result<bool, SessionError> {
    let mut done = 0;
    while done < steps {
        if pair.is_finished() {
            return Ok(true);
        }
        let side = random.below(2);
        done += usize::from(match random.below(2) {
            0 => pair.poll(side)?,
            _ => pair.deliver(side)?,
        });
    }
    Ok(pair.is_finished())
}
