//! Peers that say anything at any time. No panic, no unbounded memory, no store that contradicts itself; and once such
//! a peer is gone, honest replicas agree as before.

use std::sync::LazyLock;

use proptest::prelude::*;
use syncline_crdt::RowKey;
use syncline_sync::{Opening, SessionError, Strategy as By, frame};

use crate::pump::{Memory, Pair, Random, assert_sound, put, remove, request, store, sync};

/// Two stores that differ in every way.
fn different() -> (Memory, Memory) {
    let (a, b) = (store(1), store(2));
    let keys = |from: u32, count: u32| (from..from + count).map(|n| RowKey::cell(&n.to_be_bytes()));
    put(&a, keys(0, 600), b"common");
    sync(&a, &b, request(By::Auto, 1));
    put(&a, keys(550, 80), b"ours");
    put(&b, keys(580, 80), b"theirs");
    remove(&a, keys(100, 30));
    remove(&b, keys(300, 30));
    (a, b)
}

/// Frames of honest sessions of every strategy.
static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut frames = Vec::new();
    for by in By::ALL {
        let (a, b) = different();
        let mut pair = Pair::new(&a, &b, request(by, 9));
        assert!(pair.shuffle(&mut Random::new(4), 100_000, |_| {}));
        frames.append(&mut pair.frames);
    }
    frames
});

/// What is done to a session in the middle.
#[derive(Clone, Debug)]
enum Attack {
    /// Bytes that never were a frame.
    Noise(Vec<u8>),
    /// A frame of another session, in a flight that may be.
    Foreign { which: usize, flight: u8 },
    /// The same with some bytes changed, and cut or lengthened.
    Mangled {
        which: usize,
        flight: u8,
        at: usize,
        to: u8,
        cut: usize,
        tail: Vec<u8>,
    },
}

fn attacks() -> impl Strategy<Value = Attack> {
    let which = 0..1000usize;
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Attack::Noise),
        3 => (which.clone(), 1u8..8).prop_map(|(which, flight)| Attack::Foreign { which, flight }),
        6 => (which, 1u8..8, any::<usize>(), any::<u8>(), 0usize..3, prop::collection::vec(any::<u8>(), 0..3)).prop_map(
            |(which, flight, at, to, cut, tail)| Attack::Mangled { which, flight, at, to, cut, tail }
        ),
    ]
}

impl Attack {
    fn bytes(&self, pool: &[Vec<u8>]) -> Vec<u8> {
        let foreign = |which: usize, flight: u8| {
            let mut frame = pool[which % pool.len()].clone();
            frame[0] = flight;
            frame
        };
        match self {
            Self::Noise(bytes) => bytes.clone(),
            Self::Foreign { which, flight } => foreign(*which, *flight),
            Self::Mangled {
                which,
                flight,
                at,
                to,
                cut,
                tail,
            } => {
                let mut frame = foreign(*which, *flight);
                let at = at % frame.len();
                frame[at] = *to;
                frame.truncate(frame.len() - (*cut).min(frame.len()));
                frame.extend(tail);
                frame
            }
        }
    }
}

fn strategies() -> impl Strategy<Value = By> {
    prop_oneof![3 => Just(By::Auto), 3 => Just(By::Walk), 1 => Just(By::Full)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_frame_at_any_time(
        attempts in prop::collection::vec(
            (strategies(), 0usize..40, prop::collection::vec(attacks(), 1..4), 0..2usize),
            1..12,
        ),
        seed in any::<u64>(),
    ) {
        let (a, b) = different();
        let mut random = Random::new(seed);
        for (by, honest, attacks, victim) in attempts {
            let mut pair = Pair::new(&a, &b, request(by, random.next()));
            pair.shuffle(&mut random, honest, |_| {});
            let mut failed = None;
            for attack in attacks {
                let bytes = attack.bytes(&FRAMES);
                let session = [&mut pair.initiator, &mut pair.responder].into_iter().nth(victim).unwrap();
                match session.handle_frame(&bytes) {
                    Ok(()) => {
                        // What it makes of it is bounded too.
                        let mut frames = 0;
                        while let Ok(Some(frame)) = session.poll_frame() {
                            prop_assert!(frame.len() <= frame::MAX_FRAME);
                            frames += 1;
                            prop_assert!(frames < 1000);
                        }
                    }
                    Err(SessionError::Over) => {}
                    Err(error) => {
                        prop_assert!(!error.to_string().is_empty());
                        failed = Some(error);
                    }
                }
            }
            if failed.is_some() {
                let session = [&mut pair.initiator, &mut pair.responder].into_iter().nth(victim).unwrap();
                prop_assert!(!session.is_finished());
                prop_assert!(matches!(session.poll_frame(), Err(SessionError::Over)));
            }
            assert_sound(&a);
            assert_sound(&b);
        }
        let agreed = (0..4).any(|round| sync(&a, &b, request(By::Auto, round)).0.agreed);
        prop_assert!(agreed);
        assert_sound(&a);
        assert_sound(&b);
    }

    #[test]
    fn any_greeting(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _refused = Opening::read(&bytes);
        let _refused = Opening::read(&[&[1, 0], &bytes[..]].concat());
    }
}

#[test]
fn frames_over_the_bound_are_refused_unread() {
    let error = Opening::read(&vec![0; frame::MAX_FRAME + 1]).unwrap_err();
    assert!(matches!(error, SessionError::FrameTooLarge { .. }));
    assert_eq!(
        error.farewell().unwrap().code,
        syncline_sync::RefusalCode::FrameTooLarge
    );
}

#[test]
fn a_flight_that_answers_nothing() {
    let (a, b) = different();
    let mut pair = Pair::new(&a, &b, request(By::Auto, 1));
    let mut frame = pair.responder.poll_frame().unwrap().unwrap();
    frame[0] = 3;
    let error = pair.initiator.handle_frame(&frame).unwrap_err();
    assert!(matches!(error, SessionError::Malformed(_)), "{error}");
}
