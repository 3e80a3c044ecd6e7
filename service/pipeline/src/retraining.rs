//! Which rows a retraining request names: exactly those that the incident's windows counted.

use std::collections::BTreeMap;
use std::ops::Range;

use driftline_alerting::retrain::{
    History, OffsetRange, RetrainData, RetrainReason, RetrainRequest, Select, TrainOn,
};
use driftline_alerting::{Class, Evidence, Incident, ModelAlerts, State, Transition};
use driftline_analytics::report::{Check, Finding, Report};
use driftline_config::{Level, Partition};

use crate::deciding::model::{ModelDecider, PastWindow};

/// Findings that a request names.
const REASONS: usize = 10;

/// Where the rows are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub topic: &'a str,
    /// How long it keeps records, where that is known and bounded.
    pub retention_us: Option<i64>,
    /// The configuration file as commands name it.
    pub config_path: &'a str,
}

/// Why no rows can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRows {
    /// The windows of the incident are no longer remembered, or none was complete and whole.
    #[error("none of the incident's windows is complete and free of broken input")]
    NoCompleteWindow,
}

/// Builds the request for the windows of a transition: from the first to the last of them that follow
/// any that are incomplete or had broken input.
pub(crate) fn request(
    model: &ModelDecider,
    transition: &Transition,
    id: &str,
    source: &Source<'_>,
) -> Result<RetrainRequest, NoRows> {
    let windows = windows_of(model, transition)?;
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return Err(NoRows::NoCompleteWindow);
    };
    let (ts_from, ts_before) = (first.closed.start_us, last.closed.end_us);
    let ranges = ranges_of(model, &windows, ts_from..ts_before);
    let forgotten = model.facts.late_forgotten_us.is_some_and(|time_us| time_us >= ts_from);
    let config = source.config_path;
    let mut data = RetrainData {
        retrain_id: id.to_owned(),
        model: model.name().to_owned(),
        incident: transition.incident.clone(),
        windows: windows.iter().map(|window| window.id.clone()).collect(),
        reason: transition.subjects.iter().take(REASONS).map(reason).collect(),
        reasons_total: transition.subjects_total,
        train_on: TrainOn {
            topic: source.topic.to_owned(),
            format: model.setup.model.captures.format.name().to_owned(),
            since: ts_from,
            select: Select {
                model: model.name().to_owned(),
                versions: versions_of(&windows),
                ts_from,
                ts_before,
            },
            rows: windows.iter().map(|window| window.closed.rows).sum(),
            history: history(model, first, &ranges),
            ranges,
            labels: None,
            complete: false,
            expires: expires(&windows, source.retention_us),
            export: format!(
                "driftline export --config {config} --retrain {id} --out train.parquet"
            ),
        },
        baseline_sha256: model.setup.baselines.default.sha256.clone(),
        config_sha256: model.setup.config_sha256.clone(),
        replay: format!("driftline replay --config {config} --window {}", last.id),
    };
    // Before the broker has told where the log begins, what was read a moment ago is there.
    data.train_on.complete =
        !forgotten && data.train_on.is_held_by(&model.log_starts).unwrap_or(true);
    Ok(RetrainRequest::new(transition.at_us, data))
}

/// The last step of an incident, over all of its windows so far.
pub(crate) fn of_incident(incident: &Incident) -> Transition {
    let windows = incident.windows.iter().cloned().collect();
    Transition { windows, ..incident.last.clone() }
}

/// How many rows a request for the windows of a transition would name; `None` where it would name none.
pub(crate) fn rows_of(model: &ModelDecider, transition: &Transition) -> Option<u64> {
    let windows = windows_of(model, transition).ok()?;
    Some(windows.iter().map(|window| window.closed.rows).sum())
}

/// When retention takes the first of the rows at the earliest. A log loses its oldest records first, and
/// none before its timestamp is as old as it keeps any: so the first row of each partition says it for all.
fn expires(windows: &[&PastWindow], retention_us: Option<i64>) -> Option<i64> {
    let mut first_us: BTreeMap<Partition, i64> = BTreeMap::new();
    for window in windows {
        for (&partition, &stamp_us) in &window.first_stamps {
            first_us.entry(partition).or_insert(stamp_us);
        }
    }
    let oldest_us = first_us.into_values().min()?;
    Some(oldest_us.saturating_add(retention_us?))
}

fn reason(evidence: &Evidence) -> RetrainReason {
    RetrainReason {
        subject: evidence.subject.clone(),
        value: evidence.value,
        bound: evidence.bound,
        tolerance: evidence.tolerance,
        because: evidence.because.clone(),
    }
}

/// The remembered windows from the incident's first to its last, cut down to complete ones.
fn windows_of<'a>(
    model: &'a ModelDecider,
    transition: &Transition,
) -> Result<Vec<&'a PastWindow>, NoRows> {
    let named = |window: &&PastWindow| transition.windows.contains(&window.id);
    let of_incident = || model.facts.past.iter().filter(named);
    let (first, last) = match (of_incident().next(), of_incident().next_back()) {
        (Some(first), Some(last)) => (first.closed.start_us, last.closed.start_us),
        _ => return Err(NoRows::NoCompleteWindow),
    };
    let within = |window: &&PastWindow| (first..=last).contains(&window.closed.start_us);
    let mut windows: Vec<&PastWindow> = model.facts.past.iter().filter(within).collect();
    // A window with a hole, or with broken input, has no place in a contiguous request: only what
    // follows it.
    let is_unfit = |window: &&PastWindow| window.broken || !window.closed.incomplete.is_empty();
    if let Some(last) = windows.iter().rposition(is_unfit) {
        windows.drain(..=last);
    }
    if windows.is_empty() { Err(NoRows::NoCompleteWindow) } else { Ok(windows) }
}

