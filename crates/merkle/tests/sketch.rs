//! Sketches against the plain difference of sets, and against peers that lie.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use syncline_merkle::sketch::{
    Decoder, Element, MAX_SYMBOLS, Prefix, Progress, Side, SketchKey, Symbol, decode, encode,
    symbols_for,
};

fn secret() -> SketchKey {
    SketchKey::derive(&[42; 32])
}

type Pairs = BTreeSet<(u64, u64)>;

fn prefix(symbols: usize, pairs: &Pairs) -> Prefix {
    let key = secret();
    let mut prefix = Prefix::new(symbols);
    for (tag, number) in pairs {
        prefix.insert(&key.element(*tag, *number));
    }
    prefix
}

fn minus(theirs: &Prefix, ours: &Prefix) -> Vec<Symbol> {
    let pairs = theirs.symbols().iter().zip(ours.symbols());
    pairs.map(|(theirs, ours)| *theirs - *ours).collect()
}

/// What was found, as (tag, number) of each side.
fn found(decoder: &Decoder) -> [Pairs; 2] {
    [Side::Ours, Side::Theirs].map(|wanted| {
        let of_side = decoder.found().iter().filter(|(side, _)| *side == wanted);
        of_side
            .map(|(_, element)| (element.tag(), element.number()))
            .collect()
    })
}

/// Numbers of few tags, as replicas have them, and anything else.
fn any_pairs(size: usize) -> impl Strategy<Value = Pairs> {
    let pair = prop_oneof![
        4 => (0..3u64, 1..2_000u64),
        1 => any::<(u64, u64)>(),
        1 => (prop_oneof![Just(0), Just(u64::MAX)], prop_oneof![Just(0), Just(u64::MAX)]),
    ];
    prop::collection::btree_set(pair, 0..size)
}

