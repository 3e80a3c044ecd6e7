//! Feeds text into the reader of configurations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::configuration::check(data));
