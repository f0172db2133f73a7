//! A replica that counts the rows it hands to sessions for sending: after an interruption neither side's report tells how
//! many there were, since a report comes only with a session's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::{CarrierId, Context, Dot, Roster, Row, RowKey};
use syncline_merkle::{Cut, Item, KeyRange, RangeDigest, Source};
use syncline_sync::{
    Additions, Attendance, Incoming, RangeRemoval, Removals, Replica, ReplicaError, Rows, Sketch,
    Statement, View,
};

/// A replica that is counted.
#[derive(Clone)]
pub(crate) struct Counted<R> {
    pub(crate) replica: R,
    pub(crate) rows: Arc<AtomicU64>,
}

/// One of its views.
pub(crate) struct CountedView<V> {
    view: V,
    rows: Arc<AtomicU64>,
}

impl<R: Replica> Replica for Counted<R> {
    type View = CountedView<R::View>;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        Ok(CountedView {
            view: self.replica.view()?,
            rows: Arc::clone(&self.rows),
        })
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        let (view, attendance) = self.replica.begin()?;
        let rows = Arc::clone(&self.rows);
        Ok((CountedView { view, rows }, attendance))
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        self.replica.enrol(roster)
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        self.replica.hear(roster, said);
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        self.replica.join(incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        self.replica.flush()
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        self.replica.drop_observed(range, observed, since)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        self.replica.withdraw(key)
    }
}

impl<V> CountedView<V> {
    fn count(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl<V: View> View for CountedView<V> {
    fn context(&self) -> &Context {
        self.view.context()
    }

    fn withdrawals(&self) -> u64 {
        self.view.withdrawals()
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>, ReplicaError> {
        let row = self.view.row(key)?;
        self.count(usize::from(row.is_some()));
        Ok(row)
    }

    fn rows(&self, range: &KeyRange, max_bytes: usize) -> Result<Rows, ReplicaError> {
        let rows = self.view.rows(range, max_bytes)?;
        self.count(rows.rows.len());
        Ok(rows)
    }

    fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Additions, ReplicaError> {
        let additions = self.view.lacking(&now.view, peer, after, max_bytes)?;
        self.count(additions.rows.len());
        Ok(additions)
    }

    fn keeps_removals(&self) -> bool {
        self.view.keeps_removals()
    }

    fn removals(
        &self,
        peer: &Context,
        start: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Removals, ReplicaError> {
        self.view.removals(peer, start, after, max_bytes)
    }

    fn range_removals(
        &self,
        peer: &Context,
        start: &Context,
        max_bytes: usize,
    ) -> Result<Vec<RangeRemoval>, ReplicaError> {
        self.view.range_removals(peer, start, max_bytes)
    }

    fn sketch(&self) -> Result<Option<Sketch>, ReplicaError> {
        self.view.sketch()
    }

    fn live_outside(&self, seen: &Context, limit: usize) -> Result<Option<Vec<Dot>>, ReplicaError> {
        self.view.live_outside(seen, limit)
    }

    fn key_of(&self, dot: Dot) -> Result<Option<RowKey>, ReplicaError> {
        self.view.key_of(dot)
    }
}

impl<V: View> Source for CountedView<V> {
    type Error = ReplicaError;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, ReplicaError> {
        self.view.digest(range)
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, ReplicaError> {
        self.view.cut(range, level, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, ReplicaError> {
        self.view.items(range, limit)
    }

    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, ReplicaError> {
        self.view.describe(key)
    }
}
