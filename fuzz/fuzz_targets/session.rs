//! A peer that says anything does no harm: see [`syncline_tests::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::session::session(data));
