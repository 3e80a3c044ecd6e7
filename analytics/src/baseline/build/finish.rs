//! From counts to a baseline: own windows, their deciding statistics, PSI bins, judged categories.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use driftline_config::WindowGrid;

use super::{BuildError, Built, Counting, OwnWindowRule};
use crate::baseline::{
    Baseline, BaselineColumn, BaselineWindows, CategoricalBaseline, NumericBaseline, OwnWindows,
    Provenance, PsiBin, file,
};
use crate::budget::{CoarseGrid, Occurrences, OwnColumn, OwnEffects};
use crate::cells::{CategoricalCell, Cell, NumericCell, Reference};
use crate::layout::Layout;
use crate::statistics::{KolmogorovSmirnov, divergences};
use crate::window::WindowState;

/// Bins of PSI.
const PSI_BINS: u64 = 10;
/// Columns with at most so many distinct values have a bin for each.
const FEW_VALUES: usize = 20;
/// RULES §4: at most so many categories are judged on their own.
const MOST_JUDGED: usize = 50;

pub(super) fn finish(counting: Counting, source: &str) -> Result<Built, BuildError> {
    let Counting { options, skeleton, observed, layout, mut windows, rare, left_out } = counting;
    let total = match &options.own_windows {
        // Without a rule there is one window at most, and nobody else wants it.
        None => windows.pop_first().map(|(_, window)| window).unwrap_or_default(),
        Some(_) => merged(&layout, windows.values()),
    };
    let rows = total.requests().requests() - total.requests().failures();
    if rows == 0 {
        return Err(BuildError::NoRows);
    }
    let own_windows = options.own_windows.as_ref().map(|rule| {
        let windows = carried(&layout, windows, rule);
        covered(windows, &rule.grid)
    });
    let own_windows = own_windows.unwrap_or_default();
    let cells = total.all_cells(&layout);
    let own: Vec<_> = own_windows.iter().map(|(_, window)| window.all_cells(&layout)).collect();
    drop(layout);
    let mut baseline = Baseline { rows, ..Arc::unwrap_or_clone(skeleton) };
    for (index, column) in baseline.columns.iter_mut().enumerate() {
        let (Some(cell), Some(&first)) = (cells.get(index), observed.get(index)) else { continue };
        fill(column, cell);
        if !agrees(column, cell, first) {
            return Err(BuildError::SourceChanged { subject: column.subject().clone() });
        }
        if let Some(rule) = &options.own_windows {
            let own: Vec<&Cell> =
                own.iter().filter_map(|cells| cells.get(index).map(AsRef::as_ref)).collect();
            compare_own_windows(column, &own, &rule.grid);
        }
    }
    let span_us = options.own_windows.as_ref().and_then(|_| total.span_us());
    baseline.provenance = Provenance {
        source: source.to_owned(),
        first_us: span_us.map(|(first_us, _)| first_us),
        last_us: span_us.map(|(_, last_us)| last_us),
        held_out_predictions: options.held_out_predictions,
    };
    baseline.windows = options.own_windows.as_ref().map(|rule| BaselineWindows {
        every_us: rule.grid.every_us(),
        timezone: rule.grid.timezone().cloned(),
        at_least: rule.at_least,
        windows: own_windows.iter().map(|(start, window)| (*start, window.rows())).collect(),
    });
    if let Some(rule) = options.own_windows {
        let rows = own_windows.iter().map(|(_, window)| window.requests());
        let rows = rows.map(|requests| requests.requests() - requests.failures()).collect();
        let own_us: Vec<Range<i64>> = own_windows
            .iter()
            .map(|(start_us, state)| stretch_us(*start_us, state, &rule.grid))
            .collect();
        let columns: Vec<OwnColumn> =
            own_columns(&baseline, &own, &|index| match rare.get(&index) {
                Some(rare) => rare.occurrences(&own_us),
                None => Vec::new(),
            });
        // One window alone has no rest to be compared with.
        if own_windows.len() > 1 {
            let grid = CoarseGrid::new(&baseline);
            let mut effects =
                OwnEffects::new(&baseline, &grid, &columns, rows, rule.grid.every_us());
            effects.breaks = breaks(&own_us, &left_out);
            baseline.own_effects = Some(effects);
        }
    }
    drop(own);
    baseline.sha256 = file::sha256_of(&baseline);
    Ok(Built { baseline, own_windows })
}

