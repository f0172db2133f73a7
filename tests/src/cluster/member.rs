//! A replica with what it lives on: its medium, its clock, its entropy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_store::{Config, Environment, Store};

use super::{NAMESPACE, SECRET, said};
use crate::media::{Medium, Tapped};
use crate::rng::{Choices, Rng};

/// Time and entropy that a seed decides. Every replica has its own clock, which may be off and jump back.
#[derive(Debug)]
pub(super) struct World {
    wall_ms: AtomicU64,
    entropy: AtomicU64,
}

impl World {
    pub(super) fn new(wall_ms: u64, entropy: u64) -> Self {
        Self {
            wall_ms: AtomicU64::new(wall_ms),
            entropy: AtomicU64::new(entropy),
        }
    }

    pub(super) fn advance(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn set_back(&self, ms: u64) {
        self.wall_ms.fetch_sub(ms, Ordering::Relaxed);
    }
}

impl Environment for World {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        let drawn = self.entropy.fetch_add(1, Ordering::Relaxed);
        let bytes = Rng::new(drawn).bytes(10);
        bytes.try_into().unwrap()
    }
}

pub(super) struct Member<M: Medium> {
    medium: M,
    pub(super) engine: Tapped<M::Engine>,
    pub(super) store: Store<Tapped<M::Engine>>,
    pub(super) world: Arc<World>,
    /// Operations that a crash would lose.
    pub(super) unsynced: Vec<usize>,
}

impl<M: Medium> Member<M> {
    pub(super) fn open(mut medium: M, world: Arc<World>) -> Result<Self, String> {
        let engine = medium.open();
        let store = Self::store(&engine, &world)?;
        Ok(Self {
            medium,
            engine,
            store,
            world,
            unsynced: Vec::new(),
        })
    }

    /// Dies and is opened again, with what was synced.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        self.medium.crash();
        self.engine = self.medium.open();
        self.store = Self::store(&self.engine, &self.world)?;
        Ok(())
    }

    fn store(
        engine: &Tapped<M::Engine>,
        world: &Arc<World>,
    ) -> Result<Store<Tapped<M::Engine>>, String> {
        let mut config = Config::new(NAMESPACE, SECRET);
        config.environment = Arc::clone(world) as Arc<dyn Environment>;
        Store::open(engine.clone(), config).map_err(said)
    }
}
