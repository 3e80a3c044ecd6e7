//! The integration tests: one binary, real servers, the shipped parts together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod broken_input;
mod crash;
mod idle;
mod retraining;
mod rig;
mod scene;
mod serving;
mod smoke;
mod tidy;
mod traffic;
mod way;
