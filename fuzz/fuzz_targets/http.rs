//! Feeds bytes into the listener.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::http::check(data));
