//! The pipeline from outside: logs with every accident of reading, the mails of it, and thousands of
//! simulated runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "what drives the pipeline here has files, threads and an environment; the pipeline has none"
)]

mod log;
mod looks;
mod mails;
mod pairs;
mod restore;
mod simulation;
mod templates;
