//! The engine without anything of ours: keys and values, as the user has them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};
use syncline_store::{Durability, RedbOptions};

use super::Rows;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// How the rows are written.
#[derive(Clone, Copy)]
pub(super) struct Plan<'o> {
    pub(super) rows: Rows,
    pub(super) order: &'o [u64],
    pub(super) rows_per_commit: u64,
    pub(super) writers: u64,
    /// Whether each commit is synced. redb knows nothing in between: what is not synced does not survive the process.
    pub(super) synced: bool,
}

/// Writes the rows and returns the time it took. Sorting a commit's rows counts, as it does in the store.
pub(super) fn write(plan: Plan<'_>, path: &Path, progress: &Progress) -> Result<Duration, Failure> {
    let writing = || "bare redb cannot write".to_owned();
    let mut builder = Database::builder();
    builder.set_cache_size(RedbOptions::default().cache_bytes);
    let database = builder.create(path).doing(writing)?;
    let chunks: Vec<&[u64]> = plan.order.chunks(plan.rows_per_commit as usize).collect();
    let next = AtomicU64::new(0);
    let began = Instant::now();
    let preparing = thread::scope(|scope| {
        let writers: Vec<_> = (0..plan.writers)
            .map(|_| {
                scope.spawn(|| {
                    let mut preparing = Duration::ZERO;
                    while let Some(chunk) =
                        chunks.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        let began = Instant::now();
                        let entries: Vec<_> = chunk
                            .iter()
                            .map(|&index| (plan.rows.key(index), plan.rows.value(index, 0)))
                            .collect();
                        preparing += began.elapsed();
                        commit(&database, entries, plan.synced)?;
                        progress.add(chunk.len() as u64);
                    }
                    Ok::<_, redb::Error>(preparing)
                })
            })
            .collect();
        let mut preparing = Ok::<_, redb::Error>(Duration::ZERO);
        for writer in writers {
            let done = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            preparing = preparing.and_then(|so_far| Ok(so_far + done?));
        }
        preparing
    });
    let preparing = preparing.doing(writing)?;
    let wall = began.elapsed();
    // Several writers prepare at once, while others commit; with one, what is not the engine's is taken off.
    Ok(match plan.writers {
        1 => wall.saturating_sub(preparing),
        _ => wall,
    })
}

fn commit(
    database: &Database,
    mut entries: Vec<(Vec<u8>, Vec<u8>)>,
    synced: bool,
) -> Result<(), redb::Error> {
    entries.sort_unstable();
    let mut transaction = database.begin_write()?;
    match synced {
        // As ours: what makes opening after a crash fast is paid with each commit.
        true => transaction.set_quick_repair(true),
        false => transaction.set_durability(redb::Durability::None)?,
    }
    {
        let mut table = transaction.open_table(TABLE)?;
        for (key, value) in &entries {
            table.insert(key.as_slice(), value.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Whether bare redb has to sync to promise at least as much.
pub(super) fn has_to_sync(durability: Durability) -> bool {
    durability != Durability::Memory
}
