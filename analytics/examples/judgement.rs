//! Writes docs/judgement.md: how often the rules page where nothing changed, and how soon where
//! something did, on streams that are drawn here and judged by the code that is shipped.
//!
//! `make judgement`, or `cargo run --release -p driftline-analytics --example judgement [RUNS]`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints, OwnWindowRule};
use driftline_analytics::budget::{Budget, ScaleHistory};
use driftline_analytics::judgement::{History, JudgeInput, judge, judge_by_ranks};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Check, Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{self, CaptureSchema, Column, Kind};
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{
    Captures, Errors, FalseAlarms, Format, Latency, Limits, MinEffect, Model, NoData, Operations,
    PartitionAfter, Retrain, Start, Subject, Tolerance, Window, WindowGrid, WindowId,
};

/// Windows of a stream in which nothing changes: eight periods and a half.
const NULL_WINDOWS: usize = 240;
/// Windows before a change, and after it.
const BEFORE: usize = 20;
const AFTER: usize = 60;
/// Windows of a period.
const PERIOD: f64 = 28.0;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Random numbers that are the same everywhere: splitmix64 and the polar method.
struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    fn new(seed: u64) -> Random {
        Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), spare: None }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.share() - 1.0, 2.0 * self.share() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = libm::sqrt(-2.0 * libm::log(square) / square);
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }
}

/// How the windows of a stream differ where nothing changed.
#[derive(Clone, Copy)]
struct Stream {
    name: &'static str,
    own: usize,
    columns: usize,
    rows: usize,
    /// The mean of each column wanders from window to window: autocorrelation, and deviation.
    memory: f64,
    wander: f64,
    /// Two days in seven have other rows.
    weekdays: bool,
    /// Three windows in a hundred are far off in a fifth of the columns.
    storms: bool,
    /// Rows of a window after the baseline, for each of the baseline's.
    traffic: f64,
    /// Share of windows in which a fifth of the columns misses up to a fifth of its values.
    outages: f64,
}

const STEADY: Stream = Stream {
    name: "independent",
    own: 90,
    columns: 20,
    rows: 1000,
    memory: 0.0,
    wander: 0.0,
    weekdays: false,
    storms: false,
    traffic: 1.0,
    outages: 0.0,
};

const STREAMS: [Stream; 14] = [
    STEADY,
    Stream { own: 120, ..STEADY },
    Stream { name: "AR .5", memory: 0.5, wander: 0.05, ..STEADY },
    Stream { name: "AR .9", memory: 0.9, wander: 0.05, own: 120, ..STEADY },
    Stream { name: "weekdays", weekdays: true, memory: 0.5, wander: 0.03, ..STEADY },
    Stream { name: "storm days", storms: true, memory: 0.5, wander: 0.03, ..STEADY },
    Stream { name: "half the traffic", traffic: 0.5, ..STEADY },
    Stream { name: "four times the traffic", traffic: 4.0, rows: 500, ..STEADY },
    Stream { name: "outages", outages: 0.01, memory: 0.5, wander: 0.03, ..STEADY },
    Stream { name: "100 rows", rows: 100, ..STEADY },
    Stream { name: "5 columns of 4000 rows", rows: 4000, columns: 5, ..STEADY },
    Stream { name: "100 columns", columns: 100, rows: 300, ..STEADY },
    Stream { name: "30 own windows", own: 30, ..STEADY },
    Stream { name: "360 own windows", own: 360, columns: 8, rows: 500, ..STEADY },
];

/// What changes in the last column.
#[derive(Clone, Copy)]
struct Change {
    name: &'static str,
    mean: f64,
    variance: f64,
    missing: f64,
}

const NOTHING: Change = Change { name: "", mean: 0.0, variance: 1.0, missing: 0.01 };
const CHANGES: [Change; 8] = [
    Change { name: ".05 sd", mean: 0.05, ..NOTHING },
    Change { name: ".1 sd", mean: 0.1, ..NOTHING },
    Change { name: ".2 sd", mean: 0.2, ..NOTHING },
    Change { name: ".3 sd", mean: 0.3, ..NOTHING },
    Change { name: ".5 sd", mean: 0.5, ..NOTHING },
    Change { name: "variance × 1.3", variance: 1.3, ..NOTHING },
    Change { name: "variance × 2", variance: 2.0, ..NOTHING },
    Change { name: "missing 1 → 3 %", missing: 0.03, ..NOTHING },
];

