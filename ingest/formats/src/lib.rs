//! Bytes of a record to rows of a batch, one folder per format. No Kafka, no network, no clock: the same
//! bytes give the same rows, reasons and marks, whether a reader or a file brought them.

mod avro;
mod category;
mod decoder;
mod frame;
mod instant;
mod json;
mod layout;
mod mapped;
mod oip;
mod plan;
mod protobuf;
mod record;
mod rows;
mod schemas;

pub use category::{
    category_of_bool, category_of_date, category_of_f64, category_of_i64, category_of_instant,
    coerce_number, cut_text,
};
pub use decoder::Decoder;
pub use instant::{BEYOND_US, EARLIEST_US, InstantText, read_instant};
pub use layout::TopicLayout;
pub use plan::{ModelPlan, RecordLimits};
pub use record::{Carried, Decoded, Header, Outcome, Record, Rejection};
pub use schemas::{KnownSchema, SchemaId, SchemaKind, SchemaReference, SchemaShelf, SchemaText};
