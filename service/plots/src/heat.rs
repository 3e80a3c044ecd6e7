//! Levels of many columns over many windows, in few bytes: runs of equal windows as lines.

use std::fmt::Write;

use driftline_config::Level;

use super::axis::{date, time_ticks};
use super::svg::{escaped, short};

const ROW: usize = 16;
/// Room for the dates above the rows, and for what the marks mean below them.
const HEAD: usize = 20;
const FOOT: usize = 20;
/// Where the cells begin, in percent of the width; names stand before it.
const CELLS: f64 = 34.0;

/// One column of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatRow {
    /// What it is called.
    pub name: String,
    /// Where its findings are.
    pub href: String,
    /// Its level in each window; `None` where the window says nothing of it.
    pub levels: Vec<Option<Level>>,
}

/// A map of levels: a row per column with its name as a link, from the first window on the left to
/// the last on the right. An alarm fills the height of its cell, a warning less than half, what
/// could not be computed is a thin line, what is in order the bare track, and where there is nothing
/// the track is missing. It takes the width it is given, with letters of one size. `starts_us` are
/// the starts of the windows, ascending; rows have one level for each.
pub fn heat_map(name: &str, starts_us: &[i64], rows: &[HeatRow]) -> String {
    let windows = starts_us.len().max(1);
    let height = HEAD + ROW * rows.len() + FOOT;
    let title = escaped(&format!("{name}: levels per column over {} windows", starts_us.len()));
    let description = escaped(&told(starts_us, rows));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot heat\" role=\"group\" width=\"100%\" height=\"{height}\"><title>{title}</title><desc>{description}</desc>"
    );
    dates(&mut svg, starts_us);
    let _ = write!(svg, "<svg width=\"{}%\" height=\"{height}\">", CELLS - 1.0);
    for (index, row) in rows.iter().enumerate() {
        let y = HEAD + ROW * index + 12;
        let (href, name) = (escaped(&row.href), escaped(&row.name));
        let _ = write!(svg, "<a href=\"{href}\"><text y=\"{y}\">{name}</text></a>");
    }
    let cells = HEAD + ROW * rows.len();
    let _ = write!(
        svg,
        "</svg><svg x=\"{CELLS}%\" width=\"{}%\" height=\"{cells}\" viewBox=\"0 0 {windows} {cells}\" preserveAspectRatio=\"none\">",
        100.0 - CELLS
    );
    let known = |_: Level| true;
    let grave = |level: Level| matches!(level, Level::Warn | Level::Alarm);
    layer(&mut svg, "track", rows, known);
    layer(&mut svg, "level-none", rows, |level| level == Level::NotComputable);
    // An alarm covers what a warning would show below it: so runs are longer.
    layer(&mut svg, "level-warn", rows, grave);
    layer(&mut svg, "level-alarm", rows, |level| level == Level::Alarm);
    let _ = write!(
        svg,
        "</svg><text class=\"note\" x=\"100%\" y=\"{}\" text-anchor=\"end\">█ alarm  ▬ warn  ─ not computable</text></svg>",
        cells + 14
    );
    svg
}

/// All runs of windows with such a level, as one path.
fn layer(svg: &mut String, class: &str, rows: &[HeatRow], with: impl Fn(Level) -> bool) {
    let mut path = String::new();
    for (index, row) in rows.iter().enumerate() {
        let y = HEAD + ROW * index + ROW / 2;
        let mut from = 0;
        let mut pen = None;
        for run in
            row.levels.chunk_by(|one, next| one.is_some_and(&with) == next.is_some_and(&with))
        {
            if run.first().is_some_and(|level| level.is_some_and(&with)) {
                match pen {
                    None => {
                        let _ = write!(path, "M{from} {y}");
                    }
                    Some(pen) => {
                        let _ = write!(path, "m{} 0", from - pen);
                    }
                }
                let _ = write!(path, "h{}", run.len());
                pen = Some(from + run.len());
            }
            from += run.len();
        }
    }
    if !path.is_empty() {
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

fn dates(svg: &mut String, starts_us: &[i64]) {
    let (Some(&from_us), Some(&to_us)) = (starts_us.first(), starts_us.last()) else { return };
    for (at_us, text) in time_ticks(from_us, to_us, 3) {
        let before = starts_us.partition_point(|start_us| (*start_us as f64) < at_us);
        let part = before as f64 / starts_us.len() as f64;
        let x = CELLS + (100.0 - CELLS) * part;
        let anchor = if part > 0.85 { " text-anchor=\"end\"" } else { "" };
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{}%\" y=\"13\"{anchor}>{}</text>",
            short(x),
            escaped(&text)
        );
    }
}

fn told(starts_us: &[i64], rows: &[HeatRow]) -> String {
    let (Some(first), Some(last)) = (starts_us.first(), starts_us.last()) else {
        return "no window yet".to_owned();
    };
    let alarms = |row: &&HeatRow| row.levels.contains(&Some(Level::Alarm));
    let now = |row: &&HeatRow| row.levels.last() == Some(&Some(Level::Alarm));
    format!(
        "{} columns from {} to {}; {} with an alarm, {} of them in the last window",
        rows.len(),
        date(*first),
        date(*last),
        rows.iter().filter(alarms).count(),
        rows.iter().filter(now).count()
    )
}
