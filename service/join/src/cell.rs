//! A cell: the predictions and labels of one id in one bucket, and all that follows from them.

use crate::label::{Label, Order, Placed, Said};
use crate::ledger::Column;
use crate::prediction::{Prediction, Truth};
use crate::settings::{Settings, Timing};

/// Labels of one id that are kept in a bucket: those of the greatest order keys. Whoever corrects more often
/// has the older ones counted as corrected, whatever they say.
pub(crate) const LABELS: usize = 16;
/// Times of captures that labels carry may be rounded by this much.
const ROUNDING_US: i64 = 1_000_000;

/// What is known of one id in one bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) predictions: Vec<Prediction>,
    /// In the order of their keys.
    pub(crate) labels: Vec<Placed>,
    /// Whether silence has its meaning by now.
    pub(crate) is_implied: bool,
}

impl Settings {
    /// Whether a label is one of this prediction: from `wait_for_capture` before it to the horizon behind it, and in
    /// the bucket that the label names, where it names one.
    pub(crate) fn is_of(&self, label: &Label, prediction: &Prediction) -> bool {
        let Timing { horizon_us, wait_for_capture_us, .. } = self.timing;
        let behind_us = label.order.ts_us.saturating_sub(prediction.ts_us);
        let (first, last) = self.buckets_of(label);
        (-wait_for_capture_us..=horizon_us).contains(&behind_us)
            && (first..=last).contains(&self.bucket_of(prediction.ts_us))
    }

    /// The first and the last bucket in which predictions of a label may lie.
    pub(crate) fn buckets_of(&self, label: &Label) -> (i64, i64) {
        let (from_us, to_us) = match label.capture_ts_us {
            Some(ts_us) => (ts_us.saturating_sub(ROUNDING_US), ts_us.saturating_add(ROUNDING_US)),
            None => (
                label.order.ts_us.saturating_sub(self.timing.horizon_us),
                label.order.ts_us.saturating_add(self.timing.wait_for_capture_us),
            ),
        };
        (self.bucket_of(from_us), self.bucket_of(to_us))
    }

    /// The bucket of a time.
    pub(crate) fn bucket_of(&self, ts_us: i64) -> i64 {
        ts_us.div_euclid(self.width_us())
    }

    /// The column of a label that no prediction is there for and that no prediction can come for any more;
    /// `None` where one may come.
    pub(crate) fn fate(&self, label: &Label) -> Option<Column> {
        let ts_us = label.capture_ts_us?;
        let behind_us = label.order.ts_us.saturating_sub(ts_us);
        match behind_us {
            _ if behind_us > self.timing.horizon_us + ROUNDING_US => Some(Column::Expired),
            _ if behind_us < -self.timing.wait_for_capture_us - ROUNDING_US => {
                Some(Column::Unmatched)
            }
            _ => None,
        }
    }
}

impl Cell {
    /// What a prediction of the cell comes to.
    pub(crate) fn truth(&self, settings: &Settings, prediction: &Prediction) -> Option<Truth> {
        let of_it = |placed: &&Placed| settings.is_of(&placed.label, prediction);
        let said = self.labels.iter().rev().find(of_it);
        if let Some(Label { said: Said::Value(value), order, .. }) = said.map(|it| it.label) {
            return Some(Truth { value, implied: false, known_us: order.ts_us });
        }
        // What is taken back was not said: silence keeps its meaning.
        let implied = settings.timing.implied.filter(|_| self.is_implied)?;
        let known_us = prediction.ts_us + implied.after_us;
        Some(Truth { value: implied.value, implied: true, known_us })
    }

    /// The columns of those labels that the ledger counts here.
    pub(crate) fn columns(&self, settings: &Settings) -> Vec<Column> {
        let has = |placed: &Placed, is_late: bool| {
            let of_it = |it: &&Prediction| settings.is_of(&placed.label, it);
            self.predictions.iter().filter(of_it).any(|it| it.window.is_none() == is_late)
        };
        let mut columns = Vec::new();
        let mut next: Option<&Placed> = None;
        for (at, placed) in self.labels.iter().enumerate().rev() {
            let (in_time, late) = (has(placed, false), has(placed, true));
            if !in_time && !late {
                continue;
            }
            let said_before = || {
                let before = self.labels.iter().take(at);
                before.rev().any(|it| matches!(it.label.said, Said::Value(_)))
            };
            let column = match next {
                Some(next) if next.label.said == placed.label.said => Column::Repeated,
                Some(_) => Column::Corrected,
                None if !in_time => Column::LateCapture,
                None if placed.label.said == Said::Retracted && !said_before() => Column::Unmatched,
                None => Column::Joined,
            };
            next = Some(placed);
            if placed.is_home {
                columns.push(column);
            }
        }
        columns
    }

    pub(crate) fn has(&self, order: Order) -> bool {
        self.labels.iter().any(|it| it.label.order == order)
    }

    /// Takes a label in, in the place of the same one, and returns the one that there is no room for.
    pub(crate) fn insert(&mut self, placed: Placed) -> Option<Placed> {
        match self.labels.binary_search_by_key(&placed.label.order, |it| it.label.order) {
            Ok(at) => self.labels[at] = placed,
            Err(at) => self.labels.insert(at, placed),
        }
        (self.labels.len() > LABELS).then(|| self.labels.remove(0))
    }
}
