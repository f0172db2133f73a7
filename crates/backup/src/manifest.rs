//! The bytes of a manifest: what a replica was as of one commit, and which chunks its rows are in.
//!
//! ```text
//! 8          "synclbk", format 1
//! 16         the cluster's id
//! varint, n  the namespace
//! 32         the node that made it
//! 8          when, Unix milliseconds, big-endian
//! 16         the carrier
//! varint     how many origins it had, and 16 bytes each
//! varint, n  the roster, canonical
//! varint, n  the context, canonical
//! 8          the greatest stamp, big-endian
//! 40         the root digest: count and sum, little-endian
//! varint     how many user keys
//! 1          the level of the fences at which it was cut
//! varint     how many chunks; then for each
//!   varint, varint, n   where its range begins, by what it adds to the one before; the first begins at the empty key
//!   40                  the digest of its rows
//!   32                  its name
//!   varint              its length in bytes
//! 32         the seal: keyed BLAKE3 of all that is before
//! ```
//!
//! The range of a chunk ends where that of the next begins, and the last one's at the end of all keys.

use std::sync::Arc;

use syncline::backup::Head;
use syncline_crdt::{Canonical, CarrierId, Context, DecodeError, Input, Roster, Stamp};
use syncline_merkle::{KeyRange, RangeDigest};

use crate::chunk::{front_code, read_front_coded};
use crate::keys::Name;

pub(crate) const MAGIC: &[u8; 7] = b"synclbk";
pub(crate) const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) cluster: [u8; 16],
    pub(crate) namespace: String,
    pub(crate) node: [u8; 32],
    pub(crate) taken_ms: u64,
    pub(crate) head: Head,
    pub(crate) level: u8,
    pub(crate) chunks: Vec<Chunk>,
}

/// A chunk as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) lower: Vec<u8>,
    pub(crate) digest: RangeDigest,
    pub(crate) name: Name,
    pub(crate) len: u64,
}

impl Manifest {
    /// The bytes that are sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = &self.head;
        let mut out = Vec::with_capacity(1024 + 128 * self.chunks.len());
        out.extend_from_slice(MAGIC);
        out.push(FORMAT);
        out.extend_from_slice(&self.cluster);
        self.namespace.encode(&mut out);
        out.extend_from_slice(&self.node);
        out.extend_from_slice(&self.taken_ms.to_be_bytes());
        out.extend_from_slice(head.carrier.as_bytes());
        (head.origins.len() as u64).encode(&mut out);
        for origin in &head.origins {
            out.extend_from_slice(origin.as_bytes());
        }
        head.roster.to_bytes().encode(&mut out);
        head.context.to_bytes().encode(&mut out);
        out.extend_from_slice(&head.clock.as_u64().to_be_bytes());
        out.extend_from_slice(&head.root.to_bytes());
        head.keys.encode(&mut out);
        out.push(self.level);
        (self.chunks.len() as u64).encode(&mut out);
        let mut before: &[u8] = b"";
        for chunk in &self.chunks {
            front_code(before, &chunk.lower, &mut out);
            out.extend_from_slice(&chunk.digest.to_bytes());
            out.extend_from_slice(&chunk.name.0);
            chunk.len.encode(&mut out);
            before = &chunk.lower;
        }
        out
    }

    /// Reads what is behind the magic and the format, and before the seal.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        /// Three varints of a byte each, a digest, a name.
        const LEAST: usize = 3 + RangeDigest::LEN + 32;
        let mut input = Input::new(bytes);
        let cluster = input.array()?;
        let namespace = String::decode(&mut input)?;
        let node = input.array()?;
        let taken_ms = u64::from_be_bytes(input.array()?);
        let carrier = CarrierId::from_bytes(input.array()?);
        let mut origins = Vec::new();
        for _ in 0..input.count(16)? {
            origins.push(CarrierId::from_bytes(input.array()?));
        }
        let roster = Roster::from_bytes(&Vec::decode(&mut input)?)?;
        let context = Context::from_bytes(&Vec::decode(&mut input)?)?;
        let clock = Stamp::from_u64(u64::from_be_bytes(input.array()?));
        let root = RangeDigest::from_bytes(&input.array()?);
        let keys = input.varint()?;
        let level = input.byte()?;
        let (mut chunks, mut lower) = (Vec::new(), Vec::new());
        for _ in 0..input.count(LEAST)? {
            let before = lower.clone();
            read_front_coded(&mut lower, &mut input)?;
            if chunks.is_empty() != lower.is_empty() || lower < before {
                return Err(DecodeError::OutOfRange);
            }
            chunks.push(Chunk {
                lower: lower.clone(),
                digest: RangeDigest::from_bytes(&input.array()?),
                name: Name(input.array()?),
                len: input.varint()?,
            });
        }
        input.finish()?;
        Ok(Self {
            cluster,
            namespace,
            node,
            taken_ms,
            head: Head {
                carrier,
                origins,
                roster,
                context: Arc::new(context),
                clock,
                root,
                keys,
            },
            level,
            chunks,
        })
    }

    /// The range of a chunk.
    pub(crate) fn range(&self, at: usize) -> KeyRange {
        let upper = self.chunks.get(at + 1).map(|next| next.lower.clone());
        KeyRange::new(self.chunks[at].lower.clone(), upper)
    }

    /// The chunks that hold just this in a range, if there are any: their places.
    pub(crate) fn holds(
        &self,
        range: &KeyRange,
        digest: &RangeDigest,
    ) -> Option<std::ops::Range<usize>> {
        let first = self
            .chunks
            .binary_search_by(|chunk| chunk.lower.cmp(&range.lower));
        let first = first.ok()?;
        let mut sum = RangeDigest::ZERO;
        for (at, chunk) in self.chunks.iter().enumerate().skip(first) {
            sum += chunk.digest;
            let upper = self.chunks.get(at + 1).map(|next| &next.lower);
            if upper == range.upper.as_ref() {
                return (sum == *digest).then_some(first..at + 1);
            }
            if range.upper.as_ref().is_some_and(|end| upper > Some(end)) {
                return None;
            }
        }
        None
    }

    /// Bytes of all chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len).sum()
    }
}