/// A symbol of any content, by way of its encoding.
fn symbol(tags: u64, checks: u32, numbers: u64, count: i32) -> Symbol {
    let mut bytes = tags.to_le_bytes().to_vec();
    bytes.extend(checks.to_le_bytes());
    let zigzag = (count << 1) as u32 ^ (count >> 31) as u32;
    for mut n in [numbers, zigzag.into()] {
        while n >= 0x80 {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
    }
    decode(&bytes, 1).unwrap()[0]
}

/// The symbol of one element, `count` times.
fn single(element: &Element, count: i32) -> Symbol {
    let mut one = Prefix::new(1);
    one.insert(element);
    let bytes = encode(one.symbols());
    let checks = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    symbol(element.tag(), checks, element.number(), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_difference_is_found_in_whatever_batches(
        common in any_pairs(600),
        ours in any_pairs(80),
        theirs in any_pairs(80),
        batches in prop::collection::vec(1..60usize, 1..200),
    ) {
        let ours: Pairs = common.union(&ours).copied().collect();
        let theirs: Pairs = common.union(&theirs).copied().collect();
        let expected = [&ours - &theirs, &theirs - &ours];
        let differences = minus(&prefix(2_000, &theirs), &prefix(2_000, &ours));

        let mut decoder = Decoder::new(secret(), differences.len());
        let mut rest = &differences[..];
        let mut batches = batches.into_iter().cycle();
        while decoder.progress() != Progress::Complete {
            prop_assert_eq!(decoder.progress(), Progress::Incomplete);
            let (batch, after) = rest.split_at(batches.next().unwrap().min(rest.len()));
            decoder.extend(batch.iter().copied());
            rest = after;
            // What is found is true before all is.
            for (found, expected) in found(&decoder).iter().zip(&expected) {
                prop_assert!(found.is_subset(expected));
            }
        }
        prop_assert_eq!(decoder.symbols(), differences.len() - rest.len());
        prop_assert_eq!(found(&decoder), expected);

        // At once it is the same, and symbols over what is needed change nothing.
        let mut at_once = Decoder::new(secret(), differences.len());
        prop_assert_eq!(at_once.extend(differences.iter().copied()), Progress::Complete);
        decoder.extend(rest.iter().copied());
        prop_assert_eq!(decoder.progress(), Progress::Complete);
        prop_assert_eq!(found(&at_once), found(&decoder));
    }

    #[test]
    fn sketches_are_linear(a in any_pairs(200), b in any_pairs(200)) {
        let both = minus(&prefix(300, &a), &prefix(300, &b));
        let either = minus(&prefix(300, &(&a - &b)), &prefix(300, &(&b - &a)));
        prop_assert_eq!(both, either);
    }

    #[test]
    fn what_matters_is_the_set(pairs in any_pairs(200), detour in any_pairs(200)) {
        let key = secret();
        let straight = prefix(500, &pairs);
        let mut winding = prefix(500, &detour);
        for (tag, number) in pairs.iter().rev() {
            winding.insert(&key.element(*tag, *number));
        }
        for (tag, number) in &detour {
            winding.remove(&key.element(*tag, *number));
        }
        prop_assert_eq!(winding, straight);
    }

    #[test]
    fn a_shorter_prefix_is_the_beginning_of_a_longer_one(pairs in any_pairs(100), short in 0..300usize) {
        let long = prefix(300, &pairs);
        let short = prefix(short, &pairs);
        prop_assert_eq!(short.symbols(), &long.symbols()[..short.symbols().len()]);
    }

    #[test]
    fn reading_undoes_writing(pairs in any_pairs(300)) {
        let prefix = prefix(100, &pairs);
        let bytes = encode(prefix.symbols());
        let read = decode(&bytes, 100).unwrap();
        prop_assert_eq!(encode(&read), bytes);
        prop_assert_eq!(Prefix::from_symbols(read), prefix);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0..20usize) {
        if let Ok(symbols) = decode(&bytes, limit) {
            prop_assert!(symbols.len() <= limit);
            prop_assert_eq!(encode(&symbols), bytes, "there is one encoding of each");
        }
    }

    /// Whatever the symbols say: no more is found than there are symbols, and nothing twice.
    #[test]
    fn lies_are_bounded(
        seeds in prop::collection::vec((0..8u64, 0..8u64, any::<[bool; 4]>(), -2..=2i32), 1..120),
        noise in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u64>(), any::<i32>()), 0..8),
        batch in 1..40usize,
        max in 1..150usize,
    ) {
        let key = secret();
        // Sums of up to four elements that have nothing to do with where they are said to lie.
        let mut differences: Vec<Symbol> = seeds
            .into_iter()
            .map(|(tag, number, of, count)| {
                let mut sum = symbol(0, 0, 0, count);
                for (more, _) in (0..).zip(of).filter(|(_, of)| *of) {
                    sum -= single(&key.element(tag, number + more), 0);
                }
                sum
            })
            .collect();
        differences.extend(noise.into_iter().map(|(tags, checks, numbers, count)| {
            symbol(tags, checks, numbers, count)
        }));
        let mut decoder = Decoder::new(secret(), max);
        for batch in differences.chunks(batch) {
            decoder.extend(batch.iter().copied());
            prop_assert!(decoder.found().len() <= decoder.symbols());
            prop_assert!(decoder.symbols() <= max);
        }
        let distinct: BTreeSet<Element> = decoder.found().iter().map(|(_, element)| *element).collect();
        prop_assert_eq!(distinct.len(), decoder.found().len());
    }

    /// A flipped bit is never taken for a whole difference.
    #[test]
    fn a_wrong_symbol_concludes_nothing(pairs in any_pairs(60), at in 0..150usize, bit in 0..32u32) {
        let mut differences = minus(&prefix(150, &pairs), &Prefix::new(150));
        differences[at] -= symbol(1 << bit, 0, 0, 0);
        let mut decoder = Decoder::new(secret(), 150);
        prop_assert_eq!(decoder.extend(differences), Progress::Failed);
    }
}

#[test]
fn no_difference_is_one_zero_symbol() {
    let mut decoder = Decoder::new(secret(), 10);
    assert_eq!(decoder.extend([]), Progress::Incomplete, "nothing is known");
    assert_eq!(decoder.extend([Symbol::ZERO]), Progress::Complete);
    assert_eq!((decoder.symbols(), decoder.found().len()), (1, 0));
}

#[test]
fn too_many_differences_fail_at_the_bound() {
    let pairs = (0..1_000).map(|n| (1, n)).collect();
    let differences = minus(&prefix(800, &pairs), &Prefix::new(800));
    let mut decoder = Decoder::new(secret(), 700);
    for (at, batch) in differences.chunks(100).enumerate() {
        let expected = if at < 6 {
            Progress::Incomplete
        } else {
            Progress::Failed
        };
        assert_eq!(decoder.extend(batch.iter().copied()), expected);
    }
    assert_eq!(
        decoder.symbols(),
        700,
        "what is over the bound is not taken"
    );
}

