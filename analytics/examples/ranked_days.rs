//! Draws baselines and days after them, and prints them as JSON with what the ranks say, for
//! tests/rig/oracle_ranks.py to say the same:
//!
//! `cargo run --release -p driftline-analytics --example ranked_days [CASES] | python3 tests/rig/oracle_ranks.py compare`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints, OwnWindowRule};
use driftline_analytics::budget::{Budget, Maximum, ScaleHistory};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{self, CaptureSchema, Column, Kind};
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{Limits, Subject, WindowGrid};
use serde_json::{Value, json};

#[path = "judgement/random.rs"]
mod random;
#[path = "judgement/settings.rs"]
mod settings;

use random::Random;

type Outcome<T> = Result<T, Box<dyn Error>>;

const CASES: u64 = 100;
const LIVE: usize = 14;
/// Accepted false openings in a period: so many that every maximum has ranks.
const AT_MOST: f64 = 3.0;
/// What is drawn: numbers of many values, of few, mostly zeros, categories with rare ones, classes.
const COLUMNS: [&str; 6] = [
    "feature:amount",
    "feature:count",
    "feature:fee",
    "feature:shop",
    "prediction:class",
    "prediction:label",
];

fn kind(subject: &str) -> Kind {
    match subject {
        "feature:shop" | "prediction:label" => Kind::Categorical,
        _ => Kind::Numeric,
    }
}

/// A day: its columns, in their order.
type Day = Vec<Vec<Value>>;

/// How far a day is off.
#[derive(Debug, Clone, Copy)]
struct Off {
    wander: f64,
    change: f64,
}

fn value(subject: &str, random: &mut Random, off: Off) -> Value {
    let Off { wander, change } = off;
    if random.share() < 0.01 + 0.05 * change {
        return Value::Null;
    }
    match subject {
        "feature:amount" => {
            let value = 60.0 * (random.normal() + wander + change);
            json!(libm::round(value) / 2.0)
        }
        "feature:count" => json!(f64::from(random.below(9)) + libm::round(2.0 * change)),
        "feature:fee" if random.share() < 0.7 => json!(0.0),
        "feature:fee" => json!(f64::from(1 + random.below(40)) + libm::round(9.0 * change)),
        "feature:shop" if random.share() < 0.03 => json!(format!("s{}", random.below(900))),
        "feature:shop" => json!(format!("s{}", random.below(9) * random.below(3))),
        "prediction:class" => json!(f64::from(u8::from(random.share() < 0.1 + 0.1 * wander.abs()))),
        _ if random.share() < 0.004 => json!("rare"),
        _ => json!(if random.share() < 0.6 + 0.3 * change { "yes" } else { "no" }),
    }
}

fn days(seed: u64) -> [Vec<Day>; 2] {
    let random = &mut Random::new(seed);
    let own = 36 + random.below(40) as usize;
    let (memory, wander_of) = (0.9 * random.share(), 0.2 * random.share());
    let mut wander = 0.0;
    let mut draw = |changes: bool, random: &mut Random| -> Day {
        wander = memory * wander + wander_of * random.normal();
        let change = if changes { 0.8 * random.share() } else { 0.0 };
        let rows = 40 + random.below(160);
        let column = |subject: &&str, random: &mut Random| -> Vec<Value> {
            (0..rows).map(|_| value(subject, random, Off { wander, change })).collect()
        };
        COLUMNS.iter().map(|subject| column(subject, random)).collect()
    };
    let before = (0..own).map(|_| draw(false, random)).collect();
    let live = (0..LIVE).map(|day| draw(day >= 5 && seed.is_multiple_of(2), random)).collect();
    [before, live]
}

fn batch(day: &Day, number: usize) -> Outcome<CaptureBatch> {
    let rows = day.first().map_or(0, Vec::len);
    let start_us = ALIGNMENT_US + number as i64 * DAY_US;
    let times = (0..rows as i64).map(|row| start_us + row * DAY_US / rows as i64);
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(times));
    let nothing = || -> ArrayRef { Arc::new(StringArray::new_null(rows)) };
    let mut named: Vec<(String, ArrayRef)> = vec![
        (columns::OFFSET.into(), Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        (columns::TIME_US.into(), times.clone()),
        (columns::RECORD_TIME_US.into(), times),
        (columns::ID.into(), nothing()),
        (columns::VERSION.into(), nothing()),
        (columns::LATENCY_US.into(), Arc::new(Int64Array::new_null(rows))),
        (columns::STATUS.into(), Arc::new(Int32Array::new_null(rows))),
        (columns::SAMPLE_RATE.into(), Arc::new(Float64Array::from(vec![1.0; rows]))),
    ];
    for (subject, values) in COLUMNS.iter().zip(day) {
        let column: ArrayRef = match kind(subject) {
            Kind::Numeric => Arc::new(Float64Array::from_iter(values.iter().map(Value::as_f64))),
            Kind::Categorical => Arc::new(StringArray::from_iter(values.iter().map(Value::as_str))),
        };
        named.push(((*subject).to_owned(), column));
    }
    let named = named.into_iter().map(|(name, column)| (name, column, true));
    Ok(CaptureBatch::new(RecordBatch::try_from_iter_with_nullable(named)?)?)
}

