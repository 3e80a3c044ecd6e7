//! Figures of a table of truth against prediction, with intervals by the delta method.

use super::curves::ScoreBin;
use super::figure::{Figure, Figures, Metric};
use super::intervals::{Interval, Rate, logit_interval};

/// Two classes, each row weighted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BinaryTable {
    pub true_negatives: f64,
    pub false_positives: f64,
    pub false_negatives: f64,
    pub true_positives: f64,
    /// The effective number of rows; all four together where each counts once.
    pub rows: f64,
}

/// Any number of classes, each row weighted.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassTable {
    classes: usize,
    /// By truth, then by prediction.
    cells: Vec<f64>,
    /// The effective number of rows.
    rows: f64,
    /// Sums of `cells` by truth and by prediction, and of all.
    truths: Vec<f64>,
    predictions: Vec<f64>,
    total: f64,
}

impl BinaryTable {
    /// The table of bins of scores, of so many effective rows, where bins from `threshold` on are called
    /// positive.
    pub(super) fn of_bins(bins: &[ScoreBin], threshold: f64, rows: f64) -> BinaryTable {
        let mut table = BinaryTable { rows, ..BinaryTable::default() };
        for bin in bins {
            if bin.low >= threshold {
                table.true_positives += bin.positives;
                table.false_positives += bin.negatives;
            } else {
                table.false_negatives += bin.positives;
                table.true_negatives += bin.negatives;
            }
        }
        table
    }

    /// Precision and recall by one weight: recall counts `beta` times as much. NaN without positives on
    /// either side.
    pub fn f_beta(&self, beta: f64) -> f64 {
        let square = beta * beta;
        let hits = (1.0 + square) * self.true_positives;
        hits / (hits + square * self.false_negatives + self.false_positives)
    }

    /// The standard error of [`BinaryTable::f_beta`], by the delta method.
    pub fn f_beta_standard_error(&self, beta: f64) -> f64 {
        let square = beta * beta;
        let f = self.f_beta(beta);
        let total = self.total();
        let hits = (1.0 + square) * self.true_positives;
        let below = (hits + square * self.false_negatives + self.false_positives) / total;
        let gradient = [0.0, -f / below, -f * square / below, (1.0 + square) * (1.0 - f) / below];
        self.spread(gradient)
    }

    /// Matthews' correlation; NaN where a class never stands on a side.
    pub fn mcc(&self) -> f64 {
        self.as_classes().mcc()
    }

    /// Accuracy, precision, recall, F1 and Matthews' correlation, as far as they are defined.
    pub fn figures(&self, z: f64) -> Figures {
        let total = self.total();
        let mut figures = Figures::new();
        let scale = if total > 0.0 { self.rows / total } else { 0.0 };
        let mut rate = |metric, hits: f64, of: f64| {
            if of > 0.0 {
                let interval = Rate { hits: hits * scale, rows: of * scale }.wilson(z);
                figures.insert(metric, Figure::within(hits / of, interval));
            }
        };
        rate(Metric::Accuracy, self.true_positives + self.true_negatives, total);
        let called = self.true_positives + self.false_positives;
        rate(Metric::Precision, self.true_positives, called);
        rate(Metric::Recall, self.true_positives, self.true_positives + self.false_negatives);
        let f1 = self.f_beta(1.0);
        if f1.is_finite() {
            let interval = logit_interval(f1, self.f_beta_standard_error(1.0), z);
            figures.insert(Metric::F1, Figure::within(f1, interval));
        }
        let classes = self.as_classes();
        let mcc = classes.mcc();
        if mcc.is_finite() {
            figures.insert(Metric::Mcc, correlation(mcc, classes.mcc_standard_error(), z));
        }
        figures
    }

    /// As a table of any number of classes: 0 negative, 1 positive.
    pub fn as_classes(&self) -> ClassTable {
        let cells = vec![
            self.true_negatives,
            self.false_positives,
            self.false_negatives,
            self.true_positives,
        ];
        ClassTable::of_cells(2, cells, self.rows)
    }

    fn total(&self) -> f64 {
        self.true_negatives + self.false_positives + self.false_negatives + self.true_positives
    }

    fn spread(&self, gradient: [f64; 4]) -> f64 {
        self.as_classes()
            .delta(|truth, predicted| gradient.get(2 * truth + predicted).copied().unwrap_or(0.0))
    }
}

