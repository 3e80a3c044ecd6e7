//! What is told of requests rather than of columns: unknown columns, volume, latency, errors.

use driftline_config::Level;

use super::adjust::{Basis, Draft};
use super::history::comparable_volume;
use super::share::Counted;
use super::{CONFIDENCE, JudgeInput, sentence, test_share};
use crate::cells::LatencyCell;
use crate::report::{Check, Finding, Latency, Percentile, Share, Volume, rounded};
use crate::statistics::quantile_estimate;

/// Own windows of the baseline below which their number of rows says nothing about volume.
const VOLUME_WINDOWS: usize = 8;
/// How many times fewer or more requests than ever before are an alarm.
const VOLUME_FACTOR: f64 = 2.0;

/// One finding per column that the baseline does not know.
pub(super) fn new_columns(input: &JudgeInput<'_>) -> Vec<Draft> {
    let rows = input.state.rows();
    let draft = |(subject, count): (&str, u64)| {
        let mut finding = Finding::new(subject, Check::NewColumn);
        finding.n = count;
        let name = subject.split_once(':').map_or(subject, |(_, name)| name);
        let share = if rows == 0 { 0.0 } else { count as f64 / rows as f64 };
        finding.because = format!(
            "{} % of requests have {}, which the baseline does not know",
            sentence::percent(share),
            sentence::quoted(name)
        );
        Draft { finding, basis: Basis::Fixed(Level::Warn) }
    };
    input.state.unknown_columns().names().into_iter().map(draft).collect()
}

/// The number of requests against the baseline's own windows of the same length.
///
/// The rule: with at least 8 such windows, fewer than half the requests of the smallest or more
/// than twice those of the largest is a warning; and fewer are an alarm, where it is also so against
/// the model's own last 8 windows, of which there is at least one. (Otherwise a baseline that is a
/// sample of the traffic would raise an alarm for ever.) A window of several parts is compared with
/// as many own windows together; windows of which rows may be missing are not compared.
pub(super) fn volume(input: &JudgeInput<'_>) -> Draft {
    let requests = input.state.requests().weighted_requests();
    let (start_us, end_us) = (input.window.start_us, input.window.end_us);
    let length_us = end_us.saturating_sub(start_us);
    let parts = input.window.parts.max(1);
    let own = input.baselines.default.windows.as_ref();
    // A day of 23 or 25 hours is compared with the days of its zone.
    let own = own.filter(|own| {
        own.every_us.saturating_mul(i64::from(parts)) == length_us
            || own.grid().has_windows(start_us, end_us, parts)
    });
    let own = own.map_or_else(Vec::new, |own| own.rows_of(parts as usize));
    let range = own.iter().min().copied().zip(own.iter().max().copied());
    let count = own.len();
    let mut finding = Finding::new("model", Check::Volume);
    finding.n = input.state.rows();
    finding.volume = Some(Volume {
        value: rounded(requests),
        smallest: range.map(|(smallest, _)| smallest),
        largest: range.map(|(_, largest)| largest),
        windows: count as u64,
    });
    let shown = format!("{} requests", whole(requests));
    let Some((smallest, largest)) = range else {
        finding.judged = false;
        finding.because =
            format!("{shown}; the baseline has no windows of this length to compare with");
        return Draft { finding, basis: Basis::Fixed(Level::Ok) };
    };
    let (smallest, largest) = (smallest as f64, largest as f64);
    finding.because = format!(
        "{shown}, the baseline's {count} own windows of this length had {} to {}",
        whole(smallest),
        whole(largest)
    );
    finding.judged = count >= VOLUME_WINDOWS && comparable_volume(input);
    if !finding.judged {
        return Draft { finding, basis: Basis::Fixed(Level::Ok) };
    }
    let fell = |smallest: f64| requests * VOLUME_FACTOR < smallest;
    let before: Vec<f64> = input.history.volumes_like(input).collect();
    let least = before.iter().copied().fold(smallest, f64::min);
    let level = match (fell(smallest), requests > VOLUME_FACTOR * largest) {
        (true, _) if fell(least) && !before.is_empty() => Level::Alarm,
        (true, _) | (_, true) => Level::Warn,
        (false, false) => Level::Ok,
    };
    Draft { finding, basis: Basis::Fixed(level) }
}

