//! The two places that a store's rows can lie: a file with a log before it, or memory.

use syncline_store::{
    Batch, Bounds, Direction, Durability, Engine, EngineError, EngineSize, Entry, LoggedEngine,
    MemoryEngine, Snapshot, Table, Visitor,
};

/// One type for both engines, so that a namespace is one type whatever it lies on.
pub(crate) enum AnyEngine {
    File(LoggedEngine),
    Memory(MemoryEngine),
    #[cfg(test)]
    Failing(syncline_store::FailingEngine<MemoryEngine>),
}

impl Engine for AnyEngine {
    type Snapshot = AnySnapshot;

    fn snapshot(&self) -> Result<AnySnapshot, EngineError> {
        Ok(match self {
            Self::File(engine) => AnySnapshot::File(Box::new(engine.snapshot()?)),
            Self::Memory(engine) => AnySnapshot::Memory(Box::new(engine.snapshot()?)),
            #[cfg(test)]
            Self::Failing(engine) => AnySnapshot::Memory(Box::new(engine.snapshot()?)),
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        match self {
            Self::File(engine) => engine.commit(batch, durability),
            Self::Memory(engine) => engine.commit(batch, durability),
            #[cfg(test)]
            Self::Failing(engine) => engine.commit(batch, durability),
        }
    }

    fn flush(&self) -> Result<(), EngineError> {
        match self {
            Self::File(engine) => engine.flush(),
            Self::Memory(engine) => engine.flush(),
            #[cfg(test)]
            Self::Failing(engine) => engine.flush(),
        }
    }

    fn is_durable(&self) -> bool {
        match self {
            Self::File(engine) => engine.is_durable(),
            Self::Memory(engine) => engine.is_durable(),
            #[cfg(test)]
            Self::Failing(engine) => engine.is_durable(),
        }
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        match self {
            Self::File(engine) => engine.size(),
            Self::Memory(engine) => engine.size(),
            #[cfg(test)]
            Self::Failing(engine) => engine.size(),
        }
    }
}

/// A snapshot of either engine. Boxed, since each is a handle per table, and it is moved around.
pub(crate) enum AnySnapshot {
    File(Box<<LoggedEngine as Engine>::Snapshot>),
    Memory(Box<<MemoryEngine as Engine>::Snapshot>),
}

impl Snapshot for AnySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self {
            Self::File(snapshot) => snapshot.get(table, key),
            Self::Memory(snapshot) => snapshot.get(table, key),
        }
    }

    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        match self {
            Self::File(snapshot) => snapshot.visit(table, bounds, direction, visitor),
            Self::Memory(snapshot) => snapshot.visit(table, bounds, direction, visitor),
        }
    }

    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's> {
        match self {
            Self::File(snapshot) => snapshot.range(table, bounds),
            Self::Memory(snapshot) => snapshot.range(table, bounds),
        }
    }
}
