//! The captures of a model as the rows of its baseline, read from its topic as often as needed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::bail;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use driftline_config::capture::{
    CaptureSchema, Column, Kind, TIME_US, UNKNOWN_COLUMNS, WRONG_TYPE_CHARACTERS, WRONG_TYPE_PREFIX,
};
use driftline_config::{Config, Model, Start};
use driftline_ingest::{
    Connection, Limits, MarkKind, ModelPlan, OffsetRange, RangeEvent, TopicPlan, describe_topic,
    offsets_for_time, read_ranges,
};

use super::super::progress::Progress;
use crate::files::{ColumnProfile, Profile};

/// A stretch of a model's topic, fixed when it was opened.
#[derive(Debug)]
pub(super) struct CapturedRows {
    connection: Connection,
    limits: Limits,
    topic: String,
    /// Every model on the topic, without columns.
    models: Vec<ModelPlan>,
    /// Which of them it is.
    model: usize,
    ranges: Vec<OffsetRange>,
    /// Event times, in microseconds, from and before which rows are taken.
    from_us: Option<i64>,
    to_us: Option<i64>,
    columns: usize,
}

/// What was read beside the rows.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Records whose envelope cannot be read.
    pub(super) rejected: u64,
    /// Stretches that the log no longer holds.
    pub(super) gaps: Vec<OffsetRange>,
}

impl CapturedRows {
    /// The log of the model's topic as it is now, without what lies before `from_us` by far.
    pub(super) fn open(
        config: &Config,
        model: &Model,
        from_us: Option<i64>,
        to_us: Option<i64>,
    ) -> anyhow::Result<CapturedRows> {
        let connection = Connection::from(&config.kafka);
        let topic = model.captures.topic.clone();
        let facts = describe_topic(&connection, &topic)?;
        // A row lies at most `max_ahead` behind the timestamp of its record, so none of them stands
        // before the first record of this instant.
        let reach_us = |from_us: i64| from_us.saturating_sub(model.captures.max_ahead_us);
        let starts = match from_us {
            Some(from_us) => offsets_for_time(&connection, &topic, reach_us(from_us))?,
            None => std::collections::BTreeMap::new(),
        };
        let ranges = (0_i32..)
            .zip(&facts.partitions)
            .map(|(partition, &(low, high))| {
                let from = starts.get(&partition).copied().unwrap_or(low).max(low);
                OffsetRange { partition, from, to: high }
            })
            .filter(|range| range.from < range.to)
            .collect();
        let sharing: Vec<&Model> =
            config.models.iter().filter(|other| other.captures.topic == topic).collect();
        let models = sharing.iter().map(|other| ModelPlan {
            name: other.name.clone(),
            schema: CaptureSchema::default(),
            max_ahead_us: other.captures.max_ahead_us,
        });
        Ok(CapturedRows {
            limits: Limits::from(&config.limits),
            models: models.collect(),
            model: sharing.iter().position(|other| other.name == model.name).unwrap_or(0),
            columns: config.limits.columns,
            connection,
            topic,
            ranges,
            from_us,
            to_us,
        })
    }

