//! Quality of a choice among several classes: a table of truth and prediction, and sums of losses by truth.

use std::collections::BTreeMap;

use super::QualityError;
use super::binary::{CLIP, of_mean, of_share};
use super::confusion::ClassTable;
use super::figure::{Figures, Metric};
use super::fixed::Change;
use super::intervals::MeanOf;
use super::sparse::SparseCounts;
use super::weight::{Mass, RowCount, SampleWeight, Weighing, WeightedSum};
use crate::encoding::{DecodeError, Reader, put_varint};

/// Beyond so many classes the rest are one, `other`.
pub const MOST_CLASSES: usize = 100;
/// The name under which classes beyond [`MOST_CLASSES`] are counted.
pub const OTHER: &str = "other";
/// Ranks that are told apart; a truth further down is below all of them.
pub const MOST_RANK: u32 = 10;

/// The classes, in the order in which they are numbered.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassesLayout {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
    /// The number of what has no name here.
    other: Option<u32>,
}

/// A prediction with its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPair {
    truth: u32,
    predicted: u32,
    /// Of the truth, where the model gives probabilities.
    probability: Option<f64>,
    /// From 1, where the model gives an order: how many classes it held at least as likely as the truth.
    rank: Option<u32>,
}

/// Rows of one truth whose probability is known.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfTruth {
    count: RowCount,
    known: RowCount,
    log_loss: WeightedSum,
    log_loss_squares: WeightedSum,
    clipped: i64,
}

/// Sums of one window and version. The default is the zero state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClassesState {
    /// By truth · classes + prediction.
    cells: SparseCounts,
    /// By truth · (MOST_RANK + 1) + rank, 0 for one below all.
    ranks: SparseCounts,
    /// Without truths of which nothing is left.
    truths: BTreeMap<u32, OfTruth>,
}

/// What a window's labels say of a choice among classes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassesFigures {
    pub figures: Figures,
    pub table: ClassTable,
    /// (Σw)²/Σw².
    pub effective_rows: f64,
}

impl ClassesLayout {
    /// Classes, the most frequent first: beyond [`MOST_CLASSES`] those from the 100th on are counted as
    /// [`OTHER`], as is every name that is not among them if `with_other`.
    ///
    /// # Errors
    /// [`QualityError::Classes`] for fewer than two, or one that is named twice.
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        with_other: bool,
    ) -> Result<ClassesLayout, QualityError> {
        let mut all: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let has_other = with_other || all.len() > MOST_CLASSES;
        if has_other {
            all.retain(|name| name != OTHER);
            all.truncate(MOST_CLASSES - 1);
            all.push(OTHER.to_owned());
        }
        let numbers: BTreeMap<String, u32> = all.iter().cloned().zip(0..).collect();
        if numbers.len() < all.len() || all.len() < 2 {
            return Err(QualityError::Classes { found: format!("{all:?}") });
        }
        let other = if has_other { numbers.get(OTHER).copied() } else { None };
        Ok(ClassesLayout { names: all, numbers, other })
    }

    /// The names of the classes, by their number; `other` last where there is one.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a class, that of [`OTHER`] for a name that is not among them; `None` where there is
    /// no such class.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied().or(self.other)
    }

    fn classes(&self) -> u32 {
        self.names.len() as u32
    }
}

impl ClassPair {
    /// # Errors
    /// [`QualityError::Class`] for a number that the layout does not have.
    pub fn new(
        layout: &ClassesLayout,
        truth: u32,
        predicted: u32,
    ) -> Result<ClassPair, QualityError> {
        let classes = layout.classes();
        match [truth, predicted].into_iter().find(|&class| class >= classes) {
            Some(class) => Err(QualityError::Class { class, classes: classes as usize }),
            None => Ok(ClassPair { truth, predicted, probability: None, rank: None }),
        }
    }

