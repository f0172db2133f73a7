//! Epidemic dissemination: how a write that was made on one node reaches all others, and what it costs.
//!
//! # What it is
//!
//! State machines that spread [`Rumour`]s, the deltas of transactions, among the members of a cluster. How, is a
//! [`Strategy`]: pushing to a few chosen at random, pulling, both, or a broadcast tree that finds and repairs itself.
//! Every strategy speaks one vocabulary: an [`Input`] goes in, [`Output`]s come out, [`Message`]s travel between
//! them.
//!
//! # What it is not
//!
//! It has no sockets, clocks, threads or randomness of its own: whoever drives it passes in the time's passing and a
//! random number generator, so that the same code runs in a node and in a simulator, where the same seed gives the same run.
//! It does not know who is alive, it is [told](Input::Up). And it promises nothing: a rumour may be lost with those who
//! knew it. What rumours miss, sessions between replicas heal.
//!
//! # How a rumour flows through it
//!
//! 1. A node has committed a transaction and [publishes](Input::Publish) its delta under the dots that it made.
//! 2. Its strategy gives out [messages](Output::Send) to some peers. Each message arrives there as
//!    [`Input::Received`].
//! 3. Whoever hears of the rumour for the first time is handed it, once, as [`Output::Deliver`], and passes it on. A rumour is known
//!    by its dots: a causal context says in a few bytes which rumours have been heard.
//! 4. In every [`PERIOD`](Config::period) some peers are asked whether they know more. Nearly always the answer is a few
//!    bytes; otherwise the rest is pulled, from a buffer of the latest rumours. Who lacks what is no longer in it is told
//!    to begin a [session](Output::Lagging).
//!
//! Beside that, with the same manners: [`membership`] says who is there, [`carriers`] what that means for the others, [`Selection`] with whom to talk,
//! [`schedule`] when replicas are compared, [`budget`] what is sent first, [`convergence`] who has what. And [`publication`] spreads what is for those alone who listen now.
//!
//! ```
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//! use syncline_crdt::ReplicaId;
//! use syncline_gossip::{Config, Dissemination, Input, Output, Rumour, Strategy};
//!
//! let mut random = ChaCha8Rng::seed_from_u64(1);
//! let config = Config::new(Strategy::Plumtree);
//! let [mut ada, mut bob] = ["ada", "bob"].map(|name| Dissemination::new(name, config.clone()));
//! ada.handle(Input::Up("bob"), &mut random);
//! bob.handle(Input::Up("ada"), &mut random);
//!
//! let replica = ReplicaId::from_bytes([1; 16]);
//! let rumour = Rumour::new(replica, 1, 1, b"a delta".to_vec()).ok_or("no dots")?;
//! let mut delivered = None;
//! for output in ada.handle(Input::Publish(rumour), &mut random) {
//!     let Output::Send { to: "bob", message } = output else { continue };
//!     for output in bob.handle(Input::Received { from: "ada", message }, &mut random) {
//!         if let Output::Deliver(rumour) = output {
//!             delivered = Some(rumour.payload().to_vec());
//!         }
//!     }
//! }
//! assert_eq!(delivered.as_deref(), Some(&b"a delta"[..]));
//! # Ok::<(), &str>(())
//! ```
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod budget;
pub mod carriers;
mod config;
pub mod convergence;
mod dissemination;
mod members;
pub mod membership;
mod message;
pub mod publication;
mod recent;
mod rumour;
pub mod schedule;
mod selection;
mod stats;

pub use config::{Config, Strategy};
pub use dissemination::{Dissemination, Input, Output, Timer};
pub use members::Members;
pub use message::{Message, MessageError, Notice, Pushed};
pub use rumour::{Rumour, RumourId};
pub use selection::{Cost, Selection};
pub use stats::Stats;
