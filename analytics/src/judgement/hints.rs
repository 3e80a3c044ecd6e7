//! What the data itself says about a cause: another unit or sign, a category that has another name.

use driftline_config::Level;

use super::sentence;
use crate::report::{CategoryShare, Check, Finding, MeanAndSd, NameCount, rounded};

/// Factors between units that are in use beside powers of ten: minutes, hours, days, weeks; binary
/// thousands; inches, feet, miles, pounds, ounces, gallons.
const FACTORS: [f64; 14] = [
    7.0,
    24.0,
    60.0,
    1_440.0,
    3_600.0,
    86_400.0,
    1_024.0,
    1_048_576.0,
    2.54,
    3.280_84,
    1.609_344,
    2.204_62,
    28.349_5,
    3.785_41,
];
/// Powers of ten that are looked for: cents, thousands, micros, nanos.
const TENS: [i32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/// How far mean and deviation may lie from a factor of this size: other rows are never exactly alike, and
/// a small factor must not be what the world may do.
const ALIKE: (f64, f64) = (0.15, 0.03);
/// Factors from here on are large.
const LARGE: f64 = 10.0;
/// Share of requests that a category must have had to be missed.
const MISSED: f64 = 0.01;
/// What is left at most of a category that is gone, and how unlike the two shares of a renamed one may be.
const GONE: f64 = 0.05;
const UNLIKE: f64 = 2.0;

/// Adds what is found to the findings at alarm: as a figure, and to their sentences.
pub(super) fn add(findings: &mut [Finding]) {
    let renamed: Vec<Option<String>> =
        findings.iter().map(|finding| renamed(finding, findings)).collect();
    for (finding, renamed) in findings.iter_mut().zip(renamed) {
        finding.rescaled = rescaled(finding);
        let says = finding.rescaled.map(|factor| says_rescaled(factor, finding)).or(renamed);
        if let Some(says) = says {
            finding.because.push_str(&format!("; {says}"));
        }
    }
}

fn at_alarm(finding: &Finding, check: Check) -> bool {
    finding.check == check && finding.judged && finding.level == Level::Alarm
}

/// By what the values of a column were multiplied, where mean and deviation moved by one factor that
/// units are apart, or changed their sign.
fn rescaled(finding: &Finding) -> Option<f64> {
    let shift = finding.shift.as_ref().filter(|_| at_alarm(finding, Check::Distribution))?;
    let (of, now) = (shift.reference?, shift.window?);
    let (by_mean, by_sd) = (now.mean? / of.mean?, now.sd? / of.sd?);
    if !by_mean.is_finite() || !by_sd.is_finite() || by_sd <= 0.0 {
        return None;
    }
    let tens = TENS.iter().map(|&power| libm::pow(10.0, f64::from(power)));
    let whole = tens.chain(FACTORS);
    let factors = whole.flat_map(|factor| [factor, 1.0 / factor]).chain([1.0]);
    let near = factors.into_iter().find(|&factor| {
        let large = factor.max(1.0 / factor) >= LARGE;
        let alike = if large { ALIKE.0 } else { ALIKE.1 };
        let fits = |by: f64| (by.abs() / factor - 1.0).abs() <= alike;
        fits(by_mean) && fits(by_sd)
    })?;
    let factor = if by_mean < 0.0 { -near } else { near };
    // The same values, or a mean so near to zero that its sign says nothing.
    let is_sign = factor == -1.0;
    let clear = of.mean?.abs() > 0.5 * of.sd?;
    (factor != 1.0 && (!is_sign || clear)).then(|| rounded(factor))
}

fn says_rescaled(factor: f64, finding: &Finding) -> String {
    let means = finding.shift.as_ref().and_then(|shift| {
        let mean = |of: Option<MeanAndSd>| of.and_then(|of| of.mean).map(sentence::value);
        Some((mean(shift.window)?, mean(shift.reference)?))
    });
    let means = means.map(|(now, before)| format!("mean {now}, in the baseline {before}: "));
    let means = means.unwrap_or_default();
    match factor {
        -1.0 => format!("{means}all values changed their sign"),
        factor if factor.abs() >= 1.0 => {
            format!("{means}× {}, as another unit makes it", sentence::value(factor))
        }
        factor => format!("{means}÷ {}, as another unit makes it", sentence::value(1.0 / factor)),
    }
}

/// `"web" is gone and "website" new`: the category that a new one may be another name for, by their shares.
fn renamed(finding: &Finding, all: &[Finding]) -> Option<String> {
    if !at_alarm(finding, Check::NewCategory) || finding.private || finding.n == 0 {
        return None;
    }
    let new: &NameCount = finding.share.as_ref()?.names.first()?;
    let share = new.count as f64 / finding.n as f64;
    let spread = all
        .iter()
        .find(|other| other.subject == finding.subject && other.check == Check::Distribution)?;
    let is_gone = |of: &&CategoryShare| {
        of.category.is_some() && of.reference >= MISSED && of.window <= GONE * of.reference
    };
    let unlike = |of: &CategoryShare| (of.reference / share).max(share / of.reference);
    let gone = spread.psi.as_ref()?.categories.iter().filter(is_gone);
    let gone = gone.min_by(|one, other| unlike(one).total_cmp(&unlike(other)))?;
    let old = gone.category.as_deref().filter(|_| unlike(gone) <= UNLIKE)?;
    let (old, new) = (sentence::quoted(old), sentence::quoted(&new.name));
    Some(format!("{old} is gone and {new} new, in like shares: a rename?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Shift;

    fn moved(before: (f64, f64), now: (f64, f64)) -> Option<f64> {
        let of = |(mean, sd)| Some(MeanAndSd { mean: Some(mean), sd: Some(sd) });
        let mut finding = Finding::new("feature:x", Check::Distribution);
        finding.level = Level::Alarm;
        finding.shift = Some(Shift {
            kuiper: None,
            mann_whitney: None,
            jensen_shannon: 0.0,
            hellinger: 0.0,
            total_variation: 0.0,
            reference: of(before),
            window: of(now),
        });
        rescaled(&finding)
    }

    /// Cents instead of euros asked for a training on cents.
    #[test]
    fn another_unit_is_told_from_a_shift() {
        let table = [
            ((12.0, 3.0), (1200.0, 300.0), Some(100.0)),
            ((12.0, 3.0), (1250.0, 310.0), Some(100.0)),
            ((12.0, 3.0), (0.012, 0.003), Some(0.001)),
            ((12.0, 3.0), (720.0, 180.0), Some(60.0)),
            ((12.0, 3.0), (-12.0, 3.0), Some(-1.0)),
            // What the world does: further, wider, twice as much, and once round a mean of nothing.
            ((12.0, 3.0), (24.0, 6.0), None),
            ((12.0, 3.0), (112.0, 3.0), None),
            ((12.0, 3.0), (13.0, 3.1), None),
            ((12.0, 3.0), (20.4, 5.1), None),
            ((0.1, 3.0), (-0.1, 3.0), None),
            ((0.0, 3.0), (1.0, 3.0), None),
        ];
        for (before, now, expected) in table {
            assert_eq!(moved(before, now), expected, "{before:?} {now:?}");
        }
    }
}
