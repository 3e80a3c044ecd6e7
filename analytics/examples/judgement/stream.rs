//! The streams that are judged: windows of a day in which nothing changes, or one thing does.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{self, CaptureSchema, Column, Kind};
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{MinEffect, Subject};

use crate::Outcome;
use crate::random::Random;

/// One part in so many of the columns has the stream's storms and outages.
const TROUBLED: usize = 5;
/// Share of windows with a storm.
const STORM: f64 = 0.03;
/// Names of values that come once, if at all.
const FRESH_NAMES: u32 = 1_000_000_000;

/// How the windows of a stream differ where nothing changed. The last numeric column, and the last
/// of the categories, are those in which something may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    /// Windows of the baseline.
    pub(crate) own: usize,
    pub(crate) numeric: usize,
    pub(crate) categorical: usize,
    /// Categories of a column; the i-th is 1/i as frequent as the first.
    pub(crate) categories: u32,
    /// Share of rows whose category never came before.
    pub(crate) fresh: f64,
    pub(crate) rows: usize,
    /// The mean of each column, and the odds of its even categories, wander from window to window:
    /// autocorrelation, and deviation.
    pub(crate) memory: f64,
    pub(crate) wander: f64,
    /// Two days in seven have 0.4 of the rows, and half of the columns lies 0.3 sd higher.
    pub(crate) weekdays: bool,
    /// Three windows in a hundred are off in a fifth of the columns, by a normal number of sd.
    pub(crate) storms: bool,
    /// Rows of a window after the baseline, for each of the baseline's.
    pub(crate) traffic: f64,
    /// Share of windows in which a column misses up to a fifth of its values, in a fifth of them.
    pub(crate) outages: f64,
    /// A year's sine of that many sd in every numeric column, each with its own sign and size.
    pub(crate) season: f64,
    /// Deviation of the step of a random walk of each mean.
    pub(crate) walk: f64,
    /// The smallest effects that count: a setting of the model.
    pub(crate) least: MinEffect,
}

/// By default.
const LEAST: MinEffect = MinEffect { distribution: 0.03, share: 0.01 };
/// `min_effect: 0`.
pub(crate) const NO_LEAST: MinEffect = MinEffect { distribution: 0.0, share: 0.0 };

/// 18 numbers and 2 columns of 12 categories, 1000 rows a day, 90 days.
pub(crate) const STEADY: Stream = Stream {
    name: "independent",
    own: 90,
    numeric: 18,
    categorical: 2,
    categories: 12,
    fresh: 0.0,
    rows: 1000,
    memory: 0.0,
    wander: 0.0,
    weekdays: false,
    storms: false,
    traffic: 1.0,
    outages: 0.0,
    season: 0.0,
    walk: 0.0,
    least: LEAST,
};
pub(crate) const AR_5: Stream = Stream { name: "AR .5", memory: 0.5, wander: 0.05, ..STEADY };
pub(crate) const AR_9: Stream =
    Stream { name: "AR .9", memory: 0.9, wander: 0.05, own: 120, ..STEADY };
pub(crate) const STORMS: Stream =
    Stream { name: "storm days", storms: true, memory: 0.5, wander: 0.03, ..STEADY };

impl Stream {
    pub(crate) fn columns(&self) -> usize {
        self.numeric + self.categorical
    }

    /// What the columns are called, and of which kind they are.
    pub(crate) fn schema(&self) -> CaptureSchema {
        let column = |index: usize| {
            let kind = if index < self.numeric { Kind::Numeric } else { Kind::Categorical };
            Column { subject: Subject::from(subject(index)), kind, coerce: false }
        };
        CaptureSchema { columns: (0..self.columns()).map(column).collect(), ignored: Vec::new() }
    }
}

/// A change in one column, from some window on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// Of the last numeric column, in sd.
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    pub(crate) missing: f64,
    /// Points that the third category of the last column gains.
    pub(crate) category: f64,
}

