//! The captures of a model as the rows of its baseline, read from its topic as often as needed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use anyhow::bail;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use driftline_batch::{Audience, BatchError, RowSource, Surveyed};
use driftline_capture::{CaptureBatch, CaptureSchema, Chunk, Column, Kind, MarkKind};
use driftline_config::{Config, Model, Partition, Start, Subject};
use driftline_files::{Profile, Target};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Connection, OffsetRange, RangeEvent, ReadLimits, TopicPlan, describe_topic, offsets_for_time,
    read_ranges,
};

use super::super::recorded::{paired_rows, whole_chunks};

/// A stretch of a model's topic, fixed when it was opened.
#[derive(Debug)]
pub(super) struct CapturedRows {
    connection: Connection,
    limits: ReadLimits,
    topic: String,
    /// Every model on the topic, without columns.
    models: Vec<ModelPlan>,
    /// Which of them it is.
    model: usize,
    ranges: Vec<OffsetRange>,
    /// Event times, in microseconds, from and before which rows are taken.
    from_us: Option<i64>,
    to_us: Option<i64>,
    /// As `limits.columns` bounds them.
    columns: usize,
}

/// What was read beside the rows.
#[derive(Debug, Default)]
struct Beside {
    /// Records whose envelope cannot be read.
    rejected: u64,
    /// Stretches that the log no longer holds.
    gaps: Vec<OffsetRange>,
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
            None => BTreeMap::new(),
        };
        let ranges = (0..)
            .map(Partition)
            .zip(&facts.partitions)
            .map(|(partition, &(low, high))| {
                let from = starts.get(&partition).copied().unwrap_or(low).max(low);
                OffsetRange { partition, from, to: high }
            })
            .filter(|range| range.from < range.to)
            .collect();
        let of_topic = |other: &&Model| other.captures.topic == topic && other.name != model.name;
        // A template stands for the other models that it makes: their records name somebody else.
        let sharing: Vec<&Model> =
            std::iter::once(model).chain(config.declared().filter(of_topic)).collect();
        let models = sharing.iter().map(|other| ModelPlan::new(other, CaptureSchema::default()));
        Ok(CapturedRows {
            limits: ReadLimits::from(&config.limits),
            models: models.collect(),
            model: 0,
            columns: config.limits.columns,
            connection,
            topic,
            ranges,
            from_us,
            to_us,
        })
    }

    /// Gives every batch of the model's rows to `see`.
    fn read(
        &self,
        schema: &CaptureSchema,
        audience: &Audience<'_>,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> anyhow::Result<Beside> {
        let mut models = self.models.clone();
        if let Some(model) = models.get_mut(self.model) {
            model.schema = schema.clone();
        }
        let plan = TopicPlan { topic: self.topic.clone(), models, start: Start::Earliest };
        let records = self.ranges.iter().map(|range| (range.to - range.from).unsigned_abs()).sum();
        let mut beside = Beside::default();
        let mut failed = None;
        let mut paired = paired_rows(&plan, self.model);
        let mut show = |chunk: &Chunk| {
            for rows in chunk.rows.iter().filter(|rows| rows.model == self.model) {
                match self.between(&rows.rows) {
                    Ok(batch) => see(&batch),
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        };
        audience.watch(&format!("reading {}", self.topic), Some(records), |passed| {
            read_ranges(&self.connection, &plan, &self.limits, &self.ranges, |event| {
                match event {
                    RangeEvent::Gap(range) => beside.gaps.push(range),
                    RangeEvent::Chunk(chunk) => {
                        passed(chunk.records);
                        let rejected = |kind| matches!(kind, MarkKind::Rejected(_));
                        beside.rejected +=
                            chunk.marks.iter().filter(|mark| rejected(mark.kind)).count() as u64;
                        show(&chunk)?;
                        if let Some(paired) = &mut paired {
                            let rows = paired.take(chunk.partition, &chunk.halves, self.model);
                            whole_chunks(rows, self.model).iter().try_for_each(&mut show)?;
                        }
                    }
                }
                ControlFlow::Continue(())
            })
        })?;
        if let Some(mut paired) = paired {
            // Whoever breaks off has failed, and says so.
            let _ = whole_chunks(paired.rest(), self.model).iter().try_for_each(&mut show);
        }
        failed.map_or(Ok(beside), |error| Err(error.into()))
    }

    /// The rows of the wanted event times.
    fn between(&self, batch: &CaptureBatch) -> Result<CaptureBatch, ArrowError> {
        if self.from_us.is_none() && self.to_us.is_none() {
            return Ok(batch.clone());
        }
        let wanted = self.from_us.unwrap_or(i64::MIN)..self.to_us.unwrap_or(i64::MAX);
        let times_us = batch.times_us().iter();
        let inside: BooleanArray = times_us.map(|time_us| Some(wanted.contains(time_us))).collect();
        Ok(CaptureBatch::new(filter_record_batch(batch.record_batch(), &inside)?)?)
    }

    /// What stands in the columns: one pass for their names, one for their values.
    fn profile(&self, audience: &mut Audience<'_>) -> anyhow::Result<Profile> {
        let mut names = BTreeSet::new();
        let beside = self.read(&CaptureSchema::default(), audience, &mut |batch| {
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
            audience.note(&format!("{}: {} records rejected", self.topic, beside.rejected));
        }
        for gap in &beside.gaps {
            audience.note(&format!(
                "{}: partition {} no longer holds offsets {} to {}",
                self.topic, gap.partition, gap.from, gap.to
            ));
        }
        let column = |subject: &Subject| Column {
            subject: subject.clone(),
            kind: Kind::Numeric,
            coerce: false,
        };
        let schema =
            CaptureSchema { columns: names.iter().map(column).collect(), ignored: Vec::new() };
        let mut profile = Profile::of_captures(&schema);
        self.read(&schema, audience, &mut |batch| profile.look_at_captures(batch))?;
        Ok(profile)
    }
}

impl RowSource for CapturedRows {
    /// Topic and offsets.
    fn name(&self) -> String {
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|range| format!("{}:{}-{}", range.partition, range.from, range.to))
            .collect();
        format!("topic {} {}", self.topic, ranges.join(","))
    }

    fn has_time(&self) -> Result<bool, BatchError> {
        Ok(true)
    }

    fn is_production(&self) -> bool {
        true
    }

    fn survey(&self, audience: &mut Audience<'_>) -> Result<Surveyed, BatchError> {
        let profile = self.profile(audience).map_err(unreadable)?;
        let columns = profile.columns.iter();
        let targets =
            columns.map(|column| Target::Subject(Subject::from(column.name.as_str()))).collect();
        Ok(Surveyed { profile, targets, time: None })
    }

    fn each(
        &self,
        schema: &CaptureSchema,
        audience: &mut Audience<'_>,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> Result<(), BatchError> {
        self.read(schema, audience, see).map(drop).map_err(unreadable)
    }
}

fn unreadable(error: anyhow::Error) -> BatchError {
    BatchError::Source(error.into())
}

/// Without a schema every column of a capture is unknown.
fn names_of(batch: &CaptureBatch, names: &mut BTreeSet<Subject>) {
    for row in batch.unknown_columns().into_iter().flat_map(|unknown| unknown.iter()).flatten() {
        for name in row.as_string_opt::<i32>().into_iter().flatten().flatten() {
            if !names.contains(name) {
                names.insert(Subject::from(name));
            }
        }
    }
}
