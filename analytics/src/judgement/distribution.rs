//! Whether a column's values are spread as in the baseline: KS decides for numbers, PSI for
//! categories.

use driftline_config::Level;

use super::adjust::{Basis, Draft};
use super::column::{Column, Scope};
use super::share::{Judged, basis};
use super::tolerance::Tolerated;
use super::{ALPHA, CONFIDENCE, JudgeInput, sentence, tolerance};
use crate::baseline;
use crate::baseline::{CategoricalBaseline, NumericBaseline};
use crate::cells::{CategoricalCell, NumericCell};
use crate::report::{
    BinShare, CategoryShare, Check, Comparison, Finding, Ks, MeanAndSd, Ordered, Psi, Shift,
    rounded, rounded_or_none,
};
use crate::statistics::{
    Divergences, KolmogorovSmirnov, Location, divergences, normal_quantile, normal_sf,
};

/// The 99 % quantile of the normal distribution as RULES §4 writes it.
const Z_CONFIDENCE: f64 = 2.326;

/// Judges a numeric column by its KS distance.
pub(super) fn numeric(
    input: &JudgeInput<'_>,
    scope: &Scope,
    column: &Column<'_>,
    baseline: &NumericBaseline,
    cell: &NumericCell,
) -> Draft {
    let floor = input.model.tolerance.floor().ks;
    let tolerated = tolerated(input, column, floor, baseline.own_windows.as_ref());
    let mut finding = start(column, cell.n(), baseline.n, &tolerated);
    finding.discrete = baseline.discrete;
    let window = cell.counts_of(baseline.cut_points.len());
    let Some(found) = baseline.counts.compare(&window) else {
        return nothing_to_compare(column, finding);
    };
    let test = KsTest::of(&found, tolerated.value, scope);
    let value = rounded(found.distance);
    let at = found.at.filter(|_| !column.private);
    finding.ks = Some(Ks {
        value,
        certified: [value, rounded(found.distance_upper)],
        bound: rounded(test.bound),
        confidence: CONFIDENCE,
        tolerance: rounded(tolerated.value),
        tolerance_from: tolerated.from.clone(),
        baseline_error: rounded(test.baseline_error),
        detectable: rounded(test.detectable),
        at: at.and_then(|at| baseline.cut_points.get(at.cut).copied()).map(Ordered),
        share_reference: found.at.map(|at| rounded(at.share_reference)),
        share_window: found.at.map(|at| rounded(at.share_window)),
        p: rounded(found.p_kolmogorov_limit()),
        p_method: "kolmogorov-limit".to_owned(),
        p_tolerance: rounded(test.p_tolerance),
        p_adjusted: None,
        comparison: at.map(|at| at.comparison),
    });
    add_bins(&mut finding, column, baseline, &window, cell.moments());
    if let Some(shift) = &mut finding.shift {
        shift.kuiper = Some(rounded(found.kuiper));
        shift.mann_whitney = Some(rounded(found.exceedance));
    }
    let judged = Judged {
        judged: column.judged,
        computable: test.detectable < 1.0,
        test: Basis::Tested {
            p_tolerance: test.p_tolerance,
            warns: found.distance > tolerated.value || test.bound > 0.5 * tolerated.value,
        },
    };
    let because = moved_numbers(column, baseline, &found, test.bound, tolerated.value);
    finish(column, finding, judged, test.needed, because)
}

/// The KS test against a tolerance: RULES §4.
struct KsTest {
    baseline_error: f64,
    bound: f64,
    p_tolerance: f64,
    detectable: f64,
    needed: Option<u64>,
}

impl KsTest {
    fn of(found: &KolmogorovSmirnov, tolerance: f64, scope: &Scope) -> KsTest {
        let n = found.window as f64;
        let columns = scope.judged_columns() as f64;
        let baseline_error =
            libm::sqrt(libm::log(2.0 * columns / 0.01) / (2.0 * found.reference as f64));
        let excess = (found.distance - tolerance - baseline_error).max(0.0);
        let alone = libm::log(2.0 * scope.tests(Check::Distribution) as f64 / ALPHA);
        let room = 1.0 - tolerance - baseline_error;
        KsTest {
            baseline_error,
            bound: found.distance - baseline_error - libm::sqrt(libm::log(2.0 / ALPHA) / (2.0 * n)),
            p_tolerance: (2.0 * libm::exp(-2.0 * n * excess * excess)).min(1.0),
            detectable: tolerance + baseline_error + libm::sqrt(alone / (2.0 * n)),
            needed: (room > 0.0).then(|| libm::floor(alone / (2.0 * room * room)) as u64 + 1),
        }
    }
}

