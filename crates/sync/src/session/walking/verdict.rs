//! What follows from a finding for one row.

use alloc::collections::BTreeSet;

use syncline_crdt::{Context, Dot, Row, Seen};

use crate::frame::Wish;

/// What is to be done about one row of which the peer holds these dots.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// To be joined here, under the peer's context: its siblings as far as they are here too.
    pub(super) join: Option<Row>,
    /// To be sent.
    pub(super) send: Option<Row>,
    /// The dots that the peer holds there, whose payloads it does not need.
    pub(super) held: BTreeSet<Dot>,
    /// To be asked for. If it is to come whole, so is ours to be sent.
    pub(super) want: Option<Wish>,
}

impl Verdict {
    /// Ours is (S, C), theirs (S′, C′) with the payloads of S′ unknown.
    pub(super) fn of(
        ours: Option<Row>,
        seen: &Context,
        theirs: BTreeSet<Dot>,
        their_seen: &Context,
    ) -> Self {
        let ours = ours.unwrap_or_default();
        // S′ has dots that are newer than C′, such as of rows that we sent in this session.
        let is_news = |row: &Row| row.dots().any(|dot| !(their_seen, &theirs).contains(&dot));
        // S′ \ C is not empty: their row has to come, and its join will drop what is to be dropped here. Doing it now
        // would show readers neither the old value nor the new one. What is to be dropped there, only our row tells.
        if theirs.iter().any(|dot| !seen.contains(dot)) {
            let dropped = |dot: &Dot| seen.contains(dot) && ours.get(dot).is_none();
            return Self {
                send: (is_news(&ours) || theirs.iter().any(dropped)).then_some(ours),
                held: theirs,
                want: Some(Wish::Unseen),
                ..Self::default()
            };
        }
        let held = |dot: &Dot| theirs.contains(dot);
        let joined: Row = ours
            .iter()
            .filter(|sibling| held(&sibling.dot) || !their_seen.contains(&sibling.dot))
            .cloned()
            .collect();
        let differs = is_news(&joined) || !joined.dots().eq(theirs.iter().copied());
        if joined.len() < ours.len() {
            let common = ours.into_iter().filter(|sibling| held(&sibling.dot));
            return Self {
                join: Some(common.collect()),
                send: differs.then_some(joined),
                held: theirs,
                want: None,
            };
        }
        // Nothing to drop here; perhaps there.
        if differs {
            return Self {
                send: Some(joined),
                held: theirs,
                ..Self::default()
            };
        }
        // The same dots, yet the rows were found to differ. Somebody has changed one meanwhile, or the payloads under a
        // dot differ, which the join will decide. The bytes have to cross either way.
        Self {
            want: (!joined.is_empty()).then_some(Wish::Whole),
            send: (!joined.is_empty()).then_some(joined),
            ..Self::default()
        }
    }
}
