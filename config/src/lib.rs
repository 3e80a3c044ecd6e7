//! What the operator declared, validated: the leaf that every other crate may know.
//!
//! ```text
//! driftline.yaml ─► raw (what was written) ─► resolve (what is true) ─► Config
//!                        every problem at once, with file, line and column
//! ```
//!
//! Beside it stand the words that all share: [`Subject`], [`WindowId`], [`Level`], the typed ids and the
//! [`Table`] of what they name.
//!
//! After [`Config::load`] nothing else in Driftline reads configuration files or the environment.

mod problem;
mod reader;
mod resolve;
mod tree;

pub mod mapping;
mod model;
pub mod presets;
mod render;
mod secret;
mod service;

mod file;
mod grid;
mod hash;
mod ids;
mod level;
mod login;
mod subject;
mod table;
mod template;
mod time_zone;
mod window_id;

pub mod time;

pub use file::read_file;
pub use grid::WindowGrid;
pub use hash::{Hasher, hex, sha256_bytes, sha256_hex};
pub use ids::{ModelId, Partition, TopicId, TopicPartition};
pub use level::Level;
pub use login::{AwsMskIam, ClientCredentials, KafkaAuth, KafkaIdentity, KafkaTls};
pub use model::{
    Candidate, CandidateOutput, Captures, Errors, FalseAlarms, Feature, Format, Latency, MinEffect,
    Model, NoData, Operations, PartitionAfter, Purpose, Retrain, Start, Tolerance, Tolerances,
    Window,
};
pub use problem::{About, Complaint, Problem, Problems};
pub use reader::Secrets;
pub use resolve::Examine;
pub use secret::Secret;
pub use service::{
    AlertRules, Alertmanager, Channel, ChannelKind, Config, DeadLetters, DriftRule, Email, Http,
    HttpTls, HttpToken, Kafka, Limits, MailTransport, MaxAge, Receiver, ReceiverKind,
    RegistryLogin, ReportStore, Sandbox, SchemaRegistry, TokenScope, TrustedProxy, Wants, Webhook,
};
pub use subject::Subject;
pub use table::Table;
pub use template::{NAME_PLACE, NamePattern, Template};
pub use time_zone::TimeZone;
pub use window_id::WindowId;
