//! Replays what the fuzzers have kept in `fuzz/corpus`, and some random bytes, through the bodies of the fuzz targets.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use syncline_tests::commands::commands;
use syncline_tests::decoders::decoders;
use syncline_tests::formats::{formats, unaltered};
use syncline_tests::laws::merge_laws;
use syncline_tests::live::live;
use syncline_tests::requests::requests;
use syncline_tests::rng::{Choices, Rng};
use syncline_tests::session::session;
use syncline_tests::storing::storing;

/// Runs every kept input, then `random` inputs of random bytes. A panic names the input.
fn replay(target: &str, random: u64, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    for path in paths {
        let input = fs::read(&path).unwrap();
        named(&path.display().to_string(), || body(&input));
    }
    for seed in 0..random {
        let mut rng = Rng::new(seed);
        let len = rng.below(600);
        let input = rng.bytes(len);
        named(&format!("seed {seed} of {target}"), || body(&input));
    }
}

fn named(input: &str, run: impl FnOnce() + std::panic::UnwindSafe) {
    if let Err(panic) = std::panic::catch_unwind(run) {
        eprintln!("failed on {input}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn merge_laws_hold() {
    replay("merge_laws", 500, merge_laws);
}

#[test]
fn decoders_end_in_a_value_or_an_error() {
    replay("decoders", 2_000, decoders);
}

#[test]
fn a_session_with_a_peer_that_says_anything_does_no_harm() {
    replay("session", 300, session);
}

#[test]
fn a_store_is_what_its_commits_have_left() {
    replay("store", 300, storing);
}

#[test]
fn replicas_that_are_written_to_while_they_sync_end_in_what_was_done() {
    replay("live", 300, live);
}

#[test]
fn requests_are_cut_the_same_however_they_arrive() {
    replay("requests", 2_000, requests);
}

#[test]
fn commands_are_answered_as_the_model_says() {
    replay("commands", 300, commands);
}

#[test]
fn what_earlier_versions_left_is_read_or_refused() {
    unaltered();
    replay("formats", 2_000, formats);
}
