//! Merging keeps its laws: see [`syncline_tests::laws`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::laws::merge_laws(data));
