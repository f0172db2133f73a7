//! Many runs that answer one question.

use std::fmt;

use serde::Serialize;
use syncline_gossip::Strategy;
use syncline_sim::{Growth, Reach, Scenario};

use super::{print, simulate};
use crate::args;
use crate::failure::Failure;
use crate::table::{Align, Table, count};

pub(super) fn reach(arguments: &args::Reach) -> Result<(), Failure> {
    let cells = arguments.nodes.iter().flat_map(|nodes| {
        let fanouts = arguments.fanouts.iter();
        fanouts.map(|fanout| Reach::scenarios(*nodes, *fanout, arguments.seed, arguments.runs))
    });
    let cells: Vec<Vec<Scenario>> = cells.collect();
    let mut reports = simulate(&cells.concat())?;
    let mut rows = Vec::new();
    for scenarios in &cells {
        let rest = reports.split_off(scenarios.len());
        rows.extend(Reach::of(scenarios, &reports));
        reports = rest;
    }
    print(&Rows(rows), arguments.json)
}

pub(super) fn growth(arguments: &args::Growth) -> Result<(), Failure> {
    let scenario = |nodes, run| Scenario {
        nodes,
        writers: arguments.writers,
        seed: arguments.seed.wrapping_add(u64::from(run)),
        ..Scenario::new(Strategy::Plumtree)
    };
    let mut rows = Vec::new();
    for nodes in &arguments.nodes {
        let scenarios = (0..arguments.runs).map(|run| scenario(*nodes, run));
        let reports = simulate(&scenarios.collect::<Vec<_>>())?;
        rows.push(Growth::of(*nodes, &reports));
    }
    print(&Rows(rows), arguments.json)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Rows<T>(Vec<T>);

impl fmt::Display for Rows<Reach> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("nodes", Align::Right),
            ("fanout", Align::Right),
            ("rumours", Align::Right),
            ("took off", Align::Right),
            ("reached", Align::Right),
            ("s = 1 - exp(-f s)", Align::Right),
            ("off by", Align::Right),
        ]);
        for row in &self.0 {
            table.row([
                count(u64::from(row.nodes)),
                row.fanout.to_string(),
                row.rumours.to_string(),
                row.took_off.to_string(),
                format!("{:.2} %", 100.0 * row.reached),
                format!("{:.2} %", 100.0 * row.expected),
                format!("{:.2} points", row.off_by),
            ]);
        }
        write!(f, "{table}")
    }
}

impl fmt::Display for Rows<Growth> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("nodes", Align::Right),
            ("delivered", Align::Right),
            ("copies", Align::Right),
            ("most hops", Align::Right),
            ("to all", Align::Right),
            ("bytes per node and second", Align::Right),
            ("over ln n", Align::Right),
        ]);
        for row in &self.0 {
            table.row([
                count(u64::from(row.nodes)),
                format!("{:.2} %", 100.0 * row.delivered),
                format!("{:.3}", row.copies),
                row.max_hops.to_string(),
                format!("{:.0} ms", row.all_ms),
                format!("{:.0}", row.bytes_per_node_second),
                format!("{:.1}", row.bytes_over_log),
            ]);
        }
        write!(f, "{table}")
    }
}
