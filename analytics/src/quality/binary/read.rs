//! The figures of a probability: read off its sums, by the weights that are asked for.

use super::{BinaryLayout, BinaryState, CALIBRATION_BINS, OfClass};
use crate::quality::calibration::{CalibrationBin, debiased_error, expected_error};
use crate::quality::confusion::BinaryTable;
use crate::quality::figure::{Figure, Figures, Metric};
use crate::quality::intervals::{MeanOf, Rate};
use crate::quality::weight::{Mass, Weighing, WeightedSum};

/// What a window's labels say of a probability.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryFigures {
    /// Those that need no threshold.
    pub figures: Figures,
    /// Per threshold, ascending: it, its confusion, and the figures of that.
    pub at_thresholds: Vec<AtThreshold>,
    /// Per tenth of the probability.
    pub calibration: Vec<CalibrationBin>,
    /// (Σw)²/Σw²: the rows of weight 1 that would tell as much.
    pub effective_rows: f64,
}

/// What holds where rows with at least this score are called positive.
#[derive(Debug, Clone, PartialEq)]
pub struct AtThreshold {
    pub threshold: f64,
    pub table: BinaryTable,
    pub figures: Figures,
}

impl BinaryState {
    /// Everything that can be said with intervals of `z` standard errors; `None` without rows, or of an
    /// increment that takes away what an earlier one brought.
    pub fn figures(
        &self,
        layout: &BinaryLayout,
        weighing: &Weighing,
        z: f64,
    ) -> Option<BinaryFigures> {
        if self.is_part() {
            return None;
        }
        let mass = self.total_mass(weighing);
        let calibration = self.calibration(weighing);
        let mut figures = Figures::new();
        let mut put = |metric, figure: Option<Figure>| figure.map(|it| figures.insert(metric, it));
        put(Metric::LogLoss, self.log_loss(weighing).map(|mean| of_mean(mean, z)));
        put(Metric::Brier, self.brier(weighing).map(|mean| of_mean(mean, z)));
        put(Metric::Ece, Some(Figure::plain(debiased_error(&calibration))));
        put(Metric::SpiegelhalterZ, self.spiegelhalter().map(Figure::plain));
        let positives = self.mass(1, weighing).total / mass.total;
        put(Metric::PositiveShare, Some(of_share(positives, mass.effective(), z)));
        if let Some(bins) = self.score_bins(layout, weighing) {
            put(Metric::Auc, Some(bins.auc(z)));
            put(Metric::PrAuc, Some(bins.average_precision(z)));
            put(Metric::Ks, Some(bins.kolmogorov_smirnov()));
        }
        let at = |&threshold: &f64| {
            let table = self.table(layout, threshold, weighing);
            AtThreshold { threshold, table, figures: table.figures(z) }
        };
        Some(BinaryFigures {
            figures,
            at_thresholds: layout.thresholds().iter().map(at).collect(),
            calibration,
            effective_rows: mass.effective(),
        })
    }

    /// Mean and variance of the log-loss, for differences; `None` without rows.
    pub fn log_loss(&self, weighing: &Weighing) -> Option<MeanOf> {
        self.mean(weighing, |class| [&class.log_loss, &class.log_loss_squares])
    }

    /// Mean and variance of the Brier score.
    pub fn brier(&self, weighing: &Weighing) -> Option<MeanOf> {
        self.mean(weighing, |class| [&class.brier, &class.brier_squares])
    }

    /// Spiegelhalter's Z (1986), standard normal where probabilities are right; never weighted. `None`
    /// where all of them are 0, ½ or 1.
    pub fn spiegelhalter(&self) -> Option<f64> {
        let sum = |term: fn(&OfClass) -> f64| self.classes.iter().map(term).sum::<f64>();
        let variance = sum(|class| class.spiegelhalter_variance.value());
        (variance > 0.0).then(|| sum(|class| class.spiegelhalter.value()) / libm::sqrt(variance))
    }

    /// The expected calibration error as it is commonly given, which is biased upwards.
    pub fn expected_calibration_error(&self, weighing: &Weighing) -> f64 {
        expected_error(&self.calibration(weighing))
    }

    /// The confusion where rows with at least `threshold` are called positive; exact at the layout's
    /// thresholds and cut points.
    pub fn table(&self, layout: &BinaryLayout, threshold: f64, weighing: &Weighing) -> BinaryTable {
        let rows = self.total_mass(weighing).effective();
        BinaryTable::of_bins(&self.bins(layout, weighing), threshold, rows)
    }

    /// Per tenth of the probability: rows, mean probability, share of positives.
    pub fn calibration(&self, weighing: &Weighing) -> Vec<CalibrationBin> {
        let mut bins = vec![CalibrationBin::default(); CALIBRATION_BINS];
        for (index, class) in self.classes.iter().enumerate() {
            let scale = weighing.of_class(index);
            for (tenth, rows) in class.tenths.used(weighing.sampled) {
                if let Some(bin) = bins.get_mut(tenth as usize) {
                    bin.rows += scale * rows;
                    bin.positives += if index == 1 { scale * rows } else { 0.0 };
                }
            }
            for (bin, sum) in bins.iter_mut().zip(&class.tenth_sums) {
                bin.probability_sum += scale * sum.value(weighing.sampled);
            }
        }
        bins
    }

    fn total_mass(&self, weighing: &Weighing) -> Mass {
        self.mass(0, weighing).plus(self.mass(1, weighing))
    }

    fn mean(
        &self,
        weighing: &Weighing,
        sums: impl Fn(&OfClass) -> [&WeightedSum; 2],
    ) -> Option<MeanOf> {
        let mass = self.total_mass(weighing);
        let [mut sum, mut squares] = [0.0, 0.0];
        for (index, class) in self.classes.iter().enumerate() {
            let [of_class, of_squares] = sums(class).map(|it| it.value(weighing.sampled));
            sum += weighing.of_class(index) * of_class;
            squares += weighing.of_class(index) * of_squares;
        }
        MeanOf::of_sums(mass.total, sum, squares, mass.effective())
    }
}

pub(in crate::quality) fn of_mean(mean: MeanOf, z: f64) -> Figure {
    Figure::within(mean.mean, mean.interval(z))
}

/// A share of so many effective rows with Wilson's interval.
pub(in crate::quality) fn of_share(share: f64, rows: f64, z: f64) -> Figure {
    Figure::within(share, Rate { hits: share * rows, rows }.wilson(z))
}
