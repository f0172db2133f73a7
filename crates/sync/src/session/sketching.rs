//! Removals by sketch: finds them from some 25 bytes each, however much is stored.
//!
//! When additions have crossed, what still differs are dots that are live on one side, are in both contexts, and were
//! dropped by the other side. So both sides sketch their live dots, as far as *both had seen them when the session
//! began*: the one that would otherwise begin the walk tells the first symbols of its sketch, as many as there can be
//! removals; the other subtracts its own and decodes. Dots that it holds itself were dropped by the teller, and are
//! dropped here. Dots that the teller holds were dropped here, and are named to it.
//!
//! That a dot of the common part is not live on a side is a statement that stays true: it is dead for good. So it does
//! not matter that the two sketches are of different moments, or what is written meanwhile: a dot that is found was
//! dropped by somebody, and is joined as such, under a context of nothing but itself.
//!
//! Nothing is concluded from a decoding but what it found. Agreement is equal roots, as ever; what the sketch could not
//! tell is walked.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, Context, Dot, ReplicaId};
use syncline_merkle::RangeDigest;
use syncline_merkle::sketch::{self, Decoder, Element, Prefix, Progress, Side, SketchKey};

use super::Next;
use super::ground::Ground;
use super::wire::Wire;
use crate::error::SessionError;
use crate::frame::{Bytes, Frame};
use crate::replica::{Replica, Sketch, View};

/// So many live dots are taken out of a sketch at most because the peer has not seen them; each costs a look-up. Where
/// there are more, rows were exchanged by the ten thousand, and the walk is not what costs.
const OUTSIDE_MAX: usize = 1 << 16;

/// How many symbols are asked for at least when those that came were too few.
const MORE_MIN: usize = 32;

/// The sketch as one side sees it.
#[derive(Debug)]
pub(super) struct Sketching {
    /// What both sides had seen when the session began.
    common: Context,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Teller(Teller),
    Decoder(Box<Decoding>),
}

/// The side that tells its symbols.
#[derive(Debug)]
struct Teller {
    symbols: Prefix,
    told: usize,
}

/// The side that subtracts its own.
#[derive(Debug)]
struct Decoding {
    ours: Prefix,
    decoder: Decoder,
    ids: BTreeMap<u64, ReplicaId>,
    /// Our root as the teller was told it, once everything was decoded.
    told: Option<RangeDigest>,
}

impl Sketching {
    /// Tells the first symbols, if it is likely that a sketch tells all. `theirs` is the peer's root, as far as known;
    /// `insist` is for those who asked for a sketch whatever it costs.
    pub(super) fn tell<R: Replica>(
        theirs: RangeDigest,
        insist: bool,
        ground: &Ground<R>,
        wire: &mut Wire,
    ) -> Result<Option<Self>, SessionError> {
        let common = ground.common()?;
        let Some((sketch, outside)) = restricted(ground, &common)? else {
            return Ok(None);
        };
        let symbols = sketch.symbols;
        let removals = ground.removals_feared(theirs, outside)?;
        // More differences than symbols are never decoded, and as many take a third more.
        let capacity = symbols.symbols().len() / 3 * 2;
        if !insist && !(1..=capacity).contains(&removals) {
            return Ok(None);
        }
        let mut teller = Teller { symbols, told: 0 };
        teller.say(sketch::symbols_for(removals.min(capacity)), wire);
        Ok(Some(Self {
            common,
            part: Part::Teller(teller),
        }))
    }

    /// Awaits the symbols that the peer has begun to tell; none if ours cannot be compared with them.
    pub(super) fn listen<R: Replica>(ground: &Ground<R>) -> Result<Option<Self>, SessionError> {
        let common = ground.common()?;
        let Some((Sketch { key, symbols }, _)) = restricted(ground, &common)? else {
            return Ok(None);
        };
        let ids = common.replicas().map(|id| (key.tag(id.as_bytes()), id));
        let decoding = Decoding {
            ids: ids.collect(),
            decoder: Decoder::new(key, symbols.symbols().len()),
            ours: symbols,
            told: None,
        };
        Ok(Some(Self {
            common,
            part: Part::Decoder(Box::new(decoding)),
        }))
    }

    /// The peer's next symbols have come.
    pub(super) fn symbols<R: Replica>(
        &mut self,
        bytes: &[u8],
        theirs: RangeDigest,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let Part::Decoder(decoding) = &mut self.part else {
            return Err(OUT_OF_TURN);
        };
        match decoding.extend(bytes, wire)? {
            Progress::Complete => {}
            Progress::Incomplete => {
                let wanted = (decoding.decoder.symbols() / 2).max(MORE_MIN);
                let frame = Frame::MoreSymbols(wanted as u64);
                wire.send(wire.next_flight(), &frame);
                return Ok(Next::Idle);
            }
            Progress::Failed => return Ok(Next::Walk(theirs)),
        }
        let Some((ours, dropped)) = decoding.found(&self.common) else {
            return Ok(Next::Walk(theirs));
        };
        // Whatever the arithmetic says, a dot that is live here is not called dead.
        if !ground.read(|view| all_dead(view, &dropped))? {
            return Ok(Next::Walk(theirs));
        }
        ground.drop_dots(&ours)?;
        if !dropped.is_empty() {
            let dropped = dropped.to_bytes();
            wire.send(wire.next_flight(), &Frame::Dropped(Bytes(&dropped)));
        }
        let root = ground.root()?;
        decoding.told = Some(root);
        state(root, wire);
        Ok(Next::Idle)
    }

