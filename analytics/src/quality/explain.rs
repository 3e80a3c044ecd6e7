//! Why quality fell: the extra loss, split exactly into what comes of rows that are more frequent now (mix)
//! and what comes of rows that are judged worse now (rate). One column at a time: shares of different
//! columns overlap and are never added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::columns::Binning;
use super::fixed::{Change, FixedSum};
use super::weight::{SampleWeight, signed_count};
use crate::encoding::{DecodeError, Reader, put_signed, put_varint};
use crate::exact::ExactSum;
use crate::judgement::sentence::{percent, statistic};

/// Losses by the bin of a column, or by version: sums that any order and any retraction leave exact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossByBin(BTreeMap<u8, BinLoss>);

#[derive(Debug, Clone, Default, PartialEq)]
struct BinLoss {
    rows: i64,
    /// Σw and Σw·loss.
    weight: FixedSum,
    loss: ExactSum,
}

/// What a bin is: its share of the rows, and their mean loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinMean {
    pub bin: u8,
    pub share: f64,
    pub loss: f64,
}

/// What became of a bin, and what that adds to the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinChange {
    pub bin: u8,
    /// In the reference and in the window; equal losses where one has no such rows.
    pub shares: [f64; 2],
    pub losses: [f64; 2],
    pub mix: f64,
    pub rate: f64,
}

/// The change of the mean loss by one column.
#[derive(Debug, Clone, PartialEq)]
pub struct LossSplit {
    /// Of the window less that of the reference; `mix` and `rate` add up to it.
    pub total: f64,
    pub mix: f64,
    pub rate: f64,
    /// By bin, ascending.
    pub bins: Vec<BinChange>,
}

/// A column with its split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExplainedBy<'a> {
    /// Its name, or `version`.
    pub column: &'a str,
    pub binning: &'a Binning,
    pub split: &'a LossSplit,
}

impl LossByBin {
    /// Counts a label's loss in the bin that waited with its prediction.
    pub fn add(&mut self, bin: u8, loss: f64, weight: SampleWeight) {
        self.apply(bin, loss, weight, Change::Add);
    }

    /// Takes away what [`LossByBin::add`] of the same counted.
    pub fn subtract(&mut self, bin: u8, loss: f64, weight: SampleWeight) {
        self.apply(bin, loss, weight, Change::Subtract);
    }

    fn apply(&mut self, bin: u8, loss: f64, weight: SampleWeight, change: Change) {
        let mut added = BinLoss { rows: change.one(), ..BinLoss::default() };
        added.weight.add(change.of(weight.value()));
        added.loss.add(change.of(weight.value() * loss));
        self.add_bin(bin, &added);
    }

    fn add_bin(&mut self, bin: u8, added: &BinLoss) {
        let sums = self.0.entry(bin).or_default();
        sums.rows += added.rows;
        sums.weight.merge(added.weight);
        sums.loss.merge(&added.loss);
        if *sums == BinLoss::default() {
            self.0.remove(&bin);
        }
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &LossByBin) {
        other.0.iter().for_each(|(&bin, added)| self.add_bin(bin, added));
    }

    /// Rows of all bins.
    pub fn rows(&self) -> i64 {
        self.0.values().map(|bin| bin.rows).sum()
    }

    /// Shares and mean losses of the bins in use, ascending; none without rows, or of an increment that
    /// takes away what an earlier one brought.
    pub fn means(&self) -> Vec<BinMean> {
        if self.0.values().any(|bin| bin.rows < 0) {
            return Vec::new();
        }
        let total: f64 = self.0.values().map(|bin| bin.weight.value()).sum();
        let mean = |(&bin, sums): (&u8, &BinLoss)| BinMean {
            bin,
            share: sums.weight.value() / total,
            loss: sums.loss.value() / sums.weight.value(),
        };
        self.0.iter().map(mean).collect()
    }

