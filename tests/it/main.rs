//! The integration tests: one binary, real servers, the shipped parts together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod broken_input;
mod check;
mod crash;
mod demo;
mod errors;
mod idle;
mod null;
mod oracle;
mod retraining;
mod rig;
mod scene;
mod serving;
mod smoke;
mod tidy;
mod traffic;
mod way;
