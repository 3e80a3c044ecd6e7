//! A model with a numeric and a categorical feature and a score, its baseline of 10 000 rows, and
//! windows of given rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder,
};
use driftline_capture::CaptureBatch;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{
    Captures, Errors, FalseAlarms, Feature, Format, Latency, Limits, MinEffect, Model, NoData,
    Operations, Retrain, Start, Subject, Tolerance, Window, WindowGrid, WindowId,
};

use crate::baseline::{
    Baseline, BaselineColumn, BaselineWindows, CategoricalBaseline, Index, Moments,
    NumericBaseline, OwnWindows, Provenance, PsiBin,
};
use crate::judgement::{History, JudgeInput, judge, shapes};
use crate::layout::{Baselines, Layout};
use crate::pane::PaneState;
use crate::report::{Check, Finding, Ledger, Report, WindowMeta};
use crate::shape::Shape;
use crate::window::WindowState;

/// One captured request.
#[derive(Debug, Clone)]
pub(crate) struct CaseRow {
    pub(crate) delay: Option<f64>,
    /// In place of `delay`, where it is no number.
    pub(crate) wrong_delay: Option<&'static str>,
    pub(crate) carrier: Option<&'static str>,
    pub(crate) score: Option<f64>,
    pub(crate) version: Option<&'static str>,
    pub(crate) status: Option<i32>,
    pub(crate) latency_us: Option<i64>,
    pub(crate) unknown: Option<&'static str>,
}

impl CaseRow {
    /// CaseRow `index` of a window that is spread as the baseline is.
    pub(crate) fn usual(index: usize) -> CaseRow {
        let spread = (index * 37) % 100;
        CaseRow {
            delay: Some(spread as f64),
            wrong_delay: None,
            carrier: Some(match spread {
                0..50 => "AA",
                50..80 => "BB",
                80..99 => "CC",
                _ => "DD",
            }),
            score: Some(spread as f64 / 100.0),
            version: Some("3"),
            status: Some(200),
            latency_us: Some(1000 + 10 * spread as i64),
            unknown: None,
        }
    }
}

/// A model, its baselines and what is known of earlier windows.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) baseline: Baseline,
    pub(crate) by_version: BTreeMap<String, Arc<Baseline>>,
    pub(crate) history: History,
    pub(crate) start_us: i64,
    pub(crate) parts: u32,
}

impl Case {
    pub(crate) fn new() -> Case {
        Case {
            model: model(),
            baseline: baseline(),
            by_version: BTreeMap::new(),
            history: History::default(),
            start_us: ALIGNMENT_US,
            parts: 1,
        }
    }

    pub(crate) fn feature(mut self, name: &str, feature: Feature) -> Case {
        self.model.features.insert(name.to_owned(), feature);
        self
    }

    /// Sets the statistics of the own windows of one column.
    pub(crate) fn own_windows(mut self, subject: &str, statistics: &[f64]) -> Case {
        let own =
            Some(OwnWindows { every_us: DAY_US, timezone: None, statistics: statistics.to_vec() });
        for column in &mut self.baseline.columns {
            match column {
                BaselineColumn::Numeric(column) if column.subject == subject => {
                    column.own_windows.clone_from(&own);
                }
                BaselineColumn::Categorical(column) if column.subject == subject => {
                    column.own_windows.clone_from(&own);
                }
                _ => {}
            }
        }
        self
    }

    pub(crate) fn numeric(&mut self, subject: &str) -> &mut NumericBaseline {
        let columns = self.baseline.columns.iter_mut();
        columns
            .filter_map(|column| match column {
                BaselineColumn::Numeric(column) if column.subject == subject => Some(column),
                _ => None,
            })
            .next()
            .unwrap()
    }

    pub(crate) fn categorical(&mut self, subject: &str) -> &mut CategoricalBaseline {
        let columns = self.baseline.columns.iter_mut();
        columns
            .filter_map(|column| match column {
                BaselineColumn::Categorical(column) if column.subject == subject => Some(column),
                _ => None,
            })
            .next()
            .unwrap()
    }