/// Draws the windows of a stream, one after the other.
struct Source {
    stream: Stream,
    random: Random,
    means: Vec<f64>,
    window: usize,
}

impl Source {
    fn new(stream: Stream, seed: u64) -> Source {
        let mut random = Random::new(seed);
        let wander = stream.wander;
        let means = (0..stream.columns).map(|_| wander * random.normal()).collect();
        Source { stream, random, means, window: 0 }
    }

    fn next(&mut self, change: &Change) -> Outcome<CaptureBatch> {
        let Stream { own, columns, memory, wander, weekdays, storms, traffic, outages, .. } =
            self.stream;
        let step = wander * libm::sqrt(1.0 - memory * memory);
        for mean in &mut self.means {
            *mean = memory * *mean + step * self.random.normal();
        }
        let weekend = weekdays && self.window % 7 >= 5;
        let live = if self.window < own { 1.0 } else { traffic };
        let rows = self.stream.rows as f64 * live * if weekend { 0.4 } else { 1.0 };
        let storm = if storms && self.random.share() < 0.03 { self.random.normal() } else { 0.0 };
        let start_us = ALIGNMENT_US + self.window as i64 * DAY_US;
        self.window += 1;
        let values: Vec<Float64Array> = (0..columns)
            .map(|column| {
                let is_last = column + 1 == columns;
                let change = if is_last { change } else { &NOTHING };
                let of_day = if weekend && column % 2 == 0 { 0.3 } else { 0.0 };
                let of_storm = if column * 5 < columns { storm } else { 0.0 };
                let mean = self.means.get(column).copied().unwrap_or(0.0) + of_day + of_storm;
                let fails = column * 5 < columns && self.random.share() < outages;
                let out = if fails { 0.2 * self.random.share() } else { 0.0 };
                let missing = if is_last { change.missing } else { 0.0 } + out;
                let deviation = libm::sqrt(change.variance);
                let value = |random: &mut Random| {
                    let value = mean + change.mean + deviation * random.normal();
                    (missing == 0.0 || random.share() >= missing).then_some(value)
                };
                (0..rows as usize).map(|_| value(&mut self.random)).collect()
            })
            .collect();
        batch(values, start_us)
    }
}

fn subject(column: usize) -> String {
    format!("feature:x{column:03}")
}

fn batch(values: Vec<Float64Array>, start_us: i64) -> Outcome<CaptureBatch> {
    let rows = values.first().map_or(0, |column| column.values().len()) as i64;
    let times = Int64Array::from_iter_values((0..rows).map(|row| start_us + row * DAY_US / rows));
    let nothing = || vec![None::<&str>; rows as usize];
    let mut named: Vec<(String, ArrayRef)> = vec![
        (columns::OFFSET.into(), Arc::new(Int64Array::from_iter_values(0..rows))),
        (columns::TIME_US.into(), Arc::new(times.clone())),
        (columns::RECORD_TIME_US.into(), Arc::new(times)),
        (columns::ID.into(), Arc::new(StringArray::from(nothing()))),
        (columns::VERSION.into(), Arc::new(StringArray::from(nothing()))),
        (columns::LATENCY_US.into(), Arc::new(Int64Array::new_null(rows as usize))),
        (columns::STATUS.into(), Arc::new(Int32Array::new_null(rows as usize))),
        (
            columns::SAMPLE_RATE.into(),
            Arc::new(Float64Array::from_iter_values((0..rows).map(|_| 1.0))),
        ),
    ];
    for (column, values) in values.into_iter().enumerate() {
        named.push((subject(column), Arc::new(values)));
    }
    let named = named.into_iter().map(|(name, column)| (name, column, true));
    Ok(CaptureBatch::new(RecordBatch::try_from_iter_with_nullable(named)?)?)
}