    /// Appends the bytes of the sums, which are those of all sums of the same rows.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for (&bin, sums) in &self.0 {
            out.push(bin);
            put_signed(out, sums.rows);
            sums.weight.encode(out);
            sums.loss.encode(out);
        }
    }

    /// The sums that [`LossByBin::encode`] wrote, and nothing behind them.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<LossByBin, DecodeError> {
        const WHAT: &str = "losses by bin";
        let mut reader = Reader::new(bytes);
        let mut bins = BTreeMap::new();
        for _ in 0..reader.length(256, WHAT)? {
            let bin = reader.byte(WHAT)?;
            let sums = BinLoss {
                rows: signed_count(&mut reader)?,
                weight: FixedSum::decode(&mut reader)?,
                loss: ExactSum::decode(&mut reader)?,
            };
            let is_ascending = bins.last_key_value().is_none_or(|(&last, _)| last < bin);
            if !is_ascending || sums == BinLoss::default() {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            bins.insert(bin, sums);
        }
        reader.finish()?;
        Ok(LossByBin(bins))
    }
}

impl BinChange {
    /// What the bin adds to the loss.
    pub fn total(&self) -> f64 {
        self.mix + self.rate
    }
}

/// Shapley's split for two factors, which is exact (statistics.md §7.3): of bin s with shares w and losses
/// m, rate = (m₁ - m₀)(w₀ + w₁)/2 and mix = (w₁ - w₀)((m₀ + m₁)/2 - (M₀ + M₁)/2), M the means over all.
/// `None` where a side has no rows.
pub fn split(reference: &[BinMean], window: &[BinMean]) -> Option<LossSplit> {
    if reference.is_empty() || window.is_empty() {
        return None;
    }
    let overall = |means: &[BinMean]| means.iter().map(|mean| mean.share * mean.loss).sum::<f64>();
    let (before, after) = (overall(reference), overall(window));
    let mut bins: BTreeMap<u8, [Option<BinMean>; 2]> = BTreeMap::new();
    for &mean in reference {
        bins.entry(mean.bin).or_default()[0] = Some(mean);
    }
    for &mean in window {
        bins.entry(mean.bin).or_default()[1] = Some(mean);
    }
    let change = |(bin, [one, two]): (u8, [Option<BinMean>; 2])| {
        let share = |mean: Option<BinMean>| mean.map_or(0.0, |mean| mean.share);
        // A bin that is new or gone is all mix.
        let loss = |mean: Option<BinMean>, other: Option<BinMean>| {
            mean.or(other).map_or(0.0, |mean| mean.loss)
        };
        let (shares, losses) = ([share(one), share(two)], [loss(one, two), loss(two, one)]);
        let middle = 0.5 * (losses[0] + losses[1]) - 0.5 * (before + after);
        BinChange {
            bin,
            shares,
            losses,
            mix: (shares[1] - shares[0]) * middle,
            rate: (losses[1] - losses[0]) * 0.5 * (shares[0] + shares[1]),
        }
    };
    let bins: Vec<BinChange> = bins.into_iter().map(change).collect();
    let sum = |part: fn(&BinChange) -> f64| bins.iter().map(part).sum::<f64>();
    let (mix, rate) = (sum(|bin| bin.mix), sum(|bin| bin.rate));
    Some(LossSplit { total: after - before, mix, rate, bins })
}

impl LossSplit {
    /// The bin that adds most; `None` where the loss did not grow.
    pub fn leading(&self) -> Option<&BinChange> {
        let largest = self.bins.iter().max_by(|one, two| one.total().total_cmp(&two.total()));
        largest.filter(|bin| self.total > 0.0 && bin.total() > 0.0)
    }
}

/// The sentence on the column whose leading bin adds most; `None` where no loss grew.
pub fn sentence(columns: &[ExplainedBy<'_>]) -> Option<String> {
    let led = columns.iter().filter_map(|column| Some((column, column.split.leading()?)));
    let (column, bin) = led.max_by(|(_, one), (_, two)| one.total().total_cmp(&two.total()))?;
    let part = bin.total() / column.split.total;
    let how_much = if part > 1.0 {
        "more than the extra loss is of".to_owned()
    } else if part > 0.995 {
        "all of the extra loss is of".to_owned()
    } else {
        format!("of the extra loss {} % are", percent(part))
    };
    let which = column.binning.words(column.column, bin.bin);
    let what = if bin.mix >= bin.rate {
        let [before, after] = bin.shares.map(percent);
        format!("which are {after} % of requests instead of {before} (mix)")
    } else {
        let [before, after] = bin.losses.map(statistic);
        format!("whose loss is {after} instead of {before} (rate)")
    };
    Some(format!("{how_much} requests with {which}, {what}"))
}
