//! Whose clock is wrong: times of rows, timestamps of records and now, compared in samples of all partitions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use driftline_capture::{CaptureSchema, Chunk, MarkKind};
use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US, format_duration};
use driftline_config::{Config, Model, Partition, Start};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Connection, IngestError, OffsetRange, RangeEvent, ReadLimits, TopicDescription, TopicPlan,
    offsets_for_time, read_ranges, topic_offsets,
};

use super::Finding;

/// How far clocks may differ before timestamps mislead.
const CLOCK_US: i64 = MINUTE_US;
/// Last records of each partition that are looked at, and of all of them together.
const RECORDS_OF_EACH: i64 = 100;
const RECORDS_OF_ALL: i64 = 20_000;
/// Partitions that a sentence names.
const NAMED: usize = 8;

/// Both times of a row or a heartbeat, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// `ts`.
    pub(super) time_us: i64,
    /// The timestamp of its record.
    pub(super) record_us: i64,
}

/// What was looked at of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// The last rows, in order.
    pub(super) rows: Vec<Times>,
    /// The first row of the log whose record is stamped later than now, where there is one before those.
    pub(super) first_ahead: Option<Times>,
    /// Whether the last rows came while it was looked.
    pub(super) grew: bool,
    /// Whether the broker stamps the records.
    pub(super) broker_stamps: bool,
}

/// What is known beside the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) now_us: i64,
    /// The smallest lateness of the topic's models.
    pub(super) lateness_us: i64,
}

/// A topic, and what the broker said of it a moment ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topic<'a> {
    pub(super) name: &'a str,
    pub(super) models: &'a [&'a Model],
    pub(super) facts: &'a TopicDescription,
}

/// Looks at the last records of each partition, and at those that are stamped later than now.
pub(super) fn examine(connection: &Connection, config: &Config, topic: Topic<'_>) -> Vec<Finding> {
    let Topic { name, models, facts } = topic;
    let check = format!("topic {name}: clocks");
    let now_us = driftline_alerting::clock::now_us();
    let lateness = models.iter().map(|model| model.window.lateness_us).min();
    let now = Now { now_us, lateness_us: lateness.unwrap_or(HOUR_US) };
    let plan = TopicPlan {
        topic: name.to_owned(),
        models: models.iter().map(|model| without_columns(model)).collect(),
        start: Start::Earliest,
    };
    match samples(connection, &ReadLimits::from(&config.limits), &plan, facts, now_us) {
        Ok(samples) => compare(&check, &samples, now),
        Err(error) => {
            vec![Finding::warn(check, format!("the last records cannot be read: {error}"))]
        }
    }
}

/// Rows of the model with nothing but their envelope, those of the future among them.
fn without_columns(model: &Model) -> ModelPlan {
    let schema = CaptureSchema { columns: Vec::new(), ignored: Vec::new() };
    ModelPlan { max_ahead_us: i64::MAX, ..ModelPlan::new(model, schema) }
}

fn samples(
    connection: &Connection,
    limits: &ReadLimits,
    plan: &TopicPlan,
    facts: &TopicDescription,
    now_us: i64,
) -> Result<BTreeMap<Partition, Sample>, IngestError> {
    // What came since the first look came just now.
    let ends = topic_offsets(connection, &plan.topic)?;
    let each = RECORDS_OF_ALL / i64::try_from(ends.len()).unwrap_or(i64::MAX).max(1);
    let each = each.clamp(1, RECORDS_OF_EACH);
    let ahead = offsets_for_time(connection, &plan.topic, now_us.saturating_add(CLOCK_US))?;
    let mut samples: BTreeMap<Partition, Sample> = BTreeMap::new();
    let mut ranges = Vec::new();
    for (partition, &(first, end)) in (0..).map(Partition).zip(&ends) {
        let known = usize::try_from(partition.0).ok().and_then(|index| facts.partitions.get(index));
        let grew = known.is_some_and(|(_, before)| end > *before);
        samples.insert(partition, Sample { grew, ..Sample::default() });
        let from = first.max(end - each);
        if let Some(&offset) =
            ahead.get(&partition).filter(|offset| (first..from).contains(*offset))
        {
            ranges.push(OffsetRange { partition, from: offset, to: offset + 1 });
        }
        if from < end {
            ranges.push(OffsetRange { partition, from, to: end });
        }
    }
    let tails: BTreeMap<Partition, i64> =
        ranges.iter().map(|range| (range.partition, range.from)).collect();
    read_ranges(connection, plan, limits, &ranges, |event| {
        if let RangeEvent::Chunk(chunk) = event
            && let Some(sample) = samples.get_mut(&chunk.partition)
        {
            sample.add(&chunk, tails.get(&chunk.partition).copied().unwrap_or(0));
        }
        ControlFlow::Continue(())
    })?;
    Ok(samples)
}

