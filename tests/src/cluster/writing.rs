//! Transactions, and the deltas that they send about.

use syncline_crdt::{Delta, Dot, ReplicaId, RowKey, Siblings};
use syncline_store::{Durability, Engine, StoreError, Transaction};

use super::{Cluster, said};
use crate::faulty::Wrong;
use crate::media::Medium;
use crate::payload::payload;
use crate::reference::Operation;
use crate::rng::{Choices, Rng};

/// What a transaction does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Put,
    /// Supersedes a part of what it observes, as an increment does.
    PutBeside,
    Remove,
}

pub(super) fn key(n: usize, rng: &mut Rng) -> RowKey {
    let user = [&[b'k', 0][..rng.below(3)], &n.to_be_bytes()[7..]].concat();
    match rng.below(4) {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, &rng.bytes(2)),
        2 => RowKey::score(b"game", &user),
        _ => RowKey::member(b"set", &user),
    }
}

pub(super) fn perform<E: Engine>(
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
        let payload = payload(key, len, rng);
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

impl<M: Medium> Cluster<M> {
    pub(super) fn durability(&mut self) -> Durability {
        match self.rng.chance(50) {
            true => Durability::Memory,
            false => Durability::Durable,
        }
    }

    pub(super) fn acts(&mut self) -> Vec<(RowKey, Act)> {
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
    pub(super) fn write(
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
            Durability::Memory | Durability::Buffered => member.unsynced.push(number),
            Durability::Durable => member.unsynced.clear(),
        }
        self.net.push(delta);
        Ok(())
    }

    /// How a transaction must not be written: all its rows under one dot.
    pub(super) fn write_under_one_dot(
        &mut self,
        at: usize,
        acts: &[(RowKey, Act)],
    ) -> Result<(), String> {
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
    pub(super) fn fail_to_write(&mut self, at: usize) -> Result<(), String> {
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

    pub(super) fn deliver(&mut self, at: usize) -> Result<(), String> {
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
}
