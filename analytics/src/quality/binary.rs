//! Quality of a probability of one of two classes: counts of both at and between cut points, and sums of losses.

use super::QualityError;
use super::curves::{ScoreBin, ScoreBins};
use super::fixed::{Change, FixedSum};
use super::sparse::SparseCounts;
use super::weight::{Mass, RowCount, SampleWeight, Weighing, WeightedSum};
use crate::encoding::{DecodeError, Reader};

mod read;

pub use read::{AtThreshold, BinaryFigures};
pub(super) use read::{of_mean, of_share};

/// More cut points than this cost memory per window and version and narrow nothing.
pub const MOST_CUT_POINTS: usize = 2048;
/// Each threshold has a confusion table of its own wherever quality is shown.
pub const MOST_THRESHOLDS: usize = 16;
/// Tenths of the probability, over which calibration is looked at.
pub const CALIBRATION_BINS: usize = 10;
/// A probability nearer to 0 or 1 than this counts as this near for the log-loss.
pub const CLIP: f64 = 1e-15;

/// Where scores are cut.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryLayout {
    /// Ascending, distinct, in [0, 1]; the thresholds are among them.
    cut_points: Vec<f64>,
    thresholds: Vec<f64>,
}

/// A prediction with its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryPair {
    score: f64,
    positive: bool,
}

/// What is known of the rows of one class.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfClass {
    slots: SparseCounts,
    count: RowCount,
    log_loss: WeightedSum,
    log_loss_squares: WeightedSum,
    brier: WeightedSum,
    brier_squares: WeightedSum,
    /// Σ(y - p)(1 - 2p).
    spiegelhalter: FixedSum,
    /// Σ(1 - 2p)² p(1 - p).
    spiegelhalter_variance: FixedSum,
    /// Rows by tenth of the probability, and their sums of it.
    tenths: SparseCounts,
    tenth_sums: [WeightedSum; CALIBRATION_BINS],
    /// Rows whose log-loss was clipped.
    clipped: i64,
}

/// Sums of one window and version. The default is the zero state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BinaryState {
    /// Of the negatives, and of the positives.
    classes: [OfClass; 2],
}

impl BinaryLayout {
    /// Cut points and thresholds are probabilities in any order; thresholds become cut points, so that
    /// the confusion at each is exact.
    ///
    /// # Errors
    /// [`QualityError::Cuts`] for what is none, or too many.
    pub fn new(cut_points: &[f64], thresholds: &[f64]) -> Result<BinaryLayout, QualityError> {
        let refused = |what, most, found: String| QualityError::Cuts { what, most, found };
        for (what, most, values) in [
            ("thresholds", MOST_THRESHOLDS, thresholds),
            ("cut points", MOST_CUT_POINTS, cut_points),
        ] {
            if let Some(wrong) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return Err(refused(what, most, wrong.to_string()));
            }
            if values.len() > most {
                return Err(refused(what, most, format!("{} were given", values.len())));
            }
        }
        let thresholds = ascending(thresholds.to_vec());
        let cut_points = ascending([cut_points, &thresholds].concat());
        Ok(BinaryLayout { cut_points, thresholds })
    }

    /// Cut points for scores like these: half of equal width, half of equal share, so that both AUC and
    /// PR-AUC have a narrow band; and the break points of a calibrator, so that estimates are exact.
    /// At most [`MOST_CUT_POINTS`] with 0 and 1; of too many break points every n-th.
    pub fn choose_cut_points(scores: &[f64], breaks: &[f64]) -> Vec<f64> {
        const OF_BREAKS: usize = 500;
        const OF_EACH: usize = 770;
        let mut sorted: Vec<f64> =
            scores.iter().copied().filter(|score| (0.0..=1.0).contains(score)).collect();
        sorted.sort_by(f64::total_cmp);
        let mut distinct = sorted.clone();
        distinct.dedup();
        if distinct.len() <= OF_EACH {
            sorted = distinct;
        }
        let every = |values: &[f64], most: usize| -> Vec<f64> {
            let step = values.len().div_ceil(most).max(1);
            values.iter().copied().step_by(step).collect()
        };
        let even = (0..=OF_EACH).map(|part| part as f64 / OF_EACH as f64);
        let mut all: Vec<f64> = even.collect();
        all.extend(every(&sorted, OF_EACH));
        all.extend(every(breaks, OF_BREAKS));
        ascending(all)
    }

    /// Where scores are counted between, ascending.
    pub fn cut_points(&self) -> &[f64] {
        &self.cut_points
    }

    /// Ascending.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Odd at a cut point, even between two, as in the windows' counters.
    fn slot(&self, score: f64) -> u32 {
        let below = self.cut_points.partition_point(|&cut| cut < score);
        let at = self.cut_points.get(below).is_some_and(|&cut| cut == score);
        (2 * below) as u32 + u32::from(at)
    }

    fn slots(&self) -> u32 {
        2 * self.cut_points.len() as u32 + 1
    }

    /// Between which scores a slot lies.
    fn ends(&self, slot: u32) -> [f64; 2] {
        let cut = |index: usize| self.cut_points.get(index).copied();
        let index = slot as usize / 2;
        if slot % 2 == 1 {
            let at = cut(index).unwrap_or(1.0);
            return [at, at];
        }
        let low = index.checked_sub(1).and_then(cut).unwrap_or(0.0);
        [low, cut(index).unwrap_or(1.0)]
    }
}

