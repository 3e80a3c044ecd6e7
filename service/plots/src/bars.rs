//! Shares per bin or category, baseline beside window, and what each contributes to the PSI.

use driftline_analytics::report::{BinShare, CategoryShare, Finding};

use super::axis::{Panel, Tick, nice_values, number, percent, percent_ticks, rough, ticks};
use super::svg::{Anchor, Caption, Drawing, RIGHT, at, shortened};

/// Categories that are drawn one by one; the rest is one bar.
const CATEGORIES: usize = 20;
const ROW: f64 = 22.0;
const PANEL: Panel = Panel { left: 44.0, right: RIGHT, top: 44.0, bottom: 172.0 };
const HEIGHT: f64 = 194.0;
/// Where the bars of categories begin, and the longest ends.
const BARS: (f64, f64) = (116.0, 262.0);

/// The shares of a finding, as its report has them.
#[derive(Debug, Clone, Copy)]
pub enum Bars<'a> {
    /// Of numbers: bins in ascending order, each with its upper edge.
    Bins(&'a [BinShare]),
    /// Of texts; the last without a name is all others together.
    Categories(&'a [CategoryShare]),
}

struct Bar {
    label: String,
    reference: f64,
    window: f64,
    contribution: f64,
}

impl<'a> Bars<'a> {
    /// The shares of a finding about a distribution, where it has some.
    pub fn of(finding: &'a Finding) -> Option<Bars<'a>> {
        let psi = finding.psi.as_ref()?;
        if !psi.categories.is_empty() {
            return Some(Bars::Categories(&psi.categories));
        }
        (!psi.bins.is_empty()).then_some(Bars::Bins(&psi.bins))
    }

    fn bars(self) -> Vec<Bar> {
        match self {
            Bars::Bins(bins) => bins
                .iter()
                .map(|bin| Bar {
                    label: bin.to.map(|to| number(to.0)).unwrap_or_default(),
                    reference: bin.reference,
                    window: bin.window,
                    contribution: bin.contribution,
                })
                .collect(),
            Bars::Categories(categories) => pooled(categories),
        }
    }
}

/// Shares of the requests per bin or category: the baseline outlined, the window filled.
pub fn histogram(name: &str, bars: Bars<'_>) -> String {
    let heading = match bars {
        Bars::Bins(_) => format!("{name}: share of requests per bin"),
        Bars::Categories(_) => format!("{name}: share of requests per category"),
    };
    let list = bars.bars();
    let caption =
        Caption { title: format!("{heading}, baseline and window"), description: apart(&list) };
    let highest = list.iter().map(|bar| bar.reference.max(bar.window)).fold(0.01, f64::max);
    let mut drawing = Drawing::headed(height(bars, &list), &heading);
    legend(&mut drawing);
    match bars {
        Bars::Bins(_) => {
            let up = PANEL.up(0.0, highest);
            PANEL.grid(&mut drawing, &up, &percent_ticks(highest, 4));
            let width = (PANEL.right - PANEL.left) / list.len() as f64;
            for (index, bar) in list.iter().enumerate() {
                let x = PANEL.left + width * index as f64;
                let bar_of = |share: f64| PANEL.bottom - up.at(share);
                let (reference, window) = (bar_of(bar.reference), bar_of(bar.window));
                let each = width * 0.42;
                drawing.rect(
                    "reference",
                    at(x + width * 0.06, PANEL.bottom - reference),
                    each,
                    reference,
                );
                drawing.rect(
                    "window-bar",
                    at(x + width * 0.52, PANEL.bottom - window),
                    each,
                    window,
                );
            }
            edges(&mut drawing, &list);
        }
        Bars::Categories(_) => {
            for (index, bar) in list.iter().enumerate() {
                let y = 40.0 + ROW * index as f64;
                let long = |share: f64| (BARS.1 - BARS.0) * share / highest;
                row_label(&mut drawing, y, &bar.label);
                drawing.rect("reference", at(BARS.0, y + 2.0), long(bar.reference), 7.0);
                drawing.rect("window-bar", at(BARS.0, y + 11.0), long(bar.window), 8.0);
                let shares = format!("{} → {}", percent(bar.reference), percent(bar.window));
                drawing.text("tick", at(356.0, y + 14.0), Anchor::End, &shares);
            }
        }
    }
    drawing.finish("plot", &caption)
}

/// What each bin or category adds to the PSI; a triangle says whether the window has more of it than
/// the baseline, or less.
pub fn contributions(name: &str, bars: Bars<'_>) -> String {
    let heading = format!("{name}: contributions to the PSI");
    let list = bars.bars();
    let total: f64 = list.iter().map(|bar| bar.contribution).sum();
    let most = list.iter().max_by(|left, right| left.contribution.total_cmp(&right.contribution));
    let description = most.map_or_else(String::new, |most| {
        let share = if total > 0.0 { most.contribution / total } else { 0.0 };
        format!("PSI {}; {} of it from {}", number(total), percent(share), place_of(most, bars))
    });
    let highest = list.iter().map(|bar| bar.contribution).fold(1e-6, f64::max);
    let mut drawing = Drawing::headed(height(bars, &list), &heading);
    drawing.text("note", at(6.0, 32.0), Anchor::Start, "▲ more than in the baseline · ▽ less");
    match bars {
        Bars::Bins(_) => {
            let up = PANEL.up(0.0, highest * 1.12);
            PANEL.grid(&mut drawing, &up, &ticks(0.0, highest * 1.12, 4));
            let width = (PANEL.right - PANEL.left) / list.len() as f64;
            for (index, bar) in list.iter().enumerate() {
                let x = PANEL.left + width * (index as f64 + 0.2);
                let y = up.at(bar.contribution);
                drawing.rect("part", at(x, y), width * 0.6, PANEL.bottom - y);
                drawing.text("note", at(x + width * 0.3, y - 3.0), Anchor::Middle, direction(bar));
            }
            edges(&mut drawing, &list);
        }
        Bars::Categories(_) => {
            for (index, bar) in list.iter().enumerate() {
                let y = 40.0 + ROW * index as f64;
                let long = (BARS.1 - BARS.0) * bar.contribution / highest;
                row_label(&mut drawing, y, &bar.label);
                drawing.rect("part", at(BARS.0, y + 4.0), long, 13.0);
                let text = format!("{} {}", direction(bar), rough(bar.contribution));
                drawing.text("tick", at(BARS.0 + long + 5.0, y + 14.0), Anchor::Start, &text);
            }
        }
    }
    drawing.finish("plot", &Caption { title: heading, description })
}

fn height(bars: Bars<'_>, list: &[Bar]) -> f64 {
    match bars {
        Bars::Bins(_) => HEIGHT,
        Bars::Categories(_) => 46.0 + ROW * list.len() as f64,
    }
}

fn legend(drawing: &mut Drawing) {
    drawing.rect("reference", at(6.5, 23.5), 9.0, 9.0);
    drawing.text("note", at(20.0, 32.0), Anchor::Start, "baseline");
    drawing.rect("window-bar", at(76.0, 23.0), 10.0, 10.0);
    drawing.text("note", at(90.0, 32.0), Anchor::Start, "window");
}

/// The edges between bins, as many as can be read.
fn edges(drawing: &mut Drawing, list: &[Bar]) {
    let across = PANEL.across(0.0, list.len() as f64);
    let inner = list.len().saturating_sub(1);
    let named: Vec<usize> =
        (0..inner).filter(|at| list.get(*at).is_some_and(|bar| !bar.label.is_empty())).collect();
    let wanted = nice_values(0.0, named.len() as f64, 6);
    let step = wanted.get(1).map_or(1, |step| (*step as usize).max(1));
    let ticks: Vec<Tick> = named
        .into_iter()
        .step_by(step)
        .filter_map(|at| list.get(at).map(|bar| (at as f64 + 1.0, bar.label.clone())))
        .collect();
    PANEL.floor(drawing, &across, &ticks);
}

fn row_label(drawing: &mut Drawing, y: f64, label: &str) {
    drawing.text("label", at(BARS.0 - 6.0, y + 14.0), Anchor::End, &shortened(label, 17));
}

fn direction(bar: &Bar) -> &'static str {
    if bar.window >= bar.reference { "▲" } else { "▽" }
}

/// Where the shares are furthest apart, in words.
fn apart(list: &[Bar]) -> String {
    let distance = |bar: &Bar| (bar.window - bar.reference).abs();
    let most = list.iter().max_by(|left, right| distance(left).total_cmp(&distance(right)));
    most.map_or_else(String::new, |bar| {
        let place =
            if bar.label.is_empty() { "the last bin".to_owned() } else { bar.label.clone() };
        format!(
            "{} bars; furthest apart at {place}: baseline {}, window {}",
            list.len(),
            percent(bar.reference),
            percent(bar.window)
        )
    })
}

fn place_of(bar: &Bar, bars: Bars<'_>) -> String {
    match bars {
        Bars::Bins(_) if bar.label.is_empty() => "the last bin".to_owned(),
        Bars::Bins(_) => format!("the bin up to {}", bar.label),
        Bars::Categories(_) => bar.label.clone(),
    }
}

/// Categories by name in the order of the report; those behind the first are one bar.
fn pooled(categories: &[CategoryShare]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::with_capacity(CATEGORIES + 1);
    let last = categories.len().saturating_sub(1);
    let mut rest: Option<(usize, Bar)> = None;
    for (index, category) in categories.iter().enumerate() {
        let label = match &category.category {
            Some(name) if name.is_empty() => "(empty)".to_owned(),
            Some(name) => name.clone(),
            None if index == last => "all others".to_owned(),
            None => format!("category {}", index + 1),
        };
        let bar = Bar {
            label,
            reference: category.reference,
            window: category.window,
            contribution: category.contribution,
        };
        if index < CATEGORIES || (index == last && rest.is_none()) {
            bars.push(bar);
            continue;
        }
        let (count, sum) = rest.get_or_insert((
            0,
            Bar { label: String::new(), reference: 0.0, window: 0.0, contribution: 0.0 },
        ));
        *count += 1;
        sum.reference += bar.reference;
        sum.window += bar.window;
        sum.contribution += bar.contribution;
    }
    if let Some((count, mut sum)) = rest {
        sum.label = format!("{count} more");
        bars.push(sum);
    }
    bars
}
