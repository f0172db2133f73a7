//! Causal kernel and delta-state CRDTs: the state that syncline replicates, and the one join that merges it.
//!
//! # What it is
//!
//! Every write of a replica is named by a [`Dot`] and carries a hybrid-logical-clock [`Stamp`]. A *row* is the set of
//! [`Siblings`] that no later write has superseded; a [`Context`] is the set of all dots that a replica has ever seen.
//! A dot that is in the context but in no row is *dead*: somebody who had observed it removed or overwrote it. That is
//! why a deletion leaves no tombstone, and why it can never be undone by a replica that was away.
//!
//! Two rows merge by one rule, [`Siblings::join`]: keep what both hold, and what either holds that the other has never
//! seen. A [`CausalMap`] is rows with their context; it is at once the state of a CRDT and the *delta* that each change
//! returns.
//!
//! # What it is not
//!
//! No storage, no network, no threads, no clock and no randomness: time and entropy come in as arguments. The crate is
//! `no_std` with `alloc`.
//!
//! # How a value flows through it
//!
//! 1. A mutator takes the next dot of its replica, replaces the siblings that it observed, and returns the delta.
//! 2. The delta travels as [`Canonical`] bytes. It may be lost, doubled or reordered on its way.
//! 3. The receiver joins it. Replicas that have joined the same deltas, in whatever order, or each other's whole
//!    states, are equal, down to the byte.
//! 4. A read decides between siblings: [`Siblings::winner`] for "last writer", all of them for a multi-value register.
//!
//! ```
//! use syncline_crdt::{Canonical, OrSet, ReplicaId};
//!
//! let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
//! let mut ours: OrSet<String> = OrSet::new();
//! let mut theirs: OrSet<String> = OrSet::new();
//!
//! let delta = ours.insert(ada, "apple".into());
//! theirs.insert(bob, "pear".into());
//! theirs.join(&OrSet::from_bytes(&delta.to_bytes())?);
//! theirs.remove(bob, &"apple".into());
//!
//! // We missed all of their deltas; their whole state heals that, and the removal holds.
//! ours.join(&theirs);
//! assert_eq!(ours.iter().collect::<Vec<_>>(), ["pear"]);
//! assert_eq!(ours.to_bytes(), theirs.to_bytes());
//! # Ok::<(), syncline_crdt::DecodeError>(())
//! ```
//!
//! # Where things are
//!
//! - The kernel: [`Dot`], [`Context`], [`Siblings`], [`CausalMap`]; time in [`Hlc`]; bytes in [`Canonical`].
//! - Rows of a store: [`RowKey`], [`Row`], [`Delta`], [`BulkRemoval`], the numeric [`cell`] with its exact
//!   [decimals](decimal) and its [`score`], the [`limits`].
//! - Who carries a namespace: [`Roster`]; what all of them have seen for good: [`Stability`]; what may go then: [`expiry`].
//! - [`types`]: sets, maps, registers, counters and flags, for use on their own.
//! - `laws` (feature `laws`): the laws that all of these obey, as a test suite for types of your own.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "laws"))]
extern crate std;

mod bulk_removal;
mod canonical;
mod carrier;
mod causal_map;
pub mod cell;
mod clock;
mod context;
pub mod decimal;
mod dot;
pub mod expiry;
#[cfg(feature = "laws")]
pub mod laws;
pub mod limits;
mod row_key;
pub mod score;
mod seen;
mod siblings;
mod stability;
pub mod types;
mod version_vector;

pub use bulk_removal::BulkRemoval;
pub use canonical::{Canonical, DecodeError, Input};
pub use carrier::{CarrierId, Roster};
pub use causal_map::{CausalMap, Delta};
pub use clock::{Hlc, Stamp};
pub use context::{Context, Edit};
pub use decimal::Decimal;
pub use dot::{Dot, ReplicaId};
pub use row_key::{Family, RowKey, RowKeyError};
pub use score::Score;
pub use seen::{Everything, Nothing, Seen};
pub use siblings::{Row, Sibling, Siblings};
pub use stability::{Advert, Stability};
pub use types::{EnableWinsFlag, LwwMap, LwwRegister, MvRegister, OrSet, PnCounter};
pub use version_vector::VersionVector;
