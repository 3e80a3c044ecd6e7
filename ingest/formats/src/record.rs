//! What a decoder is given and what it says: records, their outcomes, and everything decoded since.

use std::sync::Arc;

use driftline_capture::{Ignored, Mark, ModelHalves, ModelRows, Reason, Side};

use crate::schemas::SchemaId;

/// One Kafka record, as far as decoding needs it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    pub offset: i64,
    /// Kafka timestamp in microseconds, where there is one.
    pub time_us: Option<i64>,
}

/// What a record carries beside its value. Only maps look at it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried<'a> {
    pub key: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

/// One header of a record.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    pub name: &'a str,
    pub value: &'a [u8],
}

impl<'a> Carried<'a> {
    /// The last header of this name; case, `-` and `_` make no difference.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let header = self.headers.iter().rfind(|header| is_same_name(header.name, name));
        header.map(|header| header.value)
    }
}

fn is_same_name(left: &str, right: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.bytes().map(plain).eq(right.bytes().map(plain))
}

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// At least one row of the model with this index.
    Row(usize),
    /// One of the two events of a request of the model with this index: [`ModelHalves`].
    Half(usize, Side),
    Heartbeat,
    /// It names a model that this topic is not configured for.
    Skipped,
    /// Nothing yet, and the decoder is as it was: the record is to come again once the topic's shelf
    /// ([`TopicLayout::schemas`](crate::TopicLayout::schemas)) holds this schema.
    NeedsSchema(SchemaId),
    /// Nothing yet, and the decoder is as it was: the record is to come again once it is known whether a model
    /// is made of this name ([`Decoder::take_up`](crate::Decoder::take_up)) or none
    /// ([`Decoder::refuse`](crate::Decoder::refuse)).
    NeedsModel(Box<str>),
    Rejected(Rejection),
}

/// Why a record was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason, by its name in dead letters and metrics.
    pub reason: Reason,
    /// What and where, at most 256 bytes, never a value of a feature.
    pub detail: String,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        let mut detail = detail.into();
        detail.truncate(crate::cut_text(&detail, 256).len());
        Rejection { reason, detail }
    }
}

/// What was decoded since the last [`Decoder::take`](crate::Decoder::take).
#[derive(Debug, Default)]
pub struct Decoded {
    pub rows: Vec<ModelRows>,
    /// Events that are one half of a request, by model and side; those without any are absent.
    pub halves: Vec<ModelHalves>,
    /// Records that are no rows, in the order of decoding.
    pub marks: Vec<Mark>,
    /// Names of the models in `marks` that the topic is not configured for.
    pub skipped_names: Vec<Arc<str>>,
    pub ignored: Ignored,
}
