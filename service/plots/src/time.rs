//! A number over windows with its lower bound and its tolerance, large and as a sparkline.

use driftline_config::Level;

use super::axis::{Panel, date, number, ticks, time_ticks};
use super::svg::{Anchor, Caption, Drawing, Place, RIGHT, at, polyline};

const PANEL: Panel = Panel { left: 44.0, right: RIGHT, top: 44.0, bottom: 172.0 };
const HEIGHT: f64 = 194.0;
/// Windows up to which each has a mark; beyond, warnings and alarms have.
const MARKED: usize = 45;
const SPARK: (f64, f64) = (120.0, 28.0);

/// A number over time.
#[derive(Debug, Clone, Copy)]
pub struct Timeline<'a> {
    /// Of what: `dep_delay`.
    pub name: &'a str,
    /// Which number: `KS`.
    pub statistic: &'a str,
    pub points: &'a [TimelinePoint],
}

/// The number of one window or pane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimelinePoint {
    /// Start, event time.
    pub time_us: i64,
    /// What was found; `None` breaks the line.
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub tolerance: Option<f64>,
    pub level: Level,
}

impl TimelinePoint {
    /// A number that nothing was said of.
    pub fn plain(time_us: i64, value: Option<f64>) -> TimelinePoint {
        TimelinePoint { time_us, value, bound: None, tolerance: None, level: Level::Ok }
    }
}

/// Value, bound and tolerance over time; alarms are triangles, warnings diamonds.
pub fn timeline(series: &Timeline<'_>) -> String {
    let Timeline { name, statistic, points } = *series;
    let heading = format!("{name}: {statistic} over time");
    let caption = Caption { title: heading.clone(), description: told(points) };
    let mut drawing = Drawing::headed(HEIGHT, &heading);
    legend(&mut drawing, statistic, points);
    let highest = 1.1 * highest(points);
    let up = PANEL.up(0.0, highest);
    PANEL.grid(&mut drawing, &up, &ticks(0.0, highest, 4));
    let (from_us, to_us) = span(points);
    let across = PANEL.across(from_us as f64, to_us as f64);
    PANEL.floor(&mut drawing, &across, &time_ticks(from_us, to_us, 5));
    let place = |time_us: i64, value: f64| at(across.at(time_us as f64), up.at(value));
    drawing.path("tolerance", &lines(points, |point| point.tolerance, place));
    drawing.path("thin dotted", &lines(points, |point| point.bound, place));
    drawing.path("window", &lines(points, |point| point.value, place));
    for point in points {
        let marked = points.len() <= MARKED || matches!(point.level, Level::Warn | Level::Alarm);
        if let Some(value) = point.value.filter(|_| marked) {
            let size = if points.len() > MARKED { 3.6 } else { 4.5 };
            drawing.level(point.level, place(point.time_us, value), size);
        }
    }
    drawing.finish("plot", &caption)
}

/// The same in the height of a line of text: the value, the tolerance, and the alarms.
pub fn sparkline(series: &Timeline<'_>) -> String {
    let Timeline { name, statistic, points } = *series;
    let caption = Caption { title: format!("{name}: {statistic}"), description: told(points) };
    let mut drawing = Drawing::new(SPARK.0, SPARK.1);
    let panel = Panel { left: 4.0, right: SPARK.0 - 5.0, top: 5.0, bottom: SPARK.1 - 3.0 };
    let up = panel.up(0.0, highest(points));
    let (from_us, to_us) = span(points);
    let across = panel.across(from_us as f64, to_us as f64);
    let place = |time_us: i64, value: f64| at(across.at(time_us as f64), up.at(value));
    drawing.path("tolerance", &lines(points, |point| point.tolerance, place));
    drawing.path("window", &lines(points, |point| point.value, place));
    let last = points.last().map(|point| point.time_us);
    for point in points {
        let marked = point.level == Level::Alarm || Some(point.time_us) == last;
        if let Some(value) = point.value.filter(|_| marked) {
            drawing.level(point.level, place(point.time_us, value), 3.4);
        }
    }
    drawing.finish("plot spark", &caption)
}

fn legend(drawing: &mut Drawing, statistic: &str, points: &[TimelinePoint]) {
    let mut marks = points.iter();
    let mut x = 6.0;
    let mut add = |class: &str, text: &str| {
        drawing.line(class, at(x, 28.0), at(x + 20.0, 28.0));
        drawing.text("note", at(x + 24.0, 32.0), Anchor::Start, text);
        x += 36.0 + super::axis::width_of(text);
    };
    add("window", &super::svg::shortened(statistic, 18));
    if marks.clone().any(|point| point.bound.is_some()) {
        add("thin dotted", "at least");
    }
    if marks.any(|point| point.tolerance.is_some()) {
        add("tolerance", "tolerance");
    }
    drawing.text("note", at(356.0, 32.0), Anchor::End, "▲ alarm  ◆ warn");
}

fn highest(points: &[TimelinePoint]) -> f64 {
    let numbers = points.iter().flat_map(|point| [point.value, point.tolerance]).flatten();
    let highest = numbers.filter(|number| number.is_finite()).fold(0.0, f64::max);
    if highest > 0.0 { highest } else { 1.0 }
}

/// From the first to the last point; a single one stands in the middle of a day.
pub(super) fn span(points: &[TimelinePoint]) -> (i64, i64) {
    let from_us = points.first().map_or(0, |point| point.time_us);
    let to_us = points.last().map_or(0, |point| point.time_us);
    if from_us < to_us { (from_us, to_us) } else { around(from_us) }
}

pub(super) fn around(at_us: i64) -> (i64, i64) {
    const HALF_A_DAY_US: i64 = 43_200_000_000;
    (at_us.saturating_sub(HALF_A_DAY_US), at_us.saturating_add(HALF_A_DAY_US))
}

/// One line through what `of` gives, broken where it gives nothing.
fn lines(
    points: &[TimelinePoint],
    of: impl Fn(&TimelinePoint) -> Option<f64>,
    place: impl Fn(i64, f64) -> Place,
) -> String {
    let mut path = String::new();
    let mut run = Vec::new();
    for point in points {
        match of(point) {
            Some(value) => run.push(place(point.time_us, value)),
            None => path.push_str(&polyline(run.drain(..))),
        }
    }
    path.push_str(&polyline(run));
    path
}

/// How many windows, from when to when, and what the last says.
fn told(points: &[TimelinePoint]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return "nothing yet".to_owned();
    };
    let count = |level: Level| points.iter().filter(|point| point.level == level).count();
    let mut told = format!(
        "{} points from {} to {}, {} at alarm, {} at warning",
        points.len(),
        date(first.time_us),
        date(last.time_us),
        count(Level::Alarm),
        count(Level::Warn)
    );
    if let Some(value) = last.value {
        told.push_str(&format!("; the last is {}", number(value)));
    }
    if let Some(tolerance) = last.tolerance {
        told.push_str(&format!(", tolerance {}", number(tolerance)));
    }
    told
}