/// Judges a categorical column by its debiased PSI.
pub(super) fn categorical(
    input: &JudgeInput<'_>,
    scope: &Scope,
    column: &Column<'_>,
    baseline: &CategoricalBaseline,
    cell: &CategoricalCell,
) -> Draft {
    let floor = input.model.tolerance.floor().psi;
    let tolerated = tolerated(input, column, floor, baseline.own_windows.as_ref());
    let mut finding = start(column, cell.n(), baseline.n, &tolerated);
    if baseline.too_many_values {
        finding.judged = false;
        finding.because = format!("{} is not judged: too many values", column.name);
        return Draft { finding, basis: Basis::Fixed(Level::Ok) };
    }
    let (reference, window) = (baseline.judged_counts(), cell.judged_counts(baseline.judged));
    let Some(found) = divergences(&reference, &window) else {
        return nothing_to_compare(column, finding);
    };
    let shares = Shares { reference: &reference, window: &window };
    let test = PsiTest::of(&found, &shares, tolerated.value, scope);
    let category = |index: usize| {
        let named = baseline.categories.get(index).filter(|_| index < baseline.judged);
        named.filter(|_| !column.private).map(|(name, _)| name.clone())
    };
    finding.psi = Some(Psi {
        value: rounded(found.psi),
        debiased: rounded(found.psi_debiased),
        bound: rounded(test.bound),
        bins: Vec::new(),
        categories: found
            .contributions
            .iter()
            .enumerate()
            .map(|(index, &contribution)| CategoryShare {
                category: category(index),
                reference: rounded(shares.of_reference(index)),
                window: rounded(shares.of_window(index)),
                contribution: rounded(contribution),
            })
            .collect(),
        confidence: Some(CONFIDENCE),
        tolerance: Some(rounded(tolerated.value)),
        tolerance_from: Some(tolerated.from.clone()),
        detectable: Some(rounded(test.detectable)),
        p: Some(rounded(found.psi_p_chi_square())),
        p_method: Some("chi-square".to_owned()),
        p_tolerance: Some(rounded(test.p_tolerance)),
        p_adjusted: None,
    });
    finding.shift = Some(shift(&found));
    let most = Farthest {
        reference: &reference,
        tolerance: tolerated.value,
        z: test.z_alone,
        alone: test.alone,
    };
    let computable = most.alarms(cell.n());
    let judged = Judged {
        judged: column.judged,
        computable,
        test: Basis::Tested {
            p_tolerance: test.p_tolerance,
            warns: found.psi_debiased > tolerated.value || test.bound > 0.5 * tolerated.value,
        },
    };
    let because = moved_categories(column, baseline, &found, &shares, &test);
    let needed = if computable { None } else { most.rows_needed() };
    finish(column, finding, judged, needed, because)
}

/// The PSI test against a tolerance: RULES §4. All figures are of the debiased PSI.
struct PsiTest {
    tolerance: f64,
    bound: f64,
    p_tolerance: f64,
    detectable: f64,
    /// The p-value at which a column alarms alone, and that many deviations over the tolerance.
    alone: f64,
    z_alone: f64,
}

impl PsiTest {
    fn of(found: &Divergences, shares: &Shares<'_>, tolerance: f64, scope: &Scope) -> PsiTest {
        let effective = shares.effective();
        let degrees = (found.bins - 1) as f64;
        let value = found.psi_debiased;
        let under_tolerance = spread(degrees, tolerance, effective);
        let by_normal = if under_tolerance > 0.0 {
            normal_sf((value - tolerance) / under_tolerance)
        } else if value > tolerance {
            0.0
        } else {
            1.0
        };
        // Near no difference PSI is chi-square, whose tail is the longer one (decision 064).
        let p_tolerance = by_normal.max(found.psi_p_chi_square());
        let alone = ALPHA / scope.tests(Check::Distribution) as f64;
        let z_alone = normal_quantile(alone);
        PsiTest {
            tolerance,
            bound: value - Z_CONFIDENCE * spread(degrees, value.max(0.0), effective),
            p_tolerance,
            detectable: tolerance + z_alone * under_tolerance,
            alone,
            z_alone,
        }
    }
}

