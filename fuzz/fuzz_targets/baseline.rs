//! Feeds bytes into the reader of baseline files, and what it accepts through a whole window.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::baseline::check(data));
