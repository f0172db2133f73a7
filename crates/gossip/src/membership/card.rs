//! What a member says of itself.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, DecodeError, Input};

/// What a member says of itself, beside who and where it is. It spreads on its own, so that it never delays the news of who is there.
///
/// What is encoded takes at most [`MAX_BYTES`](Self::MAX_BYTES); one of up to about 200 bytes travels with every other news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Where it stands, as its operator calls it: a region, a rack. At most 64 bytes; may be empty.
    pub zone: String,
    /// The namespaces that it carries. Names of 1 to 255 bytes.
    pub namespaces: BTreeSet<String>,
    /// Bits of what it can do, such as [`PUBLICATIONS`](Self::PUBLICATIONS); unknown ones mean nothing.
    pub features: u64,
    /// The version of its program, at most 32 bytes.
    pub version: String,
}

/// Why a card is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The zone is too long.
    #[error("a zone of {0} bytes: at most {max} are allowed", max = Card::MAX_ZONE)]
    Zone(usize),
    /// The version is too long.
    #[error("a version of {0} bytes: at most {max} are allowed", max = Card::MAX_VERSION)]
    Version(usize),
    /// A namespace has an empty or a too long name.
    #[error("a namespace's name of {0} bytes: 1 to {max} are allowed", max = Card::MAX_NAMESPACE)]
    Namespace(usize),
    /// All together is too much.
    #[error("a card of {0} bytes: at most {max} are allowed, so carry fewer namespaces or shorten their names", max = Card::MAX_BYTES)]
    Size(usize),
}

impl Card {
    /// The [feature](Self::features) of those who understand [publications](crate::publication).
    pub const PUBLICATIONS: u64 = 1;
    /// The bytes of a card at most.
    pub const MAX_BYTES: usize = 4096;
    const MAX_ZONE: usize = 64;
    const MAX_VERSION: usize = 32;
    const MAX_NAMESPACE: usize = 255;

    /// Whether it is within its bounds.
    ///
    /// # Errors
    /// [`CardError`], which says what is not.
    pub fn check(&self) -> Result<(), CardError> {
        self.encoded().map(|_| ())
    }

    pub(super) fn encoded(&self) -> Result<Arc<[u8]>, CardError> {
        if self.zone.len() > Self::MAX_ZONE {
            return Err(CardError::Zone(self.zone.len()));
        }
        if self.version.len() > Self::MAX_VERSION {
            return Err(CardError::Version(self.version.len()));
        }
        let bounds = 1..=Self::MAX_NAMESPACE;
        if let Some(name) = self
            .namespaces
            .iter()
            .find(|it| !bounds.contains(&it.len()))
        {
            return Err(CardError::Namespace(name.len()));
        }
        let mut out = Vec::new();
        self.zone.encode(&mut out);
        self.version.encode(&mut out);
        self.features.encode(&mut out);
        self.namespaces.encode(&mut out);
        match out.len() {
            0..=Self::MAX_BYTES => Ok(out.into()),
            len => Err(CardError::Size(len)),
        }
    }

    /// Reads what this version knows; later ones may add to the end.
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let card = Self {
            zone: String::decode(&mut input)?,
            version: String::decode(&mut input)?,
            features: u64::decode(&mut input)?,
            namespaces: BTreeSet::decode(&mut input)?,
        };
        card.encoded()
            .map_err(|_| DecodeError::Invalid("a card out of bounds"))?;
        Ok(card)
    }
}

/// Which of a member's cards: the generation of its owner, and which one in that life, beginning at 1. (0, 0) is none at all.
pub(super) type Edition = (u64, u64);

/// A card as it travels. Who passes it on passes on the bytes that came, whatever of them it understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) edition: Edition,
    /// Whether its owner has said goodbye with it.
    pub(super) is_farewell: bool,
    pub(super) bytes: Arc<[u8]>,
    pub(super) card: Arc<Card>,
}

impl Issue {
    pub(super) fn new(edition: Edition, card: Card) -> Result<Self, CardError> {
        Ok(Self {
            edition,
            is_farewell: false,
            bytes: card.encoded()?,
            card: Arc::new(card),
        })
    }

    /// The next one of the same life, or the first of another.
    pub(super) fn next(&self, generation: u64) -> Edition {
        match self.edition {
            (before, count) if before == generation => (generation, count.saturating_add(1)),
            _ => (generation, 1),
        }
    }
}

/// The varint of the owner's generation, the varint of the count, 1 for a farewell or else 0, the length of the card as a varint, the card.
impl Canonical for Issue {
    fn encode(&self, out: &mut Vec<u8>) {
        self.edition.encode(out);
        self.is_farewell.encode(out);
        (self.bytes.len() as u64).encode(out);
        out.extend_from_slice(&self.bytes);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let edition = Edition::decode(input)?;
        let is_farewell = bool::decode(input)?;
        let len = input.count(1)?;
        if len > Card::MAX_BYTES {
            return Err(DecodeError::OutOfRange);
        }
        let bytes = input.take(len)?;
        Ok(Self {
            edition,
            is_farewell,
            card: Arc::new(Card::read(bytes)?),
            bytes: bytes.into(),
        })
    }
}
