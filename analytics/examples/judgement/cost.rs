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
const TIMES: u32 = 30;
const BUILDS: u32 = 5;

/// 200 columns, 100 000 rows a window.
const WIDE: Stream = Stream { own: 45, numeric: 180, categorical: 20, rows: 2000, ..STEADY };
const ROWS_FACTOR: usize = 50;

pub(crate) fn print() -> Outcome<()> {
    let text = format!("{}{}{}", closing()?, fleet()?, building()?);
    crate::print(&text)
}

/// Processor time of one of so many repetitions, in milliseconds; time on the wall where the system does not say.
fn cost_ms(repetitions: u32, mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let (started, before) = (Instant::now(), on_processor_ms());
    (0..repetitions).try_for_each(|_| work())?;
    let wall_ms = started.elapsed().as_secs_f64() * 1000.0;
    let spent_ms = on_processor_ms().zip(before).map_or(wall_ms, |(after, before)| after - before);
    Ok(spent_ms / f64::from(repetitions))
}

/// What this thread was on a processor so far.
fn on_processor_ms() -> Option<f64> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let spent_ns: f64 = schedule.split_whitespace().next()?.parse().ok()?;
    Some(spent_ns / 1e6)
}

/// A window of 200 columns with all scales full and 64 windows behind it.
fn closing() -> Outcome<String> {
    let mut source = Source::new(WIDE, 1);
    let days: Vec<Drawn> = (0..WIDE.own).map(|_| source.next(&NOTHING)).collect::<Outcome<_>>()?;
    let batches: Vec<&CaptureBatch> = days.iter().map(|day| &day.batch).collect();
    let baseline = Arc::new(build(WIDE.schema(), &batches, true)?.baseline);
    let judges = Judges::of(baseline, Peers::new(&[]), MinEffect::default())?;
    let mut history = ScaleHistory::new(judges.sha256());
    for window in 0..KEPT {
        let coarse = judges.coarse(&judges.counted(&source.next(&NOTHING)?.batch));
        history.push(window as i64, &coarse);
    }
    // The rows of a day many times over: counts as large as those of 100 000 rows.
    let once = judges.counted(&source.next(&NOTHING)?.batch);
    let mut state = once.clone();
    (1..ROWS_FACTOR).for_each(|_| judges.merge(&mut state, &once));
    let mut full = ScaleHistory::new(judges.sha256());
    (0..).take(KEPT).for_each(|start_us| full.push(start_us, &judges.coarse(&state)));
    let before = History::default();
    let input = judges.input(&state, KEPT, &before);
    let ranked = cost_ms(TIMES, || {
        judge_by_ranks(&input, &judges.budget, &history);
        Ok(())
    })?;
    let plain = cost_ms(TIMES, || {
        judge(&input);
        Ok(())
    })?;
    Ok(format!(
        "closing a window of 200 columns, {} rows, {} windows kept: {ranked:.2} ms by ranks, {plain:.2} ms without\n\
         state for scales and since: {:.2} MB\n",
        WIDE.rows * ROWS_FACTOR,
        history.len(),
        full.bytes() as f64 / 1e6
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
    let file = built.to_json();
    let judges = Judges::of(built, Peers::new(&[]), MinEffect::default())?;
    let mut windows = Vec::new();
    for _ in 0..KEPT {
        let state = judges.counted(&source.next(&NOTHING)?.batch);
        windows.push(judges.coarse(&state));
    }
    drop(days);
    let before = resident();
    let mut held = Vec::new();
    for _ in 0..MODELS {
        let baseline = Baseline::parse(&file)?;
        baseline.prepare();
        let budget = Budget::new(&model(), &baseline);
        let mut newest = ScaleHistory::new(&baseline.sha256);
        (0..).zip(&windows).for_each(|(start_us, window)| newest.push(start_us, window));
        held.push(Held { _baseline: baseline, _budget: budget, _newest: newest });
    }
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
        cost_ms(BUILDS, || {
            build(STEADY.schema(), &batches, own)?;
            Ok(())
        })
    };
    let (with, without) = (time(true)?, time(false)?);
    Ok(format!(
        "building a baseline of {} days of {} rows, 20 columns: {with:.0} ms with own windows, {without:.0} ms without any\n",
        STEADY.own, STEADY.rows
    ))
}
