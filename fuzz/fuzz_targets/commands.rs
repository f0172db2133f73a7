//! Streams of Redis commands against a model: see [`syncline_tests::commands`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::commands::commands(data));
