//! Syncline's digest walk beside negentropy, on the same sets in the same run: bytes, messages, time.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml -- [ITEMS [DIFFERENCES]]` prints one JSON object a line. Both sides live in
//! one process and both contenders work in memory; what is compared is the protocols.

mod ours;
mod peer;
mod sets;

use sets::{Kind, Sets};

/// What a reconciliation took.
#[derive(Debug, Default)]
pub struct Cost {
    bytes: usize,
    messages: u32,
    found: u64,
    milliseconds: f64,
}

impl Cost {
    /// Counts a message and its answer; an empty one is not sent.
    pub fn exchange(&mut self, query: usize, answer: usize) {
        self.bytes += query + answer;
        self.messages += u32::from(query > 0) + u32::from(answer > 0);
    }
}

#[derive(serde::Serialize)]
struct Row {
    contender: &'static str,
    items: u64,
    differences: u64,
    kind: Kind,
    bytes_per_difference: f64,
    round_trips: f64,
    found: u64,
    milliseconds: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let items = arguments.next().transpose()?.unwrap_or(1_000_000);
    let differences = arguments.next().transpose()?.unwrap_or(1_000);
    if differences == 0 || differences > items / 2 {
        return Err("DIFFERENCES must be from 1 to half of ITEMS".into());
    }
    let mut missed = false;
    for kind in [Kind::Scattered, Kind::Clustered] {
        let sets = Sets::new(items, differences, kind, 42);
        let costs = [
            ("syncline", ours::reconcile(&sets)?),
            ("negentropy", peer::reconcile(&sets)?),
        ];
        for (contender, cost) in costs {
            missed |= cost.found != differences;
            let row = Row {
                contender,
                items,
                differences,
                kind,
                bytes_per_difference: cost.bytes as f64 / differences as f64,
                round_trips: f64::from(cost.messages) / 2.0,
                found: cost.found,
                milliseconds: cost.milliseconds,
            };
            println!("{}", serde_json::to_string(&row)?);
        }
    }
    if missed {
        return Err("not every difference was found".into());
    }
    Ok(())
}
