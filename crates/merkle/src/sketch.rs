//! Sketches: what differs between two large sets, from a few bytes for each difference.
//!
//! *What it is.* A *sketch* of a set is a sequence of [`Symbol`]s, each the sum of a part of the
//! set: of its [`Element`]s' tags and numbers by XOR, of a keyed check of each, and their count.
//! Symbols subtract: those of one set less those of another are the symbols of what only one of the
//! two holds, however large both are. From the first *n* of these a [`Decoder`] recovers about
//! *n* / 1.4 elements: some symbol sums a single one, which the check betrays; taken out of the
//! other symbols that sum it, it leaves others alone in turn. This is the rateless invertible Bloom
//! look-up table of L. Yang, Y. Gilad and M. Alizadeh, "Practical Rateless Set Reconciliation",
//! SIGCOMM 2024.
//!
//! *Rateless* means that the sequence has no end, and that what is decodable depends only on how
//! many of its symbols are there. So a store can keep the first few thousand of them up to date for
//! good, as a [`Prefix`]: sets that differ in little are reconciled from the first few, and sets
//! that differ in more from more of them. An element is in symbol *i* with probability
//! 1 / (1 + *i* / 2), which makes 16 of the first 4,096; inserting and removing it is one and the
//! same addition to these.
//!
//! *What it is not.* It knows nothing of what elements stand for, and it gives up, rather than
//! search, where more differs than the symbols tell: then [`reconcile`](crate::reconcile) walks.
//!
//! ```
//! use syncline_merkle::sketch::{Decoder, Prefix, Progress, Side, SketchKey};
//!
//! let key = SketchKey::derive(&[7; 32]);
//! let (mut ours, mut theirs) = (Prefix::new(256), Prefix::new(256));
//! let ada = key.tag(b"ada's replica id");
//! for number in 1..=10_000 {
//!     ours.insert(&key.element(ada, number));
//!     theirs.insert(&key.element(ada, number));
//! }
//! ours.remove(&key.element(ada, 42));
//! theirs.remove(&key.element(ada, 4242));
//!
//! let mut decoder = Decoder::new(key.clone(), 256);
//! let differences = theirs.symbols().iter().zip(ours.symbols()).map(|(theirs, ours)| *theirs - *ours);
//! assert_eq!(decoder.extend(differences.take(8)), Progress::Complete);
//! let mut found: Vec<_> = decoder.found().iter().map(|(side, element)| (*side, element.number())).collect();
//! found.sort();
//! assert_eq!(found, [(Side::Ours, 4242), (Side::Theirs, 42)]);
//! ```
//!
//! # Liars and accidents
//!
//! Where an element lies and what its check is depends on a [`SketchKey`] that the members of a
//! cluster share. Whoever does not know it cannot choose elements that always lie together, or that
//! look like one when they are summed.
//!
//! A check has 32 bits, and a symbol is taken for a single element only if the element's mapping
//! leads to that symbol as well. Decoding 1,000 differences looks at some thousands of sums of
//! several elements, so about once in a million times (once in a hundred million, with the mapping)
//! one of them is taken for what it is not. What then does not add up is seen: every symbol must
//! come to zero in all of its 192 bits, and they do not. So an accident costs a decoding, and
//! concludes nothing false.
//!
//! A member that lies can make anything of its own symbols, and have any elements found. It cannot
//! have more of them found than it sent symbols, nor one twice; and what each of them costs is
//! bounded by the number of symbols.

mod codec;
mod decoder;
mod key;
mod mapping;
mod prefix;
mod symbol;

pub use codec::{MalformedSketch, decode, encode};
pub use decoder::{Decoder, Progress, Side};
pub use key::{Element, SketchKey};
pub use prefix::Prefix;
pub use symbol::Symbol;

/// The longest sequence of symbols that there is: decodes some 23,000 differences.
pub const MAX_SYMBOLS: usize = 1 << 15;

/// How many symbols of a difference of at most `differences` elements to begin with: about one time
/// in a hundred they are too few, and the next ones are needed as well.
///
/// In the mean 1.35 to 1.4 for each are needed, 1.8 where there are few, and what comes on top is
/// for chance. `cargo run --release -p syncline-merkle --example sketch_cost` measures it.
///
/// ```
/// use syncline_merkle::sketch::symbols_for;
///
/// assert_eq!([0, 10, 1_000].map(symbols_for), [10, 32, 1_453]);
/// ```
pub fn symbols_for(differences: usize) -> usize {
    let differences = differences.min(MAX_SYMBOLS);
    let chance = 3 * differences.isqrt() + 10;
    (differences + differences * 7 / 20 + chance).min(MAX_SYMBOLS)
}