    /// The peer needs more symbols.
    pub(super) fn more(
        &mut self,
        count: u64,
        theirs: RangeDigest,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let Part::Teller(teller) = &mut self.part else {
            return Err(OUT_OF_TURN);
        };
        if teller.told == teller.symbols.symbols().len() {
            return Ok(Next::Walk(theirs));
        }
        teller.say(usize::try_from(count).unwrap_or(usize::MAX), wire);
        Ok(Next::Idle)
    }

    /// The peer names dots that were live here and that it has dropped.
    pub(super) fn dropped<R: Replica>(
        &self,
        bytes: &[u8],
        ground: &mut Ground<R>,
    ) -> Result<(), SessionError> {
        let Part::Teller(teller) = &self.part else {
            return Err(OUT_OF_TURN);
        };
        let dropped = Context::from_bytes(bytes)
            .map_err(|_| SessionError::Malformed("what it names as dropped is no context"))?;
        // No more can be decoded than symbols were told, nor anything that one side had not seen.
        if dropped.len() > teller.told as u128 || !self.common.covers(&dropped) {
            return Err(SessionError::Malformed(
                "it names dots as dropped that cannot have been in the sketch",
            ));
        }
        let dots: Vec<Dot> = dropped
            .intervals()
            .flat_map(|(id, first, last)| (first..=last).map(move |at| Dot::new(id, at)))
            .collect();
        ground.drop_dots(&dots)
    }

    /// The peer has stated its root.
    pub(super) fn root<R: Replica>(
        &self,
        theirs: RangeDigest,
        ground: &Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        match &self.part {
            Part::Teller(_) => {
                let root = ground.root()?;
                if root != theirs {
                    return Ok(Next::Walk(theirs));
                }
                state(root, wire);
                Ok(Next::Finish { agreed: true, root })
            }
            Part::Decoder(decoding) => {
                let root = decoding.told.ok_or(OUT_OF_TURN)?;
                Ok(Next::Finish {
                    agreed: root == theirs,
                    root,
                })
            }
        }
    }
}

impl Teller {
    fn say(&mut self, count: usize, wire: &mut Wire) {
        let rest = &self.symbols.symbols()[self.told..];
        let next = &rest[..count.clamp(1, rest.len().max(1)).min(rest.len())];
        let bytes = sketch::encode(next);
        wire.send(wire.next_flight(), &Frame::Symbols(Bytes(&bytes)));
        self.told += next.len();
    }
}

impl Decoding {
    fn extend(&mut self, bytes: &[u8], wire: &mut Wire) -> Result<Progress, SessionError> {
        let ours = &self.ours.symbols()[self.decoder.symbols()..];
        let theirs = sketch::decode(bytes, ours.len())
            .map_err(|_| SessionError::Malformed("its symbols cannot be read"))?;
        if theirs.is_empty() {
            return Err(SessionError::Malformed("it tells no symbols"));
        }
        wire.report.symbols += theirs.len() as u64;
        let differences = theirs
            .iter()
            .zip(ours)
            .map(|(theirs, ours)| *theirs - *ours);
        Ok(self.decoder.extend(differences))
    }

    /// What is live here alone, and what is live there alone; nothing if some of it is no dot that both have seen.
    fn found(&self, common: &Context) -> Option<(Vec<Dot>, Context)> {
        let (mut ours, mut theirs) = (Vec::new(), Context::new());
        for (side, element) in self.decoder.found() {
            let dot = Dot::new(*self.ids.get(&element.tag())?, element.number());
            if !common.contains(&dot) {
                return None;
            }
            match side {
                Side::Ours => ours.push(dot),
                Side::Theirs => drop(theirs.insert(dot)),
            }
        }
        Some((ours, theirs))
    }
}

/// Our sketch as far as the peer had seen what is in it, and how many live dots it had not seen.
fn restricted<R: Replica>(
    ground: &Ground<R>,
    common: &Context,
) -> Result<Option<(Sketch, usize)>, SessionError> {
    ground.read(|view| {
        let Some(mut sketch) = view.sketch()? else {
            return Ok(None);
        };
        let Some(outside) = view.live_outside(common, OUTSIDE_MAX)? else {
            return Ok(None);
        };
        let mut elements = Elements::default();
        for dot in &outside {
            sketch.symbols.remove(&elements.of(&sketch.key, *dot));
        }
        Ok(Some((sketch, outside.len())))
    })
}

/// Makes elements of dots. Neighbours are mostly of one replica, whose tag is made once.
#[derive(Default)]
struct Elements {
    last: Option<(ReplicaId, u64)>,
}

impl Elements {
    fn of(&mut self, key: &SketchKey, dot: Dot) -> Element {
        let tag = match self.last {
            Some((id, tag)) if id == dot.replica => tag,
            _ => key.tag(dot.replica.as_bytes()),
        };
        self.last = Some((dot.replica, tag));
        key.element(tag, dot.counter)
    }
}

fn all_dead<V: View>(view: &V, dots: &Context) -> Result<bool, crate::ReplicaError> {
    for (id, first, last) in dots.intervals() {
        for counter in first..=last {
            if view.key_of(Dot::new(id, counter))?.is_some() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn state(root: RangeDigest, wire: &mut Wire) {
    let frame = Frame::Root(root.into(), wire.frames_received);
    wire.send(wire.next_flight(), &frame);
}

const OUT_OF_TURN: SessionError = SessionError::Unexpected {
    frame: "something about the sketch",
    phase: "the other side was to say that",
};