impl Change {
    /// The column in which it is.
    pub(crate) fn column(&self, stream: &Stream) -> usize {
        let last = if self.category > 0.0 { stream.columns() } else { stream.numeric };
        last - 1
    }
}

/// One value in a hundred of the last numeric column is always missing.
pub(crate) const NOTHING: Change =
    Change { name: "nothing", mean: 0.0, variance: 1.0, missing: 0.01, category: 0.0 };

pub(crate) const CHANGES: [Change; 11] = [
    Change { name: ".05 sd", mean: 0.05, ..NOTHING },
    Change { name: ".1 sd", mean: 0.1, ..NOTHING },
    Change { name: ".2 sd", mean: 0.2, ..NOTHING },
    Change { name: ".3 sd", mean: 0.3, ..NOTHING },
    Change { name: ".5 sd", mean: 0.5, ..NOTHING },
    Change { name: "variance × 1.3", variance: 1.3, ..NOTHING },
    Change { name: "variance × 2", variance: 2.0, ..NOTHING },
    Change { name: "category + 3", category: 0.03, ..NOTHING },
    Change { name: "category + 5", category: 0.05, ..NOTHING },
    Change { name: "category + 10", category: 0.10, ..NOTHING },
    Change { name: "missing 1 → 3 %", missing: 0.03, ..NOTHING },
];

/// The values of one column in one window.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Numbers(Vec<Option<f64>>),
    Categories(Vec<u32>),
}

/// A window: for Driftline, and for the rules of others.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) columns: Vec<Values>,
    pub(crate) batch: CaptureBatch,
}

/// Draws the windows of a stream, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    stream: Stream,
    random: Random,
    means: Vec<f64>,
    /// How much of the season each column has.
    weights: Vec<f64>,
    window: usize,
}

/// What is common to the rows of one window.
#[derive(Debug, Clone, Copy)]
struct Day {
    rows: usize,
    weekend: bool,
    storm: f64,
    season: f64,
}

impl Source {
    pub(crate) fn new(stream: Stream, seed: u64) -> Source {
        let mut random = Random::new(seed);
        let means = (0..stream.columns()).map(|_| stream.wander * random.normal()).collect();
        let weights = (0..stream.columns()).map(|_| random.normal()).collect();
        Source { stream, random, means, weights, window: 0 }
    }

    pub(crate) fn next(&mut self, change: &Change) -> Outcome<Drawn> {
        let Stream { memory, wander, walk, .. } = self.stream;
        let step = wander * libm::sqrt(1.0 - memory * memory);
        let keeps = if walk > 0.0 { 1.0 } else { memory };
        for mean in &mut self.means {
            *mean = keeps * *mean + (step + walk) * self.random.normal();
        }
        let day = self.day();
        let start_us = ALIGNMENT_US + self.window as i64 * DAY_US;
        self.window += 1;
        let columns: Vec<Values> =
            (0..self.stream.columns()).map(|column| self.column(column, day, change)).collect();
        let batch = batch(&columns, day.rows, start_us)?;
        Ok(Drawn { columns, batch })
    }

    fn day(&mut self) -> Day {
        let Stream { own, weekdays, storms, traffic, season, .. } = self.stream;
        let weekend = weekdays && self.window % 7 >= 5;
        let live = if self.window < own { 1.0 } else { traffic };
        let rows = self.stream.rows as f64 * live * if weekend { 0.4 } else { 1.0 };
        let storm = storms && self.random.share() < STORM;
        let storm = if storm { self.random.normal() } else { 0.0 };
        let of_year = 2.0 * std::f64::consts::PI * self.window as f64 / 365.0;
        Day { rows: rows as usize, weekend, storm, season: season * libm::sin(of_year) }
    }

