//! Where the parts of a capture stand in an event that somebody else designed: the resolved `map` of
//! CONTRACTS §10.

mod place;

use serde::{Deserialize, Serialize};

use crate::time::MINUTE_US;

pub use place::{Place, PlaceError, Step, WrittenPlace};

/// How the events of a topic become captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The format as the operator wrote it.
    pub name: String,
    pub encoding: Encoding,
    /// Whether the event is a CloudEvent: its attributes are then read as headers `ce_NAME`, and places
    /// begin at its data, whether the attributes stand in the headers or around the data.
    pub cloud_events: bool,
    /// Sources of one field are tried in their order; the first that is there counts.
    pub model: Vec<ValueSource>,
    pub id: Vec<ValueSource>,
    pub time: Vec<ValueSource>,
    pub version: Vec<ValueSource>,
    pub latency: Vec<ValueSource>,
    pub status: Vec<ValueSource>,
    pub sample_rate: Vec<ValueSource>,
    pub features: Vec<Columns>,
    pub prediction: Vec<Columns>,
    /// Where request and answer are two events: how they find each other.
    pub pair: Option<Pair>,
}

/// What the bytes of a record are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    Json,
    /// JSON behind the frame of a schema registry.
    JsonSchema,
    /// Avro behind that frame.
    Avro,
    /// Protobuf behind that frame.
    Protobuf,
    /// Inference requests and responses of the Open Inference Protocol, in Protobuf or JSON.
    Inference,
}

impl Encoding {
    /// Whether records are read by the schema that they were written by, which a registry holds.
    pub fn needs_schemas(self) -> bool {
        matches!(self, Encoding::Avro | Encoding::Protobuf)
    }
}

/// One place of a field of the envelope, and what its number or text means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueSource {
    pub from: Origin,
    pub unit: Unit,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    Place(Place),
    /// A header of the record; case, `-` and `_` make no difference.
    Header(String),
    /// The record's key, as text.
    Key,
    /// The record's own timestamp.
    RecordTime,
    Constant(String),
}

/// What a time or a duration is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// As in CONTRACTS §3: times are RFC 3339 or milliseconds, latencies microseconds.
    Own,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// RFC 3339, and nothing else.
    Rfc3339,
    /// RFC 3339 that may leave out its zone and means UTC then.
    Utc,
}

impl Unit {
    /// The names under which the operator writes them.
    pub const NAMES: [&str; 6] = ["s", "ms", "us", "ns", "rfc3339", "utc"];

    /// The unit of this name.
    pub fn of_name(name: &str) -> Option<Unit> {
        Some(match name {
            "s" => Unit::Seconds,
            "ms" => Unit::Milliseconds,
            "us" => Unit::Microseconds,
            "ns" => Unit::Nanoseconds,
            "rfc3339" => Unit::Rfc3339,
            "utc" => Unit::Utc,
            _ => return None,
        })
    }

    /// Whether it is written as text rather than counted.
    pub fn is_text(self) -> bool {
        matches!(self, Unit::Rfc3339 | Unit::Utc)
    }
}

/// Columns of features or of the prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Columns {
    /// An object whose keys are the columns, or a list whose columns are `[0]`, `[1]`, …
    Object(Place),
    One {
        name: String,
        from: Origin,
    },
    /// A list whose elements are these columns.
    List {
        at: Place,
        names: Vec<String>,
    },
    Body(Body),
}

/// The rows of one side in a form of its own, which may stand in a string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The first that is there counts.
    pub at: Vec<Place>,
    pub shape: BodyShape,
    /// Columns by their position; `[0]`, `[1]`, … beyond them where they are empty.
    pub names: Vec<String>,
    /// Says `BASE64`, `CSV` or `JSON`, where it is written.
    pub encoding: Vec<Place>,
    /// The media type of the body.
    pub content_type: Vec<Origin>,
}

/// The name of a position that is no column.
pub const PASSED_OVER: &str = "_";

/// What form a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyShape {
    /// Lines of comma-separated cells without a header.
    Csv,
    /// One JSON document a line.
    JsonLines,
    /// An object of columns, each a list of the rows' values.
    Columns,
    /// `columns` beside `data`, which is a list of rows.
    Split,
    /// Tensors of the Open Inference Protocol.
    Tensors,
    /// Any of these, told by its keys, and by encoding and media type where they are known.
    Scoring,
}

impl BodyShape {
    /// The names under which the operator writes them.
    pub const NAMES: [&str; 6] = ["csv", "jsonlines", "columns", "split", "tensors", "scoring"];

    /// The shape of this name.
    pub fn of_name(name: &str) -> Option<BodyShape> {
        Some(match name {
            "csv" => BodyShape::Csv,
            "jsonlines" => BodyShape::JsonLines,
            "columns" => BodyShape::Columns,
            "split" => BodyShape::Split,
            "tensors" => BodyShape::Tensors,
            "scoring" => BodyShape::Scoring,
            _ => return None,
        })
    }
}

/// How the two events of one request find each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Equal in both events, and in no other.
    pub key: Vec<ValueSource>,
    /// Says which of the two an event is; told by the keys of its body where this is empty.
    pub side: Vec<ValueSource>,
    /// Ends of what `side` says, for a request and for a response.
    pub request: String,
    pub response: String,
    /// A response belongs to a request that is at most so old, in microseconds.
    #[serde(default = "a_minute")]
    pub within_us: i64,
}

/// Of settings from before it could be said.
fn a_minute() -> i64 {
    MINUTE_US
}

impl Mapping {
    /// Places of every field of the envelope that belongs to the record as a whole, each under its key.
    pub fn of_record(&self) -> [(&'static str, &[ValueSource]); 6] {
        [
            ("model", self.model.as_slice()),
            ("ts", &self.time),
            ("version", &self.version),
            ("latency", &self.latency),
            ("status", &self.status),
            ("sample_rate", &self.sample_rate),
        ]
    }
}
