//! The forms in which dots, digests and contexts travel: what other crates define, as frames carry it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use syncline_crdt::{Canonical, Context, Dot, ReplicaId};
use syncline_merkle::RangeDigest;

use crate::error::SessionError;

/// A dot on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireDot([u8; 16], u64);

impl From<Dot> for WireDot {
    fn from(dot: Dot) -> Self {
        Self(*dot.replica.as_bytes(), dot.counter)
    }
}

impl From<WireDot> for Dot {
    fn from(WireDot(replica, counter): WireDot) -> Self {
        Self::new(ReplicaId::from_bytes(replica), counter)
    }
}

/// A root digest on the wire: the count as a varint, then the 32 bytes of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireRoot(u64, [u8; 32]);

impl From<RangeDigest> for WireRoot {
    fn from(digest: RangeDigest) -> Self {
        let bytes = digest.to_bytes();
        let mut sum = [0; 32];
        sum.copy_from_slice(&bytes[8..]);
        Self(digest.count(), sum)
    }
}

impl From<WireRoot> for RangeDigest {
    fn from(WireRoot(count, sum): WireRoot) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&count.to_le_bytes());
        bytes[8..].copy_from_slice(&sum);
        Self::from_bytes(&bytes)
    }
}

/// The first 16 bytes of the BLAKE3 hash of a context's canonical bytes. Equal hashes spare sending a context that the
/// receiver has itself.
pub(crate) type ContextHash = [u8; 16];

/// Hashes canonical bytes of a context.
pub(crate) fn hash_context(context: &[u8]) -> ContextHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(context).as_bytes()[..16]);
    hash
}

/// A context on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContextForm {
    /// Its canonical bytes.
    Whole(Vec<u8>),
    /// What has to be taken from and added to the receiver's own context as of the session's start: canonical bytes of
    /// both. With replica ids by the hundred, most of a context is what the receiver has too.
    Edited { without: Vec<u8>, with: Vec<u8> },
}

impl ContextForm {
    /// The shorter form of `context` for a peer whose context is `theirs`, if that is known.
    pub(crate) fn of(context: &Context, theirs: Option<&Context>) -> Self {
        let whole = Self::Whole(context.to_bytes());
        let Some(theirs) = theirs else { return whole };
        let edited = Self::Edited {
            without: theirs.difference(context).to_bytes(),
            with: context.difference(theirs).to_bytes(),
        };
        if edited.len() < whole.len() {
            edited
        } else {
            whole
        }
    }

    /// The bytes of contexts in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Edited { without, with } => without.len() + with.len(),
        }
    }

    /// The context it stands for, where `ours` is the receiver's, as the peer has it.
    pub(crate) fn read(&self, ours: &Context) -> Result<Context, SessionError> {
        let read = |bytes: &[u8]| {
            Context::from_bytes(bytes)
                .map_err(|_| SessionError::Malformed("its context is not canonical"))
        };
        match self {
            Self::Whole(bytes) => read(bytes),
            Self::Edited { without, with } => {
                let mut context = ours.difference(&read(without)?);
                context.merge(&read(with)?);
                Ok(context)
            }
        }
    }

    /// The context it stands for, where `ours` is the receiver's; checked against the hash in the greeting, so that
    /// what is concluded from it rests on no arithmetic of the peer's.
    pub(crate) fn resolve(
        &self,
        ours: &Context,
        hash: ContextHash,
    ) -> Result<Context, SessionError> {
        let context = self.read(ours)?;
        match hash_context(&context.to_bytes()) == hash {
            true => Ok(context),
            false => Err(SessionError::Malformed(
                "its context is not the one it announced",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_keep_all_their_bytes() {
        let mut bytes = [0; RangeDigest::LEN];
        bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        let root = RangeDigest::from_bytes(&bytes);
        assert_eq!(RangeDigest::from(WireRoot::from(root)), root);
    }
}