impl BinaryPair {
    /// # Errors
    /// [`QualityError::Score`] for a score outside [0, 1].
    pub fn new(score: f64, positive: bool) -> Result<BinaryPair, QualityError> {
        if !(0.0..=1.0).contains(&score) {
            return Err(QualityError::Score { score });
        }
        Ok(BinaryPair { score: score + 0.0, positive })
    }

    /// -ln of the probability that the label was given, clipped at [`CLIP`].
    pub fn log_loss(&self) -> f64 {
        let score = self.score.clamp(CLIP, 1.0 - CLIP);
        if self.positive { -libm::log(score) } else { -libm::log1p(-score) }
    }

    /// The square of probability less label.
    pub fn brier(&self) -> f64 {
        let error = self.score - f64::from(u8::from(self.positive));
        error * error
    }

    fn is_clipped(&self) -> bool {
        !(CLIP..=1.0 - CLIP).contains(&self.score)
    }
}

impl OfClass {
    fn apply(&mut self, slot: u32, pair: BinaryPair, weight: SampleWeight, change: Change) {
        self.slots.apply(slot, weight, change);
        self.count.apply(weight, change);
        let (loss, brier, p) = (pair.log_loss(), pair.brier(), pair.score);
        self.log_loss.apply(loss, weight, change);
        self.log_loss_squares.apply(loss * loss, weight, change);
        self.brier.apply(brier, weight, change);
        self.brier_squares.apply(brier * brier, weight, change);
        let label = f64::from(u8::from(pair.positive));
        let slope = 1.0 - 2.0 * p;
        self.spiegelhalter.add(change.of((label - p) * slope));
        self.spiegelhalter_variance.add(change.of(slope * slope * p * (1.0 - p)));
        let tenth = tenth(p);
        self.tenths.apply(tenth as u32, weight, change);
        if let Some(sum) = self.tenth_sums.get_mut(tenth) {
            sum.apply(p, weight, change);
        }
        self.clipped += if pair.is_clipped() { change.one() } else { 0 };
    }

    fn merge(&mut self, other: &OfClass) {
        self.slots.merge(&other.slots);
        self.count.merge(&other.count);
        self.log_loss.merge(&other.log_loss);
        self.log_loss_squares.merge(&other.log_loss_squares);
        self.brier.merge(&other.brier);
        self.brier_squares.merge(&other.brier_squares);
        self.spiegelhalter.merge(other.spiegelhalter);
        self.spiegelhalter_variance.merge(other.spiegelhalter_variance);
        self.tenths.merge(&other.tenths);
        for (sum, other) in self.tenth_sums.iter_mut().zip(&other.tenth_sums) {
            sum.merge(other);
        }
        self.clipped += other.clipped;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.slots.encode(out);
        self.count.encode(out);
        for sum in [&self.log_loss, &self.log_loss_squares, &self.brier, &self.brier_squares] {
            sum.encode(out);
        }
        self.spiegelhalter.encode(out);
        self.spiegelhalter_variance.encode(out);
        self.tenths.encode(out);
        self.tenth_sums.iter().for_each(|sum| sum.encode(out));
        crate::encoding::put_signed(out, self.clipped);
    }