/// The own windows that the source covers whole: the first and the last are none where the source
/// begins or ends well inside them, by what the others show of their first and last rows. (A day
/// without nights begins at five every day.)
fn covered(mut windows: Vec<(i64, WindowState)>, grid: &WindowGrid) -> Vec<(i64, WindowState)> {
    // Of a window: how long after its start, and before its end, there were no rows.
    let margins = |(start_us, window): &(i64, WindowState)| {
        let (first_us, last_us) = window.span_us().unwrap_or((*start_us, *start_us));
        let end_us = grid.end_us(grid.start_us(last_us));
        (first_us - start_us, end_us - last_us)
    };
    let margins: Vec<(i64, i64)> = windows.iter().map(margins).collect();
    let Some(((first, others), (last, before))) = margins.split_first().zip(margins.split_last())
    else {
        return windows;
    };
    let usual =
        |most: Option<i64>| most.map_or(i64::MAX, |most| most + most / 4 + grid.every_us() / 24);
    let begins_inside = first.0 > usual(others.iter().map(|&(begin_us, _)| begin_us).max());
    let ends_inside = last.1 > usual(before.iter().map(|&(_, end_us)| end_us).max());
    if ends_inside {
        windows.pop();
    }
    if begins_inside && !windows.is_empty() {
        windows.remove(0);
    }
    windows
}

/// The own windows before which a stretch was left out.
fn breaks(own_us: &[Range<i64>], left_out: &[Range<i64>]) -> Vec<u32> {
    let between = |neighbours: &[Range<i64>]| match neighbours {
        [before, after] => {
            left_out.iter().any(|out| out.start < after.start && before.start < out.end)
        }
        _ => false,
    };
    (1..).zip(own_us.windows(2)).filter(|(_, two)| between(two)).map(|(place, _)| place).collect()
}

/// From the start of an own window to the end of its last part.
fn stretch_us(start_us: i64, state: &WindowState, grid: &WindowGrid) -> Range<i64> {
    let last_us = state.span_us().map_or(start_us, |(_, last_us)| last_us);
    start_us..grid.end_us(grid.start_us(last_us))
}

