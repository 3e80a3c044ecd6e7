//! What was recorded about a window, and exactly the rows that it counted, read from the log again:
//! for `replay` and `export`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use anyhow::anyhow;
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::{Cut, Report};
use driftline_capture::{CaptureBatch, CaptureSchema, Chunk, ModelRows};
use driftline_config::time::parse_instant_us;
use driftline_config::{Config, Model, Partition, Start, WindowId};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Connection, OffsetRange, RangeEvent, ReadLimits, TopicPlan, describe_topic, read_ranges,
};
use driftline_pipeline::judge::Told;
use driftline_pipeline::pairing::PairedRows;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::snapshot::StoredReport;

use crate::retention::COMPACTED;

mod store;

pub(crate) use store::StoredState;

/// A window as the checkpoint keeps it.
#[derive(Debug)]
pub(crate) struct RecordedWindow {
    pub(crate) report: Report,
    /// The report, byte for byte.
    pub(crate) text: String,
    /// What the judgement knew of earlier windows.
    pub(crate) told: Told,
    /// Settings and baselines of the window.
    pub(crate) setup: Setup,
    /// Which rows it counted.
    pub(crate) selection: Selection,
    /// The stretches of the log that hold its rows and its ledger.
    pub(crate) ranges: Vec<OffsetRange>,
    /// What templates made of other names on the topic: their records are rows, and not skipped.
    beside: Vec<Model>,
}

/// Which accepted rows of a model, among those of the ranges that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Event times in microseconds.
    pub(crate) times_us: Range<i64>,
    /// Versions; empty takes all.
    pub(crate) versions: Vec<String>,
    /// Rows of the ranges that were late or ahead all the same, by partition and offset.
    pub(crate) late: BTreeSet<(Partition, i64)>,
}

/// What is read again: a topic, and the model on it whose rows are wanted (index 0).
#[derive(Debug)]
pub(crate) struct Source {
    connection: Connection,
    plan: TopicPlan,
    limits: ReadLimits,
}

impl RecordedWindow {
    pub(crate) fn find(state: &StoredState, id: &str, config: &Config) -> anyhow::Result<Self> {
        let (model, start_us) = WindowId::parse(id).ok_or_else(|| {
            anyhow!("--window {id}: write an id as reports have it, such as flight-delay@20261109T000000Z.1d")
        })?;
        let stored = state.report(&model, start_us)?;
        let stored = stored.ok_or_else(|| not_kept(id))?;
        let damaged = |why: String| anyhow!("the stored report of {id} cannot be read: {why}");
        let StoredReport { report: text, history, config_sha256, .. } = stored;
        let report = Report::from_json(&text).map_err(|error| damaged(error.to_string()))?;
        if report.window.id != id {
            return Err(not_kept(id));
        }
        let told = serde_json::from_str(&history).map_err(|error| damaged(error.to_string()))?;
        let setup = state.setup(&config_sha256, &config.limits)?;
        let instant = |text: &str| parse_instant_us(text).map_err(&damaged);
        let times_us = instant(&report.window.start)?..instant(&report.window.end)?;
        // A window that was carried on has one cut per part, and only the last is in the report.
        let mut late = if report.window.parts > 1 {
            state.late_rows(&model, &times_us)?
        } else {
            BTreeSet::new()
        };
        for (partition, offsets) in &report.window.ahead {
            late.extend(offsets.iter().map(|offset| (*partition, *offset)));
        }
        let beside = beside(state, config, &setup.model)?;
        let cuts = report.window.cuts.get(&setup.model.captures.topic);
        let ranges = cuts.map(ranges).unwrap_or_default();
        let selection = Selection { times_us, versions: Vec::new(), late };
        Ok(RecordedWindow { report, text, told, setup, selection, ranges, beside })
    }
}

/// The models that templates made of other names on the topic of this one.
fn beside(state: &StoredState, config: &Config, model: &Model) -> anyhow::Result<Vec<Model>> {
    if config.templates.is_empty() {
        return Ok(Vec::new());
    }
    let topic = &model.captures.topic;
    let others = state.models()?.into_iter();
    let others = others.filter(|other| other.topic == *topic && other.name != model.name);
    Ok(others.filter_map(|other| config.model_of_template(topic, &other.name)).collect())
}

impl Source {
    /// Why records may be gone between others, where the topic says so: for those who miss some.
    pub(crate) fn says_of_losses(&self) -> String {
        let facts = describe_topic(&self.connection, self.topic()).ok();
        let is_compacted = facts.is_some_and(|facts| facts.compacted == Some(true));
        if is_compacted { format!("; {COMPACTED}") } else { String::new() }
    }
}

fn not_kept(id: &str) -> anyhow::Error {
    anyhow!("no report of {id} is kept: the id is another one, or reports.keep has passed")
}

/// Rows may stand before the previous window's cut; those of the ledger do not.
fn ranges(cuts: &BTreeMap<Partition, Cut>) -> Vec<OffsetRange> {
    let range = |(&partition, cut): (&Partition, &Cut)| {
        let from = cut.rows_from.unwrap_or(cut.from).min(cut.from);
        (from < cut.to).then_some(OffsetRange { partition, from, to: cut.to })
    };
    cuts.iter().filter_map(range).collect()
}