    /// Topic and offsets.
    pub(super) fn name(&self) -> String {
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|range| format!("{}:{}-{}", range.partition, range.from, range.to))
            .collect();
        format!("topic {} {}", self.topic, ranges.join(","))
    }

    /// Gives every batch of the model's rows to `see`.
    pub(super) fn each(
        &self,
        schema: &CaptureSchema,
        see: &mut dyn FnMut(&RecordBatch),
    ) -> anyhow::Result<Beside> {
        let mut models = self.models.clone();
        if let Some(model) = models.get_mut(self.model) {
            model.schema = schema.clone();
        }
        let plan = TopicPlan { topic: self.topic.clone(), models, start: Start::Earliest };
        let records = self.ranges.iter().map(|range| (range.to - range.from).unsigned_abs()).sum();
        let progress = Progress::of(&format!("reading {}", self.topic), Some(records));
        let mut beside = Beside::default();
        let mut failed = None;
        read_ranges(&self.connection, &plan, &self.limits, &self.ranges, |event| {
            match event {
                RangeEvent::Gap(range) => beside.gaps.push(range),
                RangeEvent::Chunk(chunk) => {
                    progress.add(chunk.records);
                    let rejected = |kind| matches!(kind, MarkKind::Rejected(_));
                    beside.rejected +=
                        chunk.marks.iter().filter(|mark| rejected(mark.kind)).count() as u64;
                    let rows = chunk.rows.iter().filter(|rows| rows.model == self.model);
                    for rows in rows {
                        match self.between(&rows.rows) {
                            Ok(batch) => see(&batch),
                            Err(error) => {
                                failed = Some(error);
                                return ControlFlow::Break(());
                            }
                        }
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(beside),
        }
    }

    fn between(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        if self.from_us.is_none() && self.to_us.is_none() {
            return Ok(batch.clone());
        }
        let inside = self.from_us.unwrap_or(i64::MIN)..self.to_us.unwrap_or(i64::MAX);
        let times = batch.column_by_name(TIME_US);
        let times = times.and_then(|times| times.as_primitive_opt::<Int64Type>());
        let inside: BooleanArray = times
            .into_iter()
            .flat_map(|times| times.values())
            .map(|time_us| Some(inside.contains(time_us)))
            .collect();
        filter_record_batch(batch, &inside)
    }

    /// What stands in the columns: one pass for their names, one for their values.
    pub(super) fn profile(&self, note: &mut dyn FnMut(&str)) -> anyhow::Result<Profile> {
        let mut names = BTreeSet::new();
        let beside = self.each(&CaptureSchema::default(), &mut |batch| {
            if names.len() <= self.columns {
                names_of(batch, &mut names);
            }
        })?;
        if names.len() > self.columns {
            bail!("{}: over {} columns, the bound limits.columns", self.topic, self.columns);
        }
        if names.is_empty() {
            bail!("{}: this stretch of the log holds no captures of the model", self.topic);
        }
        if beside.rejected > 0 {
            note(&format!("{}: {} records rejected", self.topic, beside.rejected));
        }
        for gap in &beside.gaps {
            note(&format!(
                "{}: partition {} no longer holds offsets {} to {}",
                self.topic, gap.partition, gap.from, gap.to
            ));
        }
        let column = |subject: &String| Column {
            subject: subject.clone(),
            kind: Kind::Numeric,
            coerce: false,
        };
        let schema =
            CaptureSchema { columns: names.iter().map(column).collect(), ignored: Vec::new() };
        let columns = names.iter().map(|name| ColumnProfile::new(name)).collect();
        let mut profile = Profile { rows: 0, columns };
        self.each(&schema, &mut |batch| look(&mut profile, batch))?;
        Ok(profile)
    }
}

fn names_of(batch: &RecordBatch, names: &mut BTreeSet<String>) {
    let unknown = batch.column_by_name(UNKNOWN_COLUMNS).and_then(|list| list.as_list_opt::<i32>());
    for row in unknown.into_iter().flat_map(|unknown| unknown.iter()).flatten() {
        for name in row.as_string_opt::<i32>().into_iter().flatten().flatten() {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    }
}

/// Looks at rows that were read as numbers: what is none says by its text what it is.
fn look(profile: &mut Profile, batch: &RecordBatch) {
    profile.rows += batch.num_rows() as u64;
    for column in &mut profile.columns {
        let numbers = batch.column_by_name(&column.name);
        let numbers = numbers.and_then(|column| column.as_primitive_opt::<Float64Type>());
        for number in numbers.into_iter().flatten().flatten() {
            column.number(number);
        }
        let wrong = batch.column_by_name(&format!("{WRONG_TYPE_PREFIX}{}", column.name));
        let wrong = wrong.and_then(|column| column.as_string_opt::<i32>());
        for text in wrong.into_iter().flatten().flatten() {
            match text {
                "true" | "false" => column.booleans += 1,
                text if is_nested(text) => column.nested += 1,
                text => column.text(text, false),
            }
        }
    }
}

/// Whether the text is the JSON of a list or an object, or the beginning of one that was cut.
fn is_nested(text: &str) -> bool {
    text.starts_with(['{', '['])
        && (text.chars().count() == WRONG_TYPE_CHARACTERS
            || serde_json::from_str::<serde_json::Value>(text).is_ok())
}
