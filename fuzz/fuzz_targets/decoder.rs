//! Feeds captures into the decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::decoder::check(data));
