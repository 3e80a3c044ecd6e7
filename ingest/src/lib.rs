//! Kafka in and out: captures become Arrow batches, rejected records become dead letters, reports
//! become records. The only crate that knows `rdkafka`; no type of it appears here.

mod budget;
mod category;
mod decode;
mod event;
mod plan;

pub use budget::{Budget, Lease};
pub use category::{
    category_of_bool, category_of_date, category_of_f64, category_of_i64, category_of_instant,
    coerce_number, cut_text,
};
pub use decode::{Decoded, Decoder, Outcome, Record, Rejection, TopicLayout, batch_schema};
pub use event::{Chunk, Event, Ignored, Mark, MarkKind, ModelRows, Reason};
pub use plan::{Connection, Fingerprint, Limits, ModelPlan, Position, ReadPlan, TopicPlan};