/// The rows that a retraining request names.
pub(crate) fn requested(request: &RetrainRequest) -> (Selection, Vec<OffsetRange>) {
    let train_on = &request.data.train_on;
    let select = &train_on.select;
    let selection = Selection {
        times_us: select.ts_from..select.ts_before,
        versions: select.versions.clone(),
        late: BTreeSet::new(),
    };
    let ranges = train_on.ranges.iter().map(|range| OffsetRange {
        partition: range.partition,
        from: range.from,
        to: range.to,
    });
    (selection, ranges.collect())
}

impl Selection {
    /// The rows of a batch that belong to it.
    pub(crate) fn of(&self, partition: Partition, batch: &CaptureBatch) -> Vec<u32> {
        let of_version = |row: usize| {
            self.versions.is_empty()
                || batch
                    .version(row)
                    .is_some_and(|version| self.versions.iter().any(|v| v == version))
        };
        let rows = batch.offsets().iter().zip(batch.times_us()).enumerate();
        let chosen = rows.filter(|(row, (offset, time_us))| {
            self.times_us.contains(time_us)
                && !self.late.contains(&(partition, **offset))
                && of_version(*row)
        });
        chosen.filter_map(|(row, _)| u32::try_from(row).ok()).collect()
    }
}

impl Source {
    /// The topic of a model. What the other models on it declare decides which records are skipped.
    pub(crate) fn new(config: &Config, recorded: &RecordedWindow) -> Source {
        let setup = &recorded.setup;
        let mut source = Source::with_schema(config, setup, setup.layout.schema().clone());
        let beside = recorded.beside.iter();
        let beside = beside.map(|other| ModelPlan::new(other, CaptureSchema::default()));
        source.plan.models.extend(beside);
        source
    }

    /// The same, with these columns of the model.
    pub(crate) fn with_schema(config: &Config, setup: &Setup, schema: CaptureSchema) -> Source {
        let model = &setup.model;
        let ours = ModelPlan::new(model, schema);
        let on_topic = |other: &&Model| {
            other.captures.topic == model.captures.topic && other.name != model.name
        };
        // A template stands for the other models that it makes: their records name somebody else.
        let others = config.declared().filter(on_topic);
        let others = others.map(|other| ModelPlan::new(other, CaptureSchema::default()));
        Source {
            connection: Connection::from(&config.kafka),
            plan: TopicPlan {
                topic: model.captures.topic.clone(),
                models: std::iter::once(ours).chain(others).collect(),
                start: Start::Earliest,
            },
            limits: ReadLimits::from(&config.limits),
        }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.plan.topic
    }

    /// Whether requests and responses are records of their own: only whoever reads all of them can pair them.
    pub(crate) fn is_paired(&self) -> bool {
        paired_rows(&self.plan, 0).is_some()
    }

    /// Reads the ranges, giving every chunk to `each` until it breaks. Returns what the log does
    /// not hold. Rows whose requests and responses are records of their own come in chunks without a
    /// record, beside those of the halves.
    pub(crate) fn read(
        &self,
        ranges: &[OffsetRange],
        mut each: impl FnMut(&Chunk) -> ControlFlow<()>,
    ) -> anyhow::Result<Vec<OffsetRange>> {
        let mut gaps = Vec::new();
        let mut paired = paired_rows(&self.plan, 0);
        read_ranges(&self.connection, &self.plan, &self.limits, ranges, |event| match event {
            RangeEvent::Chunk(chunk) => {
                each(&chunk)?;
                let Some(paired) = &mut paired else { return ControlFlow::Continue(()) };
                let rows = paired.take(chunk.partition, &chunk.halves, 0);
                whole_chunks(rows, 0).iter().try_for_each(&mut each)
            }
            RangeEvent::Gap(gap) => {
                gaps.push(gap);
                ControlFlow::Continue(())
            }
        })?;
        if let Some(mut paired) = paired {
            // Whoever breaks off wants no more.
            let _ = whole_chunks(paired.rest(), 0).iter().try_for_each(&mut each);
        }
        gaps.sort_unstable();
        Ok(gaps)
    }
}

/// The rows of the model that is wanted, where the chunk has any.
pub(crate) fn rows_of(chunk: &Chunk) -> Option<&CaptureBatch> {
    chunk.rows.iter().find(|rows| rows.model == 0).map(|rows| &rows.rows)
}

/// What pairs the halves of a model of a topic; `None` where its records are whole captures.
pub(crate) fn paired_rows(plan: &TopicPlan, model: usize) -> Option<PairedRows> {
    let model = plan.models.get(model)?;
    let pair = model.mapping.as_ref()?.pair.as_ref()?;
    Some(PairedRows::new(pair, model.schema.clone()))
}

/// Rows of a model by partition, as chunks that stand for no stretch of the log.
pub(crate) fn whole_chunks(rows: BTreeMap<Partition, CaptureBatch>, model: usize) -> Vec<Chunk> {
    let chunk = |(partition, rows)| Chunk {
        partition,
        rows: vec![ModelRows { model, rows }],
        ..Chunk::default()
    };
    rows.into_iter().map(chunk).collect()
}

/// Names what the log does not hold.
pub(crate) fn say_gaps(topic: &str, gaps: &[OffsetRange]) -> String {
    // Enough to see the pattern.
    const SHOWN: usize = 5;
    let named = gaps.iter().take(SHOWN).map(|gap| {
        format!("offsets {} to {} of partition {}", gap.from, gap.to - 1, gap.partition)
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if gaps.len() > SHOWN {
        text.push_str(&format!(" and {} more", gaps.len() - SHOWN));
    }
    format!("the log of topic {topic} does not hold {text} (any more)")
}

#[cfg(test)]
mod tests;
