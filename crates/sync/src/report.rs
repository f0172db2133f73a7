//! What a session did and what it cost.

use core::ops::AddAssign;

use syncline_merkle::RangeDigest;

use crate::config::Strategy;

/// Bytes of frames by what they are for, with the four bytes of length that a stream puts before each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Greetings: versions, identities, root digests, and contexts small enough to come along; names and rosters of
    /// carriers, and what these have seen.
    pub hello: u64,
    /// Contexts that did not fit into a greeting.
    pub context: u64,
    /// Rows.
    pub rows: u64,
    /// Messages of the walk.
    pub digests: u64,
    /// Symbols of sketches, and what was found by them.
    pub sketch: u64,
    /// All else: requests for rows, ends, final roots.
    pub control: u64,
}

impl Traffic {
    /// Each by its name, in a fixed order.
    #[must_use]
    pub const fn kinds(&self) -> [(&'static str, u64); 6] {
        [
            ("hello", self.hello),
            ("context", self.context),
            ("rows", self.rows),
            ("digests", self.digests),
            ("sketch", self.sketch),
            ("control", self.control),
        ]
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.hello + self.context + self.rows + self.digests + self.sketch + self.control
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.hello += other.hello;
        self.context += other.context;
        self.rows += other.rows;
        self.digests += other.digests;
        self.sketch += other.sketch;
        self.control += other.control;
    }
}

/// What a session did, as one of its sides counts it. Both sides count the same flights and bytes, with sent and
/// received exchanged.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The strategy asked for by the initiator.
    pub strategy: Strategy,
    /// Messages that depended on one another, the greetings included: the greatest flight number seen. Two are a round
    /// trip.
    pub flights: u32,
    /// What was sent.
    pub sent: Traffic,
    /// What was received.
    pub received: Traffic,
    /// Rows sent with at least one payload. Statements without payload, such as "that row is gone", are not rows.
    pub rows_sent: u64,
    /// Rows received, counted likewise.
    pub rows_received: u64,
    /// Bytes of user keys, fields and values in the rows sent: what the rows would take without any overhead.
    pub user_bytes_sent: u64,
    /// The same for the rows received.
    pub user_bytes_received: u64,
    /// Ranges whose digests this side compared in the walk.
    pub ranges_compared: u64,
    /// Ranges that the walk could not settle; the session then does not end in agreement.
    pub ranges_unsettled: u64,
    /// Symbols of the peer's sketch that were received.
    pub symbols: u64,
    /// Whether the peer keeps a roster of carriers, so that it may be greeted as
    /// [`Request::introducing`](crate::Request::introducing) says.
    pub knows_carriers: bool,
    /// The carrier that the peer's replica is, where both keep a roster.
    pub peer_carrier: Option<syncline_crdt::CarrierId>,
    /// Whether the final roots of both sides were equal, all 32 bytes of sum and the count. Nothing less is agreement.
    /// Under writes on either side it may be false though the session lost nothing.
    pub agreed: bool,
    /// Our root digest when the session ended, of the range if the session was over one.
    pub root: RangeDigest,
    /// An estimate of what sending all rows of ours would take, from a sample of them.
    pub full_copy_bytes: u64,
    /// How long it took, as told by [`Report::elapsed`]; the session itself has no clock.
    pub elapsed_ms: u64,
}

impl Report {
    /// Dependent round trips: half the flights.
    #[must_use]
    pub fn round_trips(&self) -> f64 {
        f64::from(self.flights) / 2.0
    }

    /// All bytes both ways.
    #[must_use]
    pub const fn bytes_total(&self) -> u64 {
        self.sent.total() + self.received.total()
    }

    /// The same report with the time that the session took.
    #[must_use]
    pub const fn elapsed(mut self, ms: u64) -> Self {
        self.elapsed_ms = ms;
        self
    }
}
