//! Messages made of any parts that the grammar allows, turn after turn, by a peer that does not
//! care what is true.

use proptest::prelude::*;

use super::harness::tree;
use super::scenario::mix;
use crate::reconcile::message::{
    Answer, Echo, EchoForm, Explain, Header, IdWidth, Inquire, Items, Part, Place, Run, Split, Sum,
    SumForm, Suspect, Tell, write_header, write_part,
};
use crate::reconcile::{Limits, Walk, WalkError};
use crate::{KeyRange, MemoryTree};

/// Bytes enough to cut every part from.
type Dice = Vec<u8>;

#[derive(Clone, Debug)]
struct Lie {
    /// Places to skip and to take, or bounds by number.
    place: Option<(u64, u64)>,
    bounds: (u64, u64),
    kind: u8,
    len: usize,
    level: u8,
    count: u64,
    /// Whether it tells the true sum of the range, as far as it can.
    honest: bool,
    dice: Dice,
}

fn lies() -> impl Strategy<Value = Lie> {
    let place = prop::option::weighted(0.8, (0..3u64, 1..4u64));
    let count = prop_oneof![0..3000u64, Just(u64::MAX), Just(0)];
    let level = prop_oneof![4 => 1..4u8, 1 => 4..13u8];
    (
        place,
        (0..4000u64, 1..4000u64),
        0..16u8,
        0..40usize,
        level,
        count,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(place, bounds, kind, len, level, count, honest, seed)| {
            let dice = (0..60).flat_map(|n| mix(seed ^ n).to_le_bytes()).collect();
            Lie {
                place,
                bounds,
                kind,
                len,
                level,
                count,
                honest,
                dice,
            }
        })
}

fn side() -> MemoryTree {
    tree(&(0..3000).map(|n: u64| (key(n), 0)).collect())
}

fn key(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

impl Lie {
    fn write(&self, out: &mut Vec<u8>, next: &mut u64) {
        let place = match self.place {
            Some((skip, len)) => Place::Listed {
                first: *next + skip,
                len,
            },
            None => Place::Bounds(KeyRange::new(
                key(self.bounds.0),
                key(self.bounds.0 + self.bounds.1),
            )),
        };
        let number = |at: usize| {
            let (number, _) = self.dice[at..].split_first_chunk().unwrap();
            u128::from_le_bytes(*number)
        };
        let bytes = |len: usize| &self.dice[..len];
        let sum = if self.honest { 0 } else { number(3) };
        let mine = || {
            let rows = 0..self.len as u64;
            rows.map(|n| (key(self.bounds.0 + n), self.dice[..n as usize].to_vec()))
                .collect()
        };
        let lacking = || (0..self.len).map(|n| n * (1 + self.len % 3)).collect();
        let run = Run {
            first: self.len,
            len: 1 + self.len % 5,
        };
        let (count, mix) = (self.count, number(40) as u64);
        let part = match self.kind {
            0 | 1 => Part::Split(Split {
                level: self.level,
                count,
                children: bytes(Split::FIRST + Split::CHILD * (1 + self.len)),
            }),
            2 => Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Bare,
            }),
            3 => Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Mixed { mix },
            }),
            4 => Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Hinted {
                    hints: bytes(self.len),
                },
            }),
            5 => Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Bare,
            }),
            6 => Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Mixed { mix },
            }),
            7 => Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Suspect { run, mix },
            }),
            8 => Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Suspects(vec![
                    Suspect {
                        run: Run { first: 0, len: 1 },
                        count,
                        sum,
                        mix,
                    },
                    Suspect {
                        run: Run {
                            first: run.first + 1,
                            ..run
                        },
                        count: 3,
                        sum: number(9),
                        mix,
                    },
                ]),
            }),
            9 => Part::Items(Items {
                sum,
                width: IdWidth::Two,
                ids: bytes(2 * self.len),
            }),
            10 => Part::Items(Items {
                sum,
                width: IdWidth::Four,
                ids: bytes(4 * self.len),
            }),
            11 => Part::Items(Items {
                sum,
                width: IdWidth::Eight,
                ids: bytes(8 * self.len),
            }),
            12 => Part::Answer(Answer {
                matched: sum,
                lacking: lacking(),
                mine: mine(),
            }),
            13 => Part::Inquire(Inquire {
                matched: sum,
                lacking: lacking(),
            }),
            14 => Part::Explain(Explain {
                theirs: sum,
                mine: mine(),
            }),
            _ => {
                let rows: Vec<_> = mine();
                let lows = rows.iter().map(|_| number(5)).collect();
                Part::Tell(Tell {
                    sum,
                    ids: bytes(8 * (self.len / 2)),
                    rows,
                    lows,
                })
            }
        };
        write_part(out, next, &place, &part);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lies_are_answered_within_bounds(
        turns in prop::collection::vec(prop::collection::vec(lies(), 1..6), 1..8),
        message in prop_oneof![Just(300usize), Just(256 << 10)],
        reads in prop_oneof![Just(500u64), Just(1 << 21)],
        begins in any::<bool>(),
    ) {
        let side = side();
        let memory = 10_000;
        let limits = Limits { message, memory, reads, ..Limits::default() };
        let mut walk = Walk::new([3; 16], KeyRange::ALL, limits.clone());
        let mut turn = 0;
        if begins {
            walk.start(&side).unwrap();
            turn += 1;
        }
        for lies in turns {
            let mut bytes = Vec::new();
            write_header(&mut bytes, Header { turn, more: lies.len() % 2 == 0 });
            let mut next = 0;
            lies.iter().for_each(|lie| lie.write(&mut bytes, &mut next));
            let before = walk.stats().items_read;
            match walk.handle(&side, &bytes) {
                Ok(step) => {
                    let reply = step.reply.unwrap_or_default();
                    prop_assert!(reply.len() <= 2 * message + (64 << 10), "{}", reply.len());
                }
                Err(WalkError::Malformed(_)) => break,
                Err(error) => prop_assert!(false, "{error}"),
            }
            // One statement may be taken up just before the bound.
            prop_assert!(walk.stats().items_read - before <= reads + 12_000);
            prop_assert!(walk.remembered() <= 2 * memory + 40_000, "{}", walk.remembered());
            if walk.is_done() {
                break;
            }
            turn += 2;
        }
    }
}
