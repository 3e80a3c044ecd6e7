//! The join against a direct computation, in any order of arrival and through any crash.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod any_order;
mod columns;
mod sample;
mod world;
