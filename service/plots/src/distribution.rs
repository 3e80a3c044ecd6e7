//! Two distributions as steps, and the distance between them where it is.

use std::ops::RangeInclusive;

use driftline_analytics::report::{Comparison, Ks};
use driftline_analytics::shape::NumericPoint;

use super::axis::{Panel, number, percent, percent_ticks, ticks};
use super::svg::{Anchor, Caption, Drawing, Place, RIGHT, at, polyline, short};

const PANEL: Panel = Panel { left: 44.0, right: RIGHT, top: 44.0, bottom: 182.0 };
const HEIGHT: f64 = 204.0;
/// The share of either distribution that may lie outside the picture at each end, so that a few
/// values far away do not press the rest together. Points lie about half as far apart.
const OUTSIDE: f64 = 0.03;

/// Where two distributions are furthest apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    pub at: f64,
    /// Share of the baseline's values at or below it; below it where the shares above count the
    /// values at it.
    pub reference: f64,
    /// The same of the window.
    pub window: f64,
}

impl Gap {
    /// The gap of a finding; `None` for equal distributions and private columns.
    pub fn of(ks: &Ks) -> Option<Gap> {
        let above = (ks.share_reference?, ks.share_window?);
        Some(Gap { at: ks.at?.0, reference: 1.0 - above.0, window: 1.0 - above.1 })
    }

    /// The share of values above `at` as the report has it, with its sign.
    fn sign(ks: Option<Comparison>) -> &'static str {
        if ks == Some(Comparison::AtOrAbove) { "<" } else { "≤" }
    }
}

/// The share of values up to each value: the baseline dashed, the window solid, and the distance of
/// `ks` where it is. Points are ascending.
pub fn ecdf(name: &str, points: &[NumericPoint], ks: Option<&Ks>) -> String {
    let heading = format!("{name}: share of requests up to each value");
    let gap = ks.and_then(Gap::of);
    let description = match (gap, ks) {
        (Some(gap), Some(ks)) => format!(
            "{} of the window and {} of the baseline have {name} {} {}; the distance is {}",
            percent(gap.window),
            percent(gap.reference),
            Gap::sign(ks.comparison),
            number(gap.at),
            number(ks.value)
        ),
        _ => "the two distributions as steps".to_owned(),
    };
    let mut drawing = Drawing::headed(HEIGHT, &heading);
    legend(&mut drawing);
    let up = PANEL.up(0.0, 1.0);
    PANEL.grid(&mut drawing, &up, &percent_ticks(1.0, 5));
    let Some((low, high)) = range(points, gap) else {
        PANEL.floor(&mut drawing, &PANEL.across(0.0, 1.0), &[]);
        return drawing.finish("plot", &Caption { title: heading, description });
    };
    let across = PANEL.across(low, high);
    PANEL.floor(&mut drawing, &across, &ticks(low, high, 5));
    let place = |x: f64, share: f64| at(across.at(x), up.at(share));
    for (class, of) in [
        ("reference dashed", (|point| point.reference) as fn(&NumericPoint) -> f64),
        ("window", |point| point.window),
    ] {
        drawing.path(class, &steps(points, low..=high, |point| place(point.x.0, of(point))));
    }
    if let Some(gap) = gap {
        let (reference, window) = (up.at(gap.reference), up.at(gap.window));
        let x = across.at(gap.at);
        let (top, bottom) = (reference.min(window), reference.max(window));
        draw_gap(&mut drawing, at(x, top), bottom, ks.map_or(0.0, |ks| ks.value));
    }
    drawing.finish("plot", &Caption { title: heading, description })
}

fn legend(drawing: &mut Drawing) {
    drawing.line("reference dashed", at(6.0, 28.0), at(30.0, 28.0));
    drawing.text("note", at(34.0, 32.0), Anchor::Start, "baseline");
    drawing.line("window", at(92.0, 28.0), at(116.0, 28.0));
    drawing.text("note", at(120.0, 32.0), Anchor::Start, "window");
}

/// The distance as a bar with ends, its size beside it where there is room.
fn draw_gap(drawing: &mut Drawing, Place { x, y: top }: Place, bottom: f64, value: f64) {
    drawing.line("gap", at(x, top), at(x, bottom));
    for y in [top, bottom] {
        drawing.line("gap", at(x - 4.0, y), at(x + 4.0, y));
    }
    let text = format!("KS {}", number(value));
    let left = x > (PANEL.left + PANEL.right) / 2.0;
    let (beside, anchor) = if left { (x - 7.0, Anchor::End) } else { (x + 7.0, Anchor::Start) };
    drawing.text("gap-text over", at(beside, (top + bottom) / 2.0 + 4.0), anchor, &text);
}

/// From the first to the last value, without the ends where next to nothing lies; the gap is inside.
fn range(points: &[NumericPoint], gap: Option<Gap>) -> Option<(f64, f64)> {
    let finite = || points.iter().filter(|point| point.x.0.is_finite());
    let least = finite().next()?.x.0;
    let inside = |point: &&NumericPoint| point.reference.max(point.window) >= OUTSIDE;
    let above = |point: &&NumericPoint| point.reference.min(point.window) >= 1.0 - OUTSIDE;
    let mut low = finite().find(inside).map_or(least, |point| point.x.0);
    let last = finite().next_back().map_or(least, |point| point.x.0);
    let mut high = finite().find(above).map_or(last, |point| point.x.0);
    if let Some(at) = gap.map(|gap| gap.at).filter(|at| at.is_finite()) {
        low = low.min(at);
        high = high.max(at);
    }
    let spare = if high > low { 0.03 * (high - low) } else { 1.0 };
    Some((low - spare, high + spare))
}

/// Steps that rise at each point `within`, from edge to edge. What lies beyond the
/// outermost cut points was counted and not placed: there the line slopes to the end.
fn steps(
    points: &[NumericPoint],
    within: RangeInclusive<f64>,
    place: impl Fn(&NumericPoint) -> Place,
) -> String {
    let start = points.iter().take_while(|point| point.x.0 < *within.start()).last();
    let level = start.map_or(PANEL.bottom, |point| place(point).y);
    let mut path = polyline([at(PANEL.left, level)]);
    let last = points.len().saturating_sub(1);
    for (index, point) in points.iter().enumerate() {
        if within.contains(&point.x.0) {
            let Place { x, y } = place(point);
            if index == 1 || index == last {
                path.push_str(&format!("L{} {}", short(x), short(y)));
            } else {
                path.push_str(&format!("H{}V{}", short(x), short(y)));
            }
        }
    }
    path.push_str(&format!("H{}", short(PANEL.right)));
    path
}
