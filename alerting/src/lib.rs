//! Signals become incidents, incidents become mail, webhooks and alerts.
//!
//! ```text
//! Observation ─► decide ─► Transition ─► rows_for ─► OutboxRow │ ─► Dispatcher ─► Receipt
//!    (event time, pure, in the checkpoint)                     │    (wall clock, at least once)
//! ```
//!
//! The left half is a function of its arguments: the same observations give the same transitions with
//! the same ids. The right half never changes a decision. Nothing here knows what a feature, a
//! Kolmogorov-Smirnov distance or a Kafka offset is.

pub mod clock;
mod decide;
mod fold;
mod incident;
mod rules;
mod signal;

pub mod alertmanager;
mod channel;
pub mod deliver;
pub mod dispatch;
pub mod instant;
pub mod links;
pub mod mail;
pub mod outbox;
pub mod repeat;
pub mod retrain;
pub mod schedule;
pub mod webhook;

pub use decide::decide;
pub use incident::{
    AcceptError, Acceptance, Consequence, Incident, ModelAlerts, SUBJECTS_NAMED, State, Tracked,
    Transition, TransitionState, accept, take_back,
};
pub use rules::Rules;
pub use signal::{Class, ClassSignal, Evidence, Measure, Observation, Opening, Source};

#[cfg(test)]
mod tests;