impl ClassTable {
    /// `cells` by truth, then by prediction; those that are not given are 0. `rows` is their effective
    /// number.
    pub fn of_cells(classes: usize, mut cells: Vec<f64>, rows: f64) -> ClassTable {
        cells.resize(classes * classes, 0.0);
        let mut table = ClassTable {
            classes,
            rows,
            truths: vec![0.0; classes],
            predictions: vec![0.0; classes],
            total: cells.iter().sum(),
            cells: Vec::new(),
        };
        for (row, truth) in cells.chunks_exact(classes.max(1)).zip(&mut table.truths) {
            *truth = row.iter().sum();
            for (cell, prediction) in row.iter().zip(&mut table.predictions) {
                *prediction += cell;
            }
        }
        table.cells = cells;
        table
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows of a truth with a prediction.
    pub fn cell(&self, truth: usize, predicted: usize) -> f64 {
        let is_there = truth < self.classes && predicted < self.classes;
        let cell = is_there.then(|| self.cells.get(truth * self.classes + predicted)).flatten();
        cell.copied().unwrap_or(0.0)
    }

    /// Share of the rows that were predicted as they are.
    pub fn accuracy(&self) -> f64 {
        self.diagonal().sum::<f64>() / self.total
    }

    /// Precision of a class; NaN where it was never predicted.
    pub fn precision(&self, class: usize) -> f64 {
        self.cell(class, class) / at(&self.predictions, class)
    }

    /// Recall of a class; NaN where it never was the truth.
    pub fn recall(&self, class: usize) -> f64 {
        self.cell(class, class) / at(&self.truths, class)
    }

    /// F1 of a class; NaN where it is neither truth nor prediction.
    pub fn f1(&self, class: usize) -> f64 {
        2.0 * self.cell(class, class) / self.either(class)
    }

    /// Mean recall of the classes that are the truth of some row.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls = (0..self.classes).map(|class| self.recall(class));
        mean(recalls.filter(|recall| recall.is_finite()))
    }

    /// Mean F1 of the classes that are truth or prediction of some row.
    pub fn macro_f1(&self) -> f64 {
        mean((0..self.classes).map(|class| self.f1(class)).filter(|f1| f1.is_finite()))
    }

    /// F1 of the classes, each weighted by its share of the truth.
    pub fn weighted_f1(&self) -> f64 {
        let terms = (0..self.classes).filter(|&class| at(&self.truths, class) > 0.0);
        terms.map(|class| at(&self.truths, class) * self.f1(class)).sum::<f64>() / self.total
    }

    /// Matthews' correlation for any number of classes (Gorodkin 2004); NaN where all rows are of one
    /// class on a side.
    pub fn mcc(&self) -> f64 {
        let [by_chance, apart_predictions, apart_truths] = self.chances();
        (self.accuracy() - by_chance) / libm::sqrt(apart_predictions * apart_truths)
    }

    /// Cohen's kappa; NaN where chance alone would agree always.
    pub fn kappa(&self) -> f64 {
        let [by_chance, ..] = self.chances();
        (self.accuracy() - by_chance) / (1.0 - by_chance)
    }

    /// All of them as far as they are defined, with intervals of `z` standard errors.
    pub fn figures(&self, z: f64) -> Figures {
        let accuracy = self.accuracy();
        let mut figures = Figures::new();
        if self.total.is_nan() || self.total <= 0.0 {
            return figures;
        }
        let wilson = Rate { hits: accuracy * self.rows, rows: self.rows }.wilson(z);
        figures.insert(Metric::Accuracy, Figure::within(accuracy, wilson));
        let shares = [
            (Metric::BalancedAccuracy, self.balanced_accuracy(), self.balanced_standard_error()),
            (Metric::MacroF1, self.macro_f1(), self.macro_f1_standard_error()),
            (Metric::WeightedF1, self.weighted_f1(), self.weighted_f1_standard_error()),
        ];
        for (metric, value, error) in shares {
            figures.insert(metric, Figure::within(value, logit_interval(value, error, z)));
        }
        for (metric, value, error) in [
            (Metric::Mcc, self.mcc(), self.mcc_standard_error()),
            (Metric::Kappa, self.kappa(), self.kappa_standard_error()),
        ] {
            if value.is_finite() {
                figures.insert(metric, correlation(value, error, z));
            }
        }
        figures
    }