/// What the ranks say of the live days.
fn found(own: &[Day], live: &[Day]) -> Outcome<Value> {
    let column = |subject: &&str| Column {
        subject: Subject::from(*subject),
        kind: kind(subject),
        coerce: false,
    };
    let schema =
        CaptureSchema { columns: COLUMNS.iter().map(column).collect(), ignored: Vec::new() };
    let options = BuildOptions {
        cut_points: CutPoints::default(),
        own_windows: Some(OwnWindowRule { grid: WindowGrid::every(DAY_US), at_least: 1 }),
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let batches: Vec<CaptureBatch> =
        (0..).zip(own).map(|(number, day)| batch(day, number)).collect::<Outcome<_>>()?;
    let mut builder = Builder::new(schema, options)?;
    batches.iter().for_each(|day| builder.observe(day));
    let mut counting = builder.choose();
    batches.iter().for_each(|day| counting.count(day));
    let baseline = Arc::new(counting.finish("drawn")?.baseline);
    let mut model = settings::model();
    model.false_alarms.at_most = AT_MOST;
    let budget = Budget::new(&model, &baseline);
    let mut newest = ScaleHistory::new(&baseline.sha256);
    let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
    let layout = Layout::new(&model, &baselines, &Limits::default())?;
    let mut windows = Vec::new();
    for (number, day) in (own.len()..).zip(live) {
        let mut state = WindowState::default();
        state.absorb_all(&layout, &[batch(day, number)?]);
        let window = budget.grid().coarse(&layout, &state);
        newest.push(ALIGNMENT_US + number as i64 * DAY_US, &window);
        let standing = budget.standing(&window, &newest, true, &|_| false);
        let told = Maximum::ALL.map(|maximum| {
            let peak = standing.extremes.iter().find(|peak| peak.maximum == maximum);
            let leading = peak.and_then(|peak| standing.numbers.get(peak.leading?));
            let since = leading.and_then(|number| {
                let since = budget.since(&standing, &[number], &newest);
                since.into_iter().next().flatten()
            });
            let back =
                since.map(|(since_us, _)| number as i64 + 1 - (since_us - ALIGNMENT_US) / DAY_US);
            json!([peak.map(|peak| peak.value), peak.map(|peak| peak.pages()), back])
        });
        windows.push(json!(told));
    }
    Ok(json!({
        "own": budget.own_windows(),
        "lag": budget.lag(),
        "ranks": Maximum::ALL.map(|maximum| budget.rank(maximum)),
        "thresholds": Maximum::ALL.map(|maximum| budget.threshold(maximum)),
        "windows": windows,
    }))
}

/// A day as rows, as Python reads it.
fn rows(day: &Day) -> Vec<Vec<&Value>> {
    let count = day.first().map_or(0, Vec::len);
    (0..count).map(|row| day.iter().filter_map(|column| column.get(row)).collect()).collect()
}

fn main() -> Outcome<()> {
    let cases = std::env::args().nth(1).map_or(Ok(CASES), |cases| cases.parse())?;
    let kinds = COLUMNS.map(|subject| {
        let kind = if kind(subject) == Kind::Numeric { "numeric" } else { "categorical" };
        json!({"kind": kind, "prediction": subject.starts_with("prediction:")})
    });
    let mut all = Vec::new();
    for seed in 1..=cases {
        let [own, live] = days(seed);
        let days = |days: &[Day]| json!(days.iter().map(rows).collect::<Vec<_>>());
        let case = json!({
            "columns": kinds, "own": days(&own), "live": days(&live),
            "at_most": AT_MOST, "windows": 28.0,
        });
        all.push(json!({"case": case, "found": found(&own, &live)?}));
    }
    serde_json::to_writer(std::io::stdout().lock(), &all)?;
    Ok(())
}
