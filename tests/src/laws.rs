//! Fuzz body `merge_laws`: whatever happens in whatever order, merging keeps its laws and comes to what the reference says.

mod cells;
mod contexts;
mod maps;

use crate::rng::{Bytes, Choices};

/// Reads the bytes as a scenario and plays it.
///
/// # Panics
/// When a law does not hold.
pub fn merge_laws(data: &[u8]) {
    let mut choices = Bytes::new(data);
    match choices.below(3) {
        0 => contexts::play(&mut choices),
        1 => maps::play(&mut choices),
        _ => cells::play(&mut choices),
    }
}
