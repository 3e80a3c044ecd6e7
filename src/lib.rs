//! Driftline's binary as a library: the only place that knows the whole way.
//!
//! Read [`pipeline`] first: one window's journey. Everything else stands around it.

pub mod pipeline;

pub mod setup;

pub mod judge;

pub mod translate;

pub mod digest;

pub mod messages;

pub mod retraining;

pub mod retention;

pub mod checkpoint;

pub mod illustration;

pub mod delivery;

pub mod monitor;

pub mod metrics;

pub mod plots;

pub mod http;

pub mod files;

pub mod commands;

pub mod demo;

pub mod libraries;

pub mod clock;

pub mod priority;

pub mod faults;

pub mod inline;
