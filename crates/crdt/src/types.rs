//! The typed CRDTs: each a [`CausalMap`](crate::CausalMap) with the operations and the reading of its kind.
//!
//! They share one shape. The mutators take the [`ReplicaId`](crate::ReplicaId) of the writer, change the state and
//! return the *delta*, a value of the same type that any other replica may join, early, late, twice, or never when it
//! joins a whole state instead. `join` merges a delta or a state. A replica id writes to one copy of a state only; a
//! clone that is written to needs an id of its own, or one dot would name two mutations.

mod enable_wins_flag;
mod lww_map;
mod lww_register;
mod mv_register;
mod or_set;
mod pn_counter;

pub use enable_wins_flag::EnableWinsFlag;
pub use lww_map::LwwMap;
pub use lww_register::LwwRegister;
pub use mv_register::MvRegister;
pub use or_set::OrSet;
pub use pn_counter::PnCounter;

/// The first byte of each type's encoding, so that the bytes of one are never taken for another's. A changed encoding
/// gets a tag of its own.
mod tag {
    pub(super) const OR_SET: u8 = 0x10;
    pub(super) const LWW_MAP: u8 = 0x11;
    pub(super) const LWW_REGISTER: u8 = 0x12;
    pub(super) const MV_REGISTER: u8 = 0x13;
    pub(super) const PN_COUNTER: u8 = 0x14;
    pub(super) const ENABLE_WINS_FLAG: u8 = 0x15;
}

/// What every wrapper of a causal map does alike: `new`, `context`, `join`, `Default`, and the tagged encoding.
macro_rules! causal_type {
    ($name:ident $(<$($param:ident),+>)?, $tag:expr) => {
        impl$(<$($param: Ord + Clone),+>)? $name$(<$($param),+>)? {
            /// The initial state, which has seen nothing.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Every dot seen, of writes and removals.
            #[must_use]
            pub const fn context(&self) -> &$crate::Context {
                self.map.context()
            }

            /// Merges a delta or a whole state; returns whether anything changed here.
            pub fn join(&mut self, other: &Self) -> bool {
                self.map.join(&other.map)
            }
        }

        impl$(<$($param),+>)? Default for $name$(<$($param),+>)? {
            fn default() -> Self {
                Self { map: $crate::CausalMap::default() }
            }
        }

        /// A tag byte of the type, then as [`CausalMap`](crate::CausalMap).
        impl$(<$($param: $crate::Canonical + Ord + Clone),+>)? $crate::Canonical for $name$(<$($param),+>)? {
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                out.push($tag);
                self.map.encode(out);
            }

            fn decode(input: &mut $crate::Input<'_>) -> Result<Self, $crate::DecodeError> {
                match input.byte()? {
                    tag if tag == $tag => Ok(Self { map: $crate::Canonical::decode(input)? }),
                    tag => Err($crate::DecodeError::UnknownTag(tag)),
                }
            }
        }
    };
}
use causal_type;
