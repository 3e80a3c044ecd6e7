//! Quality of a predicted number: exact sums of the error's terms, and a histogram of it by magnitude.

use super::QualityError;
use super::figure::{Figure, Figures, Metric};
use super::fixed::Change;
use super::intervals::{Interval, MeanOf};
use super::sparse::SparseCounts;
use super::weight::{Mass, RowCount, SampleWeight, Weighing};
use crate::encoding::{DecodeError, Reader};
use crate::exact::ExactSum;

/// Fourth powers of errors between numbers of this size are still numbers.
pub const MOST_NUMBER: f64 = 1e75;
/// Percentages beyond this are those of a label that is next to nothing, and are not summed.
const MOST_PERCENTAGE: f64 = 1e75;
/// Bits of the mantissa that tell buckets apart: 32 an octave, each 3 % wide.
const BUCKET_BITS: u32 = 5;
/// Errors from 2^-64 to 2^64 have buckets of their own; the ends take what lies beyond.
const OCTAVES: i64 = 64;
/// Buckets of one sign.
const BUCKETS: u32 = (2 * OCTAVES as u32) << BUCKET_BITS;

/// A prediction with its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberPair {
    prediction: f64,
    label: f64,
}

/// What is summed, in the order of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// Prediction less label.
    Error,
    AbsoluteError,
    SquaredError,
    FourthPower,
    Label,
    AbsoluteLabel,
    /// |error| · |label|.
    Product,
    /// |error| / |label|, and its square, of labels that are not next to nothing.
    Percentage,
    PercentageSquare,
    /// Square and fourth power of ln((1 + prediction)/(1 + label)), where both are above -1.
    LogSquare,
    LogFourth,
}

const TERMS: usize = 11;

/// Sums of one window and version. The default is the zero state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NumberState {
    count: RowCount,
    plain: [ExactSum; TERMS],
    /// Σ(w - 1)x of the same.
    excess: [ExactSum; TERMS],
    /// Exact, since R² takes what is nearly the same away from it.
    label_squares: ExactSum,
    label_squares_excess: ExactSum,
    /// Rows with a percentage, and with logarithms.
    with_percentage: RowCount,
    with_logarithm: RowCount,
    /// By bucket of the error: negative ones from the largest, zero, positive ones.
    errors: SparseCounts,
}

/// What a window's labels say of a predicted number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberFigures {
    pub figures: Figures,
    /// (Σw)²/Σw².
    pub effective_rows: f64,
    /// Rows whose label is next to nothing, so that they are in no percentage.
    pub without_percentage: i64,
    /// Rows with a prediction or label of -1 or below.
    pub without_logarithm: i64,
}

impl NumberPair {
    /// # Errors
    /// [`QualityError::Number`] for NaN, infinities, and numbers above [`MOST_NUMBER`].
    pub fn new(prediction: f64, label: f64) -> Result<NumberPair, QualityError> {
        for (what, value) in [("prediction", prediction), ("label", label)] {
            if value.is_nan() || value.abs() > MOST_NUMBER {
                return Err(QualityError::Number { what, value, most: MOST_NUMBER });
            }
        }
        Ok(NumberPair { prediction, label })
    }

    /// Prediction less label.
    pub fn error(&self) -> f64 {
        self.prediction - self.label
    }

    fn percentage(&self) -> Option<f64> {
        let percentage = self.error().abs() / self.label.abs();
        (percentage <= MOST_PERCENTAGE).then_some(percentage)
    }

    fn log_ratio(&self) -> Option<f64> {
        let is_defined = self.prediction > -1.0 && self.label > -1.0;
        is_defined.then(|| libm::log1p(self.prediction) - libm::log1p(self.label))
    }

    fn terms(&self) -> [f64; TERMS] {
        let error = self.error();
        let square = error * error;
        // Rows without them are counted apart.
        let percentage = self.percentage().unwrap_or(0.0);
        let logarithm = self.log_ratio().unwrap_or(0.0);
        let log_square = logarithm * logarithm;
        [
            error,
            error.abs(),
            square,
            square * square,
            self.label,
            self.label.abs(),
            error.abs() * self.label.abs(),
            percentage,
            percentage * percentage,
            log_square,
            log_square * log_square,
        ]
    }
}

