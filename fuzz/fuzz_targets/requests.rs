//! What clients send, cut into requests: see [`syncline_tests::requests`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_tests::requests::requests(data));
