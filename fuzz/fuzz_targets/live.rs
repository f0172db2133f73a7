//! Replicas that are written to while they sync: see [`syncline_tests::live`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::live::live(data));