    /// The rows per own window of the baseline.
    pub(crate) fn volumes(mut self, rows: &[u64]) -> Case {
        let windows = rows.iter().enumerate();
        self.baseline.windows = Some(BaselineWindows {
            every_us: DAY_US,
            timezone: None,
            at_least: 1,
            windows: windows.map(|(day, &rows)| (day as i64 * DAY_US, rows)).collect(),
        });
        self
    }

    pub(crate) fn baselines(&self) -> Baselines {
        Baselines { default: Arc::new(self.baseline.clone()), by_version: self.by_version.clone() }
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.model, &self.baselines(), &Limits::default()).unwrap()
    }

    pub(crate) fn pane(&self, count: usize, row: impl Fn(usize) -> CaseRow) -> PaneState {
        let layout = self.layout();
        let rows: Vec<CaseRow> = (0..count).map(row).collect();
        let indices: Vec<u32> = (0..count as u32).collect();
        let mut pane = PaneState::default();
        pane.absorb(&layout, &batch(&layout, &rows, self.start_us), &indices);
        pane
    }

    /// Judges a window of `count` rows and remembers what follows from it.
    pub(crate) fn judge(&mut self, count: usize, row: impl Fn(usize) -> CaseRow) -> Report {
        self.judge_with_shapes(count, row).0
    }

    /// The same, with the distributions behind the findings.
    pub(crate) fn judge_with_shapes(
        &mut self,
        count: usize,
        row: impl Fn(usize) -> CaseRow,
    ) -> (Report, BTreeMap<Subject, Shape>) {
        let rows: Vec<CaseRow> = (0..count).map(row).collect();
        let (baselines, layout) = (self.baselines(), self.layout());
        let mut state = WindowState::default();
        if count > 0 {
            let indices: Vec<u32> = (0..count as u32).collect();
            state.absorb(&layout, &batch(&layout, &rows, self.start_us), &indices);
        }
        let days = WindowGrid::new(DAY_US, self.model.window.timezone.clone());
        let end_us = days.longest_us(self.start_us, i64::from(self.parts) * DAY_US);
        let input = JudgeInput {
            model: &self.model,
            config_sha256: "c0ffee",
            layout: &layout,
            baselines: &baselines,
            state: &state,
            window: WindowMeta {
                parts: self.parts,
                ledger: Ledger { read: count as u64, counted: count as u64, ..Ledger::default() },
                ..WindowMeta::new(
                    WindowId::of_comparison(&format!("small@{}", self.start_us)),
                    self.start_us..end_us,
                )
            },
            history: &self.history,
        };
        let (report, history) = judge(&input);
        let shapes = shapes(&input, &report);
        self.history = history;
        self.start_us = end_us;
        (report, shapes)
    }
}

#[track_caller]
pub(crate) fn finding<'a>(report: &'a Report, subject: &str, check: Check) -> &'a Finding {
    let found = report.finding(subject, check);
    found.unwrap_or_else(|| panic!("no {check:?} of {subject} in {}", report.to_json()))
}