    fn balanced_standard_error(&self) -> f64 {
        let truths = self.truths.iter().filter(|&&truth| truth > 0.0).count() as f64;
        self.delta(|truth, predicted| {
            let share = at(&self.truths, truth) / self.total;
            (diagonal(truth, predicted) - self.recall(truth)) / share / truths
        })
    }

    fn macro_f1_standard_error(&self) -> f64 {
        let known = (0..self.classes).filter(|&class| self.either(class) > 0.0).count() as f64;
        self.delta(|truth, predicted| {
            let of = |class: usize| self.f1(class) / (self.either(class) / self.total);
            let hit = 2.0 * diagonal(truth, predicted) / (self.either(truth) / self.total);
            (hit - of(truth) - of(predicted)) / known
        })
    }

    fn weighted_f1_standard_error(&self) -> f64 {
        self.delta(|truth, predicted| {
            let share = |class: usize| at(&self.truths, class) / self.either(class);
            let of = |class: usize| share(class) * self.f1(class);
            let hit = 2.0 * diagonal(truth, predicted) * share(truth);
            self.f1(truth) + hit - of(truth) - of(predicted)
        })
    }

    pub(super) fn mcc_standard_error(&self) -> f64 {
        let [_, apart_predictions, apart_truths] = self.chances();
        let mcc = self.mcc();
        let root = libm::sqrt(apart_predictions * apart_truths);
        self.delta(|truth, predicted| {
            let [of_truth, of_prediction] = self.margins(truth, predicted);
            (diagonal(truth, predicted) - of_truth - of_prediction) / root
                + mcc
                    * (at(&self.predictions, predicted) / self.total / apart_predictions
                        + at(&self.truths, truth) / self.total / apart_truths)
        })
    }

    fn kappa_standard_error(&self) -> f64 {
        let [by_chance, ..] = self.chances();
        let apart = 1.0 - by_chance;
        let slope = (1.0 - self.accuracy()) / (apart * apart);
        self.delta(|truth, predicted| {
            let [of_truth, of_prediction] = self.margins(truth, predicted);
            diagonal(truth, predicted) / apart - slope * (of_truth + of_prediction)
        })
    }

    /// What a further row of (truth, predicted) adds to the agreement by chance: the share of its
    /// prediction among the truths, and of its truth among the predictions.
    fn margins(&self, truth: usize, predicted: usize) -> [f64; 2] {
        [at(&self.truths, predicted) / self.total, at(&self.predictions, truth) / self.total]
    }

    /// Σ t_k p_k, 1 - Σ p_k² and 1 - Σ t_k² of the shares of truths and predictions.
    fn chances(&self) -> [f64; 3] {
        let square = self.total * self.total;
        let by = |left: &[f64], right: &[f64]| {
            left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>() / square
        };
        [
            by(&self.truths, &self.predictions),
            1.0 - by(&self.predictions, &self.predictions),
            1.0 - by(&self.truths, &self.truths),
        ]
    }

    /// The standard error of a figure whose derivative by the share of a cell is `gradient`.
    fn delta(&self, gradient: impl Fn(usize, usize) -> f64) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        for truth in 0..self.classes {
            for predicted in 0..self.classes {
                let share = self.cell(truth, predicted) / self.total;
                if share > 0.0 {
                    let slope = gradient(truth, predicted);
                    sum += share * slope;
                    squares += share * slope * slope;
                }
            }
        }
        libm::sqrt((squares - sum * sum).max(0.0) / self.rows)
    }

    fn diagonal(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.classes).map(|class| self.cell(class, class))
    }

    /// Rows of a class as truth and as prediction, those of both twice.
    fn either(&self, class: usize) -> f64 {
        at(&self.truths, class) + at(&self.predictions, class)
    }
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(0.0)
}

fn diagonal(truth: usize, predicted: usize) -> f64 {
    f64::from(u8::from(truth == predicted))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut n, mut sum) = (0.0, 0.0);
    for value in values {
        n += 1.0;
        sum += value;
    }
    sum / n
}

/// A figure from -1 to 1 with its interval.
fn correlation(value: f64, error: f64, z: f64) -> Figure {
    let interval = Interval::around(value, z * error);
    let within = Interval { low: interval.low.max(-1.0), high: interval.high.min(1.0) };
    Figure::within(value, within.low.is_finite().then_some(within))
}