impl NumberState {
    /// Counts a label, or takes away what the same counted.
    pub(super) fn apply(&mut self, pair: NumberPair, weight: SampleWeight, change: Change) {
        self.count.apply(weight, change);
        let excess = weight.excess();
        for ((plain, heavier), term) in
            self.plain.iter_mut().zip(&mut self.excess).zip(pair.terms())
        {
            plain.add(change.of(term));
            heavier.add(change.of(excess * term));
        }
        match change {
            Change::Add => self.label_squares.add_square(pair.label),
            Change::Subtract => self.label_squares.subtract_square(pair.label),
        }
        self.label_squares_excess.add(change.of(excess * (pair.label * pair.label)));
        if pair.percentage().is_some() {
            self.with_percentage.apply(weight, change);
        }
        if pair.log_ratio().is_some() {
            self.with_logarithm.apply(weight, change);
        }
        self.errors.apply(bucket(pair.error()), weight, change);
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &NumberState) {
        self.count.merge(&other.count);
        for (sum, added) in self.plain.iter_mut().zip(&other.plain) {
            sum.merge(added);
        }
        for (sum, added) in self.excess.iter_mut().zip(&other.excess) {
            sum.merge(added);
        }
        self.label_squares.merge(&other.label_squares);
        self.label_squares_excess.merge(&other.label_squares_excess);
        self.with_percentage.merge(&other.with_percentage);
        self.with_logarithm.merge(&other.with_logarithm);
        self.errors.merge(&other.errors);
    }

    /// Rows; below zero in an increment that takes more away than it brings.
    pub fn rows(&self) -> i64 {
        self.count.rows()
    }

    /// Everything that can be said with intervals of `z` standard errors; `None` without rows, or of an
    /// increment that takes away what an earlier one brought. Classes have no meaning here.
    pub fn figures(&self, weighing: &Weighing, z: f64) -> Option<NumberFigures> {
        if self.rows() <= 0 || self.errors.is_part() {
            return None;
        }
        let sampled = weighing.sampled;
        let mass = self.count.mass(sampled);
        let of = |term, square, mass| self.mean(term, square, mass, sampled);
        let mut figures = Figures::new();
        let mut put = |metric, figure: Option<Figure>| figure.map(|it| figures.insert(metric, it));
        let plain = |mean: MeanOf| Figure::within(mean.mean, mean.interval(z));
        put(Metric::Bias, of(Term::Error, Term::SquaredError, mass).map(plain));
        put(Metric::Mae, of(Term::AbsoluteError, Term::SquaredError, mass).map(plain));
        let squares = of(Term::SquaredError, Term::FourthPower, mass);
        put(Metric::Rmse, squares.map(|mean| rooted(mean, z)));
        put(Metric::RSquared, self.r_squared(sampled).map(Figure::plain));
        put(Metric::Wmape, self.weighted_percentage(sampled, z));
        let shares = self.with_percentage.mass(sampled);
        put(Metric::Mape, of(Term::Percentage, Term::PercentageSquare, shares).map(plain));
        let logarithms = self.with_logarithm.mass(sampled);
        let logarithms = of(Term::LogSquare, Term::LogFourth, logarithms);
        put(Metric::Rmsle, logarithms.map(|mean| rooted(mean, z)));
        put(Metric::MedianAbsoluteError, self.quantile(0.5, sampled));
        put(Metric::P90AbsoluteError, self.quantile(0.9, sampled));
        Some(NumberFigures {
            figures,
            effective_rows: mass.effective(),
            without_percentage: self.rows() - self.with_percentage.rows(),
            without_logarithm: self.rows() - self.with_logarithm.rows(),
        })
    }

    /// Mean and variance of the absolute error, for differences; `None` without rows.
    pub fn absolute_error(&self, weighing: &Weighing) -> Option<MeanOf> {
        let mass = self.count.mass(weighing.sampled);
        self.mean(Term::AbsoluteError, Term::SquaredError, mass, weighing.sampled)
    }

