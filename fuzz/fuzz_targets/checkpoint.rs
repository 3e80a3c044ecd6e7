//! Feeds damage into what a restart reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::checkpoint::check(data));
