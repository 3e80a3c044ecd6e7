//! The judgement of files: `check` and `baseline` against scipy, against the stream and against nothing moving;
//! the pages that begin with captures of others.

mod check;
mod flights;
mod null;
mod oracle;
mod stacks;

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/flights-2013.parquet");
const FLIGHTS_BASELINE_ROWS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/baseline-rows.parquet");
