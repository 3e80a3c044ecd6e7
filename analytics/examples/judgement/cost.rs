//! What judging by ranks costs: time of a window, bytes of state, memory of a fleet, time of building.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use driftline_analytics::baseline::Baseline;
use driftline_analytics::budget::{Budget, ScaleHistory};
use driftline_analytics::judgement::{History, judge, judge_by_ranks};
use driftline_capture::CaptureBatch;
use driftline_config::MinEffect;

use crate::Outcome;
use crate::judges::{Judges, build};
use crate::peers::Peers;
use crate::settings::model;
use crate::stream::{Drawn, NOTHING, STEADY, Source, Stream};

/// As many windows as are kept.
const KEPT: usize = 64;
const MODELS: usize = 1000;
const TIMES: usize = 9;

/// 200 columns, 100 000 rows a window.
const WIDE: Stream = Stream { own: 45, numeric: 180, categorical: 20, rows: 2000, ..STEADY };
const ROWS_FACTOR: usize = 50;

pub(crate) fn print() -> Outcome<()> {
    let text = format!("{}{}{}", closing()?, fleet()?, building()?);
    crate::print(&text)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// A window of 200 columns with all scales full and 64 windows behind it.
fn closing() -> Outcome<String> {
    let mut source = Source::new(WIDE, 1);
    let days: Vec<Drawn> = (0..WIDE.own).map(|_| source.next(&NOTHING)).collect::<Outcome<_>>()?;
    let batches: Vec<&CaptureBatch> = days.iter().map(|day| &day.batch).collect();
    let baseline = Arc::new(build(WIDE.schema(), &batches, true)?.baseline);
    let judges = Judges::of(baseline, Peers::new(&[]), MinEffect::default())?;
    let mut history = ScaleHistory::new(judges.sha256());
    let (mut ranked, mut plain) = (Vec::new(), Vec::new());
    for window in 0..KEPT + TIMES {
        let batch = source.next(&NOTHING)?.batch;
        // The rows of a day many times over: counts as large as those of 100 000 rows.
        let mut state = judges.counted(&batch);
        let once = state.clone();
        if window >= 8 {
            (1..ROWS_FACTOR).for_each(|_| judges.merge(&mut state, &once));
        }
        let before = History::default();
        let input = judges.input(&state, window, &before);
        let started = Instant::now();
        let judged = judge_by_ranks(&input, &judges.budget, &history);
        ranked.push(milliseconds(started));
        history = judged.newest;
        let started = Instant::now();
        judge(&input);
        plain.push(milliseconds(started));
    }
    Ok(format!(
        "closing a window of 200 columns, {} rows, {} windows kept: {:.2} ms by ranks, {:.2} ms without\n\
         state for scales and since: {:.2} MB\n",
        WIDE.rows * ROWS_FACTOR,
        history.len(),
        middle(ranked.split_off(KEPT)),
        middle(plain.split_off(KEPT)),
        history.bytes() as f64 / 1e6
    ))
}

/// Resident bytes, where the system says.
fn resident() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

/// What one model holds.
struct Held {
    _baseline: Baseline,
    _budget: Budget,
    _newest: ScaleHistory,
}

/// A thousand models of 20 columns, a baseline and 64 windows each.
fn fleet() -> Outcome<String> {
    let mut source = Source::new(STEADY, 2);
    let days: Vec<Drawn> =
        (0..STEADY.own).map(|_| source.next(&NOTHING)).collect::<Outcome<_>>()?;
    let batches: Vec<&CaptureBatch> = days.iter().map(|day| &day.batch).collect();
    let built = Arc::new(build(STEADY.schema(), &batches, true)?.baseline);
    let judges = Judges::of(built.clone(), Peers::new(&[]), MinEffect::default())?;
    let mut windows = Vec::new();
    for _ in 0..KEPT {
        let state = judges.counted(&source.next(&NOTHING)?.batch);
        windows.push(judges.coarse(&state));
    }
    drop(days);
    let before = resident();
    let held: Vec<Held> = (0..MODELS)
        .map(|_| {
            let baseline = Baseline::clone(&built);
            let budget = Budget::new(&model(), &baseline);
            let mut newest = ScaleHistory::new(&baseline.sha256);
            (0..).zip(&windows).for_each(|(start_us, window)| newest.push(start_us, window));
            Held { _baseline: baseline, _budget: budget, _newest: newest }
        })
        .collect();
    let bytes = resident().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    Ok(format!("{} models of 20 columns: {:.2} GB\n", held.len(), bytes / 1e9))
}

/// A baseline of 90 days, 20 columns.
fn building() -> Outcome<String> {
    let mut source = Source::new(STEADY, 3);
    let days: Vec<Drawn> =
        (0..STEADY.own).map(|_| source.next(&NOTHING)).collect::<Outcome<_>>()?;
    let batches: Vec<&CaptureBatch> = days.iter().map(|day| &day.batch).collect();
    let time = |own: bool| -> Outcome<f64> {
        let times = (0..TIMES).map(|_| {
            let started = Instant::now();
            build(STEADY.schema(), &batches, own)?;
            Ok(milliseconds(started))
        });
        Ok(middle(times.collect::<Outcome<_>>()?))
    };
    let (with, without) = (time(true)?, time(false)?);
    Ok(format!(
        "building a baseline of {} days of {} rows, 20 columns: {with:.0} ms with own windows, {without:.0} ms without any\n",
        STEADY.own, STEADY.rows
    ))
}
