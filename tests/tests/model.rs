//! The model test: replicas that write, lose deltas, sync, crash and rot at random end in the state that the operations come to.
//!
//! `SYNCLINE_SEED=n` plays one scenario, as a failure names it; `SYNCLINE_RUNS=n` plays so many instead of the usual number.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::env;
use std::fs;

use syncline_tests::cluster::play;
use syncline_tests::faulty::Wrong;
use syncline_tests::media::{File, Memory};

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|text: String| text.parse::<u64>().unwrap())
    };
    match (number("SYNCLINE_SEED"), number("SYNCLINE_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, runs) => 0..runs.unwrap_or(usual),
    }
}

#[test]
fn replicas_in_memory_come_to_what_was_done() {
    for seed in seeds(6_000) {
        if let Err(why) = play(seed, None, |_| Memory::default()) {
            panic!("SYNCLINE_SEED={seed}: {why}");
        }
    }
}

#[test]
fn replicas_on_disk_come_to_what_was_done() {
    for seed in seeds(40) {
        let directory = tempfile::tempdir().unwrap();
        let medium = |at: usize| {
            let own = directory.path().join(at.to_string());
            fs::create_dir(&own).unwrap();
            File::new(own)
        };
        if let Err(why) = play(seed, None, medium) {
            panic!("SYNCLINE_SEED={seed}: {why}");
        }
    }
}

/// The check can fail: break a rule, and some scenario shows it.
fn is_caught(wrong: Wrong) {
    let play = |seed, wrong| play(seed, wrong, |_| Memory::default());
    let caught = (0..2_000).find_map(|seed| Some((seed, play(seed, Some(wrong)).err()?)));
    let (seed, why) = caught.unwrap_or_else(|| panic!("{wrong:?} passes all scenarios"));
    assert_eq!(play(seed, None), Ok(()), "by the rule and nothing else");
    println!("{wrong:?} is caught by seed {seed}: {why}");
}

#[test]
fn merging_the_peers_context_early_is_caught() {
    is_caught(Wrong::ContextEarly);
}

#[test]
fn merging_the_peers_context_as_of_the_end_is_caught() {
    is_caught(Wrong::ContextAtEnd);
}

#[test]
fn sharing_a_dot_between_rows_is_caught() {
    is_caught(Wrong::SharedDot);
}

#[test]
fn skipping_a_join_because_the_dot_is_known_is_caught() {
    is_caught(Wrong::SkipKnown);
}
