//! What a walk costs: bytes and messages for what differs, by size of the sets and shape of the
//! difference.
//!
//! ```text
//! cargo run --release -p syncline-merkle --example walk_cost [ITEMS...]
//! ```
//!
//! Keys have 16 bytes, an item is described by 32. The bytes are those of all messages, both ways;
//! `messages` counts them, the closing one included; `read` is items and nodes read on both sides.
//! `here` and `there` say where the items are missing: the side that begins, or the other one.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Instant;

use syncline_merkle::reconcile::{Finding, Limits, Walk};
use syncline_merkle::{Change, DigestKey, KeyRange, MemoryTree, Source};

/// How two equal sets are made to differ.
#[derive(Clone, Copy)]
enum Shape {
    RemovedHere,
    RemovedThere,
    RemovedBoth,
    Overwritten,
    /// All items of a contiguous run are missing there.
    Clustered,
    /// All items of a contiguous run are overwritten there.
    ClusteredOverwritten,
}

const SHAPES: [(&str, Shape); 6] = [
    ("scattered, removed there", Shape::RemovedThere),
    ("scattered, removed here", Shape::RemovedHere),
    ("scattered, removed on both", Shape::RemovedBoth),
    ("scattered, overwritten", Shape::Overwritten),
    ("one prefix, removed there", Shape::Clustered),
    ("one prefix, overwritten", Shape::ClusteredOverwritten),
];

fn main() {
    let mut sizes: Vec<u64> = std::env::args()
        .skip(1)
        .map(|size| size.parse().expect("a number of items"))
        .collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000];
    }
    println!(
        "{:>9} {:>7}  {:<28}{:>9}{:>11}{:>12}{:>11}{:>9}",
        "items", "differ", "how", "messages", "bytes", "bytes/diff", "read/diff", "ms"
    );
    for size in sizes {
        let base = fill(size);
        for differences in [0, 10, 100, 1_000, 10_000]
            .into_iter()
            .filter(|d| d * 4 <= size)
        {
            for (name, shape) in SHAPES {
                if differences > 0 || matches!(shape, Shape::RemovedThere) {
                    report(&base, differences, name, shape);
                }
            }
        }
    }
}

fn fill(size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new(DigestKey::derive(&[42; 32]));
    let keys: Vec<[u8; 16]> = (0..size).map(scattered_key).collect();
    let digests: Vec<_> = keys
        .iter()
        .map(|key| tree.key().item(key, b"value"))
        .collect();
    let changes: Vec<Change<'_>> = keys
        .iter()
        .zip(digests)
        .map(|(key, digest)| Change {
            key,
            old: None,
            new: Some(digest),
        })
        .collect();
    tree.apply(&changes);
    tree
}

/// Spreads numbers evenly over the key space (an odd multiplier permutes them).
fn scattered_key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn report(base: &MemoryTree, differences: u64, name: &str, shape: Shape) {
    let (mut here, mut there) = (base.clone(), base.clone());
    // Any numbers at distances will do: the keys are scattered already.
    let step = base.len() as u64 / differences.max(1);
    let scattered = (0..differences).map(|n| scattered_key(n * step + n % step).to_vec());
    let middle = KeyRange::new([0x80], None);
    let run = Source::items(base, &middle, differences as usize).unwrap();
    let run = run.into_iter().map(|item| item.key);
    let keys: Vec<Vec<u8>> = match shape {
        Shape::Clustered | Shape::ClusteredOverwritten => run.collect(),
        _ => scattered.collect(),
    };
    for (at, key) in keys.iter().enumerate() {
        match shape {
            Shape::RemovedHere => here.remove(key),
            Shape::RemovedThere | Shape::Clustered => there.remove(key),
            Shape::RemovedBoth if at % 2 == 0 => here.remove(key),
            Shape::RemovedBoth => there.remove(key),
            Shape::Overwritten | Shape::ClusteredOverwritten => there.insert(key, b"another"),
        };
    }

    let began = Instant::now();
    let mut walks = [(), ()].map(|()| Walk::new([9; 16], KeyRange::ALL, Limits::default()));
    let trees = [&here, &there];
    let mut found = 0;
    let mut message = Some(walks[0].start(&here).unwrap());
    let mut side = 1;
    while let Some(bytes) = message {
        let step = walks[side].handle(trees[side], &bytes).unwrap();
        for finding in step.findings {
            found += match finding {
                Finding::OnlyHere { keys } => keys.len() as u64,
                Finding::PeerEmpty { range } => trees[side].digest(&range).unwrap().count(),
                Finding::Differ { mine, theirs } => {
                    let theirs = theirs.iter().map(|(key, _)| key);
                    mine.iter().chain(theirs).collect::<BTreeSet<_>>().len() as u64
                }
            };
        }
        message = step.reply;
        side = 1 - side;
    }
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let [here, there] = walks.map(|walk| walk.stats().clone());
    let bytes = here.bytes_sent + there.bytes_sent;
    let per = |n: u64| n as f64 / differences.max(1) as f64;
    println!(
        "{:>9} {:>7}  {:<28}{:>9}{:>11}{:>12.1}{:>11.1}{:>9.1}{}",
        base.len(),
        differences,
        name,
        here.messages_sent + there.messages_sent,
        bytes,
        per(bytes),
        per(here.items_read + there.items_read),
        ms,
        if found == differences {
            String::new()
        } else {
            format!("   found {found}!")
        },
    );
}
