//! What a decoder is told once: the models of a topic, and how large a record may be.

use driftline_capture::CaptureSchema;
use driftline_config::Model;
use driftline_config::mapping::Mapping;

/// One model whose captures stand on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlan {
    pub name: String,
    pub schema: CaptureSchema,
    /// How far `ts` may lie beyond the record timestamp, in microseconds.
    pub max_ahead_us: i64,
    /// How its events are read, where they are not our own.
    pub mapping: Option<Mapping>,
}

impl ModelPlan {
    /// A configured model, read into these columns.
    pub fn new(model: &Model, schema: CaptureSchema) -> ModelPlan {
        let captures = &model.captures;
        let mapping = captures.format.mapping().cloned();
        ModelPlan { name: model.name.clone(), schema, max_ahead_us: captures.max_ahead_us, mapping }
    }
}

/// The bounds of one record: RULES §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// Bytes of its value; larger ones are rejected as `too_large`.
    pub record_bytes: usize,
    /// Bytes of one string value; longer ones are cut.
    pub string_bytes: usize,
}

impl Default for RecordLimits {
    fn default() -> RecordLimits {
        RecordLimits::from(&driftline_config::Limits::default())
    }
}

impl From<&driftline_config::Limits> for RecordLimits {
    fn from(limits: &driftline_config::Limits) -> RecordLimits {
        RecordLimits { record_bytes: limits.record_bytes, string_bytes: limits.string_bytes }
    }
}