impl Sample {
    /// Adds what was read; the last rows begin at `tail`.
    fn add(&mut self, chunk: &Chunk, tail: i64) {
        self.broker_stamps |= chunk.records > 0 && !chunk.producer_timestamps;
        let mut found: Vec<(i64, Times)> = Vec::new();
        for rows in &chunk.rows {
            let times = rows.rows.times_us().iter().zip(rows.rows.record_times_us());
            let times = times.map(|(&time_us, &record_us)| Times { time_us, record_us });
            found.extend(rows.rows.offsets().iter().copied().zip(times));
        }
        found.extend(chunk.marks.iter().filter_map(|mark| match mark.kind {
            MarkKind::Heartbeat { time_us, record_time_us: record_us, .. } => {
                Some((mark.offset, Times { time_us, record_us }))
            }
            _ => None,
        }));
        found.sort_unstable_by_key(|(offset, _)| *offset);
        for (offset, times) in found {
            if offset < tail {
                self.first_ahead = Some(times);
            } else {
                self.rows.push(times);
            }
        }
    }

    /// All that was looked at.
    fn all(&self) -> impl Iterator<Item = &Times> {
        self.first_ahead.iter().chain(&self.rows)
    }
}

impl Times {
    /// What windows go by.
    fn earlier_us(&self) -> i64 {
        self.time_us.min(self.record_us)
    }
}

/// What is wrong with the times of a partition, by how much and in how many of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Both times of rows lie beyond this machine's clock.
    Ahead,
    /// Records of just now are stamped earlier.
    Behind,
    /// `ts` lies beyond the timestamp of its record.
    BeyondRecord,
    /// Records that producers stamped go back in time.
    Disagree,
    /// No clock is to blame: rows come after others that are later by more than the lateness.
    Late,
}

/// What the samples of a topic say, and whose clock it is.
pub(super) fn compare(
    check: &str,
    samples: &BTreeMap<Partition, Sample>,
    now: Now,
) -> Vec<Finding> {
    let rows: usize = samples.values().map(|sample| sample.all().count()).sum();
    if rows == 0 {
        return vec![Finding::ok(check, "no rows to compare")];
    }
    let mut faults: BTreeMap<(Fault, bool), Vec<Faulty>> = BTreeMap::new();
    for (&partition, sample) in samples {
        for (fault, rows, by_us) in faults_of(sample, now) {
            let of = sample.all().count();
            let faulty = Faulty { partition, rows, of, by_us };
            faults.entry((fault, sample.broker_stamps)).or_default().push(faulty);
        }
    }
    // Rows that come out of order are the lateness's business only where every clock is right.
    if faults.keys().any(|(fault, _)| *fault != Fault::Late) {
        faults.retain(|(fault, _), _| *fault != Fault::Late);
    }
    if faults.is_empty() {
        let served = samples.values().filter(|sample| sample.all().next().is_some()).count();
        let says = format!(
            "ts, the timestamps of records and this machine's clock agree in the last {rows} rows of \
             {served} partitions"
        );
        return vec![Finding::ok(check, says)];
    }
    let finding = |((fault, broker_stamps), of): ((Fault, bool), Vec<Faulty>)| {
        let everywhere = of.len() == samples.len() && of.iter().all(|it| it.rows == it.of);
        Finding::warn(
            check,
            format!("{}: {}", named(&of), fault.says(broker_stamps, everywhere, now)),
        )
    };
    faults.into_iter().map(finding).collect()
}

/// How much of what was looked at of a partition is at fault.
struct Faulty {
    partition: Partition,
    rows: usize,
    of: usize,
    by_us: i64,
}

