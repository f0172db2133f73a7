//! Several replicas that write, lose deltas, sync, crash and rot in an order that a seed decides, and what they must come to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::{Context, Delta, Dot, ReplicaId, Row, RowKey, Siblings};
use syncline_merkle::KeyRange;
use syncline_store::{
    Config, Durability, Engine, Environment, Store, StoreError, Table, Transaction,
};
use syncline_sync::{Request, Strategy};

use crate::faulty::{Faulty, Wrong};
use crate::link::Link;
use crate::media::{Medium, Tapped};
use crate::reference::{Operation, Reference};
use crate::rng::{Choices, Rng};

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

/// Time and entropy that a seed decides. Every replica has its own clock, which may be off and jump back.
#[derive(Debug)]
struct World {
    wall_ms: AtomicU64,
    entropy: AtomicU64,
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

struct Member<M: Medium> {
    medium: M,
    engine: Tapped<M::Engine>,
    store: Store<Tapped<M::Engine>>,
    world: Arc<World>,
    /// Operations that a crash would lose.
    unsynced: Vec<usize>,
}

impl<M: Medium> Member<M> {
    fn open(mut medium: M, world: Arc<World>) -> Result<Self, String> {
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

    fn store(
        engine: &Tapped<M::Engine>,
        world: &Arc<World>,
    ) -> Result<Store<Tapped<M::Engine>>, String> {
        let mut config = Config::new(NAMESPACE, SECRET);
        config.environment = Arc::clone(world) as Arc<dyn Environment>;
        Store::open(engine.clone(), config).map_err(said)
    }
}

/// A session under way between two members.
struct Running<M: Medium> {
    between: [usize; 2],
    link: Between<M>,
}

type Between<M> = Link<Faulty<Tapped<<M as Medium>::Engine>>>;

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
            let world = World {
                wall_ms: AtomicU64::new(1_700_000_000_000 + rng.below(50) as u64),
                entropy: AtomicU64::new(
                    seed.wrapping_mul(1_000_003).wrapping_add((at as u64) << 40),
                ),
            };
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
        self.members[at]
            .world
            .wall_ms
            .fetch_add(self.rng.below(3) as u64, Ordering::Relaxed);
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
                self.members[at]
                    .world
                    .wall_ms
                    .fetch_sub(20, Ordering::Relaxed);
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

    fn durability(&mut self) -> Durability {
        match self.rng.chance(50) {
            true => Durability::Memory,
            false => Durability::Durable,
        }
    }

    fn acts(&mut self) -> Vec<(RowKey, Act)> {
        let count = 1 + self.rng.below(self.keys.len().min(3));
        let act = |rng: &mut Rng| match rng.below(10) {
            0..6 => Act::Put,
            6 => Act::PutBeside,
            _ => Act::Remove,
        };
        (0..count)
            .map(|_| (self.rng.pick(&self.keys).clone(), act(&mut self.rng)))
            .collect()
    }

    /// One transaction.
    fn write(
        &mut self,
        at: usize,
        acts: Vec<(RowKey, Act)>,
        durability: Durability,
    ) -> Result<(), String> {
        if self.wrong == Some(Wrong::SharedDot) {
            return self.write_under_one_dot(at, &acts);
        }
        let rng = &mut self.rng;
        let member = &mut self.members[at];
        let before = member.store.view().map_err(said)?.shared_context();
        let body = |txn: &mut Transaction<'_, _>| perform(txn, &acts, rng);
        let (operation, delta) = member.store.transact(durability, body).map_err(said)?;
        for (_, dot, _) in &operation.writes {
            if self
                .issued
                .get(&dot.replica)
                .is_some_and(|last| dot.counter <= *last)
            {
                return Err(format!("the dot {dot} is used for the second time"));
            }
        }
        for (replica, _, last) in delta.context().difference(&before).intervals() {
            let issued = self.issued.entry(replica).or_default();
            *issued = last.max(*issued);
        }
        // Causality beats wall clocks: what observed the others is read.
        let view = member.store.view().map_err(said)?;
        for (key, dot, _) in &operation.writes {
            let row = view.get(key).map_err(said)?.unwrap_or_default();
            if row.get(dot).is_some() && row.winner().map(|winner| winner.dot) < Some(*dot) {
                return Err(format!(
                    "{key:?}: the write {dot} loses against one that it observed"
                ));
            }
        }
        let number = self.reference.record(operation);
        match durability {
            Durability::Memory => member.unsynced.push(number),
            Durability::Durable => member.unsynced.clear(),
        }
        self.net.push(delta);
        Ok(())
    }