/// The standard deviation of a debiased PSI: sqrt(2(K-1)/ne² + 4ψ/ne).
fn spread(degrees: f64, psi: f64, effective: f64) -> f64 {
    libm::sqrt(2.0 * degrees / (effective * effective) + 4.0 * psi / effective)
}

/// The window that is farthest from its baseline: all rows have the rarest category. PSI has no upper
/// end, so what so many rows could show at most says whether they are enough.
struct Farthest<'a> {
    reference: &'a [u64],
    tolerance: f64,
    z: f64,
    /// The p-value at which a column alarms alone.
    alone: f64,
}

impl Farthest<'_> {
    /// Rows beyond which none would be enough.
    const MOST_ROWS: u64 = 1 << 40;

    /// Whether so many rows of it would alarm alone.
    fn alarms(&self, rows: u64) -> bool {
        let rarest = (0..self.reference.len()).min_by_key(|&index| self.reference.get(index));
        let window: Vec<u64> = (0..self.reference.len())
            .map(|index| if Some(index) == rarest { rows } else { 0 })
            .collect();
        let effective = Shares { reference: self.reference, window: &window }.effective();
        divergences(self.reference, &window).is_some_and(|found| {
            let degrees = (found.bins - 1) as f64;
            let above = self.z * spread(degrees, self.tolerance, effective);
            let by_chi_square = found.psi_p_chi_square() <= self.alone;
            // With fewer rows PSI is like neither: it would be over by what two rows happen to be.
            let nearly_normal = above < self.tolerance.max(1.0 - self.tolerance);
            nearly_normal && by_chi_square && found.psi_debiased > self.tolerance + above
        })
    }

    /// Rows from which on it would.
    fn rows_needed(&self) -> Option<u64> {
        let mut high = 1;
        while !self.alarms(high) {
            high *= 2;
            if high > Farthest::MOST_ROWS {
                return None;
            }
        }
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.alarms(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }
}

struct Shares<'a> {
    reference: &'a [u64],
    window: &'a [u64],
}

impl Shares<'_> {
    fn of_reference(&self, index: usize) -> f64 {
        share_at(self.reference, index)
    }

    fn of_window(&self, index: usize) -> f64 {
        share_at(self.window, index)
    }

    /// ne = nN/(n+N).
    fn effective(&self) -> f64 {
        let reference = self.reference.iter().sum::<u64>() as f64;
        let window = self.window.iter().sum::<u64>() as f64;
        window * reference / (window + reference)
    }
}

fn share_at(counts: &[u64], index: usize) -> f64 {
    let total = counts.iter().sum::<u64>();
    counts.get(index).map_or(0.0, |&count| count as f64 / total as f64)
}

fn tolerated(
    input: &JudgeInput<'_>,
    column: &Column<'_>,
    floor: f64,
    own: Option<&baseline::OwnWindows>,
) -> Tolerated {
    let grid = input.model.window.grid();
    tolerance::deciding(column.tolerance, &input.model.tolerance, floor, own, &grid)
}

fn start(column: &Column<'_>, n: u64, m: u64, tolerated: &Tolerated) -> Finding {
    let mut finding = Finding::new(column.subject.clone(), Check::Distribution);
    finding.kind = Some(column.kind.into());
    finding.n = n;
    finding.m = m;
    finding.judged = column.judged;
    finding.private = column.private;
    finding.notes = column.notes.iter().chain(&tolerated.notes).cloned().collect();
    finding
}

fn nothing_to_compare(column: &Column<'_>, mut finding: Finding) -> Draft {
    finding.because = if finding.m == 0 {
        format!("the baseline has no value of {} to compare with", column.name)
    } else {
        format!("no request of this window has {}", column.name)
    };
    let level = if column.judged { Level::NotComputable } else { Level::Ok };
    Draft { finding, basis: Basis::Fixed(level) }
}

fn finish(
    column: &Column<'_>,
    mut finding: Finding,
    judged: Judged,
    needed: Option<u64>,
    because: String,
) -> Draft {
    match basis(judged) {
        Some(basis) => {
            finding.because = because;
            Draft { finding, basis }
        }
        None => {
            finding.because = sentence::too_few(finding.n, column.name, needed);
            finding.needed = needed;
            Draft { finding, basis: Basis::Fixed(Level::NotComputable) }
        }
    }
}

