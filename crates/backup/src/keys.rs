//! The keys of a cluster's backups. They follow from its secret, so nobody who can only write to the store can make a chunk or
//! a manifest that is believed.

use std::fmt;

use syncline::Node;

/// What names a chunk: a keyed hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) [u8; 32]);

/// 64 lower-case hexadecimal digits.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

pub(crate) struct Keys {
    chunk: [u8; 32],
    manifest: [u8; 32],
}

impl Keys {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            chunk: node.derive_key("syncline-backup v1: name of a chunk"),
            manifest: node.derive_key("syncline-backup v1: seal of a manifest"),
        }
    }

    /// The name of a chunk of these bytes.
    pub(crate) fn name(&self, chunk: &[u8]) -> Name {
        Name(*blake3::keyed_hash(&self.chunk, chunk).as_bytes())
    }

    /// The seal of a manifest of these bytes.
    pub(crate) fn seal(&self, manifest: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.manifest, manifest)
    }
}
