//! Kafka in and out: captures become Arrow batches, rejected records become dead letters, reports
//! become records. The only crate that knows `rdkafka`; no type of it appears here.
//!
//! ```text
//! Readers ─► Event::Chunk (rows per model, marks) ─► the pipeline
//!    └─► DeadLetters ─► topic or folder
//! ReportProducer, CaptureProducer ─► topics        read_ranges ─► the same chunks again
//! ```

mod budget;
mod client;
mod clock;
mod dead_letter;
mod embedded;
mod error;
mod event;
mod https;
mod login;
mod plan;
mod produce;
mod range;
mod reader;
mod registry;
mod tail;
mod topic;

pub use budget::{Budget, Lease};
pub use clock::{Clock, SlewedWall};
pub use dead_letter::{DeadLetter, DeadLetters, RecentDeadLetter};
pub use embedded::{EMBEDDED_PARTITION_BYTES, EmbeddedBroker};
pub use error::{IngestError, Refusal};
pub use event::Event;
pub use login::Login;
pub use plan::{Connection, Newcomers, Position, ReadLimits, ReadPlan, TopicPlan};
pub use produce::{Capture, CaptureProducer, ReportProducer};
pub use range::{OffsetRange, RangeEvent, read_ranges};
pub use reader::Readers;
pub use registry::fetch_schema;
pub use tail::{LoggedHeader, LoggedRecord, last_records};
pub use topic::{TopicDescription, describe_topic, offsets_for_time, topic_offsets};