    fn decode(reader: &mut Reader<'_>, slots: u32) -> Result<OfClass, DecodeError> {
        let mut class = OfClass {
            slots: SparseCounts::decode(reader, slots)?,
            count: RowCount::decode(reader)?,
            log_loss: WeightedSum::decode(reader)?,
            log_loss_squares: WeightedSum::decode(reader)?,
            brier: WeightedSum::decode(reader)?,
            brier_squares: WeightedSum::decode(reader)?,
            spiegelhalter: FixedSum::decode(reader)?,
            spiegelhalter_variance: FixedSum::decode(reader)?,
            tenths: SparseCounts::decode(reader, CALIBRATION_BINS as u32)?,
            ..OfClass::default()
        };
        for sum in &mut class.tenth_sums {
            *sum = WeightedSum::decode(reader)?;
        }
        class.clipped = super::weight::signed_count(reader)?;
        let total = |counts: &SparseCounts| counts.rows().map(|(_, rows)| i128::from(rows)).sum();
        let rows = i128::from(class.count.rows());
        if [&class.slots, &class.tenths].into_iter().map(total).any(|sum: i128| sum != rows) {
            return Err(DecodeError::Invalid { what: "counts of scores" });
        }
        Ok(class)
    }
}

impl BinaryState {
    /// Counts a label, or takes away what the same counted.
    pub(super) fn apply(
        &mut self,
        layout: &BinaryLayout,
        pair: BinaryPair,
        weight: SampleWeight,
        change: Change,
    ) {
        self.class_mut(pair.positive).apply(layout.slot(pair.score), pair, weight, change);
    }

    /// Adds everything `other` counted by the same layout.
    pub fn merge(&mut self, other: &BinaryState) {
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            class.merge(other);
        }
    }

    /// Rows; below zero in an increment that takes more away than it brings.
    pub fn rows(&self) -> i64 {
        self.classes.iter().map(|class| class.count.rows()).sum()
    }

    /// Rows of the negatives, and of the positives.
    pub fn rows_by_class(&self) -> [i64; 2] {
        [self.classes[0].count.rows(), self.classes[1].count.rows()]
    }

    /// Rows whose log-loss was clipped.
    pub fn clipped(&self) -> i64 {
        self.classes.iter().map(|class| class.clipped).sum()
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.classes.iter().map(|class| class.slots.bytes() + class.tenths.bytes()).sum()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.classes.iter().for_each(|class| class.encode(out));
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        layout: &BinaryLayout,
    ) -> Result<BinaryState, DecodeError> {
        let slots = layout.slots();
        let negatives = OfClass::decode(reader, slots)?;
        Ok(BinaryState { classes: [negatives, OfClass::decode(reader, slots)?] })
    }

    fn class_mut(&mut self, positive: bool) -> &mut OfClass {
        let [negatives, positives] = &mut self.classes;
        if positive { positives } else { negatives }
    }

    /// Whether nothing can be read of it: empty, or an increment with something below zero.
    fn is_part(&self) -> bool {
        self.rows() <= 0
            || self.classes.iter().any(|class| {
                class.count.rows() < 0 || class.slots.is_part() || class.tenths.is_part()
            })
    }

    fn mass(&self, class: usize, weighing: &Weighing) -> Mass {
        let count = self.classes.get(class).map(|class| class.count.mass(weighing.sampled));
        count.unwrap_or_default().scaled(weighing.of_class(class))
    }

    fn bins(&self, layout: &BinaryLayout, weighing: &Weighing) -> Vec<ScoreBin> {
        let mut bins: std::collections::BTreeMap<u32, [f64; 2]> = Default::default();
        for (index, class) in self.classes.iter().enumerate() {
            for (slot, weight) in class.slots.used(weighing.sampled) {
                let bin = bins.entry(slot).or_default();
                if let Some(place) = bin.get_mut(index) {
                    *place = weight * weighing.of_class(index);
                }
            }
        }
        let bin = |(slot, [negatives, positives]): (u32, [f64; 2])| {
            let [low, high] = layout.ends(slot);
            ScoreBin { low, high, positives, negatives }
        };
        bins.into_iter().map(bin).collect()
    }

    /// The bins of both classes; `None` unless both have rows.
    pub fn score_bins(&self, layout: &BinaryLayout, weighing: &Weighing) -> Option<ScoreBins> {
        let effective = [1, 0].map(|class| self.mass(class, weighing).effective());
        ScoreBins::new(self.bins(layout, weighing), effective)
    }
}

/// The tenth in which a probability lies; 1 lies in the last.
fn tenth(score: f64) -> usize {
    ((score * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1)
}

fn ascending(mut values: Vec<f64>) -> Vec<f64> {
    for value in &mut values {
        // Adding zero makes -0.0 the 0.0 it equals.
        *value += 0.0;
    }
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}
