//! Who a member is, for the failure detector.

use core::fmt::Debug;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use alloc::vec::Vec;

use syncline_crdt::{Canonical, DecodeError, Input};

/// What names a member: small, ordered, with bytes of its own. In a node, the hash of its public key.
pub trait MemberId: Copy + Ord + Debug + Canonical {}

impl<N: Copy + Ord + Debug + Canonical> MemberId for N {}

/// One life of a member: under which name, for which time, and where it is reached.
///
/// Of two identities of one member the one of the higher generation holds. So whoever starts again after a crash, or moves to
/// another address, is believed at once, whatever is said about the life before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity<N> {
    id: N,
    generation: u64,
    address: SocketAddr,
}

impl<N: MemberId> Identity<N> {
    /// The highest generation that there is. Whoever has got there cannot outlive being declared dead.
    pub const MAX_GENERATION: u64 = u64::MAX >> 2;

    /// A life of the member `id`. `generation` must be higher than that of every life before and known to the disk before it is
    /// used here; 1 for the first. An IPv4 address in IPv6's clothes is taken for what it is; scopes of IPv6, which only mean something
    /// on one machine, are dropped.
    #[must_use]
    pub fn new(id: N, generation: u64, address: SocketAddr) -> Self {
        Self {
            id,
            generation: generation.min(Self::MAX_GENERATION),
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        }
    }

    /// The member.
    #[must_use]
    pub const fn id(&self) -> N {
        self.id
    }

    /// Which of its lives. 0 if that is not known.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Where it is reached.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which of two lives of one member holds. Two of one generation are of two processes that share a key, by mistake: one of them
    /// must give way, and the address decides which.
    pub(super) fn outlives(&self, other: &Self) -> bool {
        (self.generation, self.address) > (other.generation, other.address)
    }
}

impl<N: MemberId> foca::Identity for Identity<N> {
    type Addr = N;

    /// Nothing: a new generation has to be on disk first, and there may not be too many. See [`Membership`](super::Membership).
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> N {
        self.id
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.outlives(other)
    }
}

/// The member, the varint of the generation, then 4 or 6 and the address in network order, then the port, big-endian.
impl<N: MemberId> Canonical for Identity<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.generation.encode(out);
        match self.address.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&self.address.port().to_be_bytes());
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let id = N::decode(input)?;
        let generation = input.varint()?;
        if generation > Self::MAX_GENERATION {
            return Err(DecodeError::OutOfRange);
        }
        let ip = match input.byte()? {
            4 => IpAddr::V4(Ipv4Addr::from(input.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(input.array::<16>()?)),
            tag => return Err(DecodeError::UnknownTag(tag)),
        };
        if ip != ip.to_canonical() {
            return Err(DecodeError::Invalid("an IPv4 address in IPv6's clothes"));
        }
        let port = u16::from_be_bytes(input.array()?);
        Ok(Self {
            id,
            generation,
            address: SocketAddr::new(ip, port),
        })
    }
}
