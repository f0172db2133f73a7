//! The greeting, and what is agreed on by it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use syncline_merkle::KeyRange;

use crate::config::{Config, Request, Strategy};
use crate::error::{Refusal, RefusalCode};
use crate::forms::{ContextForm, ContextHash, WireRoot};

/// The versions of the protocol that this software speaks: from, to.
pub(crate) const VERSIONS: (u16, u16) = (1, 1);

/// Optional parts of the protocol, a bit each, as a side offers them in its greeting. Both sides use what both offer.
pub(crate) mod features {
    /// The side keeps a sketch of its live dots.
    pub(crate) const SKETCH: u64 = 1;
    /// The side keeps a roster of the carriers of its namespace, and introduces itself.
    pub(crate) const CARRIERS: u64 = 1 << 1;
    /// The side keeps a removal log, and takes into it what a peer's log names.
    pub(crate) const REMOVALS: u64 = 1 << 4;
    /// The side, an initiator, introduces itself in the frame after its greeting.
    pub(crate) const INTRODUCED: u64 = 1 << 3;
}

/// The longest name of a namespace, in bytes.
pub(crate) const MAX_NAMESPACE: usize = 255;

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// From and to which version of the protocol the sender speaks. The first field in every version.
    pub(crate) versions: (u16, u16),
    pub(crate) features: u64,
    pub(crate) cluster: [u8; 16],
    pub(crate) node: [u8; 32],
    pub(crate) clock_ms: u64,
    /// What is asked for: the initiator's has it, the answer to it has not.
    pub(crate) asks: Option<Asks>,
    /// The digest of the range that is asked for. With the context as of one commit: the sender's *start*.
    pub(crate) root: WireRoot,
    /// Of the canonical bytes of the context.
    pub(crate) context_hash: ContextHash,
    /// The context, when it is small enough to come along.
    pub(crate) context: Option<ContextForm>,
}

/// What the initiator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asks {
    pub(crate) namespace: String,
    pub(crate) strategy: Strategy,
    pub(crate) salt: [u8; 16],
    /// Lower bound, and upper bound if there is one.
    pub(crate) range: Option<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Asks {
    pub(crate) fn new(namespace: &str, request: &Request) -> Self {
        Self {
            namespace: namespace.into(),
            strategy: request.strategy,
            salt: request.salt,
            range: request
                .range
                .as_ref()
                .map(|range| (range.lower.clone(), range.upper.clone())),
        }
    }
}

impl From<Asks> for Request {
    fn from(asks: Asks) -> Self {
        Self {
            strategy: asks.strategy,
            salt: asks.salt,
            range: asks.range.map(|(lower, upper)| KeyRange { lower, upper }),
            introducing: false,
        }
    }
}

/// Reads the versions of a greeting that may be of any version: they come first in all of them.
pub(crate) fn versions(frame: &[u8]) -> Option<(u16, u16)> {
    const GREETING: u32 = 0;
    let (_, kind, versions): (u32, u32, (u16, u16)) = postcard::take_from_bytes(frame).ok()?.0;
    (kind == GREETING).then_some(versions)
}

/// Decides whether a peer of these versions can be spoken with.
pub(crate) fn admit_versions((from, to): (u16, u16)) -> Result<(), Refusal> {
    let (our_from, our_to) = VERSIONS;
    if from <= our_to && our_from <= to {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::Version,
        format!(
            "versions {from} to {to} of the sync protocol meet {our_from} to {our_to} here; upgrade the older node"
        ),
    ))
}

/// Decides whether there can be a session with who sent this greeting, and asked for this.
pub(crate) fn admit(hello: &Hello, asks: Option<&Asks>, config: &Config) -> Result<(), Refusal> {
    admit_versions(hello.versions)?;
    let refuse = |code, text| Err(Refusal::new(code, text));
    if let Some(peer) = config.peer.filter(|peer| *peer != hello.node) {
        return refuse(
            RefusalCode::Identity,
            format!(
                "the greeting is of node {}, the certificate of node {}; a node must greet under its own identity",
                Hex(&hello.node[..8]),
                Hex(&peer[..8])
            ),
        );
    }
    if hello.cluster != config.cluster {
        return refuse(
            RefusalCode::Cluster,
            format!(
                "cluster {} meets cluster {} here; data moves between clusters by export and import",
                Hex(&hello.cluster),
                Hex(&config.cluster)
            ),
        );
    }
    if hello.node == config.node {
        return refuse(
            RefusalCode::Itself,
            format!(
                "node {} would sync with itself; check the peer's address, and that no two nodes share a key",
                Hex(&config.node[..8])
            ),
        );
    }
    let skew = hello.clock_ms.abs_diff(config.clock_ms);
    if config.max_clock_skew_ms != 0 && skew > config.max_clock_skew_ms {
        return refuse(
            RefusalCode::Clock,
            format!(
                "the clocks are {skew} ms apart, over the bound of {}: {} ms since 1970 there, {} here; set the clocks",
                config.max_clock_skew_ms, hello.clock_ms, config.clock_ms
            ),
        );
    }
    match asks {
        Some(asks) if asks.namespace != config.namespace => refuse(
            RefusalCode::Namespace,
            format!(
                "namespace {:?} was asked for, {:?} is here; check the configuration of both nodes",
                asks.namespace, config.namespace
            ),
        ),
        _ => Ok(()),
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