    /// Mean and variance of the squared error, for differences; `None` without rows.
    pub fn squared_error(&self, weighing: &Weighing) -> Option<MeanOf> {
        let mass = self.count.mass(weighing.sampled);
        self.mean(Term::SquaredError, Term::FourthPower, mass, weighing.sampled)
    }

    /// Mean pinball loss, where the prediction is the `quantile` of the label; `None` without rows. Sums
    /// of error and absolute error say it for any quantile.
    pub fn pinball(&self, quantile: f64, weighing: &Weighing) -> Option<f64> {
        let mass = self.count.mass(weighing.sampled);
        let [error, absolute] =
            [Term::Error, Term::AbsoluteError].map(|term| self.sum(term, weighing.sampled));
        let too_low = 0.5 * (absolute - error);
        let too_high = 0.5 * (absolute + error);
        (mass.total > 0.0).then(|| (quantile * too_low + (1.0 - quantile) * too_high) / mass.total)
    }

    /// The `quantile` of the absolute error: the middle of its bucket, certified by its ends. `None`
    /// without rows.
    pub fn quantile(&self, quantile: f64, sampled: bool) -> Option<Figure> {
        let mut sizes = std::collections::BTreeMap::<u32, f64>::new();
        for (slot, weight) in self.errors.used(sampled) {
            *sizes.entry(slot.abs_diff(BUCKETS)).or_default() += weight;
        }
        let total: f64 = sizes.values().sum();
        let wanted = quantile * total;
        let mut seen = 0.0;
        let at = sizes.iter().find(|&(_, &weight)| {
            seen += weight;
            // Rounding must not lead past the last.
            seen >= wanted * (1.0 - 1e-12)
        });
        let (&size, _) = at?;
        let certified = ends(size);
        let value = if certified.high.is_finite() {
            0.5 * (certified.low + certified.high)
        } else {
            certified.low
        };
        Some(Figure { value, interval: None, certified: Some(certified) })
    }

    /// Buckets of the error in use, ascending: between which errors, and how many rows.
    pub fn histogram(&self, sampled: bool) -> Vec<(Interval, f64)> {
        let bucket = |(slot, weight): (u32, f64)| {
            let Interval { low, high } = ends(slot.abs_diff(BUCKETS));
            let signed = if slot < BUCKETS {
                Interval { low: -high, high: -low }
            } else {
                Interval { low, high }
            };
            (signed, weight)
        };
        self.errors.used(sampled).map(bucket).collect()
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        let sums = self.plain.iter().chain(&self.excess);
        self.errors.bytes() + sums.map(ExactSum::bytes).sum::<usize>()
    }

    fn sum(&self, term: Term, sampled: bool) -> f64 {
        self.exact(term, sampled).value()
    }

    fn exact(&self, term: Term, sampled: bool) -> ExactSum {
        let place = term as usize;
        let mut sum = self.plain.get(place).cloned().unwrap_or_default();
        if let Some(excess) = self.excess.get(place).filter(|_| sampled) {
            sum.merge(excess);
        }
        sum
    }

    fn mean(&self, term: Term, square: Term, mass: Mass, sampled: bool) -> Option<MeanOf> {
        let [sum, squares] = [term, square].map(|term| self.sum(term, sampled));
        MeanOf::of_sums(mass.total, sum, squares, mass.effective())
    }

    /// 1 - Σe²/Σ(y - ȳ)²; `None` where all labels are the same.
    fn r_squared(&self, sampled: bool) -> Option<f64> {
        let rows = u64::try_from(self.rows()).ok()?;
        let spread = if sampled {
            let total = self.count.mass(true).total;
            let mut squares = self.label_squares.clone();
            squares.merge(&self.label_squares_excess);
            let labels = self.sum(Term::Label, true);
            squares.value() - labels * (labels / total)
        } else {
            let labels = self.exact(Term::Label, false);
            labels.variance(&self.label_squares, rows)? * (rows - 1) as f64
        };
        (spread > 0.0).then(|| 1.0 - self.sum(Term::SquaredError, sampled) / spread)
    }

