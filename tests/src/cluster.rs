//! Several replicas that write, lose deltas, sync, crash and rot in an order that a seed decides, and what they must come to.

mod member;
mod syncing;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_crdt::{Context, Delta, Dot, ReplicaId, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, StoreError, Table};

use crate::faulty::Wrong;
use crate::media::Medium;
use crate::reference::Reference;
use crate::rng::{Choices, Rng};
use member::{Member, World};
use syncing::Running;
use writing::{Act, key};

/// The namespace of all stores here.
pub const NAMESPACE: &str = "model";
/// Their cluster's secret.
pub const SECRET: [u8; 32] = [7; 32];

/// Plays a scenario to its end.
///
/// # Errors
/// What was violated, in words.
pub fn play<M: Medium>(
    seed: u64,
    wrong: Option<Wrong>,
    medium: impl FnMut(usize) -> M,
) -> Result<(), String> {
    let mut cluster = Cluster::new(seed, wrong, medium)?;
    for _ in 0..cluster.steps {
        cluster.step()?;
    }
    cluster.sessions.clear();
    cluster.quiesce()?;
    cluster.verify()
}

struct Cluster<M: Medium> {
    rng: Rng,
    wrong: Option<Wrong>,
    members: Vec<Member<M>>,
    keys: Vec<RowKey>,
    sessions: Vec<Running<M>>,
    /// Every delta ever made: each may be delivered any number of times, at any time, or never.
    net: Vec<Delta>,
    reference: Reference<RowKey, Vec<u8>>,
    /// The last counter that each replica id has used.
    issued: BTreeMap<ReplicaId, u64>,
    steps: usize,
    crashes: bool,
    damage: bool,
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl<M: Medium> Cluster<M> {
    fn new(
        seed: u64,
        wrong: Option<Wrong>,
        mut medium: impl FnMut(usize) -> M,
    ) -> Result<Self, String> {
        let mut rng = Rng::new(seed);
        let members = 2 + rng.below(3);
        // Few keys meet often; many make digest trees with several levels.
        let keys = match rng.below(12) {
            0 => 60 + rng.below(60),
            1 => 6 + rng.below(20),
            _ => 1 + rng.below(4),
        };
        let open = |at| {
            let wall_ms = 1_700_000_000_000 + rng.below(50) as u64;
            let entropy = seed.wrapping_mul(1_000_003).wrapping_add((at as u64) << 40);
            let world = World::new(wall_ms, entropy);
            Member::open(medium(at), Arc::new(world))
        };
        let members = (0..members).map(open).collect::<Result<_, _>>()?;
        let mut cluster = Self {
            wrong,
            members,
            keys: (0..keys).map(|n| key(n, &mut rng)).collect(),
            sessions: Vec::new(),
            net: Vec::new(),
            reference: Reference::default(),
            issued: BTreeMap::new(),
            steps: 10 + rng.below(80),
            crashes: rng.chance(40),
            damage: false,
            rng,
        };
        // What rots may be lost where a crash has lost the only copy elsewhere, so that either is tested alone.
        cluster.damage = !cluster.crashes && wrong.is_none() && cluster.rng.chance(15);
        if cluster.rng.chance(4) {
            cluster.share_many_rows()?;
        }
        Ok(cluster)
    }

    /// Rows that all have in common, so that differences lie far apart.
    fn share_many_rows(&mut self) -> Result<(), String> {
        let rows = 200 + self.rng.below(400);
        let common: Vec<RowKey> = (0..rows)
            .map(|n| RowKey::member(b"common", &n.to_be_bytes()))
            .collect();
        self.keys.extend(common.iter().step_by(37).cloned());
        let puts = common.into_iter().map(|key| (key, Act::Put)).collect();
        self.write(0, puts, Durability::Durable)?;
        let delta = self.net.last().cloned().unwrap_or_default();
        for member in &self.members {
            member
                .store
                .join_delta(&delta, Durability::Durable)
                .map_err(said)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.rng.below(self.members.len());
        let passed = self.rng.below(3) as u64;
        self.members[at].world.advance(passed);
        match self.rng.below(100) {
            0..28 => {
                let acts = self.acts();
                let durability = self.durability();
                self.write(at, acts, durability)
            }
            28..42 => self.deliver(at),
            42..50 => self.begin_session(at),
            50..88 => self.advance_session(),
            88..92 => {
                self.abort_session();
                Ok(())
            }
            92..95 if self.crashes => self.crash(at),
            95..96 => {
                // A wall clock that was set back.
                self.members[at].world.set_back(20);
                Ok(())
            }
            96..98 if self.damage => {
                self.rot(at);
                Ok(())
            }
            98 => self.fail_to_write(at),
            _ => self.audit(at).map(drop),
        }
    }

    fn crash(&mut self, at: usize) -> Result<(), String> {
        self.sessions
            .retain(|session| !session.between.contains(&at));
        let member = &mut self.members[at];
        member.crash()?;
        for operation in member.unsynced.drain(..) {
            self.reference.doubt(operation);
        }
        self.audit(at).map(drop)
    }

    /// A row of this replica rots, one that another one holds too, or it would be lost for good.
    fn rot(&mut self, at: usize) {
        let view = self.members[at].store.view().unwrap();
        let rows: Vec<(RowKey, Row)> = view.scan(&KeyRange::ALL).filter_map(Result::ok).collect();
        if rows.is_empty() {
            return;
        }
        let (key, row) = self.rng.pick(&rows).clone();
        let holds = |other: &Member<M>| {
            other
                .store
                .view()
                .unwrap()
                .get(&key)
                .is_ok_and(|there| there.as_ref() == Some(&row))
        };
        let others = self
            .members
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        if others.filter(|(_, other)| holds(other)).count() > 0 {
            let byte = self.rng.next() as usize;
            self.members[at]
                .engine
                .damage(Table::Rows, key.as_bytes(), |value| {
                    let at = byte % value.len();
                    value[at] ^= 1 << (byte % 7);
                });
        }
    }

    /// Withdraws every row that has rotted: a session comes across those only that it reads.
    fn scrub(&self) -> Result<(), String> {
        for member in self.members.iter().filter(|_| self.damage) {
            let view = member.store.view().map_err(said)?;
            let rotten = view.scan(&KeyRange::ALL).filter_map(|row| match row {
                Err(StoreError::Damaged { key }) => RowKey::from_bytes(key).ok(),
                _ => None,
            });
            let rotten: Vec<RowKey> = rotten.collect();
            member.store.withdraw(&rotten).map_err(said)?;
        }
        Ok(())
    }

    /// Holds the store against a recount of itself.
    fn audit(&self, at: usize) -> Result<(), String> {
        if self.damage {
            return Ok(());
        }
        let view = self.members[at].store.view().map_err(said)?;
        let recount = view.recount().map_err(said)?;
        match recount.is_sound() {
            true => Ok(()),
            false => Err(format!(
                "replica {at} contradicts itself: {:?}",
                recount.mismatches
            )),
        }
    }

    fn verify(&mut self) -> Result<(), String> {
        self.damage = false;
        let expected = self.reference.expected();
        let first = self.members[0].store.view().map_err(said)?;
        for (at, member) in self.members.iter().enumerate() {
            let view = member.store.view().map_err(said)?;
            let rows: Vec<(RowKey, Row)> = view
                .scan(&KeyRange::ALL)
                .collect::<Result<_, _>>()
                .map_err(said)?;
            let rows = rows.iter().map(|(key, row)| (key, row));
            expected
                .check(rows, view.context())
                .map_err(|why| format!("replica {at}: {why}"))?;
            self.audit(at)?;
            if view.root().map_err(said)? != first.root().map_err(said)? {
                return Err(format!("replicas 0 and {at} have different roots"));
            }
            if view.context() != first.context() {
                return Err(format!("replicas 0 and {at} have different contexts"));
            }
            self.check_context(view.context())?;
        }
        Ok(())
    }

    /// Nobody has seen what nobody did.
    fn check_context(&self, context: &Context) -> Result<(), String> {
        for (replica, _, last) in context.intervals() {
            if self
                .issued
                .get(&replica)
                .is_none_or(|issued| last > *issued)
            {
                return Err(format!(
                    "{} was seen, and never happened",
                    Dot::new(replica, last)
                ));
            }
        }
        Ok(())
    }
}
