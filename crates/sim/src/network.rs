//! What lies between the nodes.

use std::time::Duration;

use rand::Rng;

/// Links between all nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// The share of messages that are lost, from 0 to less than 1.
    pub loss: f64,
    /// The quickest link within a region, one way.
    pub nearest: Duration,
    /// The slowest link within a region, one way.
    pub farthest: Duration,
    /// Regions, among which the nodes are dealt out in turn.
    pub regions: u32,
    /// What a message takes on top to get to another region, for each step around the ring of regions.
    pub between: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// Links of 10 to 50 ms in one region, without losses.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            loss: 0.0,
            nearest: Duration::from_millis(10),
            farthest: Duration::from_millis(50),
            regions: 1,
            between: Duration::from_millis(40),
        }
    }

    /// In which region a node is.
    #[must_use]
    pub const fn region(&self, node: u32) -> u32 {
        node % self.regions
    }

    /// How long a message takes, if it arrives. Each link has a latency of its own, the same both ways, and a tenth of it more or less for each
    /// message.
    pub(crate) fn travel(
        &self,
        seed: u64,
        from: u32,
        to: u32,
        random: &mut impl Rng,
    ) -> Option<Duration> {
        if self.loss > 0.0 && random.random_bool(self.loss) {
            return None;
        }
        let (low, high) = (from.min(to), from.max(to));
        let place = mix(seed ^ mix(u64::from(low) << 32 | u64::from(high)));
        let place = (place >> 11) as f64 / (1_u64 << 53) as f64;
        let spread = self.farthest.saturating_sub(self.nearest);
        let steps = self.region(low).abs_diff(self.region(high));
        let steps = steps.min(self.regions - steps);
        let latency = self.nearest + spread.mul_f64(place) + self.between * steps;
        Some(latency.mul_f64(random.random_range(0.9..1.1)))
    }
}

/// Spreads bits evenly (the finaliser of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