    /// Σ|e|/Σ|y| with the interval of a ratio of means; `None` where all labels are zero.
    fn weighted_percentage(&self, sampled: bool, z: f64) -> Option<Figure> {
        let mass = self.count.mass(sampled);
        let of = |term| self.sum(term, sampled) / mass.total;
        let (errors, labels) = (of(Term::AbsoluteError), of(Term::AbsoluteLabel));
        let ratio = errors / labels;
        if !ratio.is_finite() {
            return None;
        }
        let mut squares = self.label_squares.clone();
        if sampled {
            squares.merge(&self.label_squares_excess);
        }
        // E(|e| - r|y|)², whose mean is zero.
        let spread = of(Term::SquaredError) - 2.0 * ratio * of(Term::Product)
            + ratio * ratio * squares.value() / mass.total;
        let error = libm::sqrt(spread.max(0.0) / mass.effective()) / labels;
        let interval = (mass.effective() >= 2.0).then(|| Interval::around(ratio, z * error));
        Some(Figure::within(ratio, interval))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.count.encode(out);
        self.plain.iter().chain(&self.excess).for_each(|sum| sum.encode(out));
        self.label_squares.encode(out);
        self.label_squares_excess.encode(out);
        self.with_percentage.encode(out);
        self.with_logarithm.encode(out);
        self.errors.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<NumberState, DecodeError> {
        let mut state = NumberState { count: RowCount::decode(reader)?, ..NumberState::default() };
        for sum in state.plain.iter_mut().chain(&mut state.excess) {
            *sum = ExactSum::decode(reader)?;
        }
        state.label_squares = ExactSum::decode(reader)?;
        state.label_squares_excess = ExactSum::decode(reader)?;
        state.with_percentage = RowCount::decode(reader)?;
        state.with_logarithm = RowCount::decode(reader)?;
        state.errors = SparseCounts::decode(reader, 2 * BUCKETS + 1)?;
        let counted: i128 = state.errors.rows().map(|(_, rows)| i128::from(rows)).sum();
        if counted != i128::from(state.rows()) {
            return Err(DecodeError::Invalid { what: "a histogram of errors" });
        }
        Ok(state)
    }
}

/// The root of a mean of squares, ends likewise.
fn rooted(mean: MeanOf, z: f64) -> Figure {
    let root = |value: f64| libm::sqrt(value.max(0.0));
    let interval = mean.interval(z);
    let interval = interval.map(|it| Interval { low: root(it.low), high: root(it.high) });
    Figure::within(root(mean.mean), interval)
}

/// [`BUCKETS`] for zero, further from it the larger the error.
fn bucket(error: f64) -> u32 {
    let size = size_of(error.abs());
    if error < 0.0 { BUCKETS - size } else { BUCKETS + size }
}

/// 0 for zero, else from 1 by exponent and leading bits of the mantissa.
fn size_of(magnitude: f64) -> u32 {
    if magnitude == 0.0 {
        return 0;
    }
    let leading = (magnitude.to_bits() >> (52 - BUCKET_BITS)) as i64;
    let first = (1023 - OCTAVES) << BUCKET_BITS;
    (leading - first).clamp(0, i64::from(BUCKETS) - 1) as u32 + 1
}

/// Between which magnitudes a bucket lies.
fn ends(size: u32) -> Interval {
    // Zero has a bucket to itself.
    let Some(index) = size.checked_sub(1) else { return Interval { low: 0.0, high: 0.0 } };
    let first = ((1023 - OCTAVES) as u64) << BUCKET_BITS;
    let edge = |index: u64| f64::from_bits((first + index) << (52 - BUCKET_BITS));
    let low = if index == 0 { 0.0 } else { edge(u64::from(index)) };
    let high = if index + 1 == BUCKETS { f64::INFINITY } else { edge(u64::from(index) + 1) };
    Interval { low, high }
}
