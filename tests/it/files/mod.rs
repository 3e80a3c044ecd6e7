//! The judgement of files: `check` and `baseline` against scipy, against the stream and against nothing moving.

mod check;
mod flights;
mod null;
mod oracle;

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/flights-2013.parquet");
const FLIGHTS_BASELINE_ROWS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/baseline-rows.parquet");