fn moved_numbers(
    column: &Column<'_>,
    baseline: &NumericBaseline,
    found: &KolmogorovSmirnov,
    bound: f64,
    tolerance: f64,
) -> String {
    let name = column.name;
    let Some(Location { cut, comparison, share_reference, share_window }) = found.at else {
        return format!("{name} is spread exactly as in the baseline");
    };
    let sign = match comparison {
        Comparison::Above => ">",
        Comparison::AtOrAbove => ">=",
    };
    let what = match baseline.cut_points.get(cut) {
        Some(&value) if !column.private => format!("have {name} {sign} {}", sentence::value(value)),
        _ => format!("have {name} above one value, which is private"),
    };
    sentence::of_requests(&what, share_reference, share_window, bound, tolerance)
}

fn moved_categories(
    column: &Column<'_>,
    baseline: &CategoricalBaseline,
    found: &Divergences,
    shares: &Shares<'_>,
    test: &PsiTest,
) -> String {
    let mut most = 0;
    for (index, contribution) in found.contributions.iter().enumerate() {
        if found.contributions.get(most).is_some_and(|largest| contribution > largest) {
            most = index;
        }
    }
    let name = column.name;
    let what = match baseline.categories.get(most).filter(|_| most < baseline.judged) {
        None => format!("have another {name} than the baseline's {} largest", baseline.judged),
        Some(_) if column.private => format!("have one category of {name}, which is private"),
        Some((category, _)) if category.is_empty() => format!("have an empty {name}"),
        Some((category, _)) => format!("have {name} {}", sentence::plain(category)),
    };
    let (reference, window) = (shares.of_reference(most), shares.of_window(most));
    let at_least = if test.bound > 0.0 {
        format!(", at least {} with 99 % confidence", sentence::statistic_floor(test.bound))
    } else {
        String::new()
    };
    format!(
        "{} % of requests {what}, in the baseline {} %: {}; over all categories PSI {}{at_least}; tolerance {}",
        sentence::percent(window),
        sentence::percent(reference),
        sentence::more_or_fewer(window - reference),
        sentence::statistic(found.psi_debiased.max(0.0)),
        sentence::statistic(test.tolerance),
    )
}

/// The statistics over the baseline's PSI bins, and the moments: all shown.
fn add_bins(
    finding: &mut Finding,
    column: &Column<'_>,
    baseline: &NumericBaseline,
    window: &[u64],
    moments: baseline::Moments,
) {
    let counts: Vec<u64> = baseline
        .psi_slots()
        .into_iter()
        .map(|slots| window.get(slots).map_or(0, |slots| slots.iter().sum()))
        .collect();
    let reference: Vec<u64> = baseline.psi_bins.iter().map(|bin| bin.count).collect();
    let Some(found) = divergences(&reference, &counts) else { return };
    let shares = Shares { reference: &reference, window: &counts };
    let bins = baseline.psi_bins.iter().zip(&found.contributions).enumerate();
    let degrees = (found.bins - 1) as f64;
    let spread = spread(degrees, found.psi_debiased.max(0.0), shares.effective());
    finding.psi = Some(Psi {
        value: rounded(found.psi),
        debiased: rounded(found.psi_debiased),
        bound: rounded(found.psi_debiased - Z_CONFIDENCE * spread),
        bins: bins
            .map(|(index, (bin, &contribution))| BinShare {
                to: bin.to.filter(|_| !column.private).map(Ordered),
                reference: rounded(shares.of_reference(index)),
                window: rounded(shares.of_window(index)),
                contribution: rounded(contribution),
            })
            .collect(),
        categories: Vec::new(),
        confidence: None,
        tolerance: None,
        tolerance_from: None,
        detectable: None,
        p: None,
        p_method: None,
        p_tolerance: None,
        p_adjusted: None,
    });
    let shown = |moments: baseline::Moments| MeanAndSd {
        mean: moments.mean.and_then(rounded_or_none),
        sd: moments.variance.and_then(|variance| rounded_or_none(libm::sqrt(variance))),
    };
    let mut shift = shift(&found);
    // A mean or a deviation is a value of the column, or next to one.
    if !column.private {
        shift.reference = Some(shown(baseline.moments));
        shift.window = Some(shown(moments));
    }
    finding.shift = Some(shift);
}

fn shift(found: &Divergences) -> Shift {
    Shift {
        kuiper: None,
        mann_whitney: None,
        jensen_shannon: rounded(found.jensen_shannon),
        hellinger: rounded(found.hellinger),
        total_variation: rounded(found.total_variation),
        reference: None,
        window: None,
    }
}