/// A rule's state over one stream: open or not, as incidents are.
#[derive(Default)]
struct Incidents {
    open: bool,
    quiet: usize,
    recent: Vec<bool>,
    openings: usize,
    alarmed: usize,
    first: Option<usize>,
}

impl Incidents {
    /// One window, which alarms or not; an incident needs `needed` of the newest three.
    fn see(&mut self, window: usize, alarm: bool, needed: usize) {
        self.recent.push(alarm);
        let newest = self.recent.iter().rev().take(3).filter(|alarm| **alarm).count();
        self.alarmed += usize::from(alarm);
        if alarm && newest >= needed {
            self.quiet = 0;
            if !self.open {
                self.openings += 1;
                self.open = true;
            }
            self.first = self.first.or((window >= BEFORE).then_some(window));
        } else if !alarm {
            self.quiet += 1;
            self.open &= self.quiet < 2;
        }
    }
}

/// What is compared.
const RULES: [&str; 5] = [
    "**Driftline, ranks**",
    "Driftline, tolerances (2 of 3)",
    "Evidently: KS p < .05, any column",
    "NannyML: JS beyond mean ± 3 sd, any column",
    "SageMaker: L∞ > .1, any column",
];

/// One baseline with what each rule needs to know of it.
struct Judges {
    model: Model,
    baselines: Baselines,
    layout: Layout,
    budget: Budget,
    /// NannyML's upper thresholds per column.
    thresholds: Vec<f64>,
}

impl Judges {
    fn new(stream: &Stream, source: &mut Source, least: MinEffect) -> Outcome<Judges> {
        let schema = CaptureSchema {
            columns: (0..stream.columns)
                .map(|column| Column {
                    subject: Subject::from(subject(column)),
                    kind: Kind::Numeric,
                    coerce: false,
                })
                .collect(),
            ignored: Vec::new(),
        };
        let options = BuildOptions {
            cut_points: CutPoints::default(),
            own_windows: Some(OwnWindowRule { grid: WindowGrid::every(DAY_US), at_least: 1 }),
            held_out_predictions: true,
            limits: Limits::default(),
        };
        let days = (0..stream.own).map(|_| source.next(&NOTHING));
        let days: Vec<CaptureBatch> = days.collect::<Outcome<_>>()?;
        let mut builder = Builder::new(schema, options)?;
        days.iter().for_each(|day| builder.observe(day));
        let mut counting = builder.choose();
        days.iter().for_each(|day| counting.count(day));
        let built = counting.finish("drawn")?;
        let mut model = model();
        model.min_effect = least;
        let baseline = Arc::new(built.baseline);
        let budget = Budget::new(&model, &baseline);
        let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
        let layout = Layout::new(&model, &baselines, &Limits::default())?;
        let mut judges = Judges { model, baselines, layout, budget, thresholds: Vec::new() };
        let distances: Vec<Vec<f64>> = built
            .own_windows
            .iter()
            .map(|(_, state)| distances(&judges.tolerances(state, 0, &History::default()).0))
            .collect();
        judges.thresholds = (0..stream.columns)
            .map(|column| {
                let of_column: Vec<f64> =
                    distances.iter().filter_map(|day| day.get(column).copied()).collect();
                let count = of_column.len().max(1) as f64;
                let mean = of_column.iter().sum::<f64>() / count;
                let square = of_column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
                mean + 3.0 * libm::sqrt(square / count)
            })
            .collect();
        Ok(judges)
    }

