//! `records::schema` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| driftline_fuzz::records::schema(data));
