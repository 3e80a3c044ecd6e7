//! Intervals of rates, means and their differences, from plain numbers.

use serde::{Deserialize, Serialize};

use crate::report::rounded;

/// Between which values something lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// A mean with what its uncertainty needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanOf {
    /// Rows, or the effective number of weighted ones.
    pub n: f64,
    pub mean: f64,
    /// With n - 1.
    pub variance: f64,
}

/// A difference of two means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDifference {
    /// The first less the second.
    pub value: f64,
    pub standard_error: f64,
}

/// A share of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Rows of the kind; with weights the share times `rows`.
    pub hits: f64,
    /// Rows, or the effective number of weighted ones.
    pub rows: f64,
}

impl Interval {
    /// Around `value`.
    pub fn around(value: f64, half_width: f64) -> Interval {
        Interval { low: value - half_width, high: value + half_width }
    }

    /// Further by these on either side, within 0 and 1.
    pub fn widened_share(self, below: f64, above: f64) -> Interval {
        Interval { low: (self.low - below).max(0.0), high: (self.high + above).min(1.0) }
    }

    /// Whether `value` lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Both ends with 12 significant digits.
    pub fn rounded(self) -> Interval {
        Interval { low: rounded(self.low), high: rounded(self.high) }
    }
}

impl Rate {
    /// The hits over the rows.
    pub fn share(self) -> f64 {
        self.hits / self.rows
    }

    /// Wilson's score interval (1927) for `z` standard errors; `None` without rows.
    pub fn wilson(self, z: f64) -> Option<Interval> {
        if self.rows.is_nan() || self.rows <= 0.0 {
            return None;
        }
        let (n, share, square) = (self.rows, self.share().clamp(0.0, 1.0), z * z);
        let middle = share + square / (2.0 * n);
        let half = z * libm::sqrt((share * (1.0 - share) + square / (4.0 * n)) / n);
        let scale = 1.0 + square / n;
        // Rounding must not take the ends off what is certain.
        let low = if share <= 0.0 { 0.0 } else { (middle - half) / scale };
        let high = if share >= 1.0 { 1.0 } else { (middle + half) / scale };
        Some(Interval { low: low.max(0.0), high: high.min(1.0) })
    }
}

/// The interval of `first - second` of two rates by Newcombe's method 10 (1998); `None` where one has no rows.
pub fn newcombe(first: Rate, second: Rate, z: f64) -> Option<Interval> {
    let (one, two) = (first.wilson(z)?, second.wilson(z)?);
    Some(difference(Recovered::of(first.share(), one), Recovered::of(second.share(), two)))
}

/// A value with its own interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovered {
    pub value: f64,
    pub interval: Interval,
}

impl Recovered {
    /// A value with the interval that a variance is recovered from.
    pub fn of(value: f64, interval: Interval) -> Recovered {
        Recovered { value, interval }
    }
}

/// The interval of `first - second` of two independent figures by the method of variance estimates
/// recovery (Zou and Donner 2008), which is Newcombe's method 10 where the two are rates.
pub fn difference(first: Recovered, second: Recovered) -> Interval {
    let value = first.value - second.value;
    let below = [first.value - first.interval.low, second.interval.high - second.value];
    let above = [first.interval.high - first.value, second.value - second.interval.low];
    Interval {
        low: value - libm::hypot(below[0], below[1]),
        high: value + libm::hypot(above[0], above[1]),
    }
}

impl MeanOf {
    /// From sums of a term and of its squares; `None` without rows.
    ///
    /// With weights: `total` = Σw, `sum` = Σwx, `squares` = Σwx², `effective` = (Σw)²/Σw².
    pub fn of_sums(total: f64, sum: f64, squares: f64, effective: f64) -> Option<MeanOf> {
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        let mean = sum / total;
        let spread = (squares / total - mean * mean).max(0.0);
        let freed = if effective > 1.0 { effective / (effective - 1.0) } else { 1.0 };
        Some(MeanOf { n: effective, mean, variance: spread * freed })
    }

    /// The standard error of the mean.
    pub fn standard_error(self) -> f64 {
        libm::sqrt(self.variance / self.n)
    }

    /// The normal interval; `None` below two rows.
    pub fn interval(self, z: f64) -> Option<Interval> {
        (self.n >= 2.0).then(|| Interval::around(self.mean, z * self.standard_error()))
    }

    /// This mean less another one, by Welch: variances are not pooled. `None` below two rows on a side.
    pub fn less(self, other: MeanOf) -> Option<MeanDifference> {
        (self.n >= 2.0 && other.n >= 2.0).then(|| MeanDifference {
            value: self.mean - other.mean,
            standard_error: libm::sqrt(self.variance / self.n + other.variance / other.n),
        })
    }
}

impl MeanDifference {
    /// What it is at least, for `z` standard errors.
    pub fn lower(self, z: f64) -> f64 {
        self.value - z * self.standard_error
    }

    /// The interval at `z` standard errors.
    pub fn interval(self, z: f64) -> Interval {
        Interval::around(self.value, z * self.standard_error)
    }
}

/// The interval of a share whose standard error is known, symmetric in log-odds so that it stays within 0
/// and 1; `None` at 0 and 1, where log-odds are none.
pub fn logit_interval(value: f64, standard_error: f64, z: f64) -> Option<Interval> {
    if !(value > 0.0 && value < 1.0 && standard_error.is_finite()) {
        return None;
    }
    let logit = libm::log(value / (1.0 - value));
    let half = z * standard_error / (value * (1.0 - value));
    let back = |odds: f64| 1.0 / (1.0 + libm::exp(-odds));
    Some(Interval { low: back(logit - half), high: back(logit + half) })
}
