//! What one session cost.

use std::fmt;

use serde::Serialize;

use crate::bench::baseline::{Measure, Measured};
use crate::by_kind::BytesByKind;
use crate::table::{Align, Table, bytes, count};

/// The figures, in the order in which they are printed.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) rows: u64,
    pub(super) differences: u64,
    pub(super) kind: &'static str,
    pub(super) strategy: &'static str,
    pub(super) rtt_ms: u64,
    pub(super) seed: u64,
    pub(super) cache_mib: u64,
    pub(super) warm: bool,
    /// What the removal log might take, where that was not left at its default.
    pub(super) removal_log_bytes: Option<u64>,
    /// The peer's address, where it was not of this process; then processor time and commits are of our side alone.
    pub(super) peer: Option<String>,
    pub(super) round_trips: f64,
    /// Bytes of frames, both ways.
    pub(super) bytes_total: u64,
    /// Bytes of user keys and values alone.
    pub(super) bytes_rows: u64,
    /// What is left after user keys and values; below zero where the prefixes that keys share outweigh it. None where
    /// nothing differs.
    pub(super) overhead_bytes_per_difference: Option<f64>,
    pub(super) bytes_by_kind: BytesByKind,
    pub(super) rows_sent: u64,
    pub(super) rows_needed: u64,
    pub(super) ranges_compared: u64,
    pub(super) symbols: u64,
    /// Processor time of decoding these symbols once more, in one go. None without symbols, and where the peer is another process.
    pub(super) decode_ms: Option<f64>,
    /// Processor time, without commits.
    pub(super) cpu_ms: f64,
    /// Time in commits.
    pub(super) commit_ms: f64,
    pub(super) commit_cpu_ms: f64,
    pub(super) commits: u64,
    pub(super) wall_ms: f64,
    pub(super) rows_per_second: Option<u64>,
    pub(super) interrupted: Option<Interrupted>,
    pub(super) agreed: bool,
}

/// What became of a bootstrap that was broken off.
#[derive(Debug, Serialize)]
pub(super) struct Interrupted {
    /// Rows that the receiver held when the session was broken off.
    pub(super) rows_held: u64,
    /// Rows that it held and was sent again nevertheless.
    pub(super) rows_held_sent_again: u64,
    /// Rows that were sent more than once in all: those, and those that were on their way and got lost. What the sender had
    /// read for sending counts as sent.
    pub(super) rows_sent_again: u64,
    pub(super) percent_sent_again: f64,
}

impl Measured for Figures {
    fn workload(&self) -> String {
        let Self {
            rows,
            differences,
            kind,
            strategy,
            rtt_ms,
            seed,
            cache_mib,
            warm,
            ..
        } = self;
        let log = self.removal_log_bytes.map_or(String::new(), |bytes| {
            format!(", removal log of {bytes} bytes")
        });
        let peer = if self.peer.is_some() { ", a peer" } else { "" };
        let again = if self.interrupted.is_some() {
            ", interrupted"
        } else {
            ""
        };
        format!(
            "sync: {kind}, {rows} rows, {differences} differences, {strategy}, rtt {rtt_ms} ms, seed {seed}, cache {cache_mib} MiB, \
             warm {warm}{log}{peer}{again}"
        )
    }

    fn measures(&self) -> Vec<Measure> {
        let counted = |name, value: u64| Measure::counted(name, value as f64);
        let mut measures = vec![
            Measure::counted("round_trips", self.round_trips),
            counted("bytes_total", self.bytes_total),
            counted("rows_sent", self.rows_sent),
            counted("ranges_compared", self.ranges_compared),
            counted("symbols", self.symbols),
            Measure::timed("cpu_ms", self.cpu_ms),
            Measure::timed("wall_ms", self.wall_ms),
        ];
        measures.extend(self.decode_ms.map(|ms| Measure::timed("decode_ms", ms)));
        let rate = self.rows_per_second;
        measures.extend(rate.map(|rate| Measure::rate("rows_per_second", rate as f64)));
        measures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right)]);
        let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
        line("round trips", self.round_trips.to_string());
        line("bytes in all", bytes(self.bytes_total));
        line("  of user keys and values", bytes(self.bytes_rows));
        if let Some(overhead) = self.overhead_bytes_per_difference {
            line("overhead per difference", format!("{overhead} B"));
        }
        line("rows sent", count(self.rows_sent));
        line("rows needed", count(self.rows_needed));
        line("ranges compared", count(self.ranges_compared));
        if self.symbols > 0 {
            line("symbols", count(self.symbols));
        }
        if let Some(milliseconds) = self.decode_ms {
            line("  decoded in", format!("{milliseconds} ms"));
        }
        let sides = match self.peer {
            None => "both sides",
            Some(_) => "our side",
        };
        line(
            &format!("processor time, {sides}"),
            format!("{} ms", self.cpu_ms),
        );
        line(
            &format!("in commits, {sides}"),
            format!("{} ms ({} of them)", self.commit_ms, count(self.commits)),
        );
        line("time", format!("{} ms", self.wall_ms));
        if let Some(rate) = self.rows_per_second {
            line("rows per second", count(rate));
        }
        if let Some(interrupted) = &self.interrupted {
            line("rows held when interrupted", count(interrupted.rows_held));
            line(
                "  of them sent again",
                count(interrupted.rows_held_sent_again),
            );
            line(
                "rows sent twice in all",
                format!(
                    "{} ({} %)",
                    count(interrupted.rows_sent_again),
                    interrupted.percent_sent_again
                ),
            );
        }
        writeln!(
            f,
            "{} rows, {} differences ({}), strategy {}, round-trip time {} ms: {}",
            count(self.rows),
            count(self.differences),
            self.kind,
            self.strategy,
            self.rtt_ms,
            if self.agreed { "agreed" } else { "NOT AGREED" },
        )?;
        // The columns need no header.
        let text = table.to_string();
        write!(f, "{}", text.split_once('\n').map_or("", |(_, rest)| rest))
    }
}
