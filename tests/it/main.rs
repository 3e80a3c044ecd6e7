//! The integration tests: one binary, real servers, the shipped parts together; a folder for each subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod accidents;
mod alerts;
mod files;
mod house;
mod kafka;
mod page;
mod prometheus;
mod python;
mod rig;
mod service;
