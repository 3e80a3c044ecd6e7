//! The integration tests: one binary, real servers, the shipped parts together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alertmanager;
mod bounds;
mod broken_input;
mod broker;
mod chaos;
mod check;
mod cluster;
mod crash;
mod dashboards;
mod demo;
mod errors;
mod idle;
mod large_reports;
mod network;
mod null;
mod oracle;
mod outcome;
mod page;
mod poison;
mod promql;
mod retraining;
mod rig;
mod rules;
mod scene;
mod secrets;
mod secure;
mod serving;
mod smoke;
mod store;
mod tidy;
mod traffic;
mod way;
