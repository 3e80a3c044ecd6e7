//! Whose captures a topic holds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::bail;
use driftline_capture::CaptureSchema;
use driftline_config::{Limits, Partition, Start};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Connection, OffsetRange, RangeEvent, ReadLimits, TopicPlan, describe_topic, read_ranges,
};

/// Records of each partition that are looked at: a topic tells early whose it is.
const LOOKED_AT: i64 = 2000;
/// The models that are named where there are several.
const NAMED: usize = 5;
/// A name that no model can have.
const NOBODY: &str = "?";

/// The model whose captures a topic holds; `None` where they name none.
///
/// # Errors
/// The broker or the topic is not there, it holds nothing, or captures of several models.
pub(super) fn only_model(bootstrap: &str, topic: &str) -> anyhow::Result<Option<String>> {
    let connection = Connection {
        bootstrap: bootstrap.to_owned(),
        group: "driftline-init".to_owned(),
        ..Connection::default()
    };
    let facts = describe_topic(&connection, topic)?;
    let ranges = (0..).map(Partition).zip(&facts.partitions).map(|(partition, &(low, high))| {
        OffsetRange { partition, from: low.max(high - LOOKED_AT), to: high }
    });
    let ranges: Vec<OffsetRange> = ranges.filter(|range| range.from < range.to).collect();
    if ranges.is_empty() {
        bail!("topic {topic} holds no records: send captures first, or write --data FILE");
    }
    let plan = TopicPlan {
        topic: topic.to_owned(),
        models: vec![ModelPlan {
            name: NOBODY.to_owned(),
            schema: CaptureSchema::default(),
            max_ahead_us: i64::MAX,
            mapping: None,
        }],
        start: Start::Earliest,
    };
    let mut names = BTreeSet::new();
    read_ranges(&connection, &plan, &ReadLimits::from(&Limits::default()), &ranges, |event| {
        // Rows that are nobody's name no model.
        if let RangeEvent::Chunk(chunk) = event {
            names.extend(chunk.skipped_names.iter().map(|name| name.to_string()));
        }
        ControlFlow::Continue(())
    })?;
    if names.len() > 1 {
        let some: Vec<&str> = names.iter().map(String::as_str).take(NAMED).collect();
        bail!(
            "topic {topic} holds captures of several models: write --model, such as {}",
            some.join(", ")
        );
    }
    Ok(names.pop_first())
}
