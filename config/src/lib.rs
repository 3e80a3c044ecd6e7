//! What the operator declared, validated: the leaf that every other crate may know.
//!
//! ```text
//! driftline.yaml ─► raw (what was written) ─► resolve (what is true) ─► Config
//!                        every problem at once, with file, line and column
//! ```
//!
//! After [`Config::load`] nothing else in Driftline reads configuration files or the environment.

mod problem;
mod reader;
mod resolve;
mod tree;

mod model;
mod render;
mod secret;
mod service;

pub mod capture;
pub mod links;
pub mod time;

pub use model::{
    Candidate, CandidateOutput, Captures, Errors, Feature, Format, Latency, Model, NoData,
    Operations, Purpose, Retrain, Start, Tolerance, ToleranceFloor, Window,
};
pub use problem::{About, Complaint, Problem, Problems};
pub use resolve::Examine;
pub use secret::Secret;
pub use service::{
    AlertRules, Alertmanager, Config, DeadLetters, DriftRule, Email, Http, HttpTls, Kafka, Limits,
    MailTransport, Receiver, ReceiverKind, ReportStore, Webhook,
};
