//! Percentiles of latency over panes or windows, on a scale of powers.

use super::axis::{Panel, Tick, date, duration, time_ticks};
use super::svg::{Anchor, Caption, Drawing, at, polyline};
use super::time::around;

const PANEL: Panel = Panel { left: 52.0, right: 322.0, top: 28.0, bottom: 172.0 };
const HEIGHT: f64 = 194.0;

/// Latencies of the requests of one pane or window, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PercentilePoint {
    /// Start, event time.
    pub time_us: i64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
}

/// The name of a percentile, how its line looks, and which number it is.
type Line = (&'static str, &'static str, fn(&PercentilePoint) -> u64);

/// p50, p90 and p99 over time, and the objective where there is one. Lines are broken where panes
/// without requests lie between.
pub fn percentiles(name: &str, points: &[PercentilePoint], under_us: Option<u64>) -> String {
    let heading = format!("{name}: latency");
    let mut drawing = Drawing::headed(HEIGHT, &heading);
    let caption = Caption { title: heading, description: told(points, under_us) };
    let all = points.iter().flat_map(|point| [point.p50_us, point.p99_us]).chain(under_us);
    let all: Vec<f64> = all.map(|us| us.max(1) as f64).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(1.0, f64::max);
    if points.is_empty() || !low.is_finite() {
        drawing.text("note", at(PANEL.left, 100.0), Anchor::Start, "no latencies yet");
        return drawing.finish("plot", &caption);
    }
    let (low, high) = ((low / 1.3).log10(), (high * 1.3).log10());
    let up = PANEL.up(low, high);
    PANEL.grid(&mut drawing, &up, &power_ticks(low, high));
    let from_us = points.first().map_or(0, |point| point.time_us);
    let to_us = points.last().map_or(0, |point| point.time_us);
    let (from_us, to_us) = if from_us < to_us { (from_us, to_us) } else { around(from_us) };
    let across = PANEL.across(from_us as f64, to_us as f64);
    PANEL.floor(&mut drawing, &across, &time_ticks(from_us, to_us, 4));
    if let Some(under_us) = under_us {
        let y = up.at((under_us.max(1) as f64).log10());
        drawing.line("tolerance", at(PANEL.left, y), at(PANEL.right, y));
    }
    let lines: [Line; 3] = [
        ("p99", "window", |point| point.p99_us),
        ("p90", "thin dashed", |point| point.p90_us),
        ("p50", "reference dotted", |point| point.p50_us),
    ];
    let longest = longest_step_us(points);
    let mut free = f64::NEG_INFINITY;
    for (text, class, of) in lines {
        let place = |point: &PercentilePoint| {
            at(across.at(point.time_us as f64), up.at((of(point).max(1) as f64).log10()))
        };
        let runs = points.chunk_by(|one, next| next.time_us - one.time_us <= longest);
        let path: String = runs.map(|run| polyline(run.iter().map(place))).collect();
        drawing.path(class, &path);
        if let Some(last) = points.last() {
            let y = (place(last).y + 4.0).max(free);
            drawing.text("note", at(PANEL.right + 4.0, y), Anchor::Start, text);
            free = y + 11.0;
        }
    }
    // Behind the lines in the order of drawing, so that it can be read on top of them.
    if let Some(under_us) = under_us {
        let y = up.at((under_us.max(1) as f64).log10());
        let text = format!("under {}", duration(under_us as f64));
        drawing.text("note over", at(PANEL.left + 3.0, y - 3.0), Anchor::Start, &text);
    }
    drawing.finish("plot", &caption)
}

/// The longest step that is no gap: three of the usual ones.
fn longest_step_us(points: &[PercentilePoint]) -> i64 {
    let mut steps: Vec<i64> = points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(one, next)| next.time_us - one.time_us)
        .collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).map_or(i64::MAX, |usual| usual.saturating_mul(3))
}

/// Ticks at 1, 2 and 5 of each power of ten, or at the powers where there are many.
fn power_ticks(low: f64, high: f64) -> Vec<Tick> {
    let wide = high - low > 2.0;
    let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ticks = Vec::new();
    for power in (low.floor() as i32)..=(high.ceil() as i32) {
        for step in steps {
            let us = step * 10_f64.powi(power);
            if (low..=high).contains(&us.log10()) {
                ticks.push((us.log10(), duration(us)));
            }
        }
    }
    ticks
}

fn told(points: &[PercentilePoint], under_us: Option<u64>) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return "no latencies yet".to_owned();
    };
    let objective = under_us.map(|us| format!("; objective under {}", duration(us as f64)));
    format!(
        "{} points from {} to {}; the last: p50 {}, p90 {}, p99 {}{}",
        points.len(),
        date(first.time_us),
        date(last.time_us),
        duration(last.p50_us as f64),
        duration(last.p90_us as f64),
        duration(last.p99_us as f64),
        objective.unwrap_or_default()
    )
}
