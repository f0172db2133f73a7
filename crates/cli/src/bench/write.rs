//! `syncline bench write`: writes in no order, beside the bare engine writing the rows alone; and what it takes to keep
//! everything that is kept beside the rows.

mod bare;
mod rates;
mod recorded;
mod steps;
mod upkeep;

use super::workload::Rows;
use crate::args::BenchWrite;
use crate::failure::Failure;
use crate::seeded::Seeded;

pub(super) fn run(arguments: &BenchWrite) -> Result<(), Failure> {
    let rows = Rows {
        count: arguments.size.rows,
        seed: arguments.size.seed,
    };
    match arguments.upkeep {
        true => upkeep::run(arguments, rows),
        false => rates::run(arguments, rows),
    }
}

/// Rows come in no order, as writes of many users do; in key order a B-tree is at its best and nothing is learned.
fn shuffled(rows: Rows) -> Vec<u64> {
    let mut random = Seeded::stream(rows.seed, 11);
    let mut order: Vec<u64> = (0..rows.count).collect();
    for last in (1..order.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        order.swap(last, other);
    }
    order
}
