//! Decoding ends in a value or an error: see [`syncline_tests::decoders`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::decoders::decoders(data));
