//! The payload of a rumour: what a transaction has done.
//!
//! It begins with the 16 bytes of the carrier that made it. Then comes
//!
//! ```text
//! 1  the delta of a transaction
//! 2  what a chunk of a removal of a range has done
//! ```

use syncline_crdt::{Canonical, CarrierId, DecodeError, Delta, Input, Stamp};
use syncline_gossip::Rumour;
use syncline_store::RangeDelta;

use super::wire::MAX_RUMOUR;
use crate::outbox::{Deed, Publication};

const ROWS: u8 = 1;
const RANGE: u8 = 2;

impl Publication {
    /// The rumour of it; nothing when it is too large for one.
    pub(super) fn rumour(&self) -> Option<Rumour> {
        let mut bytes = self.carrier.to_bytes();
        match &self.deed {
            Deed::Rows(delta) => {
                bytes.push(ROWS);
                delta.encode(&mut bytes);
            }
            Deed::Range(delta) => {
                bytes.push(RANGE);
                delta.encode(&mut bytes);
            }
        }
        if bytes.len() > MAX_RUMOUR {
            return None;
        }
        Rumour::new(self.first.replica, self.first.counter, self.last, bytes)
    }
}

/// Whose deed a rumour tells of.
pub(super) fn carrier_of(rumour: &Rumour) -> Result<CarrierId, DecodeError> {
    CarrierId::decode(&mut Input::new(rumour.payload()))
}

impl Deed {
    /// Reads the payload of a rumour: a deed, and whose it is.
    pub(super) fn read(payload: &[u8]) -> Result<(CarrierId, Self), DecodeError> {
        let mut input = Input::new(payload);
        let carrier = CarrierId::decode(&mut input)?;
        let deed = match input.byte()? {
            ROWS => Self::Rows(Delta::decode(&mut input)?),
            RANGE => Self::Range(RangeDelta::decode(&mut input)?),
            tag => return Err(DecodeError::UnknownTag(tag)),
        };
        input.finish()?;
        Ok((carrier, deed))
    }

    /// The latest stamp in it.
    pub(super) fn latest(&self) -> Stamp {
        let (Self::Rows(delta) | Self::Range(RangeDelta { rows: delta, .. })) = self;
        let stamps = delta
            .rows()
            .flat_map(|(_, row)| row.iter().map(|sibling| sibling.stamp));
        stamps.fold(Stamp::ZERO, Stamp::max)
    }
}
