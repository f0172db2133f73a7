//! Who has what: every node says from time to time where it stands, and so knows how far the others are.
//!
//! # What it is
//!
//! A state machine, one for each node, that spreads *standings* among the carriers of each namespace: the digest of all rows, and
//! the durable context. From its own and theirs a node tells, for each peer, whether both agree, how many dots and for how long either
//! is behind, and when they last agreed.
//!
//! A standing is its owner's: it says it under a [`Version`], the greater replaces the lesser, and others pass it on as it is. It is news
//! along the branches of the [broadcast tree](crate::Dissemination::branches) where there are any, and to a few chosen at
//! random where not; what gets lost that way is found by comparing versions with one carrier at a time, as Scuttlebutt does
//! (van Renesse, Dumitriu, Gough and Thomas, "Efficient Reconciliation and Flow Control for Anti-Entropy Protocols", 2008). The more
//! carriers, the more seldom each speaks, so that what a node sends is bounded whatever the size of the cluster.
//!
//! Whether a *write* is safe is not told by that. It is [asked](Input::Ask), of the carriers themselves, who look into
//! their stores: what a standing says is hearsay, may have outlived its owner's disk, and says nothing about removals, which a
//! context may show before the rows have gone.
//!
//! # What it is not
//!
//! It has no clock and no store: the time passes with each input, and what is durable it is told. Nothing is concluded from a standing
//! but what is shown to people and when to sync: a member that lies about another's, or a lost message, costs no data.
//!
//! ```
//! use std::{collections::VecDeque, sync::Arc, time::Duration};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//! use syncline_crdt::{CarrierId, Context, ReplicaId};
//! use syncline_gossip::convergence::{Config, Convergence, Input, Output, Standing};
//!
//! let (mut random, now) = (ChaCha8Rng::seed_from_u64(1), Duration::ZERO);
//! let mut nodes = [0_u32, 1].map(|me| Convergence::new(me, 1, Config::default()));
//! let (namespace, mut inputs): (Arc<str>, _) = ("app".into(), VecDeque::new());
//! for (me, dots) in [(0_u32, 20), (1, 10)] {
//!     let mut durable = Context::new();
//!     durable.insert_range(ReplicaId::from_bytes([1; 16]), 1, dots);
//!     let standing = Standing {
//!         namespace: namespace.clone(),
//!         carrier: CarrierId::from_bytes([me as u8; 16]),
//!         root: [me as u8; 40],
//!         durable: Arc::new(durable),
//!     };
//!     inputs.push_back((me, Input::Standing(standing)));
//!     inputs.push_back((me, Input::Up { node: 1 - me, namespaces: vec![namespace.clone()] }));
//! }
//! while let Some((me, input)) = inputs.pop_front() {
//!     for output in nodes[me as usize].handle(input, now, &mut random) {
//!         match output {
//!             Output::Send { to, message } => inputs.push_back((to, Input::Received { from: me, message })),
//!             Output::Wake { timer, .. } => inputs.push_back((me, Input::Timer(timer))),
//!             _ => {}
//!         }
//!     }
//!     if nodes[0].peers("app", now)[..].iter().any(|peer| peer.heard.is_some()) {
//!         break;
//!     }
//! }
//! let peer = &nodes[0].peers("app", now)[0];
//! assert!(!peer.agrees);
//! assert_eq!(peer.behind.dots, Some(10), "it lacks ten of our twenty dots");
//! ```

mod asking;
mod comparing;
mod known;
mod machine;
mod message;
mod ours;
mod report;
mod standing;
mod table;
mod wire;

pub use machine::{Convergence, Found, Input, Output, Timer};
pub use message::{Message, MessageError};
pub use report::{Gap, PeerReport, WhoHas};
pub use standing::{Root, Standing, Version, Write};

use core::time::Duration;

/// The bytes of a [`Message`] at most.
pub const MAX_MESSAGE: usize = 64 << 10;

/// How often to speak, and how much to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long after a standing was said the next one is, at least.
    pub interval: Duration,
    /// What passing on everybody's standings may cost a node in a second, in bytes, on average. With many carriers each speaks as much more
    /// seldom.
    pub bytes_per_second: u64,
    /// How often a carrier chosen at random is asked whether it has heard the same. Ten times as often as long as there are
    /// carriers that nothing was heard of, or the last comparison has shown a difference.
    pub compare_every: Duration,
    /// To how many carriers what is new is passed on where no tree is known.
    pub fanout: usize,
    /// After how long carriers that were asked about a write are asked again, and more of them.
    pub ask_again: Duration,
    /// For how long others may have what we lack without a reason to [sync](Output::Overdue): rumours, and what asks for those that got lost, are on their
    /// way for a period or two, and what is durable is told once a second.
    pub patience: Duration,
    /// Intervals of others' contexts that are kept, some 50 bytes each. Beyond it only their hashes are: then it is not known by how many dots a
    /// peer is behind.
    pub max_intervals: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            bytes_per_second: 2_000,
            compare_every: Duration::from_secs(10),
            fanout: 2,
            ask_again: Duration::from_secs(1),
            patience: Duration::from_secs(3),
            max_intervals: 1 << 19,
        }
    }
}