/// Each column over the own windows; `rare` are its categories that are known by hash alone.
fn own_columns(
    baseline: &Baseline,
    own: &[Vec<Cow<'_, Cell>>],
    rare: &dyn Fn(usize) -> Vec<Occurrences>,
) -> Vec<OwnColumn> {
    let grid = CoarseGrid::new(baseline);
    let column = |(index, column): (usize, &BaselineColumn)| {
        let cells: Vec<&Cell> =
            own.iter().filter_map(|cells| cells.get(index).map(AsRef::as_ref)).collect();
        let mut values = occurrences(column, &cells);
        values.extend(rare(index));
        OwnColumn { windows: grid.of_cells(index, &cells), values }
    };
    baseline.columns.iter().enumerate().map(column).collect()
}

/// In which own windows each category that is known by name, or value of a constant or discrete
/// number, came.
fn occurrences(column: &BaselineColumn, own: &[&Cell]) -> Vec<Occurrences> {
    let totals: Vec<u64> = match column {
        BaselineColumn::Numeric(column) if column.discrete || column.distinct <= 1 => {
            column.counts.to_vec()
        }
        BaselineColumn::Numeric(_) => return Vec::new(),
        BaselineColumn::Categorical(column) => {
            column.categories.iter().map(|(_, count)| *count).collect()
        }
    };
    let mut values: Vec<Occurrences> =
        totals.into_iter().map(|total| Occurrences { total, ..Occurrences::default() }).collect();
    for (window, cell) in own.iter().enumerate() {
        let used: &mut dyn Iterator<Item = (u32, u64)> = match cell {
            Cell::Numeric(cell) => &mut cell.used(),
            Cell::Categorical(cell) => &mut cell.used(),
        };
        for (slot, count) in used {
            if let Some(value) = values.get_mut(slot as usize) {
                value.windows.push((window, count));
            }
        }
    }
    values
}

/// Merges windows with too few rows into the next one, under the start of the first, as running
/// windows are carried. What is left at the end is dropped: it would still be open.
fn carried(
    layout: &Layout,
    windows: BTreeMap<i64, WindowState>,
    rule: &OwnWindowRule,
) -> Vec<(i64, WindowState)> {
    let mut done = Vec::new();
    let mut open: Option<(i64, WindowState)> = None;
    for (start_us, window) in windows {
        let (first_us, merged) = match open.take() {
            Some((first_us, mut carried)) => {
                carried.merge(layout, &window);
                (first_us, carried)
            }
            None => (start_us, window),
        };
        if merged.rows() < rule.at_least {
            open = Some((first_us, merged));
        } else {
            done.push((first_us, merged));
        }
    }
    done
}

/// Whether the second pass, with which the column was filled, counted what the first one saw; `first`
/// is how many values that were, where it kept them all.
fn agrees(column: &BaselineColumn, cell: &Cell, first: Option<u64>) -> bool {
    if first.is_some_and(|first| first != cell.n()) {
        return false;
    }
    match (column, cell) {
        (BaselineColumn::Numeric(column), Cell::Numeric(_)) => {
            !column.exact || column.counts.to_vec().iter().step_by(2).all(|&between| between == 0)
        }
        (BaselineColumn::Categorical(column), Cell::Categorical(cell)) => {
            let named: Vec<u64> = column.categories.iter().map(|(_, count)| *count).collect();
            let mut counts = cell.judged_counts(named.len());
            counts.pop();
            cell.new_values() == 0 && counts == named
        }
        _ => false,
    }
}

fn fill(column: &mut BaselineColumn, cell: &Cell) {
    match (column, cell) {
        (BaselineColumn::Numeric(column), Cell::Numeric(cell)) => fill_numeric(column, cell),
        (BaselineColumn::Categorical(column), Cell::Categorical(cell)) => {
            fill_categorical(column, cell);
        }
        _ => debug_assert!(false, "the layout was made of these columns"),
    }
}

fn fill_numeric(column: &mut NumericBaseline, cell: &NumericCell) {
    let counts = cell.counts_of(column.cut_points.len());
    column.n = cell.n();
    column.missing = cell.missing();
    column.nan = cell.nan();
    column.wrong_type = cell.wrong_type();
    column.moments = cell.moments();
    column.psi_bins = psi_bins(column, &counts);
    column.counts = counts.into();
}

/// Ten bins of about equal mass, or one per value where there are few. The last one is open.
pub(in crate::baseline) fn psi_bins(column: &NumericBaseline, counts: &[u64]) -> Vec<PsiBin> {
    let few = column.exact && column.cut_points.len() <= FEW_VALUES;
    let (mut bins, mut below, mut edge) = (Vec::new(), 0, 1);
    let mut up_to = counts.first().copied().unwrap_or(0);
    for (cut, counts) in column.cut_points.iter().zip(counts[1..].chunks(2)) {
        up_to += counts.first().copied().unwrap_or(0);
        // A bin ends at the first cut point with a further tenth of the values at or below it.
        if up_to < column.n && (few || up_to * PSI_BINS >= edge * column.n) {
            bins.push(PsiBin { to: Some(*cut), count: up_to - below });
            below = up_to;
            edge = up_to * PSI_BINS / column.n + 1;
        }
        up_to += counts.get(1).copied().unwrap_or(0);
    }
    bins.push(PsiBin { to: None, count: column.n - below });
    bins
}

fn fill_categorical(column: &mut CategoricalBaseline, cell: &CategoricalCell) {
    column.n = cell.n();
    column.missing = cell.missing();
    column.wrong_type = cell.wrong_type();
    column.other = cell.other() + cell.new_values();
    set_judged(column);
}

/// The largest categories until 99 % of the mass are judged on their own.
pub(in crate::baseline) fn set_judged(column: &mut CategoricalBaseline) {
    let (mut judged, mut mass) = (0, 0);
    for (_, count) in column.categories.iter().take(MOST_JUDGED) {
        if mass * 100 >= column.n * 99 {
            break;
        }
        mass += count;
        judged += 1;
    }
    column.judged = judged;
}

/// The deciding statistic of each own window against the rest, where both have values.
fn compare_own_windows(column: &mut BaselineColumn, own: &[&Cell], grid: &WindowGrid) {
    let statistics: Vec<f64> = match column {
        BaselineColumn::Numeric(column) => {
            let counts = column.counts.to_vec();
            let windows = own.iter().filter_map(|cell| match cell {
                Cell::Numeric(cell) => Some(cell.counts_of(column.cut_points.len())),
                Cell::Categorical(_) => None,
            });
            windows
                .filter_map(|window| {
                    let rest = rest(&counts, &window);
                    KolmogorovSmirnov::of(&rest, &window).map(|ks| ks.distance)
                })
                .collect()
        }
        BaselineColumn::Categorical(column) if column.too_many_values => return,
        BaselineColumn::Categorical(column) => {
            let total = column.judged_counts();
            let windows = own.iter().filter_map(|cell| match cell {
                Cell::Categorical(cell) => Some(cell.judged_counts(column.judged)),
                Cell::Numeric(_) => None,
            });
            windows
                .filter_map(|window| {
                    divergences(&rest(&total, &window), &window).map(|d| d.psi_debiased)
                })
                .collect()
        }
    };
    let own_windows = (!statistics.is_empty()).then(|| OwnWindows {
        every_us: grid.every_us(),
        timezone: grid.timezone().cloned(),
        statistics,
    });
    match column {
        BaselineColumn::Numeric(column) => column.own_windows = own_windows,
        BaselineColumn::Categorical(column) => column.own_windows = own_windows,
    }
}

/// What the baseline holds beyond one of its windows.
fn rest(total: &[u64], window: &[u64]) -> Vec<u64> {
    total.iter().zip(window).map(|(total, window)| total - window).collect()
}

impl WindowState {
    /// One cell per column of a layout without baselines per version: predictions of all versions
    /// together.
    fn all_cells(&self, layout: &Layout) -> Vec<Cow<'_, Cell>> {
        let empty = |references: &[Reference]| -> Vec<Cell> {
            references.iter().map(Reference::empty_cell).collect()
        };
        let mut cells: Vec<Cow<'_, Cell>> = match self.features() {
            [] => empty(layout.feature_references()).into_iter().map(Cow::Owned).collect(),
            features => features.iter().map(Cow::Borrowed).collect(),
        };
        let references = layout.prediction_references(None);
        let mut predictions = empty(references);
        let named = self.versions().into_iter().map(|(_, version)| version);
        for version in named.chain(self.other_versions()) {
            for ((cell, reference), added) in
                predictions.iter_mut().zip(references).zip(version.predictions())
            {
                cell.merge(reference, added);
            }
        }
        cells.extend(predictions.into_iter().map(Cow::Owned));
        cells
    }
}

fn merged<'a>(layout: &Layout, windows: impl Iterator<Item = &'a WindowState>) -> WindowState {
    let mut total = WindowState::default();
    windows.for_each(|window| total.merge(layout, window));
    total
}