    /// How a transaction must not be written: all its rows under one dot.
    fn write_under_one_dot(&mut self, at: usize, acts: &[(RowKey, Act)]) -> Result<(), String> {
        let member = &mut self.members[at];
        let view = member.store.view().map_err(said)?;
        let replica = ReplicaId::from_bytes([at as u8; 16]);
        let dot = view.context().next_dot(replica);
        let mut delta = Delta::new();
        delta.observe(dot);
        for (key, _) in acts {
            let row = view.get(key).map_err(said)?.unwrap_or_default();
            delta.observe_all(&row.dots().collect());
            delta.set_row(
                key.clone(),
                Siblings::one(dot, view.clock().next(), b"shared".to_vec()),
            );
        }
        member
            .store
            .join_delta(&delta, Durability::Durable)
            .map_err(said)?;
        let view = member.store.view().map_err(said)?;
        for (key, _) in acts {
            if view
                .get(key)
                .map_err(said)?
                .is_none_or(|row| row.get(&dot).is_none())
            {
                return Err(format!("{key:?} has lost the write {dot}"));
            }
        }
        Ok(())
    }

    /// A transaction whose body fails must leave no trace.
    fn fail_to_write(&mut self, at: usize) -> Result<(), String> {
        let acts = self.acts();
        let (store, rng) = (&self.members[at].store, &mut self.rng);
        let before = store.view().map_err(said)?;
        let outcome = store.transact::<(), StoreError>(Durability::Durable, |txn| {
            perform(txn, &acts, rng)?;
            Err(StoreError::TooManyRows)
        });
        let after = store.view().map_err(said)?;
        let same = before.context() == after.context()
            && before.root().map_err(said)? == after.root().map_err(said)?;
        match (outcome, same || self.damage) {
            (Err(StoreError::TooManyRows), true) => Ok(()),
            (outcome, _) => Err(format!(
                "a transaction that failed left a trace: {outcome:?}"
            )),
        }
    }

    fn deliver(&mut self, at: usize) -> Result<(), String> {
        if self.net.is_empty() {
            return Ok(());
        }
        let durability = self.durability();
        let delta = self.rng.pick(&self.net);
        let member = &mut self.members[at];
        if self.wrong == Some(Wrong::SkipKnown) {
            let view = member.store.view().map_err(said)?;
            let mut dots = delta.rows().flat_map(|(_, row)| row.dots());
            if delta.rows().len() > 0 && dots.all(|dot| view.context().contains(&dot)) {
                return Ok(());
            }
        }
        member.store.join_delta(delta, durability).map_err(said)?;
        if durability == Durability::Durable {
            member.unsynced.clear();
        }
        Ok(())
    }

    fn link(&mut self, from: usize, to: usize, request: Request) -> Result<Between<M>, String> {
        let side = |at: usize, peer: usize| {
            Faulty::new(
                self.members[at].store.clone(),
                self.members[peer].store.clone(),
                self.wrong,
            )
        };
        let batch_bytes = [1, 200, 3_000, 256 << 10][self.rng.below(4)];
        Link::open(
            side(from, to),
            side(to, from),
            NAMESPACE,
            request,
            batch_bytes,
        )
        .map_err(said)
    }

    fn request(&mut self) -> Request {
        let salt = self.rng.bytes(16).try_into().unwrap();
        let strategy = [
            Strategy::Auto,
            Strategy::Auto,
            Strategy::Walk,
            Strategy::Full,
        ][self.rng.below(4)];
        Request::new(salt).by(strategy)
    }

