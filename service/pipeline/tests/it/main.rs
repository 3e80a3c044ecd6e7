//! The pipeline from outside: logs with every accident of reading, the mails of it, and thousands of
//! simulated runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod log;
mod looks;
mod mails;
mod restore;
mod simulation;