    fn input<'a>(
        &'a self,
        state: &'a WindowState,
        window: usize,
        history: &'a History,
    ) -> JudgeInput<'a> {
        let start_us = ALIGNMENT_US + window as i64 * DAY_US;
        JudgeInput {
            model: &self.model,
            config_sha256: "",
            layout: &self.layout,
            baselines: &self.baselines,
            state,
            window: WindowMeta::new(WindowId::of_comparison(""), start_us..start_us + DAY_US),
            history,
        }
    }

    fn tolerances(
        &self,
        state: &WindowState,
        window: usize,
        history: &History,
    ) -> (Report, History) {
        judge(&self.input(state, window, history))
    }

    /// Runs the stream on; one set of incidents per rule.
    fn run(&self, source: &mut Source, windows: usize, change: &Change) -> Outcome<Vec<Incidents>> {
        let mut incidents: Vec<Incidents> = RULES.map(|_| Incidents::default()).into();
        let mut newest = ScaleHistory::new(&self.baselines.default.sha256);
        let (mut by_ranks, mut by_tolerances) = (History::default(), History::default());
        for window in 0..windows {
            let day = source.next(if window < BEFORE { &NOTHING } else { change })?;
            let mut state = WindowState::default();
            state.absorb_all(&self.layout, std::slice::from_ref(&day));
            let ranked =
                judge_by_ranks(&self.input(&state, window, &by_ranks), &self.budget, &newest);
            let (report, history) = self.tolerances(&state, window, &by_tolerances);
            let pages = ranked.report.budget.is_some_and(|budget| budget.pages);
            let alarms = [
                (pages, 1),
                (report.level == driftline_config::Level::Alarm, 2),
                (ks(&report).any(|ks| ks.p < 0.05), 1),
                (distances(&report).iter().zip(&self.thresholds).any(|(x, most)| x > most), 1),
                (ks(&report).any(|ks| ks.value > 0.1), 1),
            ];
            for (incidents, (alarm, needed)) in incidents.iter_mut().zip(alarms) {
                incidents.see(window, alarm, needed);
            }
            (newest, by_ranks, by_tolerances) = (ranked.newest, ranked.history, history);
        }
        Ok(incidents)
    }
}

fn ks(report: &Report) -> impl Iterator<Item = &driftline_analytics::report::Ks> {
    report.findings.iter().filter_map(|finding| finding.ks.as_ref())
}

