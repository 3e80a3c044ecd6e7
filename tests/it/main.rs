//! The integration tests: one binary, real servers, the shipped parts together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod rig;
mod smoke;
mod tidy;