    fn begin_session(&mut self, from: usize) -> Result<(), String> {
        let to = (from + 1 + self.rng.below(self.members.len() - 1)) % self.members.len();
        let mut request = self.request();
        if self.rng.chance(12) {
            let prefix = RowKey::user_prefix(&self.rng.pick(&self.keys).user_key());
            request = request.within(KeyRange::prefix(&prefix));
        }
        match self.link(from, to, request) {
            Ok(link) => self.sessions.push(Running {
                between: [from, to],
                link,
            }),
            Err(_) if self.damage => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn advance_session(&mut self) -> Result<(), String> {
        if self.sessions.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.sessions.len());
        for _ in 0..1 + self.rng.below(6) {
            match self.sessions[at].link.step(&mut self.rng) {
                Ok(true) => {}
                Ok(false) => {
                    self.sessions.remove(at);
                    return Ok(());
                }
                // Whoever finds damage withdraws the row and ends the session.
                Err(_) if self.damage => {
                    self.sessions.remove(at);
                    return Ok(());
                }
                Err(error) => return Err(format!("a session failed: {error}")),
            }
        }
        Ok(())
    }

    /// The connection breaks; frames under way are lost.
    fn abort_session(&mut self) {
        if !self.sessions.is_empty() {
            let at = self.rng.below(self.sessions.len());
            self.sessions.remove(at);
        }
    }

    fn crash(&mut self, at: usize) -> Result<(), String> {
        self.sessions
            .retain(|session| !session.between.contains(&at));
        let member = &mut self.members[at];
        member.medium.crash();
        member.engine = member.medium.open();
        member.store = Member::<M>::store(&member.engine, &member.world)?;
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

    /// Complete sessions, all ways, until nothing is left to be told.
    fn quiesce(&mut self) -> Result<(), String> {
        self.scrub()?;
        let count = self.members.len();
        for round in 0..3 {
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    self.meet(from, to, round)?;
                }
            }
        }
        Ok(())
    }

    fn meet(&mut self, from: usize, to: usize, round: usize) -> Result<(), String> {
        // A session that finds damage ends; each finds at least one row.
        for _ in 0..20 {
            let request = self.request();
            let outcome = self.link(from, to, request.clone()).and_then(|mut link| {
                link.run(&mut self.rng).map_err(said)?;
                Ok(link)
            });
            match outcome {
                Ok(link) => {
                    let [ours, theirs] = link.reports();
                    if !(ours.agreed && theirs.agreed) {
                        return Err(format!(
                            "{from} and {to} do not agree after a session by {}",
                            request.strategy
                        ));
                    }
                    if round > 0
                        && ours.rows_sent + ours.rows_received > 0
                        && request.strategy != Strategy::Full
                        && !self.damage
                    {
                        return Err(format!(
                            "{from} and {to} sent rows though they agreed before"
                        ));
                    }
                    return Ok(());
                }
                Err(error) if !self.damage => return Err(format!("a session failed: {error}")),
                Err(_) => {}
            }
        }
        Err(format!("{from} and {to} never get through a session"))
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

/// What a transaction does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Put,
    /// Supersedes a part of what it observes, as an increment does.
    PutBeside,
    Remove,
}

fn key(n: usize, rng: &mut Rng) -> RowKey {
    let user = [&[b'k', 0][..rng.below(3)], &n.to_be_bytes()[7..]].concat();
    match rng.below(3) {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, &rng.bytes(2)),
        _ => RowKey::member(b"set", &user),
    }
}

fn perform<E: Engine>(
    txn: &mut Transaction<'_, E>,
    acts: &[(RowKey, Act)],
    rng: &mut Rng,
) -> Result<Operation<RowKey, Vec<u8>>, StoreError> {
    let mut operation = Operation {
        writes: Vec::new(),
        superseded: Vec::new(),
    };
    for (key, act) in acts {
        let mut observed: Vec<Dot> = txn.get(key)?.unwrap_or_default().dots().collect();
        let len = if rng.chance(3) { 2_000 } else { rng.below(12) };
        let payload = rng.bytes(len);
        match act {
            Act::Remove => {
                txn.remove(key)?;
            }
            Act::Put => {
                let dot = txn.put(key, payload.clone())?;
                operation.writes.push((key.clone(), dot, payload));
            }
            Act::PutBeside => {
                observed.retain(|_| rng.chance(50));
                let dot = txn.put_superseding(key, payload.clone(), &observed)?;
                operation.writes.push((key.clone(), dot, payload));
            }
        }
        operation.superseded.extend(observed);
    }
    Ok(operation)
}
