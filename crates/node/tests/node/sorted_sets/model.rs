//! A plain list in order: all that a sorted set is to say, worked out in the plainest way, and random writes to both.

use std::collections::BTreeMap;
use std::ops::Bound;

use syncline::ops::{Direction, ReadRows, Scored, SortedSet};
use syncline::{Error, Span};

/// Numbers that are as good as random and the same every time.
pub(super) fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Zeros of both signs, infinities, and numbers that no decimal holds.
const SCORES: [f64; 8] = [
    0.0,
    -0.0,
    0.5,
    -3.0,
    1e300,
    2e-30,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

pub(super) type Model = BTreeMap<Vec<u8>, f64>;

fn in_order(model: &Model) -> Vec<Scored> {
    let mut members: Vec<Scored> = model
        .iter()
        .map(|(member, score)| (member.clone(), *score))
        .collect();
    // Stable, so members of equal scores stay in bytewise order.
    members.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap());
    members
}

/// All that the model says of a span, each part worked out in the plainest way.
fn spans(random: &mut impl FnMut(u64) -> u64, model: &Model) -> Vec<(Span, Vec<Scored>)> {
    let all = in_order(model);
    let mut spans = vec![(Span::all(), all.clone())];
    let bound = |n: u64, score: f64| match n {
        0 => Bound::Unbounded,
        1 => Bound::Included(score),
        _ => Bound::Excluded(score),
    };
    for _ in 0..6 {
        let mut score = || SCORES[random(SCORES.len() as u64) as usize];
        let (from, to) = (score(), score());
        let bounds = (bound(random(3), from), bound(random(3), to));
        let held = all.iter().filter(|(_, score)| {
            (match bounds.0 {
                Bound::Unbounded => true,
                Bound::Included(from) => *score >= from,
                Bound::Excluded(from) => *score > from,
            }) && match bounds.1 {
                Bound::Unbounded => true,
                Bound::Included(to) => *score <= to,
                Bound::Excluded(to) => *score < to,
            }
        });
        spans.push((Span::by_score(bounds), held.cloned().collect()));
    }
    let least: Vec<_> = all
        .iter()
        .filter(|(_, score)| *score == all[0].1)
        .cloned()
        .collect();
    for bounds in [
        (Bound::Unbounded, Bound::Unbounded),
        (
            Bound::Included(b"2".to_vec()),
            Bound::Excluded(b"31".to_vec()),
        ),
        (
            Bound::Excluded(b"2".to_vec()),
            Bound::Included(b"31".to_vec()),
        ),
        (
            Bound::Included(b"9".to_vec()),
            Bound::Included(b"1".to_vec()),
        ),
    ] {
        let is_held = |member: &Vec<u8>| {
            (match &bounds.0 {
                Bound::Unbounded => true,
                Bound::Included(from) => member >= from,
                Bound::Excluded(from) => member > from,
            }) && match &bounds.1 {
                Bound::Unbounded => true,
                Bound::Included(to) => member <= to,
                Bound::Excluded(to) => member < to,
            }
        };
        let held = least.iter().filter(|(member, _)| is_held(member));
        spans.push((Span::by_lex(bounds.clone()), held.cloned().collect()));
    }
    let mut cut = Vec::new();
    for (span, held) in spans {
        let (skip, take) = (random(6) as usize, random(6) as usize);
        let part = |held: &[Scored]| held.iter().skip(skip).take(take).cloned().collect();
        let backward: Vec<_> = held.iter().rev().cloned().collect();
        let within = span.clone().skip(skip as u64).take(take as u64);
        cut.push((within.clone(), part(&held)));
        cut.push((within.descending(), part(&backward)));
        cut.push((
            span.clone().descending().skip(skip as u64),
            backward[skip.min(backward.len())..].to_vec(),
        ));
        cut.push((span, held));
    }
    cut
}

pub(super) fn check(
    rows: &dyn ReadRows,
    random: &mut impl FnMut(u64) -> u64,
    model: &Model,
) -> Result<(), Error> {
    let set = SortedSet::of(rows, "game");
    let all = in_order(model);
    assert_eq!(set.len()?, all.len() as u64);
    assert_eq!(set.is_empty()?, all.is_empty());
    let lookup = set.lookup()?;
    assert_eq!(lookup(b"none")?, None);
    for (rank, (member, score)) in all.iter().enumerate() {
        assert_eq!(set.score(member)?, Some(*score));
        assert_eq!(lookup(member)?, Some(*score));
        assert_eq!(set.rank(member, Direction::Forward)?, Some(rank as u64));
        let behind = (all.len() - 1 - rank) as u64;
        assert_eq!(set.rank(member, Direction::Backward)?, Some(behind));
    }
    assert_eq!(
        (set.score("none")?, set.rank("none", Direction::Forward)?),
        (None, None)
    );
    let members: Vec<Scored> = set.members()?.collect::<Result<_, _>>()?;
    assert!(
        members
            .iter()
            .map(|(member, score)| (member, score))
            .eq(model.iter())
    );
    if !all.is_empty() {
        for (span, held) in spans(random, model) {
            assert_eq!(set.count(&span)?, held.len() as u64, "{span:?}");
            let range: Vec<Scored> = set.range_of(&span)?.collect::<Result<_, _>>()?;
            assert_eq!(range, held, "{span:?}");
        }
    }
    Ok(())
}

pub(super) fn write(
    t: &mut syncline::Transaction<'_>,
    random: &mut impl FnMut(u64) -> u64,
    model: &mut Model,
) -> Result<(), Error> {
    let mut set = t.sorted_set("game");
    let member = random(40).to_string().into_bytes();
    match random(12) {
        0..6 => {
            let score = match random(2) {
                0 => SCORES[random(SCORES.len() as u64) as usize],
                _ => random(5) as f64,
            };
            assert_eq!(set.insert(&member, score)?, !model.contains_key(&member));
            model.insert(member, score + 0.0);
        }
        6 | 7 => {
            let by = [1.0, -2.0, 0.0, 1e300, f64::INFINITY][random(5) as usize];
            let now = model.get(&member).copied().unwrap_or_default();
            let added = set.increment(&member, by);
            if (now + by).is_nan() {
                assert!(matches!(added, Err(Error::NotAScore { .. })));
                return Ok(());
            }
            let added = added?;
            // Where they differ, it is floating point that has lost the rest of 2e-30.
            let is_close = added == now + by || (added - (now + by)).abs() < 1e-29;
            assert!(is_close, "{now} + {by} = {added}");
            model.insert(member, added);
        }
        8 | 9 => {
            assert_eq!(set.remove(&member)?, model.remove(&member).is_some());
        }
        _ => {
            let (span, held) = match model.is_empty() {
                true => (Span::all().take(3), Vec::new()),
                false => {
                    let spans = spans(random, model);
                    let (span, held) = spans[random(spans.len() as u64) as usize].clone();
                    // Most of it is to stay.
                    if held.len() > 6 {
                        return Ok(());
                    }
                    (span, held)
                }
            };
            match random(2) {
                0 => assert_eq!(set.pop(&span)?, held),
                _ => assert_eq!(set.remove_range(&span)?, held.len() as u64),
            }
            held.iter().for_each(|(member, _)| {
                model.remove(member);
            });
        }
    }
    Ok(())
}