pub(crate) fn model() -> Model {
    Model {
        name: "small".to_owned(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: "captures".to_owned(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: 0,
        },
        baseline: BTreeMap::new(),
        features: BTreeMap::new(),
        window: Window {
            every_us: DAY_US,
            timezone: None,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
        },
        operations: Operations { every_us: 60_000_000, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        false_alarms: FalseAlarms::default(),
        min_effect: MinEffect::default(),
        latency: Some(Latency { under_us: 1900, objective: 0.99 }),
        errors: Some(Errors { objective: 0.999 }),
        no_data: NoData {
            after_us: DAY_US,
            partition_after: driftline_config::PartitionAfter::Off,
        },
        shadow: Vec::new(),
        retrain: Retrain {
            history_us: 0,
            cooldown_us: 0,
            max_per_day: 1,
            rows: None,
            wait_windows: Retrain::usual_wait(),
        },
    }
}

/// 10 000 rows: delays 0 to 99 and scores 0.00 to 0.99 a hundred times each; AA 50 %, BB 30 %,
/// CC 19 %, DD 1 %.
fn baseline() -> Baseline {
    let category = |name: &str, count| (name.to_owned(), count);
    Baseline {
        provenance: Provenance::default(),
        rows: 10_000,
        columns: vec![
            BaselineColumn::Numeric(numeric("feature:delay", 1.0)),
            BaselineColumn::Categorical(CategoricalBaseline {
                subject: "feature:carrier".into(),
                categories: vec![
                    category("AA", 5000),
                    category("BB", 3000),
                    category("CC", 1900),
                    category("DD", 100),
                ],
                judged: 3,
                other_hashes: Vec::new(),
                other: 0,
                too_many_values: false,
                n: 10_000,
                missing: 0,
                wrong_type: 0,
                own_windows: None,
            }),
            BaselineColumn::Numeric(numeric("prediction:score", 0.01)),
        ],
        columns_seen: ["feature:carrier", "feature:delay", "prediction:score"]
            .map(Into::into)
            .to_vec(),
        windows: None,
        own_effects: None,
        sha256: "ba5e".to_owned(),
        index: Index::default(),
    }
}

fn numeric(subject: &str, scale: f64) -> NumericBaseline {
    let cut_points: Vec<f64> = (0..100)
        .map(|value| if scale == 1.0 { f64::from(value) } else { f64::from(value) / 100.0 })
        .collect();
    let counts = (0..201).map(|slot| if slot % 2 == 1 { 100 } else { 0 }).collect();
    let edges = (0..10).map(|bin| cut_points.get(10 * bin + 9).copied().filter(|_| bin < 9));
    NumericBaseline {
        subject: subject.into(),
        psi_bins: edges.map(|to| PsiBin { to, count: 1000 }).collect(),
        cut_points: cut_points.into(),
        counts,
        n: 10_000,
        missing: 0,
        nan: 0,
        wrong_type: 0,
        distinct: 100,
        discrete: false,
        exact: true,
        moments: Moments {
            n: 10_000,
            mean: Some(49.5 * scale),
            variance: Some(833.333_333 * scale * scale),
            min: Some(0.0),
            max: Some(99.0 * scale),
            positive_infinities: 0,
            negative_infinities: 0,
        },
        own_windows: None,
    }
}

fn batch(layout: &Layout, rows: &[CaseRow], start_us: i64) -> CaptureBatch {
    let count = rows.len() as i64;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("offset", Arc::new(Int64Array::from_iter_values(0..count))),
        ("time_us", Arc::new(Int64Array::from_iter_values((0..count).map(|i| start_us + i)))),
        ("record_time_us", Arc::new(Int64Array::from_iter_values((0..count).map(|_| start_us)))),
        ("id", Arc::new(StringArray::from(vec![None::<&str>; rows.len()]))),
        ("version", Arc::new(rows.iter().map(|row| row.version).collect::<StringArray>())),
        ("latency_us", Arc::new(rows.iter().map(|row| row.latency_us).collect::<Int64Array>())),
        ("status", Arc::new(rows.iter().map(|row| row.status).collect::<Int32Array>())),
        ("sample_rate", Arc::new(Float64Array::from(vec![1.0; rows.len()]))),
    ];
    for column in &layout.schema().columns {
        let values: ArrayRef = match column.subject.as_str() {
            "feature:delay" => Arc::new(
                rows.iter()
                    .map(|row| row.delay.filter(|_| row.wrong_delay.is_none()))
                    .collect::<Float64Array>(),
            ),
            "feature:carrier" => {
                Arc::new(rows.iter().map(|row| row.carrier).collect::<StringArray>())
            }
            _ => Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>()),
        };
        columns.push((&column.subject, values));
    }
    let wrong = rows.iter().map(|row| row.wrong_delay).collect::<StringArray>();
    columns.push(("wrong_type:feature:delay", Arc::new(wrong)));
    let mut unknown = ListBuilder::new(StringBuilder::new());
    for row in rows {
        match row.unknown {
            Some(name) => {
                unknown.values().append_value(name);
                unknown.append(true);
            }
            None => unknown.append(false),
        }
    }
    columns.push(("unknown_columns", Arc::new(unknown.finish())));
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    CaptureBatch::new(RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap()
}
