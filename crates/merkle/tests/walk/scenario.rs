//! Pairs of sets that differ in every way that sets do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_merkle::MemoryTree;

use super::harness;

/// How two sides come to differ.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub keys: Keys,
    /// How many items both sides have before they change.
    pub common: u32,
    /// The share of items that each change touches, in 1/1024.
    pub removed: [u32; 2],
    pub overwritten: [u32; 2],
    pub added: [u32; 2],
    /// Whether changes touch neighbours rather than items here and there.
    pub clustered: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// 16 bytes, spread evenly.
    Even,
    /// Numbers in order.
    Sequential,
    /// Many keys that are prefixes of others, the empty one among them.
    Nested,
    /// Some thousand bytes with a long common prefix.
    Huge,
}

pub fn scenarios() -> impl Strategy<Value = Scenario> {
    let share = || prop_oneof![4 => Just(0u32), 4 => 0..4u32, 2 => 0..64u32, 1 => 0..1025u32];
    let shares = move || [share(), share()];
    let keys = prop_oneof![
        4 => Just(Keys::Even),
        2 => Just(Keys::Sequential),
        2 => Just(Keys::Nested),
        1 => Just(Keys::Huge),
    ];
    let common =
        prop_oneof![1 => 0..20u32, 2 => 20..500u32, 3 => 500..6000u32, 1 => 6000..40_000u32];
    (
        any::<u64>(),
        keys,
        common,
        shares(),
        shares(),
        shares(),
        any::<bool>(),
    )
        .prop_map(
            |(seed, keys, common, removed, overwritten, added, clustered)| {
                let common = if matches!(keys, Keys::Huge) {
                    common.min(600)
                } else {
                    common
                };
                Scenario {
                    seed,
                    keys,
                    common,
                    removed,
                    overwritten,
                    added,
                    clustered,
                }
            },
        )
}

impl Scenario {
    /// The two sides.
    pub fn sides(&self) -> [MemoryTree; 2] {
        let common: BTreeMap<Vec<u8>, u32> = (0..self.common)
            .map(|n| (self.key(u64::from(n) * 4), 0))
            .collect();
        [0, 1].map(|side| {
            let mut items = common.clone();
            for (at, n) in (0..self.common).enumerate() {
                let key = self.key(u64::from(n) * 4);
                if self.touches(self.overwritten[side], at, 1 + side as u64) {
                    items.insert(key.clone(), 1 + side as u32);
                }
                if self.touches(self.removed[side], at, 3 + side as u64) {
                    items.remove(&key);
                }
                if self.touches(self.added[side], at, 5 + side as u64) {
                    items.insert(self.key(u64::from(n) * 4 + 1 + side as u64), 0);
                }
            }
            harness::tree(&items)
        })
    }

    /// Whether a change that touches so many of 1024 items touches this one.
    fn touches(&self, share: u32, at: usize, change: u64) -> bool {
        // Neighbours in a cluster share one toss of the dice.
        let (at, share) = if self.clustered {
            (at / 300, share * 8)
        } else {
            (at, share)
        };
        mix(self.seed ^ mix(change) ^ at as u64) % 1024 < u64::from(share)
    }

    fn key(&self, n: u64) -> Vec<u8> {
        match self.keys {
            Keys::Even => {
                let scattered = mix(n / 4).to_be_bytes();
                [&scattered[..], &n.to_be_bytes()].concat()
            }
            Keys::Sequential => n.to_be_bytes().to_vec(),
            Keys::Nested => {
                // Each number by its digits to a base of 5, so that every key begins many others.
                let mut digits = Vec::new();
                let mut rest = n;
                while rest > 0 {
                    digits.push((rest % 5) as u8 * 60);
                    rest /= 5;
                }
                digits
            }
            Keys::Huge => {
                let mut key = vec![b'k'; 2000 + (n % 3000) as usize];
                key.extend_from_slice(&mix(n).to_be_bytes());
                key
            }
        }
    }
}

/// SplitMix64: a permutation that scatters.
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
