//! What a sketch costs: symbols and bytes for each difference, how often [`symbols_for`] is too
//! few, and the time to decode and to keep a prefix up to date.
//!
//! ```text
//! cargo run --release -p syncline-merkle --example sketch_cost [TRIALS]
//! ```
//!
//! Differences lie at random on either side. `needed` is the number of symbols after which the
//! decoding was complete, when they came one by one; `failed` counts the trials in which those that
//! `symbols_for` says were too few. `bytes` are those of that many symbols, of a set of a million
//! elements of ten tags, for each difference.
//!
//! [`symbols_for`]: syncline_merkle::sketch::symbols_for
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use syncline_merkle::sketch::{
    Decoder, Element, MAX_SYMBOLS, Prefix, Progress, SketchKey, encode, symbols_for,
};

/// How many symbols a store keeps.
const KEPT: usize = 4096;
const COMMON: u64 = 1_000_000;

fn main() {
    let trials = std::env::args()
        .nth(1)
        .map_or(2_000, |trials| trials.parse().unwrap());
    let key = SketchKey::derive(&[42; 32]);
    let tags: Vec<u64> = (0..10).map(|n| key.tag(&[n; 16])).collect();
    let element = |n: u64| key.element(tags[n as usize % tags.len()], n / tags.len() as u64 + 1);

    let mut common = Prefix::new(KEPT);
    let begun = Instant::now();
    (0..COMMON).for_each(|n| common.insert(&element(n)));
    let ns = begun.elapsed().as_secs_f64() * 1e9 / COMMON as f64;
    println!("{ns:.0} ns to insert an element in {KEPT} symbols, its hash included");
    let begun = Instant::now();
    (0..COMMON).for_each(|n| {
        black_box(element(black_box(n)));
    });
    let ns = begun.elapsed().as_secs_f64() * 1e9 / COMMON as f64;
    println!("{ns:.0} ns of it for the hash");
    let begun = Instant::now();
    let encoded = encode(common.symbols());
    let us = begun.elapsed().as_secs_f64() * 1e6;
    println!("{us:.0} µs to encode them as {} bytes", encoded.len());

    println!(
        "\n{:>7} {:>7} {:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "differ", "trials", "mean/d", "99 %/d", "99.9 %", "max", "sent", "failed", "bytes/d", "µs"
    );
    for differences in [
        0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 2_500, 10_000,
    ] {
        let work = 40_000_000 / (differences as u64 + 50);
        report(&key, differences, trials.min(work), &element, &encoded);
    }
}

fn report(
    key: &SketchKey,
    differences: usize,
    trials: u64,
    element: &impl Fn(u64) -> Element,
    encoded: &[u8],
) {
    let sent = symbols_for(differences);
    let mut needed = Vec::new();
    let (mut failed, mut us) = (0, 0.0);
    for trial in 0..trials {
        // Elements that no other trial has.
        let first = COMMON + (trial + 1) * 1_000_000;
        let mut difference = Prefix::new(sent * 4 + 1_024);
        for n in first..first + differences as u64 {
            // The parity of something as good as random.
            let mixed = element(n).tag().wrapping_mul(n | 1).count_ones();
            if mixed.is_multiple_of(2) {
                difference.insert(&element(n));
            } else {
                difference.remove(&element(n));
            }
        }
        let symbols = difference.symbols().iter().copied();

        let mut decoder = Decoder::new(key.clone(), MAX_SYMBOLS);
        let mut one_by_one = symbols.clone();
        while decoder.progress() != Progress::Complete {
            let next = one_by_one
                .next()
                .expect("four times as many as usual are there");
            decoder.extend([next]);
        }
        needed.push(decoder.symbols());

        let begun = Instant::now();
        let mut decoder = Decoder::new(key.clone(), sent);
        let progress = black_box(decoder.extend(symbols.take(sent)));
        us += begun.elapsed().as_secs_f64() * 1e6;
        failed += u64::from(progress != Progress::Complete);
        assert!(progress != Progress::Complete || decoder.found().len() == differences);
    }
    needed.sort_unstable();
    let per = |n: f64| n / differences.max(1) as f64;
    let quantile = |q: f64| needed[((trials - 1) as f64 * q) as usize];
    println!(
        "{:>7} {:>7} {:>9.3}{:>9.3}{:>9}{:>9}{:>9}{:>9}{:>9.1}{:>9.0}",
        differences,
        trials,
        per(needed.iter().sum::<usize>() as f64 / trials as f64),
        per(quantile(0.99) as f64),
        quantile(0.999),
        needed[trials as usize - 1],
        sent,
        failed,
        per(sent as f64 * encoded.len() as f64 / KEPT as f64),
        us / trials as f64,
    );
}
