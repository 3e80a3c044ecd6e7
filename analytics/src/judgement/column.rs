//! The columns of a window with everything that is known about each, and the findings they give.

use std::borrow::Cow;
use std::collections::BTreeMap;

use driftline_capture::columns;
use driftline_config::{Level, Subject};

use super::adjust::{Basis, Draft};
use super::share::{Counted, Detectable, Question};
use super::{ALPHA, JudgeInput, distribution, release, sentence, share, tolerance};
use crate::baseline::{Baseline, BaselineColumn};
use crate::budget::Measured;
use crate::cells::{Cell, Reference};
use crate::report::{Check, Finding};
use crate::statistics::at_least;

/// One column of the window: a feature, or a prediction of one version.
pub(super) struct Column<'a> {
    pub(super) subject: Subject,
    /// The name alone, as sentences use it.
    pub(super) name: &'a str,
    pub(super) kind: columns::Kind,
    pub(super) baseline: &'a BaselineColumn,
    pub(super) reference: &'a Reference,
    pub(super) cell: Cow<'a, Cell>,
    pub(super) judged: bool,
    pub(super) private: bool,
    /// Of the deciding statistic, where the operator set one for this column.
    pub(super) tolerance: Option<f64>,
    pub(super) notes: Vec<String>,
}

/// How many columns and tests a window is judged by.
pub(super) struct Scope {
    judged_columns: usize,
    tests: BTreeMap<Check, usize>,
    /// Most columns of a window ask the same question about their shares.
    pub(super) detectable: Detectable,
}

impl Scope {
    /// Counts the judged columns, and per check the judged tests that have rows on both sides.
    pub(super) fn of(input: &JudgeInput<'_>, columns: &[Column<'_>]) -> Scope {
        let schema = &input.layout.schema().columns;
        let default = |subject: &str| input.baselines.default.column(subject);
        let judged_columns = schema
            .iter()
            .filter(|column| {
                let feature = input.model.features.get(column.name());
                column.is_prediction() || feature.is_none_or(|feature| feature.judge)
            })
            .filter(|column| !default(&column.subject).is_some_and(too_many_values))
            .count();
        let mut tests: BTreeMap<Check, usize> = BTreeMap::new();
        for column in columns.iter().filter(|column| column.judged) {
            let (cell, baseline) = (&*column.cell, column.baseline);
            let rows = cell.rows() > 0 && reference_rows(baseline) > 0;
            let values = cell.n() > 0 && baseline.n() > 0 && !too_many_values(baseline);
            let categories = values && column.kind == columns::Kind::Categorical;
            for (check, counts) in [
                (Check::Distribution, values),
                (Check::Missing, rows),
                (Check::WrongType, rows),
                (Check::NewCategory, categories),
            ] {
                *tests.entry(check).or_default() += usize::from(counts);
            }
        }
        Scope { judged_columns, tests, detectable: Detectable::default() }
    }

    /// F of RULES §4, at least 1.
    pub(super) fn judged_columns(&self) -> usize {
        self.judged_columns.max(1)
    }

    /// Over how many tests the p-values of a check are adjusted at most, at least 1.
    pub(super) fn tests(&self, check: Check) -> usize {
        self.tests.get(&check).copied().unwrap_or(0).max(1)
    }
}

/// All columns of the window: features in the order of the layout, then predictions by version.
pub(super) fn columns<'a>(input: &'a JudgeInput<'a>) -> Vec<Column<'a>> {
    let layout = input.layout;
    let schema = &layout.schema().columns;
    let (features, predictions) = schema.split_at(layout.features().min(schema.len()));
    let by_subject: BTreeMap<&Subject, &BaselineColumn> =
        input.baselines.default.columns.iter().map(|column| (column.subject(), column)).collect();
    let mut columns = Vec::with_capacity(schema.len());
    let cells = input.state.features();
    for (index, (column, reference)) in features.iter().zip(layout.feature_references()).enumerate()
    {
        let Some(&baseline) = by_subject.get(&column.subject) else { continue };
        let feature = input.model.features.get(column.name());
        columns.push(Column {
            subject: column.subject.clone(),
            name: column.name(),
            kind: column.kind,
            baseline,
            reference,
            cell: cell(cells, index, reference),
            judged: feature.is_none_or(|feature| feature.judge),
            private: feature.is_some_and(|feature| feature.private),
            tolerance: feature.and_then(|feature| feature.tolerance),
            notes: Vec::new(),
        });
    }
    for version in release::by_version(input.state) {
        let references = layout.prediction_references(version.key);
        for (index, (column, reference)) in predictions.iter().zip(references).enumerate() {
            let found = layout.prediction_baseline(version.key, &column.subject);
            let Some((baseline, own)) = found else { continue };
            let notes = (!own).then(|| {
                format!("{} has no baseline of its own: compared with default", version.text())
            });
            columns.push(Column {
                subject: column.subject.of_version(version.label),
                name: column.name(),
                kind: column.kind,
                baseline,
                reference,
                cell: cell(version.state.predictions(), index, reference),
                judged: true,
                private: false,
                tolerance: None,
                notes: notes.into_iter().collect(),
            });
        }
    }
    columns
}

pub(super) fn drafts(input: &JudgeInput<'_>, scope: &Scope, column: &Column<'_>) -> Vec<Draft> {
    let mut drafts = vec![distribution(input, scope, column)];
    if let Some(draft) = absent(input, column) {
        drafts.push(draft);
        return drafts;
    }
    drafts.push(missing(input, scope, column));
    drafts.push(wrong_type(input, scope, column));
    drafts.extend(new_category(input, scope, column));
    drafts
}

