//! Sessions over a [`syncline_store::Store`].

use syncline_crdt::{CarrierId, Context, Dot, Roster, Row, RowKey};
use syncline_merkle::{Cut, Item, KeyRange, RangeDigest, Source};
use syncline_store::{ChunkLimit, Durability, Engine, Store, StoreError, View as StoreView};

use crate::carriers::{Attendance, Statement};
use crate::error::ReplicaError;
use crate::replica::{
    Additions, Incoming, RangeRemoval, Removal, Removals, Replica, Rows, Sketch, View,
};

/// A store's view as a session reads it.
///
/// A type of its own, because errors of the store have to become those of the session on the way.
pub struct Reading<E: Engine>(StoreView<E>);

impl<E: Engine> Replica for Store<E> {
    type View = Reading<E>;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        Ok(Reading(Self::view(self)?))
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        let begun = Self::begin(self)?;
        let attendance = Attendance {
            carrier: begun.carrier,
            roster: begun.roster,
            own: begun.own.into(),
            others: begun
                .others
                .into_iter()
                .map(|(carrier, said)| (carrier, said.into()))
                .collect(),
            guard: Box::new(begun.guard),
        };
        Ok((Reading(begun.view), Some(attendance)))
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        Self::enrol(self, roster)?;
        Ok(())
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        let said = said.into_iter();
        let said = said.map(|(carrier, statement)| {
            let Statement { context, as_of_ms } = statement;
            (carrier, syncline_store::Statement { context, as_of_ms })
        });
        Self::hear(self, roster, said);
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        let durability = match incoming.durable {
            true => Durability::Durable,
            false => Durability::Memory,
        };
        // The group holds the right to write, so no row is withdrawn, and no carrier forgotten, between the checks and the
        // commit.
        let mut group = self.group()?;
        if Self::view(self)?.withdrawals() != incoming.since {
            return Err(ReplicaError::Withdrawn);
        }
        if incoming.from.is_some_and(|from| self.has_forgotten(&from)) {
            return Err(ReplicaError::Forgotten);
        }
        let removals = incoming.removals.into_iter();
        group.join(syncline_store::Incoming {
            rows: incoming.rows,
            covers: incoming.covers,
            learned: incoming.learned.unwrap_or_default(),
            removals: removals
                .map(|Removal { dot, key }| syncline_store::Removal { dot, key })
                .collect(),
            ranges: incoming.ranges.into_iter().map(stored).collect(),
            logged: incoming.logged,
            ..syncline_store::Incoming::from_peer(incoming.context)
        })?;
        Ok(group.commit(durability)?)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        Ok(Self::flush(self)?)
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        let mut group = self.group()?;
        if Self::view(self)?.withdrawals() != since {
            return Err(ReplicaError::Withdrawn);
        }
        let dropped = group.drop_observed(range, observed, ChunkLimit::default())?;
        group.commit(Durability::Memory)?;
        Ok(dropped.rest)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        Self::withdraw(self, core::slice::from_ref(key))?;
        Ok(())
    }
}

impl<E: Engine> View for Reading<E> {
    fn context(&self) -> &Context {
        self.0.context()
    }

    fn withdrawals(&self) -> u64 {
        self.0.withdrawals()
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>, ReplicaError> {
        Ok(self.0.get(key)?)
    }

    fn rows(&self, range: &KeyRange, max_bytes: usize) -> Result<Rows, ReplicaError> {
        let (mut rows, mut size) = (Vec::new(), 0);
        for row in self.0.scan(range) {
            let (key, row) = row?;
            size += key.as_bytes().len();
            size += row
                .iter()
                .map(|sibling| sibling.payload.len())
                .sum::<usize>();
            rows.push((key, row));
            if size >= max_bytes {
                return Ok(Rows {
                    rows,
                    complete: false,
                });
            }
        }
        Ok(Rows {
            rows,
            complete: true,
        })
    }

    fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Additions, ReplicaError> {
        let additions = self.0.lacking(&now.0, peer, after, max_bytes, usize::MAX)?;
        Ok(Additions {
            rows: additions.rows,
            frontier: additions.frontier,
            complete: additions.complete,
        })
    }

    fn keeps_removals(&self) -> bool {
        true
    }

    fn removals(
        &self,
        peer: &Context,
        start: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Removals, ReplicaError> {
        let found = self.0.removals_lacking(peer, start, after, max_bytes)?;
        let asked = start.difference(peer);
        let removals = found.removals.into_iter();
        Ok(Removals {
            removals: removals
                .map(|syncline_store::Removal { dot, key }| Removal { dot, key })
                .collect(),
            frontier: found.frontier,
            complete: found.complete,
            missing: asked.intersection(self.0.removals_missing()),
        })
    }

    fn range_removals(
        &self,
        peer: &Context,
        start: &Context,
        max_bytes: usize,
    ) -> Result<Vec<RangeRemoval>, ReplicaError> {
        let found = self.0.range_removals_lacking(peer, start, max_bytes)?;
        let removals = found.into_iter().map(|removal| RangeRemoval {
            dots: removal.dots,
            range: removal.range,
            observed: removal.observed,
        });
        Ok(removals.collect())
    }

    fn sketch(&self) -> Result<Option<Sketch>, ReplicaError> {
        Ok(Some(Sketch {
            key: self.0.sketch_key().clone(),
            symbols: self.0.sketch(),
        }))
    }

    fn live_outside(&self, seen: &Context, limit: usize) -> Result<Option<Vec<Dot>>, ReplicaError> {
        Ok(self.0.live_outside(seen, limit)?)
    }

    fn key_of(&self, dot: Dot) -> Result<Option<RowKey>, ReplicaError> {
        Ok(self.0.key_of(dot)?)
    }
}

impl<E: Engine> Source for Reading<E> {
    type Error = ReplicaError;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, ReplicaError> {
        Ok(self.0.digest(range)?)
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, ReplicaError> {
        Ok(self.0.cut(range, level, limit)?)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, ReplicaError> {
        Ok(Source::items(&self.0, range, limit)?)
    }

    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, ReplicaError> {
        Ok(self.0.describe(key)?)
    }
}

fn stored(removal: RangeRemoval) -> syncline_store::RangeRemoval {
    syncline_store::RangeRemoval {
        dots: removal.dots,
        range: removal.range,
        observed: removal.observed,
    }
}

impl From<syncline_store::Statement> for Statement {
    fn from(said: syncline_store::Statement) -> Self {
        let syncline_store::Statement { context, as_of_ms } = said;
        Self { context, as_of_ms }
    }
}

impl From<StoreError> for ReplicaError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { key } => Self::Damaged { key },
            StoreError::Withdrawn => Self::Withdrawn,
            other => Self::Failed(Box::new(other)),
        }
    }
}
