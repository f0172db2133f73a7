//! A store is what its commits have left: see [`syncline_tests::storing`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::storing::storing(data));