fn distribution(input: &JudgeInput<'_>, scope: &Scope, column: &Column<'_>) -> Draft {
    match (column.baseline, column.reference, &*column.cell) {
        (BaselineColumn::Numeric(baseline), Reference::Numeric(_), Cell::Numeric(cell)) => {
            distribution::numeric(input, scope, column, baseline, cell)
        }
        (BaselineColumn::Categorical(baseline), _, Cell::Categorical(cell)) => {
            distribution::categorical(input, scope, column, baseline, cell)
        }
        // A layout is made of its baselines, so that their kinds agree.
        _ => {
            let mut finding = Finding::new(column.subject.clone(), Check::Distribution);
            finding.because = format!("{} has another kind in its baseline", column.name);
            finding.judged = column.judged;
            Draft { finding, basis: Basis::Fixed(Level::NotComputable) }
        }
    }
}

/// A column that no row of the window has, though a row without it is unlikely by the baseline.
fn absent(input: &JudgeInput<'_>, column: &Column<'_>) -> Option<Draft> {
    let cell = &*column.cell;
    let reference = missing_in_baseline(column.baseline);
    let allowed = reference.share() + input.model.tolerance.floor().missing;
    let nowhere = cell.rows() > 0 && cell.missing() == cell.rows() && column.baseline.n() > 0;
    if !nowhere || at_least(cell.rows(), cell.rows(), allowed) > ALPHA {
        return None;
    }
    let mut finding = Finding::new(column.subject.clone(), Check::Absent);
    finding.kind = Some(column.kind.into());
    finding.n = cell.rows();
    finding.m = reference.of;
    finding.judged = column.judged;
    finding.private = column.private;
    finding.because = format!(
        "no request of this window has {}, in the baseline {} % have it",
        column.name,
        sentence::percent(1.0 - reference.share())
    );
    let level = if column.judged { Level::Alarm } else { Level::Ok };
    Some(Draft { finding, basis: Basis::Fixed(level) })
}

fn missing(input: &JudgeInput<'_>, scope: &Scope, column: &Column<'_>) -> Draft {
    let tolerated = tolerance::share(&input.model.tolerance, input.model.tolerance.floor().missing);
    let question = Question {
        check: Check::Missing,
        window: Counted { count: column.cell.missing(), of: column.cell.rows() },
        reference: missing_in_baseline(column.baseline),
        tolerated,
        what: format!("lack {}", column.name),
        names: (Vec::new(), false),
    };
    share::draft(scope, column, question)
}

fn wrong_type(input: &JudgeInput<'_>, scope: &Scope, column: &Column<'_>) -> Draft {
    let tolerated =
        tolerance::share(&input.model.tolerance, input.model.tolerance.floor().wrong_type);
    let examples = column.cell.examples();
    let expected = match column.kind {
        columns::Kind::Numeric => "number",
        columns::Kind::Categorical => "text",
    };
    let question = Question {
        check: Check::WrongType,
        window: Counted { count: column.cell.wrong_type(), of: column.cell.rows() },
        reference: Counted {
            count: column.baseline.wrong_type(),
            of: reference_rows(column.baseline),
        },
        tolerated,
        what: format!("have a value of {} that is no {expected}", column.name),
        names: (examples.names(), examples.truncated()),
    };
    share::draft(scope, column, question)
}

fn new_category(input: &JudgeInput<'_>, scope: &Scope, column: &Column<'_>) -> Option<Draft> {
    let Cell::Categorical(cell) = &*column.cell else { return None };
    if too_many_values(column.baseline) {
        return None;
    }
    let tolerated =
        tolerance::share(&input.model.tolerance, input.model.tolerance.floor().new_category);
    let mut names = cell.new_names().names();
    // The most frequent first: that is the example of the sentence.
    names.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    let question = Question {
        check: Check::NewCategory,
        window: Counted { count: cell.new_values(), of: cell.n() },
        reference: unseen(&input.baselines.default, column),
        tolerated,
        what: format!("have a value of {} that the baseline does not know", column.name),
        names: (names, cell.new_names().truncated()),
    };
    Some(share::draft(scope, column, question))
}

/// New values to expect where nothing changed: those that own windows left out had, else as many as
/// the baseline has values that came once.
fn unseen(baseline: &Baseline, column: &Column<'_>) -> Counted {
    let of_own = baseline.own_effects.as_ref();
    let own = of_own.and_then(|own| own.of(column.baseline.subject(), Measured::NewValues));
    if let Some([count, of]) = own.and_then(|own| own.expected) {
        return Counted { count, of };
    }
    let BaselineColumn::Categorical(categories) = column.baseline else {
        return Counted { count: 0, of: column.baseline.n() };
    };
    let once = categories.categories.iter().filter(|(_, count)| *count == 1).count() as u64;
    // Of h hashes with r rows at least 2h - r came once.
    let hashed = (2 * categories.other_hashes.len() as u64).saturating_sub(categories.other);
    Counted { count: once + hashed, of: categories.n }
}

fn missing_in_baseline(baseline: &BaselineColumn) -> Counted {
    Counted { count: baseline.missing(), of: reference_rows(baseline) }
}

fn reference_rows(baseline: &BaselineColumn) -> u64 {
    baseline.n() + baseline.missing() + baseline.wrong_type()
}

fn too_many_values(baseline: &BaselineColumn) -> bool {
    matches!(baseline, BaselineColumn::Categorical(column) if column.too_many_values)
}

/// The cell at `index`; an empty one where every row failed.
fn cell<'a>(cells: &'a [Cell], index: usize, reference: &Reference) -> Cow<'a, Cell> {
    cells.get(index).map_or_else(|| Cow::Owned(reference.empty_cell()), Cow::Borrowed)
}