/// Versions to select; empty where rows had no version or too many had to be named.
fn versions_of(windows: &[&PastWindow]) -> Vec<String> {
    let mut all = Vec::new();
    for window in windows {
        match &window.versions {
            Some(versions) => all.extend(versions.iter().cloned()),
            None => return Vec::new(),
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// From the first row to the last cut in each partition, without the offsets of late rows: those
/// match the selection and were not counted.
fn ranges_of(
    model: &ModelDecider,
    windows: &[&PastWindow],
    times_us: Range<i64>,
) -> Vec<OffsetRange> {
    let mut spans: BTreeMap<Partition, (i64, i64)> = BTreeMap::new();
    for window in windows {
        for (&partition, cut) in &window.closed.cuts {
            let Some(rows_from) = cut.rows_from else { continue };
            let span = spans.entry(partition).or_insert((rows_from, cut.to));
            *span = (span.0.min(rows_from), span.1.max(cut.to));
        }
    }
    let mut ranges = Vec::new();
    for (partition, (from, to)) in spans {
        let mut late: Vec<i64> = model
            .facts
            .late_rows
            .iter()
            .filter(|row| row.partition == partition && (from..to).contains(&row.offset))
            .filter(|row| times_us.contains(&row.time_us))
            .map(|row| row.offset)
            .collect();
        late.sort_unstable();
        let mut from = from;
        for offset in late {
            if from < offset {
                ranges.push(OffsetRange { partition, from, to: offset });
            }
            from = offset + 1;
        }
        if from < to {
            ranges.push(OffsetRange { partition, from, to });
        }
    }
    ranges
}

/// What the log holds before the rows, as far back as remembered windows, the log itself and
/// `retrain.history` go.
fn history(model: &ModelDecider, first: &PastWindow, ranges: &[OffsetRange]) -> History {
    let since_us = first.closed.start_us.saturating_sub(model.setup.model.retrain.history_us);
    let earlier = model.facts.past.iter().filter(|window| {
        window.closed.start_us >= since_us && window.closed.start_us < first.closed.start_us
    });
    let is_held = |window: &&PastWindow| {
        window.closed.cuts.iter().all(|(partition, cut)| {
            let from = cut.rows_from.unwrap_or(cut.from).min(cut.from);
            // Before the broker has told, what was read a moment ago is there.
            model.log_starts.get(partition).is_none_or(|start| *start <= from)
        })
    };
    let mut from_us = first.closed.start_us;
    let mut starts: BTreeMap<Partition, i64> = BTreeMap::new();
    let mut windows = Vec::new();
    // From the newest back to the first of which the log has lost a record.
    for window in earlier.rev().take_while(is_held) {
        from_us = from_us.min(window.closed.start_us);
        windows.push(window);
        for (&partition, cut) in &window.closed.cuts {
            let from = cut.rows_from.unwrap_or(cut.from).min(cut.from);
            let start = starts.entry(partition).or_insert(from);
            *start = from.min(*start);
        }
    }
    let mut history = Vec::new();
    for (partition, from) in starts {
        let to = ranges.iter().find(|range| range.partition == partition).map(|range| range.from);
        if let Some(to) = to.filter(|to| from < *to) {
            history.push(OffsetRange { partition, from, to });
        }
    }
    let select = Select {
        model: model.name().to_owned(),
        versions: versions_of(&windows),
        ts_from: from_us,
        ts_before: first.closed.start_us,
    };
    History { from: from_us, ranges: history, select: Some(select) }
}

/// Whether a window's rows are nothing to train on: broken input or failing requests at alarm.
pub(crate) fn is_broken(report: &Report) -> bool {
    let broken = |finding: &&Finding| {
        let rescaled = finding.rescaled.is_some() && !finding.subject.is_prediction();
        finding.judged
            && finding.level == Level::Alarm
            && (rescaled
                || matches!(
                    finding.check,
                    Check::Missing
                        | Check::WrongType
                        | Check::Absent
                        | Check::NewCategory
                        | Check::Errors
                ))
    };
    report.findings.iter().any(|finding| broken(&finding))
}

/// The broken input that holds retraining back, as a sentence, where it is at alarm.
pub(crate) fn broken_input(alerts: &ModelAlerts) -> Option<String> {
    if alerts.state(Class::BrokenInput) == State::Ok {
        return None;
    }
    let incident = alerts.incidents().find(|incident| incident.class == Class::BrokenInput);
    let first = incident.and_then(|incident| incident.last.subjects.first());
    let what = first.map_or_else(
        || "under observation".to_owned(),
        |subject| format!("{} of {}", subject.check.replace('_', " "), subject.subject),
    );
    Some(format!("the input of these windows is broken ({what})"))
}

/// The versions that answered in a window; `None` where some row had none or too many had to be named.
pub(crate) fn versions(report: &Report) -> Option<Vec<String>> {
    let named: u64 = report.versions.values().sum();
    let whole =
        named == report.window.rows && !report.names_truncated.iter().any(|kind| kind == "version");
    let special = ["other", "none"].iter().any(|name| report.versions.contains_key(*name));
    (whole && !special).then(|| report.versions.keys().cloned().collect())
}