    /// With the probability that was given to the truth.
    ///
    /// # Errors
    /// [`QualityError::Score`] for one outside [0, 1].
    pub fn with_probability(self, probability: f64) -> Result<ClassPair, QualityError> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(QualityError::Score { score: probability });
        }
        Ok(ClassPair { probability: Some(probability), ..self })
    }

    /// With the place of the truth, from 1, in the model's order.
    pub fn with_rank(self, rank: u32) -> ClassPair {
        ClassPair { rank: Some(rank.max(1)), ..self }
    }

    /// -ln of the probability that was given to the truth, clipped; `None` where none was given.
    pub fn log_loss(&self) -> Option<f64> {
        self.probability.map(|probability| -libm::log(probability.clamp(CLIP, 1.0)))
    }

    /// 1 where the prediction is wrong, else 0.
    pub fn error(&self) -> f64 {
        f64::from(u8::from(self.truth != self.predicted))
    }
}

impl OfTruth {
    fn apply(&mut self, pair: ClassPair, weight: SampleWeight, change: Change) {
        self.count.apply(weight, change);
        // A model need not give probabilities; then its losses are not known.
        let Some(loss) = pair.log_loss() else { return };
        self.known.apply(weight, change);
        self.log_loss.apply(loss, weight, change);
        self.log_loss_squares.apply(loss * loss, weight, change);
        let is_clipped = pair.probability.is_some_and(|probability| probability < CLIP);
        self.clipped += if is_clipped { change.one() } else { 0 };
    }

    fn merge(&mut self, other: &OfTruth) {
        self.count.merge(&other.count);
        self.known.merge(&other.known);
        self.log_loss.merge(&other.log_loss);
        self.log_loss_squares.merge(&other.log_loss_squares);
        self.clipped += other.clipped;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.count.encode(out);
        self.known.encode(out);
        self.log_loss.encode(out);
        self.log_loss_squares.encode(out);
        crate::encoding::put_signed(out, self.clipped);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<OfTruth, DecodeError> {
        Ok(OfTruth {
            count: RowCount::decode(reader)?,
            known: RowCount::decode(reader)?,
            log_loss: WeightedSum::decode(reader)?,
            log_loss_squares: WeightedSum::decode(reader)?,
            clipped: super::weight::signed_count(reader)?,
        })
    }
}

impl ClassesState {
    /// Counts a label, or takes away what the same counted.
    pub(super) fn apply(
        &mut self,
        layout: &ClassesLayout,
        pair: ClassPair,
        weight: SampleWeight,
        change: Change,
    ) {
        self.cells.apply(pair.truth * layout.classes() + pair.predicted, weight, change);
        if let Some(rank) = pair.rank {
            let rank = if rank > MOST_RANK { 0 } else { rank };
            self.ranks.apply(pair.truth * (MOST_RANK + 1) + rank, weight, change);
        }
        let truth = self.truths.entry(pair.truth).or_default();
        truth.apply(pair, weight, change);
        if *truth == OfTruth::default() {
            self.truths.remove(&pair.truth);
        }
    }

    /// Adds everything `other` counted by the same layout.
    pub fn merge(&mut self, other: &ClassesState) {
        self.cells.merge(&other.cells);
        self.ranks.merge(&other.ranks);
        for (&number, added) in &other.truths {
            let truth = self.truths.entry(number).or_default();
            truth.merge(added);
            if *truth == OfTruth::default() {
                self.truths.remove(&number);
            }
        }
    }

    /// Rows; below zero in an increment that takes more away than it brings.
    pub fn rows(&self) -> i64 {
        self.truths.values().map(|truth| truth.count.rows()).sum()
    }

    /// Rows by truth.
    pub fn rows_by_class(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.truths.iter().map(|(&class, truth)| (class, truth.count.rows()))
    }

    /// Rows whose log-loss was clipped.
    pub fn clipped(&self) -> i64 {
        self.truths.values().map(|truth| truth.clipped).sum()
    }

