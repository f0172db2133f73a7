//! What lies between the nodes.

use std::time::Duration;

use rand::Rng;

/// Links between all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// How long links take within a region.
    pub latency: Latency,
    /// What messages between two regions take on top, one way: a row for each region, into which the nodes are dealt out in turn. Of
    /// no rows, all are in one.
    pub between: Vec<Vec<Duration>>,
    /// The share of messages that are lost, from 0 to less than 1.
    pub loss: f64,
    /// The share of messages that come twice.
    pub doubled: f64,
    /// The share of messages that are overtaken by others.
    pub reordered: f64,
    /// By how much at most.
    pub reordered_by: Duration,
    /// Bytes that a node can send in a second, if there is a limit. What would wait for more than a second is lost.
    pub bandwidth: Option<u64>,
}

/// How the latencies of links are spread, one way. Each link has its own, the same both ways, and a tenth of it more or less for each
/// message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Evenly between two bounds.
    Even {
        /// The quickest link.
        nearest: Duration,
        /// The slowest.
        farthest: Duration,
    },
    /// Most are quick and a few very slow: P(latency > x) = (least ÷ x)^shape, up to a hundred times the least.
    Pareto {
        /// The quickest link.
        least: Duration,
        /// Above 0. The smaller, the slower the slow ones.
        shape: f64,
    },
}

/// For how long a message may wait for its turn to be sent.
const PATIENCE: Duration = Duration::from_secs(1);

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
            latency: Latency::Even {
                nearest: Duration::from_millis(10),
                farthest: Duration::from_millis(50),
            },
            between: Vec::new(),
            loss: 0.0,
            doubled: 0.0,
            reordered: 0.0,
            reordered_by: Duration::from_millis(100),
            bandwidth: None,
        }
    }

    /// So many regions in a ring, with `step` between neighbouring ones.
    #[must_use]
    pub fn ring(regions: u32, step: Duration) -> Vec<Vec<Duration>> {
        let steps = |one: u32, other: u32| one.abs_diff(other).min(regions - one.abs_diff(other));
        let row = |one| (0..regions).map(|other| step * steps(one, other)).collect();
        (0..regions).map(row).collect()
    }

    /// Three regions: within each 1 ms, 40 ms between the first two, 120 to the third, one way.
    #[must_use]
    pub fn three_regions() -> Self {
        let millisecond = Duration::from_millis(1);
        let between = [[0, 39, 119], [39, 0, 119], [119, 119, 0]];
        Self {
            latency: Latency::Even {
                nearest: millisecond,
                farthest: millisecond,
            },
            between: between
                .map(|row| row.map(Duration::from_millis).to_vec())
                .to_vec(),
            ..Self::new()
        }
    }

    /// How many regions there are.
    #[must_use]
    pub fn regions(&self) -> u32 {
        self.between.len().max(1) as u32
    }

    /// In which region a node is.
    #[must_use]
    pub fn region(&self, node: u32) -> u32 {
        node % self.regions()
    }

    /// Whether there is a distance from each region to each.
    pub(crate) fn is_square(&self) -> bool {
        let regions = self.between.len();
        self.between.iter().all(|row| row.len() == regions)
    }

    pub(crate) const fn shares(&self) -> [f64; 3] {
        [self.loss, self.doubled, self.reordered]
    }

    /// How long a message takes, if it arrives.
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
        let place = share(seed ^ mix(u64::from(low) << 32 | u64::from(high)));
        let (one, other) = (self.region(low) as usize, self.region(high) as usize);
        let between = self.between.get(one).and_then(|row| row.get(other));
        let latency = self.latency.of(place) + between.copied().unwrap_or_default();
        let mut travel = latency.mul_f64(random.random_range(0.9..1.1));
        if self.reordered > 0.0 && random.random_bool(self.reordered) {
            travel += self.reordered_by.mul_f64(random.random_range(0.0..1.0));
        }
        Some(travel)
    }

    /// Whether one more copy of a message arrives.
    pub(crate) fn is_doubled(&self, random: &mut impl Rng) -> bool {
        self.doubled > 0.0 && random.random_bool(self.doubled)
    }

    /// When a message that is ready now has left its sender, whose line is taken until `busy_until`; none if it had to wait for too
    /// long.
    pub(crate) fn depart(
        &self,
        now: Duration,
        busy_until: &mut Duration,
        bytes: u64,
    ) -> Option<Duration> {
        let Some(bandwidth) = self.bandwidth else {
            return Some(now);
        };
        let begin = now.max(*busy_until);
        if begin - now > PATIENCE {
            return None;
        }
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(bandwidth.max(1));
        *busy_until = begin + Duration::from_nanos(nanoseconds.try_into().unwrap_or(u64::MAX));
        Some(*busy_until)
    }
}

impl Latency {
    /// Of the link at this place among all, from 0 to 1.
    fn of(self, place: f64) -> Duration {
        match self {
            Self::Even { nearest, farthest } => {
                nearest + farthest.saturating_sub(nearest).mul_f64(place)
            }
            Self::Pareto { least, shape } => {
                least.mul_f64((1.0 - place).powf(-1.0 / shape).min(100.0))
            }
        }
    }
}

/// The place of a node among all, from 0 to 1: its own, the same throughout a run.
pub(crate) fn place(seed: u64, node: u32) -> f64 {
    share(seed ^ mix(u64::from(node)))
}

fn share(bits: u64) -> f64 {
    (mix(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Spreads bits evenly (the finaliser of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