    fn column(&mut self, column: usize, day: Day, change: &Change) -> Values {
        let Stream { numeric, categorical, outages, .. } = self.stream;
        let mean = self.means.get(column).copied().unwrap_or(0.0);
        if column >= numeric {
            let changes = column + 1 == numeric + categorical;
            return self.categories(day.rows, mean, if changes { change.category } else { 0.0 });
        }
        let changed =
            if column + 1 == numeric { *change } else { Change { missing: 0.0, ..NOTHING } };
        let troubled = column * TROUBLED < numeric;
        let of_day = if day.weekend && column.is_multiple_of(2) { 0.3 } else { 0.0 };
        let of_storm = if troubled { day.storm } else { 0.0 };
        let of_season = day.season * self.weights.get(column).copied().unwrap_or(0.0);
        let fails = troubled && self.random.share() < outages;
        let missing = changed.missing + if fails { 0.2 * self.random.share() } else { 0.0 };
        let (mean, deviation) =
            (mean + of_day + of_storm + of_season + changed.mean, libm::sqrt(changed.variance));
        let random = &mut self.random;
        let value = |_| {
            let value = mean + deviation * random.normal();
            (missing == 0.0 || random.share() >= missing).then_some(value)
        };
        Values::Numbers((0..day.rows).map(value).collect())
    }

    /// The third category gains `gain` points; where odds wander, even ones do together.
    fn categories(&mut self, rows: usize, odds: f64, gain: f64) -> Values {
        let Stream { categories, fresh, .. } = self.stream;
        let mut up_to = Vec::with_capacity(categories as usize);
        let mut sum = 0.0;
        for category in 0..categories {
            let tilt = if category % 2 == 0 { libm::exp(odds) } else { 1.0 };
            sum += tilt / f64::from(category + 1);
            up_to.push(sum);
        }
        let share = |category: usize| {
            let before = category.checked_sub(1).and_then(|before| up_to.get(before));
            (up_to.get(category).copied().unwrap_or(sum) - before.copied().unwrap_or(0.0)) / sum
        };
        const GAINS: u32 = 2;
        let gain = gain / (1.0 - share(GAINS as usize));
        let random = &mut self.random;
        let value = |_| {
            if gain > 0.0 && random.share() < gain {
                return GAINS;
            }
            if fresh > 0.0 && random.share() < fresh {
                return categories + random.below(FRESH_NAMES);
            }
            let at = random.share() * sum;
            (up_to.partition_point(|&up_to| up_to <= at) as u32).min(categories - 1)
        };
        Values::Categories((0..rows).map(value).collect())
    }
}

/// What a column is called.
pub(crate) fn subject(column: usize) -> String {
    format!("feature:x{column:03}")
}

fn batch(drawn: &[Values], rows: usize, start_us: i64) -> Outcome<CaptureBatch> {
    let count = rows as i64;
    let times = Int64Array::from_iter_values((0..count).map(|row| start_us + row * DAY_US / count));
    let nothing = || -> ArrayRef { Arc::new(StringArray::new_null(rows)) };
    let every = Float64Array::from_iter_values((0..rows).map(|_| 1.0));
    let mut named: Vec<(String, ArrayRef)> = vec![
        (columns::OFFSET.into(), Arc::new(Int64Array::from_iter_values(0..count))),
        (columns::TIME_US.into(), Arc::new(times.clone())),
        (columns::RECORD_TIME_US.into(), Arc::new(times)),
        (columns::ID.into(), nothing()),
        (columns::VERSION.into(), nothing()),
        (columns::LATENCY_US.into(), Arc::new(Int64Array::new_null(rows))),
        (columns::STATUS.into(), Arc::new(Int32Array::new_null(rows))),
        (columns::SAMPLE_RATE.into(), Arc::new(every)),
    ];
    for (column, values) in drawn.iter().enumerate() {
        let values: ArrayRef = match values {
            Values::Numbers(values) => Arc::new(Float64Array::from_iter(values.iter().copied())),
            Values::Categories(values) => {
                let names = values.iter().map(|category| format!("c{category}"));
                Arc::new(StringArray::from_iter_values(names))
            }
        };
        named.push((subject(column), values));
    }
    let named = named.into_iter().map(|(name, column)| (name, column, true));
    Ok(CaptureBatch::new(RecordBatch::try_from_iter_with_nullable(named)?)?)
}
