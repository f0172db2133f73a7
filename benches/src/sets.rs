//! The two sets that every contender reconciles.

/// How the sets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Items of the one missing in the other, anywhere.
    Scattered,
    /// Items of the one missing in the other, side by side.
    Clustered,
}

/// A set's items by their position in key order, and which of them the second set lacks.
pub struct Sets {
    /// How many items the first set has.
    pub items: u64,
    /// Positions that the second set lacks, ascending.
    pub missing: Vec<u64>,
}

impl Sets {
    /// `items` in the first set, of which the second lacks `differences`.
    pub fn new(items: u64, differences: u64, kind: Kind, seed: u64) -> Self {
        let missing = match kind {
            Kind::Clustered => {
                let from = (items - differences) / 3;
                (from..from + differences).collect()
            }
            Kind::Scattered => {
                let mut state = seed;
                let mut missing = std::collections::BTreeSet::new();
                while (missing.len() as u64) < differences {
                    missing.insert(splitmix64(&mut state) % items);
                }
                missing.into_iter().collect()
            }
        };
        Self { items, missing }
    }

    /// The positions of the second set.
    pub fn second(&self) -> impl Iterator<Item = u64> + '_ {
        let mut missing = self.missing.iter().copied().peekable();
        (0..self.items).filter(move |&at| missing.next_if_eq(&at).is_none())
    }
}

/// The 32 bytes that stand for an item's content.
pub fn content(at: u64) -> [u8; 32] {
    *blake3::hash(&at.to_le_bytes()).as_bytes()
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
