//! Shares of rows (missing, wrong type, new category) by the exact binomial.

use std::cell::RefCell;
use std::collections::HashMap;

use driftline_config::Level;

use super::adjust::{Basis, Draft};
use super::column::{Column, Scope};
use super::tolerance::Tolerated;
use super::{ALPHA, CONFIDENCE, sentence};
use crate::report::{Check, Finding, NameCount, Share, rounded, rounded_or_none};
use crate::statistics::{at_least, lower_bound};

/// The exact test of "the share is at most `allowed`".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareTest {
    pub value: f64,
    /// Its lower confidence bound, by Clopper and Pearson.
    pub bound: f64,
    /// Probability of so many under a share of `allowed`.
    pub p_tolerance: f64,
}

/// Tests `count` of `trials`. A share of nothing is 0.
pub fn test_share(count: u64, trials: u64, allowed: f64) -> ShareTest {
    ShareTest {
        value: if trials == 0 { 0.0 } else { count as f64 / trials as f64 },
        bound: lower_bound(count, trials, CONFIDENCE),
        p_tolerance: at_least(count, trials, allowed.min(1.0)),
    }
}

/// The smallest share of `trials` whose test against `allowed` gives at most `level`.
fn detectable(trials: u64, allowed: f64, level: f64) -> Option<f64> {
    let alarms = |count: u64| at_least(count, trials, allowed) <= level;
    if trials == 0 || !alarms(trials) {
        return None;
    }
    let (mut low, mut high) = (0, trials);
    while low < high {
        let middle = low + (high - low) / 2;
        if alarms(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low as f64 / trials as f64)
}

/// Answers of [`detectable`] within one judgement, by trials, allowed share and level.
#[derive(Debug, Default)]
pub(super) struct Detectable {
    known: RefCell<HashMap<(u64, u64, u64), Option<f64>>>,
}

impl Detectable {
    fn of(&self, trials: u64, allowed: f64, level: f64) -> Option<f64> {
        let question = (trials, allowed.to_bits(), level.to_bits());
        let mut known = self.known.borrow_mut();
        *known.entry(question).or_insert_with(|| detectable(trials, allowed, level))
    }
}

/// Rows from which on a share of all of them would alarm.
fn needed(allowed: f64, level: f64) -> Option<u64> {
    let rows = libm::ceil(libm::log(level) / libm::log(allowed));
    (allowed < 1.0 && rows.is_finite()).then(|| (rows as u64).max(1))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) of: u64,
}

impl Counted {
    pub(super) fn share(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }
}

/// One share of a column, in the window and in the baseline.
pub(super) struct Question<'a> {
    pub(super) check: Check,
    pub(super) window: Counted,
    pub(super) reference: Counted,
    pub(super) tolerated: Tolerated,
    /// What the share is of, to follow "of requests".
    pub(super) what: String,
    /// Names with their counts, and whether there were more.
    pub(super) names: (Vec<(&'a str, u64)>, bool),
}

pub(super) fn draft(scope: &Scope, column: &Column<'_>, question: Question<'_>) -> Draft {
    let Question { check, window, reference, tolerated, what, names } = question;
    let level = ALPHA / scope.tests(check) as f64;
    let allowed = (reference.share() + tolerated.value).min(1.0);
    let found = test_share(window.count, window.of, allowed);
    let detectable = scope.detectable.of(window.of, allowed, level);
    let (named, names_truncated) = names;
    let names = if column.private { Vec::new() } else { named };
    let mut finding = Finding::new(column.subject.clone(), check);
    finding.kind = Some(column.kind.into());
    finding.n = window.of;
    finding.m = reference.of;
    finding.judged = column.judged;
    finding.private = column.private;
    let over = found.value - reference.share();
    let bound_over = found.bound - reference.share();
    let needed = (reference.of > 0).then(|| needed(allowed, level)).flatten();
    let (basis, because) = basis(Judged {
        judged: column.judged,
        computable: detectable.is_some() || (allowed >= 1.0 && window.of > 0 && reference.of > 0),
        test: Basis::Tested {
            p_tolerance: found.p_tolerance,
            warns: over > tolerated.value || bound_over > 0.5 * tolerated.value,
        },
    })
    .map_or_else(
        || {
            finding.needed = needed;
            let subject = column.name;
            (Basis::Fixed(Level::NotComputable), sentence::too_few(window.of, subject, needed))
        },
        |basis| {
            let what = match names.first() {
                Some((name, _)) => format!("{what}, such as {}", sentence::quoted(name)),
                None => what,
            };
            let (reference, tolerance) = (reference.share(), tolerated.value);
            let moved = sentence::of_requests(&what, reference, found.value, bound_over, tolerance);
            (basis, moved)
        },
    );
    finding.because = because;
    finding.notes = tolerated.notes;
    finding.share = Some(Share {
        value: rounded(found.value),
        bound: rounded(found.bound),
        confidence: CONFIDENCE,
        tolerance: rounded(tolerated.value),
        tolerance_from: tolerated.from,
        reference: rounded(reference.share()),
        detectable: detectable.and_then(rounded_or_none),
        p_tolerance: Some(rounded(found.p_tolerance)),
        p_adjusted: None,
        count: window.count,
        names: names
            .into_iter()
            .map(|(name, count)| NameCount { name: name.to_owned(), count })
            .collect(),
        names_truncated,
    });
    Draft { finding, basis }
}

pub(super) struct Judged {
    pub(super) judged: bool,
    pub(super) computable: bool,
    pub(super) test: Basis,
}

/// The basis of a level; `None` where nothing could have alarmed. Columns that are not judged are
/// ok whatever was found.
pub(super) fn basis(judged: Judged) -> Option<Basis> {
    match judged {
        Judged { computable: false, judged: true, .. } => None,
        Judged { judged: false, .. } => Some(Basis::Fixed(Level::Ok)),
        Judged { test, .. } => Some(test),
    }
}
