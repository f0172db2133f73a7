//! What the demo tells: each part as it is done, and all of it as one JSON object.

use std::time::Duration;

use serde::Serialize;

use super::company::Company;
use super::compare::Comparison;
use super::protocol::Session;
use crate::table::{Align, Table, bytes, count, duration, share};

/// Everything that the demo found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) dataset: String,
    pub(crate) seed: u64,
    pub(crate) load: Load,
    pub(crate) bring_up: Vec<Fetched>,
    pub(crate) cut: Cut,
    pub(crate) edits: Vec<Edits>,
    pub(crate) deleted_part: DeletedPart,
    pub(crate) kill: Kill,
    pub(crate) apart: Vec<Apart>,
    pub(crate) heal: Vec<Healed>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) proof: Proof,
    pub(crate) company: Company,
    pub(crate) seconds: f64,
    /// Whether all of the proof holds. The exit code says the same.
    pub(crate) agreed: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Load {
    pub(crate) records: u64,
    pub(crate) operations: u64,
    pub(crate) rows: u64,
    pub(crate) keys: u64,
    pub(crate) seconds: f64,
}

/// A replica that came up empty and fetched everything.
#[derive(Debug, Serialize)]
pub(crate) struct Fetched {
    pub(crate) replica: String,
    pub(crate) from: String,
    pub(crate) session: Session,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Cut {
    /// What a replica said that tried to sync across the cut.
    pub(crate) error: String,
    pub(crate) datagrams_lost: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Edits {
    pub(crate) replica: String,
    pub(crate) transactions: u64,
    pub(crate) operations: u64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct DeletedPart {
    pub(crate) replica: String,
    pub(crate) title: String,
    pub(crate) records: u64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Kill {
    pub(crate) replica: String,
    pub(crate) sent: u64,
    /// Transactions that it had acknowledged.
    pub(crate) acknowledged: u64,
    /// Transactions that its journal held after the restart.
    pub(crate) landed: u64,
    /// Acknowledged ones among those missing. Must be none.
    pub(crate) acknowledged_lost: u64,
    pub(crate) reopened_ms: f64,
}

/// How far two replicas are from each other.
#[derive(Debug, Serialize)]
pub(crate) struct Apart {
    pub(crate) pair: [String; 2],
    pub(crate) rows: u64,
    pub(crate) of: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Healed {
    pub(crate) pair: [String; 2],
    /// Rows that differed before, by the reference.
    pub(crate) rows_differing: u64,
    pub(crate) session: Session,
}

#[derive(Debug, Serialize)]
pub(crate) struct Conflict {
    pub(crate) before: String,
    pub(crate) apart: [String; 3],
    /// What each replica reads.
    pub(crate) read: Vec<String>,
    /// What they must read; none where it depends on which write came later.
    pub(crate) must_be: Option<String>,
    pub(crate) holds: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Proof {
    pub(crate) replicas: Vec<ReplicaProof>,
    pub(crate) roots_equal: bool,
    /// Writes whose stamp is behind one that they had observed. Must be none.
    pub(crate) stamps_out_of_order: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReplicaProof {
    pub(crate) replica: String,
    pub(crate) root: String,
    pub(crate) rows: u64,
    pub(crate) keys: u64,
    pub(crate) reference: Comparison,
}

impl Report {
    /// Whether everything that must hold does.
    pub(crate) fn holds(&self) -> bool {
        let proof = &self.proof;
        proof.roots_equal
            && proof.replicas.len() == 3
            && proof
                .replicas
                .iter()
                .all(|replica| replica.reference.different == 0)
            && proof.stamps_out_of_order == 0
            && self.kill.acknowledged_lost == 0
            && self.company.holds()
            && self.conflicts.iter().all(|conflict| conflict.holds)
    }
}

/// Prints the parts of a report for people, or nothing when it is for a program.
pub(crate) struct Narrator {
    pub(crate) silent: bool,
    parts: u32,
}

impl Narrator {
    pub(crate) fn new(silent: bool) -> Self {
        Self { silent, parts: 0 }
    }

    fn part(&mut self, title: &str, text: &str) {
        self.parts += 1;
        if !self.silent {
            println!("\n{}. {title}\n{}", self.parts, text.trim_end());
        }
    }

    pub(crate) fn opening(&self, dataset: &str, place: &str) {
        if !self.silent {
            println!(
                "syncline demo: replicas A, B and C, each a process with its own data directory and identity,\n\
                 talking QUIC under mutual TLS over links that are really cut. Data set: {dataset}.\n\
                 Data directories in {place}."
            );
        }
    }

    pub(crate) fn load(&mut self, load: &Load) {
        let text = format!(
            "  {} records became {} rows under {} keys in {}: maps, sets, registers and counters.",
            count(load.records),
            count(load.rows),
            count(load.keys),
            duration(Duration::from_secs_f64(load.seconds)),
        );
        self.part("Load into A", &text);
    }

    pub(crate) fn bring_up(&mut self, fetched: &[Fetched]) {
        let mut table = Table::new(&[
            ("replica", Align::Left),
            ("rows", Align::Right),
            ("bytes", Align::Right),
            ("round trips", Align::Right),
            ("time", Align::Right),
            ("rows/s", Align::Right),
        ]);
        for Fetched {
            replica, session, ..
        } in fetched
        {
            let seconds = (session.elapsed_ms as f64 / 1e3).max(1e-3);
            table.row([
                replica.clone(),
                count(session.rows_received),
                bytes(session.bytes.total()),
                trips(session.round_trips),
                duration(Duration::from_millis(session.elapsed_ms)),
                count((session.rows_received as f64 / seconds) as u64),
            ]);
        }
        self.part(
            "Bring up B and C, which fetch everything from A at the same time",
            &table.to_string(),
        );
    }

    pub(crate) fn cut(&mut self, cut: &Cut) {
        let text = format!("  B tries to sync with A, and cannot:\n  {}", cut.error);
        self.part("Cut all links", &text);
    }

    pub(crate) fn edits(&mut self, edits: &[Edits], part: &DeletedPart) {
        let mut table = Table::new(&[
            ("replica", Align::Left),
            ("transactions", Align::Right),
            ("operations", Align::Right),
        ]);
        for edits in edits {
            table.row([
                edits.replica.clone(),
                count(edits.transactions),
                count(edits.operations),
            ]);
        }
        let text = format!(
            "{table}  Among them, {} deletes a whole part: {}, {} records.",
            part.replica,
            part.title,
            count(part.records)
        );
        self.part("Edit all three while they cannot see each other", &text);
    }

    pub(crate) fn kill(&mut self, kill: &Kill) {
        let text = format!(
            "  {} transactions were on their way. {} were acknowledged before the process died, {} had taken place;\n\
             \x20 of those acknowledged, {}. The store opened again in {:.0} ms, and {} wrote on.",
            count(kill.sent),
            count(kill.acknowledged),
            count(kill.landed),
            match kill.acknowledged_lost {
                0 => "none is lost".to_owned(),
                lost => format!("{} ARE LOST", count(lost)),
            },
            kill.reopened_ms,
            kill.replica,
        );
        self.part(
            &format!(
                "Kill {} with SIGKILL while it writes, and start it again",
                kill.replica
            ),
            &text,
        );
    }

    pub(crate) fn apart(&mut self, apart: &[Apart]) {
        let mut table = Table::new(&[
            ("pair", Align::Left),
            ("rows that differ", Align::Right),
            ("of", Align::Right),
        ]);
        for Apart { pair, rows, of } in apart {
            table.row([pair.join(" and "), count(*rows), count(*of)]);
        }
        self.part("How far they have come apart", &table.to_string());
    }

    pub(crate) fn heal(&mut self, healed: &[Healed]) {
        let mut table = Table::new(&[
            ("session", Align::Left),
            ("rows that differ", Align::Right),
            ("rows sent", Align::Right),
            ("ranges compared", Align::Right),
            ("round trips", Align::Right),
            ("time", Align::Right),
            ("bytes", Align::Right),
            ("full copy", Align::Right),
            ("share", Align::Right),
        ]);
        let mut kinds = Table::new(&[
            ("bytes by kind", Align::Left),
            ("hello", Align::Right),
            ("context", Align::Right),
            ("rows", Align::Right),
            ("digests", Align::Right),
            ("sketch", Align::Right),
            ("control", Align::Right),
        ]);
        for Healed {
            pair,
            rows_differing,
            session,
        } in healed
        {
            table.row([
                pair.join(" with "),
                count(*rows_differing),
                count(session.rows_sent + session.rows_received),
                count(session.ranges_compared),
                trips(session.round_trips),
                duration(Duration::from_millis(session.elapsed_ms)),
                bytes(session.bytes.total()),
                bytes(session.full_copy_bytes),
                share(session.bytes.total(), session.full_copy_bytes),
            ]);
            kinds.row([
                pair.join(" with "),
                count(session.bytes.hello),
                count(session.bytes.context),
                count(session.bytes.rows),
                count(session.bytes.digests),
                count(session.bytes.sketch),
                count(session.bytes.control),
            ]);
        }
        self.part(
            "Heal the links and sync until all agree",
            &format!("{table}\n{kinds}"),
        );
    }

    pub(crate) fn conflicts(&mut self, conflicts: &[Conflict]) {
        let mut table = Table::new(&[
            ("before", Align::Left),
            ("A did", Align::Left),
            ("B did", Align::Left),
            ("C did", Align::Left),
            ("now all read", Align::Left),
        ]);
        for conflict in conflicts {
            let read = match (conflict.holds, conflict.read.first()) {
                (true, Some(read)) => read.clone(),
                _ => {
                    let must_be = conflict.must_be.as_deref().unwrap_or("the same on all");
                    format!("WRONG: {} (must be {must_be})", conflict.read.join(" / "))
                }
            };
            let [a, b, c] = conflict.apart.clone();
            table.row([conflict.before.clone(), a, b, c, read]);
        }
        self.part(
            "Conflicts made on purpose, each under a key of its own",
            &table.to_string(),
        );
    }

    pub(crate) fn proof(&mut self, proof: &Proof) {
        let mut table = Table::new(&[
            ("replica", Align::Left),
            ("rows", Align::Right),
            ("root digest", Align::Left),
            ("compared with the reference", Align::Left),
        ]);
        let mut examples = String::new();
        for replica in &proof.replicas {
            let reference = &replica.reference;
            let verdict = match reference.different {
                0 => format!("all {} places equal", count(reference.places)),
                different => format!(
                    "{} of {} places DIFFER",
                    count(different),
                    count(reference.places)
                ),
            };
            // The count and the first bytes of the sum tell digests apart for the eye; all of it is compared.
            let root: String = replica.root.chars().take(32).collect();
            table.row([
                replica.replica.clone(),
                count(replica.rows),
                format!("{root}…"),
                verdict,
            ]);
            for example in &reference.examples {
                examples.push_str(&format!("  {}: {example}\n", replica.replica));
            }
        }
        let mut text = format!("{table}{examples}");
        text.push_str(&match (proof.roots_equal, proof.replicas.first()) {
            (true, Some(any)) => format!("  The root digests are equal: {}.\n ", any.root),
            _ => "  THE ROOT DIGESTS DIFFER.".to_owned(),
        });
        text.push_str(
            " The reference is an interpreter that shares nothing with the engine: it\n\
             \x20 computes the state from the log of all operations and what each had observed.",
        );
        if proof.stamps_out_of_order > 0 {
            text.push_str(&format!(
                "\n  {} WRITES HAVE A STAMP BEHIND ONE THAT THEY HAD OBSERVED.",
                count(proof.stamps_out_of_order)
            ));
        }
        self.part("Proof", &text);
    }

    pub(crate) fn company(&mut self, company: &Company) {
        let title = format!(
            "Five members, {}, in a cluster that runs itself",
            company.names.join(" ")
        );
        self.part(&title, &company.to_string());
    }

    pub(crate) fn verdict(&self, report: &Report) {
        if self.silent {
            return;
        }
        let time = duration(Duration::from_secs_f64(report.seconds));
        match report.agreed {
            true => println!(
                "\nAll three replicas hold the same, and it is what the operations come to; so do the five members. {time} in all."
            ),
            false => println!("\nSOMETHING DIFFERS, see above. {time} in all."),
        }
    }
}

fn trips(round_trips: f64) -> String {
    match round_trips.fract() == 0.0 {
        true => format!("{round_trips:.0}"),
        false => format!("{round_trips:.1}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn good() -> Report {
        let replica = |name: &str| ReplicaProof {
            replica: name.to_owned(),
            root: "00".to_owned(),
            rows: 1,
            keys: 1,
            reference: Comparison::default(),
        };
        Report {
            proof: Proof {
                replicas: ["A", "B", "C"].map(replica).into(),
                roots_equal: true,
                stamps_out_of_order: 0,
            },
            company: Company::good(),
            conflicts: vec![Conflict {
                before: String::new(),
                apart: Default::default(),
                read: Vec::new(),
                must_be: None,
                holds: true,
            }],
            ..Report::default()
        }
    }

    #[test]
    fn whatever_differs_makes_the_verdict_bad() {
        assert!(good().holds());
        assert!(!Report::default().holds());
        let changes: [fn(&mut Report); 8] = [
            |report| report.proof.roots_equal = false,
            |report| report.proof.replicas[2].reference.different = 1,
            |report| drop(report.proof.replicas.pop()),
            |report| report.proof.stamps_out_of_order = 1,
            |report| report.kill.acknowledged_lost = 1,
            |report| report.conflicts[0].holds = false,
            |report| report.company.convergence[4].root.clear(),
            |report| drop(report.company.convergence.pop()),
        ];
        for change in changes {
            let mut report = good();
            change(&mut report);
            assert!(!report.holds());
        }
    }
}