/// Jensen-Shannon distance per column, by name.
fn distances(report: &Report) -> Vec<f64> {
    let mut found: Vec<(&Subject, f64)> = report
        .findings
        .iter()
        .filter(|finding| finding.check == Check::Distribution)
        .filter_map(|finding| {
            let shift = finding.shift.as_ref()?;
            Some((&finding.subject, libm::sqrt(shift.jensen_shannon)))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(other.0));
    found.into_iter().map(|(_, distance)| distance).collect()
}

fn model() -> Model {
    Model {
        name: "drawn".to_owned(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: String::new(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: 0,
        },
        baseline: BTreeMap::new(),
        features: BTreeMap::new(),
        window: Window {
            every_us: DAY_US,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
            timezone: None,
        },
        operations: Operations { every_us: DAY_US, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        false_alarms: FalseAlarms::default(),
        min_effect: MinEffect::default(),
        latency: None::<Latency>,
        errors: None::<Errors>,
        no_data: NoData { after_us: DAY_US, partition_after: PartitionAfter::Off },
        shadow: Vec::new(),
        retrain: Retrain {
            history_us: 0,
            cooldown_us: 0,
            max_per_day: 0,
            rows: None,
            wait_windows: Retrain::usual_wait(),
        },
    }
}

/// Openings where nothing changes, per period.
fn null(stream: &Stream, runs: u64) -> Outcome<String> {
    let mut openings = vec![0.0; RULES.len()];
    let (mut held, mut promised) = (0, 0.0);
    for run in 0..runs {
        let mut source = Source::new(*stream, 1000 + run);
        let judges = Judges::new(stream, &mut source, MinEffect::default())?;
        let incidents = judges.run(&mut source, NULL_WINDOWS, &NOTHING)?;
        let per_period = |found: &Incidents| found.openings as f64 * PERIOD / NULL_WINDOWS as f64;
        for (sum, found) in openings.iter_mut().zip(&incidents) {
            *sum += per_period(found) / runs as f64;
        }
        promised += judges.budget.expected() / runs as f64;
        let bound = judges.budget.bound();
        held += u32::from(incidents.first().is_some_and(|found| per_period(found) <= bound));
    }
    let rules: Vec<String> = openings.iter().map(|mean| format!("{mean:.2}")).collect();
    Ok(format!(
        "| {} | {} | {} | {} | {promised:.2} | {:.0} % | {} |\n",
        stream.name,
        stream.own,
        stream.columns,
        (stream.rows as f64 * stream.traffic) as u64,
        100.0 * f64::from(held) / runs as f64,
        rules.join(" | ")
    ))
}

/// Median windows until the page, and the share of runs without one.
fn delays(stream: &Stream, least: MinEffect, runs: u64) -> Outcome<String> {
    let mut table = String::new();
    let mut found: Vec<Vec<Vec<usize>>> = vec![vec![Vec::new(); RULES.len()]; CHANGES.len()];
    for (change, of_change) in CHANGES.iter().zip(&mut found) {
        for run in 0..runs {
            let mut source = Source::new(*stream, 5000 + run);
            let judges = Judges::new(stream, &mut source, least)?;
            let incidents = judges.run(&mut source, BEFORE + AFTER, change)?;
            for (of_rule, incidents) in of_change.iter_mut().zip(incidents) {
                of_rule.push(incidents.first.map_or(usize::MAX, |window| window - BEFORE + 1));
            }
        }
    }
    for (rule, name) in RULES.iter().enumerate() {
        let cells: Vec<String> = found
            .iter_mut()
            .map(|of_change| {
                let Some(delays) = of_change.get_mut(rule) else { return String::new() };
                delays.sort_unstable();
                let missed = delays.iter().filter(|&&delay| delay == usize::MAX).count();
                let missed = 100 * missed / delays.len().max(1);
                match delays.get((delays.len().max(1) - 1) / 2) {
                    Some(&middle) if middle < usize::MAX => format!("{middle} / {missed} %"),
                    _ => format!("– / {missed} %"),
                }
            })
            .collect();
        table.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    Ok(table)
}

fn main() -> Outcome<()> {
    let out = &mut std::io::stdout().lock();
    let runs: u64 = std::env::args().nth(1).map_or(Ok(40), |runs| runs.parse())?;
    writeln!(
        out,
        "<!-- Written by `make judgement`: do not edit. -->\n# How the judgement does\n"
    )?;
    writeln!(
        out,
        "Every number is from {runs} runs of the code that is shipped, on streams drawn by `analytics/examples/judgement.rs`: normal columns, windows of a day, `false_alarms: {{at_most: 1, per: 28d}}`. The rules of others are as they document them, on the same windows.\n"
    )?;
    writeln!(
        out,
        "## Where nothing changed\n\nOpenings of incidents in 28 windows, over {NULL_WINDOWS} windows a run. *Promised* is what Driftline says to expect; *bound held* is in how many runs its bound did.\n"
    )?;
    writeln!(
        out,
        "| stream | own windows | columns | rows | promised | bound held | {} |\n|---|--:|--:|--:|--:|--:|{}",
        RULES.join(" | "),
        "--:|".repeat(RULES.len())
    )?;
    for stream in &STREAMS {
        write!(out, "{}", null(stream, runs)?)?;
    }
    writeln!(
        out,
        "\n## Where something did\n\nMedian windows until the incident opens, and the share of runs in which none of {AFTER} windows did: a lasting change in one of the columns. A rule that cries where nothing changed is early by luck.\n"
    )?;
    let least = MinEffect { distribution: 0.0, share: 0.0 };
    for (what, stream, least) in [
        ("independent, 90 own windows, `min_effect: 0`", STEADY, least),
        ("independent, 120 own windows, `min_effect: 0`", Stream { own: 120, ..STEADY }, least),
        ("independent, 90 own windows, `min_effect` as by default", STEADY, MinEffect::default()),
        (
            "AR .5, 90 own windows",
            Stream { memory: 0.5, wander: 0.05, ..STEADY },
            MinEffect::default(),
        ),
        (
            "storm days, 90 own windows",
            Stream { storms: true, memory: 0.5, wander: 0.03, ..STEADY },
            MinEffect::default(),
        ),
    ] {
        let names: Vec<&str> = CHANGES.iter().map(|change| change.name).collect();
        writeln!(
            out,
            "### {what}\n\n| rule | {} |\n|---|{}",
            names.join(" | "),
            "--:|".repeat(names.len())
        )?;
        writeln!(out, "{}", delays(&stream, least, (runs / 2).max(1))?)?;
    }
    Ok(())
}
