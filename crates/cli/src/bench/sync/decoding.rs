//! What decoding a sketch takes. A session cannot tell: it knows no clock.

use std::time::Duration;

use syncline_crdt::{Context, Dot};
use syncline_merkle::sketch::{Decoder, Prefix, Progress, SketchKey};
use syncline_store::{Engine, View};

use crate::bench::cpu;
use crate::failure::{Doing, Failure};

/// Decodes so many symbols of two replicas as a session does, and returns the processor time of it; none if they are too few.
pub(crate) fn decode<E: Engine>(
    ours: &View<E>,
    theirs: &View<E>,
    symbols: u64,
) -> Result<Option<Duration>, Failure> {
    let key = ours.sketch_key();
    let here = restricted(ours, theirs.context(), key)?;
    let there = restricted(theirs, ours.context(), key)?;
    let differences: Vec<_> = there
        .symbols()
        .iter()
        .zip(here.symbols())
        .take(usize::try_from(symbols).unwrap_or(usize::MAX))
        .map(|(theirs, ours)| *theirs - *ours)
        .collect();
    let began = cpu::of_thread();
    let mut decoder = Decoder::new(key.clone(), differences.len());
    let progress = decoder.extend(differences);
    let spent = cpu::of_thread().saturating_sub(began);
    Ok((progress == Progress::Complete).then_some(spent))
}

/// The sketch of the dots that the other has seen.
fn restricted<E: Engine>(
    view: &View<E>,
    seen: &Context,
    key: &SketchKey,
) -> Result<Prefix, Failure> {
    let outside = view.live_outside(seen, usize::MAX);
    let outside: Option<Vec<Dot>> = outside.doing(|| "cannot read a replica".to_owned())?;
    let mut symbols = view.sketch();
    for dot in outside.into_iter().flatten() {
        let tag = key.tag(dot.replica.as_bytes());
        symbols.remove(&key.element(tag, dot.counter));
    }
    Ok(symbols)
}