/// What is wrong with a partition's rows: in how many, and by how much at most.
fn faults_of(sample: &Sample, now: Now) -> Vec<(Fault, usize, i64)> {
    let mut faults = Vec::new();
    let mut note = |fault: Fault, by_us: &mut dyn Iterator<Item = i64>, more_than_us: i64| {
        let (mut rows, mut most_us) = (0, 0);
        for by_us in by_us.filter(|by_us| *by_us > more_than_us) {
            (rows, most_us) = (rows + 1, by_us.max(most_us));
        }
        if rows > 0 {
            faults.push((fault, rows, most_us));
        }
        rows > 0
    };
    let ahead = &mut sample.all().map(|row| row.earlier_us().saturating_sub(now.now_us));
    let is_ahead = note(Fault::Ahead, ahead, CLOCK_US);
    let beyond = &mut sample.all().map(|row| row.time_us.saturating_sub(row.record_us));
    note(Fault::BeyondRecord, beyond, CLOCK_US);
    let last = sample.rows.last().filter(|_| sample.grew);
    let behind = &mut last.map(|row| now.now_us.saturating_sub(row.record_us)).into_iter();
    note(Fault::Behind, behind, CLOCK_US);
    if !sample.broker_stamps && !is_ahead {
        let back = &mut steps_back(sample.rows.iter().map(|row| row.record_us));
        note(Fault::Disagree, back, CLOCK_US);
    }
    let late = &mut steps_back(sample.rows.iter().map(Times::earlier_us));
    note(Fault::Late, late, now.lateness_us);
    faults
}

/// By how much each time lies before the largest that came before it.
fn steps_back(times_us: impl Iterator<Item = i64>) -> impl Iterator<Item = i64> {
    let mut largest_us = i64::MIN;
    times_us.map(move |time_us| {
        largest_us = largest_us.max(time_us);
        largest_us.saturating_sub(time_us)
    })
}

/// Which partitions, in how many rows and by how much.
fn named(faulty: &[Faulty]) -> String {
    let one = |it: &Faulty| {
        let Faulty { partition, rows, of, by_us } = it;
        format!("partition {partition} ({rows} of {of} rows by up to {})", rounded(*by_us))
    };
    let mut names: Vec<String> = faulty.iter().take(NAMED).map(one).collect();
    if faulty.len() > NAMED {
        names.push(format!("{} more", faulty.len() - NAMED));
    }
    names.join(", ")
}

/// A length to the hour, the minute or the second, whichever is fine enough.
fn rounded(length_us: i64) -> String {
    let unit_us = match length_us {
        long if long >= 100 * HOUR_US => HOUR_US,
        long if long >= MINUTE_US => MINUTE_US,
        _ => SECOND_US,
    };
    format_duration(length_us / unit_us * unit_us)
}

impl Fault {
    /// Whose clock it is, and what to do.
    fn says(self, broker_stamps: bool, everywhere: bool, now: Now) -> String {
        match (self, broker_stamps) {
            (Fault::Ahead, true) => "ahead of this machine's clock, by the timestamps of the broker: \
                 its clock is fast or this machine's is slow; synchronise them"
                .to_owned(),
            (Fault::Ahead, false) if everywhere => "ahead of this machine's clock, all rows of all \
                 partitions, by ts and by the timestamps of their producers: this machine's clock is slow, \
                 or all of theirs are fast; synchronise them"
                .to_owned(),
            (Fault::Ahead, false) => "ahead of this machine's clock, by ts and by the timestamp of the \
                 record: the clock of a producer is fast, and its rows are in no window; correct it"
                .to_owned(),
            (Fault::Behind, true) => "stamped earlier by the broker although they came just now: its \
                 clock is slow or this machine's is fast; synchronise them"
                .to_owned(),
            (Fault::Behind, false) => "stamped earlier although they came just now: the clock of a \
                 producer is slow, or an older log is being copied; correct the clock"
                .to_owned(),
            (Fault::BeyondRecord, true) => "ts lies beyond the broker's timestamp of its own record: \
                 the clock of a producer is fast; beyond captures.max_ahead such rows become dead letters; \
                 correct it"
                .to_owned(),
            (Fault::BeyondRecord, false) => "ts lies beyond the timestamp of its own record: what writes \
                 ts goes by another clock or zone than what sends the record; beyond captures.max_ahead \
                 such rows become dead letters; correct it"
                .to_owned(),
            (Fault::Disagree, _) => "the timestamps of records go back from one to the next: the clocks \
                 of their producers disagree; synchronise them"
                .to_owned(),
            (Fault::Late, _) => format!(
                "rows come after others that are later by more than window.lateness ({}), and no clock is \
                 to blame: send them in time, or raise window.lateness",
                format_duration(now.lateness_us)
            ),
        }
    }
}
