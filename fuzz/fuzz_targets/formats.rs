//! Stores and frames of earlier versions, altered: see [`syncline_tests::formats`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::formats::formats(data));
