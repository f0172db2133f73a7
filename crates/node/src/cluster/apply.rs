//! Joining what rumours bring into the store of their namespace.

use syncline_crdt::CarrierId;
use syncline_gossip::Rumour;
use syncline_store::{ChunkLimit, Durability, RangeDelta};
use tokio::sync::mpsc;

use crate::blocking;
use crate::error::Error;
use crate::outbox::Deed;
use crate::replica::{InUse, Replica};

/// Rumours that may wait for the store. With the bound on their size this bounds the memory they take.
const WAITING: usize = 256;
/// Rumours joined in one commit at most.
const BATCH: usize = 64;

/// What rumours are handed to, to be joined one after the other.
pub(super) fn applier(
    replica: Replica,
    skew_ms: u64,
) -> (mpsc::Sender<Rumour>, impl Future<Output = ()>) {
    let (sender, rumours) = mpsc::channel(WAITING);
    (sender, apply(replica, skew_ms, rumours))
}

/// Joins rumours until no more can come. What fails is left to sessions: nothing was acknowledged to anybody.
async fn apply(replica: Replica, skew_ms: u64, mut rumours: mpsc::Receiver<Rumour>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while rumours.recv_many(&mut waiting, BATCH).await > 0 {
        let batch = std::mem::take(&mut waiting);
        let open = match replica.open().await {
            Ok(open) => open,
            Err(Error::Closed | Error::Dropped { .. }) => return,
            Err(error) => {
                tracing::warn!(namespace = replica.namespace(), %error, "rumours were lost");
                continue;
            }
        };
        if open.room.admit_write().is_err() {
            // A session brings it when there is room again.
            continue;
        }
        let reader = replica.clone();
        let joined = blocking(move || {
            // What is stamped like something that is here already wins over nothing more. It has to be believed: all that is written with knowledge of a write
            // from the future is stamped after it, long after the clock has been set right.
            let seen_ms = open.store.view()?.clock().millis();
            let latest_ms = reader.wall_ms().saturating_add(skew_ms).max(seen_ms);
            let deeds = batch.iter().filter_map(|it| read(&reader, it, latest_ms));
            let deeds: Vec<_> = deeds.collect();
            join(&open, &deeds)?;
            Ok(deeds.len() as u64)
        });
        match joined.await {
            Ok(count) => replica.worked().rumours_joined.add(count),
            Err(error) => {
                tracing::warn!(namespace = replica.namespace(), %error, "rumours were lost");
            }
        }
    }
}

/// What a rumour says, if it can be believed.
fn read(replica: &Replica, rumour: &Rumour, latest_ms: u64) -> Option<(CarrierId, Deed)> {
    let namespace = replica.namespace();
    let writer = rumour.id().replica();
    match Deed::read(rumour.payload()) {
        // A stamp far ahead wins over all that is written until then.
        Ok((_, deed)) if deed.latest().millis() > latest_ms => {
            tracing::warn!(namespace, ?writer, "a rumour from the future was refused");
            None
        }
        Ok(said) => Some(said),
        Err(error) => {
            tracing::warn!(namespace, ?writer, %error, "a rumour cannot be read");
            None
        }
    }
}

fn join(open: &InUse, deeds: &[(CarrierId, Deed)]) -> Result<(), Error> {
    let joined = join_all(open, deeds);
    if joined.is_err() {
        open.writer.look_after(&open.store);
    }
    joined
}

fn join_all(open: &InUse, deeds: &[(CarrierId, Deed)]) -> Result<(), Error> {
    // One may have been forgotten since it was heard.
    let counted = deeds.iter().filter(|(it, _)| open.store.counts(it));
    let mut deeds = counted.map(|(_, deed)| deed).peekable();
    while let Some(first) = deeds.next() {
        match first {
            Deed::Rows(delta) => {
                let _turn = open.turn();
                let mut group = open.store.group()?;
                group.join_delta(delta)?;
                while let Some(Deed::Rows(delta)) = deeds.next_if(|it| matches!(it, Deed::Rows(_)))
                {
                    group.join_delta(delta)?;
                }
                group.commit(Durability::Buffered)?;
            }
            Deed::Range(delta) => join_range(open, delta)?,
        }
    }
    Ok(())
}

/// In commits of its own, between which others write.
fn join_range(open: &InUse, delta: &RangeDelta) -> Result<(), Error> {
    let limit = ChunkLimit::default();
    open.store
        .join_range_delta(delta, limit, Durability::Buffered)?;
    Ok(())
}