    /// Everything that can be said with intervals of `z` standard errors; `None` without rows, or of an
    /// increment that takes away what an earlier one brought.
    pub fn figures(
        &self,
        layout: &ClassesLayout,
        weighing: &Weighing,
        z: f64,
    ) -> Option<ClassesFigures> {
        if self.rows() <= 0 || self.cells.is_part() || self.ranks.is_part() {
            return None;
        }
        let table = self.table(layout, weighing);
        let mut figures = table.figures(z);
        if let Some(mean) = self.log_loss(weighing) {
            figures.insert(Metric::LogLoss, of_mean(mean, z));
        }
        for (metric, k) in [(Metric::Top3, 3), (Metric::Top5, 5)] {
            if let Some(share) = self.top_share(k, weighing) {
                let rows = self.mass(weighing, |truth| &truth.count).effective();
                figures.insert(metric, of_share(share, rows, z));
            }
        }
        let effective_rows = self.mass(weighing, |truth| &truth.count).effective();
        Some(ClassesFigures { figures, table, effective_rows })
    }

    /// Truth against prediction.
    pub fn table(&self, layout: &ClassesLayout, weighing: &Weighing) -> ClassTable {
        let classes = layout.names.len();
        let mut cells = vec![0.0; classes * classes];
        for (slot, weight) in self.cells.used(weighing.sampled) {
            if let Some(cell) = cells.get_mut(slot as usize) {
                *cell = weight * weighing.of_class(slot as usize / classes);
            }
        }
        let rows = self.mass(weighing, |truth| &truth.count).effective();
        ClassTable::of_cells(classes, cells, rows)
    }

    /// Mean and variance of the log-loss over the rows with a probability; `None` without such.
    pub fn log_loss(&self, weighing: &Weighing) -> Option<MeanOf> {
        let mass = self.mass(weighing, |truth| &truth.known);
        let [mut sum, mut squares] = [0.0, 0.0];
        for (&class, truth) in &self.truths {
            let scale = weighing.of_class(class as usize);
            sum += scale * truth.log_loss.value(weighing.sampled);
            squares += scale * truth.log_loss_squares.value(weighing.sampled);
        }
        MeanOf::of_sums(mass.total, sum, squares, mass.effective())
    }

    /// Share of the rows with a rank whose truth is among the `k` likeliest, k up to [`MOST_RANK`];
    /// `None` without ranks.
    pub fn top_share(&self, k: u32, weighing: &Weighing) -> Option<f64> {
        let (mut all, mut hits) = (0.0, 0.0);
        for (slot, weight) in self.ranks.used(weighing.sampled) {
            let (class, rank) = (slot / (MOST_RANK + 1), slot % (MOST_RANK + 1));
            let weight = weight * weighing.of_class(class as usize);
            all += weight;
            hits += if (1..=k).contains(&rank) { weight } else { 0.0 };
        }
        (all > 0.0).then(|| hits / all)
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.cells.bytes() + self.ranks.bytes() + self.truths.len() * 300
    }

    fn mass(&self, weighing: &Weighing, count: impl Fn(&OfTruth) -> &RowCount) -> Mass {
        self.truths.iter().fold(Mass::default(), |sum, (&class, truth)| {
            let mass = count(truth).mass(weighing.sampled);
            sum.plus(mass.scaled(weighing.of_class(class as usize)))
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.cells.encode(out);
        self.ranks.encode(out);
        put_varint(out, self.truths.len() as u64);
        for (&class, truth) in &self.truths {
            put_varint(out, u64::from(class));
            truth.encode(out);
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        layout: &ClassesLayout,
    ) -> Result<ClassesState, DecodeError> {
        const WHAT: &str = "sums of classes";
        let classes = layout.classes();
        let cells = SparseCounts::decode(reader, classes * classes)?;
        let ranks = SparseCounts::decode(reader, classes * (MOST_RANK + 1))?;
        let mut truths = BTreeMap::new();
        for _ in 0..reader.length(classes as usize, WHAT)? {
            let class = reader.length(classes as usize - 1, WHAT)? as u32;
            let truth = OfTruth::decode(reader)?;
            let is_ascending = truths.last_key_value().is_none_or(|(&last, _)| last < class);
            if !is_ascending || truth == OfTruth::default() {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            truths.insert(class, truth);
        }
        let state = ClassesState { cells, ranks, truths };
        let counted: i128 = state.cells.rows().map(|(_, rows)| i128::from(rows)).sum();
        if counted != i128::from(state.rows()) {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        Ok(state)
    }
}