#[test]
fn an_element_told_twice_is_a_contradiction() {
    let element = secret().element(1, 2);
    // The first symbol shows it, and the others show it once more when it was taken out.
    let mut differences = [symbol(0, 0, 0, 2); 8];
    differences[0] = single(&element, 1);
    let mut decoder = Decoder::new(secret(), 100);
    assert_eq!(decoder.extend(differences), Progress::Failed);
    assert_eq!(decoder.found().len(), 1);
    assert_eq!(
        decoder.extend([Symbol::ZERO; 8]),
        Progress::Failed,
        "and remains one"
    );
}

/// A sum of several that looks like one element is not taken for it where it could not lie.
#[test]
fn an_element_is_not_found_where_it_does_not_lie() {
    let element = secret().element(1, 2);
    let mut one = Prefix::new(20);
    one.insert(&element);
    let elsewhere = one.symbols().iter().position(Symbol::is_zero).unwrap();
    let mut differences = [Symbol::ZERO; 20];
    differences[elsewhere] = single(&element, 1);
    let mut decoder = Decoder::new(secret(), 100);
    assert_eq!(decoder.extend(differences), Progress::Incomplete);
    assert_eq!(decoder.found(), []);
}

/// Everything wraps.
#[test]
fn the_extremes_do_not_overflow() {
    let extremes = symbol(u64::MAX, u32::MAX, u64::MAX, i32::MIN);
    let mut decoder = Decoder::new(secret(), usize::MAX);
    assert_eq!(
        decoder.extend([Symbol::ZERO - extremes; 50]),
        Progress::Incomplete
    );
    assert_eq!(Prefix::new(usize::MAX).symbols().len(), MAX_SYMBOLS);
    assert_eq!(symbols_for(usize::MAX), MAX_SYMBOLS);
}

#[test]
fn as_many_symbols_as_recommended_mostly_do() {
    for (differences, trials) in [(1, 400), (3, 400), (20, 400), (300, 100), (3_000, 10)] {
        let key = secret();
        let failed = (0..trials)
            .filter(|trial| {
                let mut difference = Prefix::new(symbols_for(differences));
                for n in 0..differences as u64 {
                    difference.insert(&key.element(*trial, n));
                }
                let mut decoder = Decoder::new(secret(), MAX_SYMBOLS);
                decoder.extend(difference.symbols().iter().copied()) != Progress::Complete
            })
            .count();
        assert!(
            failed as u64 <= trials / 40,
            "{failed} of {trials} failed at {differences}"
        );
    }
}

#[test]
fn malformed_symbols_are_refused() {
    let bytes = encode(prefix(3, &(0..500).map(|n| (1, n)).collect()).symbols());
    assert!(decode(&bytes, 2).is_err(), "more than agreed on");
    assert!(decode(&bytes[..bytes.len() - 1], 3).is_err(), "cut off");
    let with = |numbers: &[u8], count: &[u8]| decode(&[&[0; 12], numbers, count].concat(), 1);
    assert!(with(&[0], &[0]).is_ok());
    assert!(with(&[0x80, 0], &[0]).is_err(), "over-long");
    assert!(with(&[0], &[0xff, 0xff, 0xff, 0xff, 0x0f]).is_ok());
    assert!(
        with(&[0], &[0x80, 0x80, 0x80, 0x80, 0x10]).is_err(),
        "over 32 bits"
    );
}

/// These bytes are on people's disks, and both sides of a session may be of different versions:
/// whatever changes them is a migration.
#[test]
fn sketches_are_frozen() {
    let key = SketchKey::derive(&[7; 32]);
    let ada = key.tag(&[0xad; 16]);
    let mut prefix = Prefix::new(256);
    (1..=1_000).for_each(|n| prefix.insert(&key.element(ada, n)));
    let hex: String = encode(&prefix.symbols()[..3])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(ada, 0x31b5_fc66_0fcc_e7df);
    let frozen = [
        "000000000000000027263a31e807d00f",
        "dfe7cc0f66fcb531d01d38178e02be0a",
        "0000000000000000cd2a53e2e601cc07",
    ];
    assert_eq!(hex, frozen.concat());
    let all = encode(prefix.symbols());
    let sum = all.iter().fold(0u32, |sum, byte| {
        sum.wrapping_mul(16_777_619) ^ u32::from(*byte)
    });
    assert_eq!((all.len(), sum), (3_835, 3_489_788_243));
}
