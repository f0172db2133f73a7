//! How to spread, and how much to keep.

use core::time::Duration;

/// How rumours travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Infect and die: whoever hears of a rumour for the first time pushes it to `fanout` peers chosen uniformly, and never
    /// again. Of n nodes it reaches the share s that solves s = 1 − exp(−fanout · s), if it takes off at all.
    ///
    /// The final size of an SIR epidemic; Demers et al., "Epidemic Algorithms for Replicated Database Maintenance"
    /// (PODC 1987), and Kermarrec, Massoulié and Ganesh, "Probabilistic Reliable Dissemination in Large-Scale Systems"
    /// (2003).
    Push {
        /// Peers that each node pushes to.
        fanout: usize,
    },
    /// Rumour mongering with feedback and counter: pushes in every period, to `fanout` peers, until `tired` of them have answered
    /// that they know it (Demers et al.).
    PushWithFeedback {
        /// Peers that each node pushes to in a period.
        fanout: usize,
        /// So many who know it already end it.
        tired: usize,
    },
    /// Nothing is pushed; in each period peers are asked for what is new.
    Pull,
    /// As [`Push`](Self::Push), and what that leaves out is pulled.
    PushPull {
        /// Peers that each node pushes to.
        fanout: usize,
    },
    /// As [`PushPull`](Self::PushPull), with a fanout that each node finds for itself: it rises when too many rumours come only by
    /// pulls, and falls when nearly none do and most come twice. So it follows the size of the cluster, and its losses.
    Adaptive,
    /// Epidemic broadcast trees: rumours are pushed along the branches of a tree in a random overlay, announced along all its
    /// other links, and asked for where an announcement came but the rumour did not. Links that bring a rumour twice leave the
    /// tree; those that were asked join it.
    ///
    /// Leitão, Pereira and Rodrigues, "Epidemic Broadcast Trees" (SRDS 2007).
    Plumtree,
}

impl Strategy {
    /// Whether peers are asked for what pushing left out.
    pub(crate) const fn pulls(self) -> bool {
        match self {
            Self::Push { .. } | Self::PushWithFeedback { .. } => false,
            Self::Pull | Self::PushPull { .. } | Self::Adaptive | Self::Plumtree => true,
        }
    }
}

/// What a [`Dissemination`](crate::Dissemination) is made with. All members should agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How rumours travel.
    pub strategy: Strategy,
    /// How often peers are asked for what is new, and rumours with feedback are pushed.
    pub period: Duration,
    /// For how long announcements are gathered before they are sent together.
    pub announce_after: Duration,
    /// For how long a rumour that was announced may be on its way by the tree before it is asked for. More than the difference between
    /// a quick path and a slow one, or links join the tree for nothing.
    pub ask_after: Duration,
    /// For how long rumours to a peer are gathered while many come; one after a silence of as long goes at once. Each hop may take so
    /// much longer under load. Zero: each goes by itself.
    pub gather: Duration,
    /// Rumours with longer payloads are offered to peers, who ask for them unless they have them: a round trip more, and
    /// no copy too many.
    pub offer_above: usize,
    /// Whether peers are asked in every period what they know that is not known here. Without, what neither comes nor is announced
    /// never comes.
    pub pulls: bool,
    /// Bytes of recent rumours that are kept for those who missed them.
    pub recent_bytes: usize,
    /// Intervals of dots that are remembered as heard; beyond it, rumours that would add another are refused, and sessions bring
    /// them.
    pub max_known: usize,
    /// Whether neighbours, and branches among them, are also chosen by the round-trip times that are [told](crate::Input::Rtt).
    /// A quarter of the links or more stay chosen uniformly, so that the overlay holds together.
    pub by_latency: bool,
    /// Rumours announced and not come yet that are remembered; beyond it, announcements are passed over, and pulls find them.
    pub max_missing: usize,
}

impl Config {
    /// A strategy with the usual times and bounds.
    #[must_use]
    pub const fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            period: Duration::from_secs(1),
            announce_after: Duration::from_millis(200),
            ask_after: Duration::from_millis(400),
            gather: Duration::from_millis(5),
            offer_above: 64 << 10,
            pulls: strategy.pulls(),
            recent_bytes: 4 << 20,
            by_latency: true,
            max_missing: 4096,
            max_known: 1 << 16,
        }
    }
}