/// The share of requests that took longer than the objective allows; shown, since burn rates decide.
pub(super) fn latency(input: &JudgeInput<'_>) -> Option<Draft> {
    let objective = input.model.latency.as_ref()?;
    let latency = input.state.latency();
    (latency.n() > 0).then_some(())?;
    let under = driftline_config::time::format_duration(objective.under_us);
    let counted = Counted { count: latency.over(), of: latency.n() };
    let slow = |share: String| format!("{share} % of requests took longer than {under}");
    Some(shown("latency", Check::Latency, counted, 1.0 - objective.objective, slow))
}

/// The share of requests that failed; shown, since burn rates decide.
pub(super) fn errors(input: &JudgeInput<'_>) -> Option<Draft> {
    let requests = input.state.requests();
    (requests.requests() > 0).then_some(())?;
    let allowed = input.model.errors.as_ref().map(|errors| 1.0 - errors.objective);
    let failed = |share: String| format!("{share} % of requests failed");
    let counted = Counted { count: requests.failures(), of: requests.requests() };
    let mut draft = shown("status", Check::Errors, counted, allowed.unwrap_or(0.0), failed);
    if allowed.is_none() {
        draft.finding.because = failed(sentence::percent(counted.share()));
        if let Some(share) = &mut draft.finding.share {
            share.tolerance_from = "no objective".to_owned();
        }
    }
    Some(draft)
}

fn shown(
    subject: &str,
    check: Check,
    counted: Counted,
    allowed: f64,
    what: impl Fn(String) -> String,
) -> Draft {
    let found = test_share(counted.count, counted.of, allowed);
    let mut finding = Finding::new(subject, check);
    finding.n = counted.of;
    finding.judged = false;
    finding.because = format!(
        "{}, the objective allows {} %",
        what(sentence::percent(found.value)),
        // 1 - 0.999 is a little more than 0.001.
        sentence::percent(rounded(allowed))
    );
    finding.share = Some(Share {
        value: rounded(found.value),
        bound: rounded(found.bound),
        confidence: CONFIDENCE,
        tolerance: 0.0,
        tolerance_from: "objective".to_owned(),
        reference: rounded(allowed),
        detectable: None,
        p_tolerance: None,
        p_adjusted: None,
        count: counted.count,
        names: Vec::new(),
        names_truncated: false,
    });
    Draft { finding, basis: Basis::Fixed(Level::Ok) }
}

/// The percentiles of all requests that had a latency.
pub(super) fn percentiles(input: &JudgeInput<'_>) -> Option<Latency> {
    let cell = input.state.latency();
    let (histogram, (_, max_us)) = cell.histogram().zip(cell.range_us())?;
    let percentile = |quantile: f64| {
        quantile_estimate(histogram, quantile, CONFIDENCE).map(|found| Percentile {
            // A bucket's end may lie beyond the largest latency, which is known exactly.
            value: found.value.min(max_us),
            low: found.low,
            // Above an hour all stand in one bucket: what is known of those is the largest.
            high: found.high.map(|high| match cell.beyond() > 0 && high >= LatencyCell::MOST_US {
                true => max_us,
                false => high.min(max_us),
            }),
        })
    };
    Some(Latency {
        n: cell.n(),
        p50_us: percentile(0.5)?,
        p90_us: percentile(0.9)?,
        p99_us: percentile(0.99)?,
        max_us,
        over_objective: (input.model.latency.is_some() && cell.n() > 0)
            .then(|| rounded(cell.over() as f64 / cell.n() as f64)),
    })
}

fn whole(requests: f64) -> String {
    format!("{requests:.0}")
}
