//! The bytes of messages.

use alloc::string::String;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, CarrierId, Context, DecodeError, Input};

use super::MAX_MESSAGE;
use super::message::{
    Change, MAX_COMPARED, MAX_OWNERS, Message, MessageError, Said, Told, Versions,
};
use super::standing::{ContextHash, Root, Version, Write};

mod tag {
    pub(super) const STANDINGS: u8 = 1;
    pub(super) const COMPARE: u8 = 2;
    pub(super) const VERSIONS: u8 = 3;
    pub(super) const WANT: u8 = 4;
    pub(super) const ASK: u8 = 5;
    pub(super) const ANSWER: u8 = 6;
}

/// What follows in a standing.
mod part {
    pub(super) const ROOT: u8 = 1;
    pub(super) const CHANGE: u8 = 2;
    pub(super) const HASH: u8 = 4;
}

impl<N: Copy + Ord + Canonical> Message<N> {
    /// The bytes of the message: a tag, then what the tag says. They are not self-delimiting.
    ///
    /// | tag | message | then |
    /// |---|---|---|
    /// | 1 | standings | namespace, optional version (the base), standings to the end |
    /// | 2 | compare | varint count, for each a namespace and 8 bytes |
    /// | 3 | versions | namespace, optional member (after), to the end (0 or 1), varint count, for each a member and its version |
    /// | 4 | want | namespace, varint count, members |
    /// | 5 | ask | varint number, namespace, the live dots and the dead as contexts |
    /// | 6 | answer | varint number, 16 bytes carrier, has (0 or 1) |
    ///
    /// A namespace is its length as a varint and UTF-8; a version two varints, generation and counter; something optional a byte 0, or 1
    /// and it. A standing is a member, its version, 16 bytes carrier, and a byte of parts: 1, a root of 40 bytes follows, else it is that of the standing
    /// before (zeros before the first); 2, the context is the one before (that of the base before the first) with one context more and another
    /// less, which follow; 4, the 16 bytes of its hash follow; without 2 and 4 it is the one before.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.0 {
            Said::Standings {
                namespace,
                base,
                told,
            } => {
                out.push(tag::STANDINGS);
                namespace.encode(&mut out);
                base.encode(&mut out);
                let mut before = NO_ROOT;
                for told in told {
                    told.encode(&before, &mut out);
                    before = told.root;
                }
            }
            Said::Compare(namespaces) => {
                out.push(tag::COMPARE);
                (namespaces.len() as u64).encode(&mut out);
                for (namespace, hash) in namespaces {
                    namespace.encode(&mut out);
                    out.extend_from_slice(&hash.to_be_bytes());
                }
            }
            Said::Versions(versions) => {
                out.push(tag::VERSIONS);
                versions.namespace.encode(&mut out);
                versions.after.encode(&mut out);
                versions.to_end.encode(&mut out);
                (versions.heard.len() as u64).encode(&mut out);
                for (owner, version) in &versions.heard {
                    owner.encode(&mut out);
                    version.encode(&mut out);
                }
            }
            Said::Want { namespace, owners } => {
                out.push(tag::WANT);
                namespace.encode(&mut out);
                (owners.len() as u64).encode(&mut out);
                owners.iter().for_each(|owner| owner.encode(&mut out));
            }
            Said::Ask {
                ask,
                namespace,
                write,
            } => {
                out.push(tag::ASK);
                ask.encode(&mut out);
                namespace.encode(&mut out);
                write.encode(&mut out);
            }
            Said::Answer { ask, carrier, has } => {
                out.push(tag::ANSWER);
                ask.encode(&mut out);
                carrier.encode(&mut out);
                has.encode(&mut out);
            }
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`] for anything that [`to_bytes`](Self::to_bytes) does not write. What is allocated is bounded by a small multiple of the
    /// length of the input.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError::TooLong(bytes.len()));
        }
        let mut input = Input::new(bytes);
        let said = match input.byte()? {
            tag::STANDINGS => Said::Standings {
                namespace: String::decode(&mut input)?,
                base: Option::decode(&mut input)?,
                told: {
                    let (mut told, mut before) = (Vec::new(), NO_ROOT);
                    while input.remaining() > 0 {
                        let next = Told::decode(&before, &mut input)?;
                        before = next.root;
                        told.push(next);
                    }
                    told
                },
            },
            tag::COMPARE => {
                let count = bounded(input.count(9)?, MAX_COMPARED)?;
                let read = |input: &mut Input<'_>| {
                    let namespace = String::decode(input)?;
                    Ok::<_, DecodeError>((namespace, u64::from_be_bytes(input.array()?)))
                };
                let namespaces: Result<_, _> = (0..count).map(|_| read(&mut input)).collect();
                Said::Compare(namespaces?)
            }
            tag::VERSIONS => Said::Versions(Versions {
                namespace: String::decode(&mut input)?,
                after: Option::decode(&mut input)?,
                to_end: bool::decode(&mut input)?,
                heard: {
                    let count = bounded(input.count(3)?, MAX_OWNERS)?;
                    let heard: Result<Vec<(N, Version)>, _> =
                        (0..count).map(|_| Canonical::decode(&mut input)).collect();
                    let heard = heard?;
                    ascending(heard.iter().map(|(owner, _)| owner))?;
                    heard
                },
            }),
            tag::WANT => Said::Want {
                namespace: String::decode(&mut input)?,
                owners: {
                    let count = bounded(input.count(1)?, MAX_OWNERS)?;
                    let owners: Result<Vec<N>, _> =
                        (0..count).map(|_| N::decode(&mut input)).collect();
                    let owners = owners?;
                    ascending(owners.iter())?;
                    owners
                },
            },
            tag::ASK => Said::Ask {
                ask: u64::decode(&mut input)?,
                namespace: String::decode(&mut input)?,
                write: Write::decode(&mut input)?,
            },
            tag::ANSWER => Said::Answer {
                ask: u64::decode(&mut input)?,
                carrier: CarrierId::decode(&mut input)?,
                has: bool::decode(&mut input)?,
            },
            tag => return Err(DecodeError::UnknownTag(tag).into()),
        };
        input.finish()?;
        Ok(Self(said))
    }
}

/// Before the first standing of a message.
const NO_ROOT: Root = [0; 40];

impl<N: Canonical> Told<N> {
    /// How many bytes it takes, at most.
    pub(super) fn len(&self) -> usize {
        let mut out = Vec::new();
        self.encode(&NO_ROOT, &mut out);
        out.len() + NO_ROOT.len()
    }

    fn encode(&self, before: &Root, out: &mut Vec<u8>) {
        self.owner.encode(out);
        self.version.encode(out);
        self.carrier.encode(out);
        let mut parts = if self.root == *before { 0 } else { part::ROOT };
        parts |= match &self.context {
            Change::By { more, less } if more.is_empty() && less.is_empty() => 0,
            Change::By { .. } => part::CHANGE,
            Change::Hash(_) => part::HASH,
        };
        out.push(parts);
        if parts & part::ROOT != 0 {
            out.extend_from_slice(&self.root);
        }
        match &self.context {
            Change::By { more, less } if parts & part::CHANGE != 0 => {
                more.encode(out);
                less.encode(out);
            }
            Change::By { .. } => {}
            Change::Hash(hash) => out.extend_from_slice(&hash.0),
        }
    }

    fn decode(before: &Root, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        const TWICE: DecodeError = DecodeError::Invalid("what was said before is said again");
        let owner = N::decode(input)?;
        let version = Version::decode(input)?;
        let carrier = CarrierId::decode(input)?;
        let parts = input.byte()?;
        let root = match parts & part::ROOT {
            0 => *before,
            _ => input.array()?,
        };
        if parts & part::ROOT != 0 && root == *before {
            return Err(TWICE);
        }
        let context = match parts & !part::ROOT {
            0 => Change::NONE,
            part::CHANGE => {
                let (more, less) = (Context::decode(input)?, Context::decode(input)?);
                if more.is_empty() && less.is_empty() {
                    return Err(TWICE);
                }
                Change::By { more, less }
            }
            part::HASH => Change::Hash(ContextHash(input.array()?)),
            _ => return Err(DecodeError::UnknownTag(parts)),
        };
        Ok(Self {
            owner,
            version,
            carrier,
            root,
            context,
        })
    }
}

impl Change {
    pub(super) const NONE: Self = Self::By {
        more: Context::new(),
        less: Context::new(),
    };
}

fn bounded(count: usize, most: usize) -> Result<usize, DecodeError> {
    match count <= most {
        true => Ok(count),
        false => Err(DecodeError::OutOfRange),
    }
}

fn ascending<'a, N: Ord + 'a>(
    owners: impl Iterator<Item = &'a N> + Clone,
) -> Result<(), DecodeError> {
    match owners.clone().zip(owners.skip(1)).all(|(a, b)| a < b) {
        true => Ok(()),
        false => Err(DecodeError::OutOfOrder),
    }
}
