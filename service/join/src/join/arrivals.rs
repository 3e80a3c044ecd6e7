//! What a batch of predictions and labels comes to.

use std::collections::{HashSet, VecDeque};

use super::{BATCH, BATCH_PAGES, Event, Join};
use crate::bucket::Bucket;
use crate::bytes::Damaged;
use crate::cell::Cell;
use crate::id::IdHash;
use crate::label::{Label, Placed};
use crate::ledger::Column;
use crate::page::{PAGE_BYTES, PageKey};
use crate::prediction::Prediction;
use crate::recent::{Home, Recent};
use crate::run::Row;

/// Kinds of rows in the journal.
pub(super) const PREDICTION: u8 = 1;
pub(super) const LABEL: u8 = 2;

/// Events that are looked up together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Predictions with labels that came before them.
    expected: Vec<Prediction>,
    labels: Vec<Arriving>,
    pages: HashSet<PageKey>,
}

/// A label, with the buckets that may have predictions of it.
#[derive(Debug)]
struct Arriving {
    label: Label,
    buckets: Vec<i64>,
}

/// A bucket with predictions of a label that came.
#[derive(Debug)]
struct Found {
    home: Home,
    cell: Cell,
}

impl Join {
    /// Takes the next events into one batch. Predictions that no label waits for need no look-up.
    pub(super) fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut labels = VecDeque::new();
        for _ in 0..BATCH {
            match self.events.pop_front() {
                Some(Event::Prediction(it)) => self.gather_prediction(it, &mut batch),
                Some(Event::Label(label)) => labels.push_back(label),
                Some(passed @ Event::Passed(_)) => {
                    self.events.push_front(passed);
                    break;
                }
                None => break,
            }
        }
        let expected = batch.expected.iter();
        let expected: HashSet<(i64, IdHash)> =
            expected.map(|it| (self.settings.bucket_of(it.ts_us), it.id)).collect();
        // One is taken whatever it needs, so that each batch makes some way.
        while batch.labels.is_empty() || batch.pages.len() < BATCH_PAGES {
            let Some(label) = labels.pop_front() else { break };
            self.gather_label(label, &expected, &mut batch);
        }
        // Before marks it does not matter what comes first.
        labels.into_iter().rev().for_each(|it| self.events.push_front(Event::Label(it)));
        batch
    }

    pub(super) fn pages_of_batch(&self, batch: &Batch) -> Vec<PageKey> {
        batch.pages.iter().copied().collect()
    }

    pub(super) fn take_in(&mut self, batch: Batch) -> Result<(), Damaged> {
        for prediction in batch.expected {
            self.meet(prediction)?;
        }
        for Arriving { label, buckets } in batch.labels {
            self.place(label, &buckets)?;
        }
        Ok(())
    }

    fn gather_prediction(&mut self, prediction: Prediction, batch: &mut Batch) {
        let id = prediction.id;
        if self.is_sampled_out(id) {
            self.counters.sampled_out += 1;
            return;
        }
        let ordinal = self.settings.bucket_of(prediction.ts_us);
        if self.is_gone(ordinal) {
            self.counters.gone += 1;
            return;
        }
        let is_implied = self.is_implied_by(ordinal, self.least_us());
        let (room, width_us) = (self.settings.room, self.settings.width_us());
        let bucket = self.buckets.entry(ordinal).or_insert_with(|| {
            let mut bucket = Bucket::new(room, ordinal, width_us);
            bucket.is_implied = is_implied;
            bucket
        });
        if !bucket.is_implied && !self.recents.has_any(id) {
            self.keep(ordinal, prediction);
            return;
        }
        bucket.pages_of(id, &mut batch.pages);
        for home in self.recents.of(id).iter().filter_map(|it| it.home) {
            // A home may be in a bucket that is gone.
            if let Some(bucket) = self.buckets.get(&home.bucket) {
                bucket.pages_of(id, &mut batch.pages);
            }
        }
        batch.expected.push(prediction);
    }

    /// Finds the buckets with predictions of a label; those that are `expected` come with the same batch.
    fn gather_label(&self, label: Label, expected: &HashSet<(i64, IdHash)>, batch: &mut Batch) {
        let mut buckets = Vec::new();
        if !self.is_sampled_out(label.id) {
            let (first, last) = self.settings.buckets_of(&label);
            for (ordinal, bucket) in self.buckets.range(first..=last.max(first)) {
                if bucket.may_have(label.id) || expected.contains(&(*ordinal, label.id)) {
                    bucket.pages_of(label.id, &mut batch.pages);
                    buckets.push(*ordinal);
                }
            }
        }
        batch.labels.push(Arriving { label, buckets });
    }

    /// Keeps a prediction, in memory and in the journal.
    fn keep(&mut self, ordinal: i64, prediction: Prediction) {
        // It was made when the prediction was gathered.
        let Some(bucket) = self.buckets.get_mut(&ordinal) else { return };
        let from_us = bucket.from_us;
        write(&mut self.unwritten, PREDICTION, ordinal, |into| prediction.write(from_us, into));
        bucket.rows += 1;
        bucket.insert(prediction);
    }

    /// Keeps a label beside its prediction, in memory and in the journal.
    fn keep_label(&mut self, ordinal: i64, placed: Placed) {
        // It was looked up there.
        let Some(bucket) = self.buckets.get_mut(&ordinal) else { return };
        write(&mut self.unwritten, LABEL, ordinal, |into| placed.write(0, into));
        bucket.hot_labels.insert((placed.label.id.0, placed.label.order), placed);
    }

    fn cell(&self, ordinal: i64, id: IdHash) -> Result<Cell, Damaged> {
        // No bucket, no predictions.
        let Some(bucket) = self.buckets.get(&ordinal) else { return Ok(Cell::default()) };
        bucket.cell(id, &self.at_hand)
    }

    /// A prediction meets the labels that came before it.
    fn meet(&mut self, prediction: Prediction) -> Result<(), Damaged> {
        let ordinal = self.settings.bucket_of(prediction.ts_us);
        let here = Home { is_late: prediction.window.is_none(), bucket: ordinal };
        let before = self.cell(ordinal, prediction.id)?;
        let mut now = before.clone();
        now.predictions.push(prediction.clone());
        let mut recents = self.recents.of(prediction.id);
        recents.retain(|it| self.settings.is_of(&it.label, &prediction));
        for Recent { label, home } in recents {
            let moves = home.is_none_or(|home| here < home);
            let was_here = home.is_some_and(|home| home.bucket == ordinal);
            match home {
                None => self.ledger[Column::Waiting] -= 1,
                Some(home) if moves && !was_here => self.leave(home.bucket, label)?,
                Some(_) => {}
            }
            if moves {
                self.recents.put(Recent { label, home: Some(here) });
            }
            let is_known = now.has(label.order);
            // One that there was no room for was counted then.
            if was_here || (is_known && !moves) {
                continue;
            }
            let placed = Placed { label, is_home: moves };
            if let Some(dropped) = now.insert(placed) {
                self.drop_label(&dropped);
            }
            self.keep_label(ordinal, placed);
        }
        self.keep(ordinal, prediction);
        self.tell(ordinal, &before, &now);
        Ok(())
    }

    /// A label is counted elsewhere from now on.
    fn leave(&mut self, ordinal: i64, label: Label) -> Result<(), Damaged> {
        let before = self.cell(ordinal, label.id)?;
        if !before.has(label.order) {
            // There was no room for it, so that it counts as corrected.
            self.ledger[Column::Corrected] -= 1;
            return Ok(());
        }
        let mut now = before.clone();
        let placed = Placed { label, is_home: false };
        now.insert(placed);
        self.keep_label(ordinal, placed);
        self.tell(ordinal, &before, &now);
        Ok(())
    }

    /// Puts a label beside the predictions that it is of.
    fn place(&mut self, label: Label, buckets: &[i64]) -> Result<(), Damaged> {
        self.ledger.read += 1;
        if let Some(column) = self.column_at_once(&label) {
            self.ledger[column] += 1;
            return Ok(());
        }
        let mut found = Vec::new();
        for ordinal in buckets {
            let cell = self.cell(*ordinal, label.id)?;
            let of_it = cell.predictions.iter().filter(|it| self.settings.is_of(&label, it));
            let is_late = of_it.map(|it| it.window.is_none()).min();
            let home = is_late.map(|is_late| Home { is_late, bucket: *ordinal });
            found.extend(home.map(|home| Found { home, cell }));
        }
        let span = self.recents.span_of(&label);
        let is_settled = self.is_settled(span);
        let Some(home) = found.iter().map(|it| it.home).min() else {
            let column = self.column_of_none(&label, is_settled);
            self.ledger[column] += 1;
            if column == Column::Waiting {
                self.recents.put(Recent { label, home: None });
            }
            return Ok(());
        };
        if found.iter().any(|it| it.home == home && it.cell.has(label.order)) {
            self.ledger[Column::Repeated] += 1;
            return Ok(());
        }
        for Found { home: here, cell: before } in found {
            let placed = Placed { label, is_home: here == home };
            let mut now = before.clone();
            if let Some(dropped) = now.insert(placed) {
                self.drop_label(&dropped);
            }
            self.keep_label(here.bucket, placed);
            self.tell(here.bucket, &before, &now);
        }
        if !is_settled {
            self.recents.put(Recent { label, home: Some(home) });
        }
        Ok(())
    }

    /// The column of a label that is not even looked up.
    fn column_at_once(&self, label: &Label) -> Option<Column> {
        if self.is_sampled_out(label.id) {
            return Some(Column::SampledOut);
        }
        self.recents.has(label).then_some(Column::Repeated)
    }

    /// The column of a label that no prediction is there for.
    fn column_of_none(&self, label: &Label, is_settled: bool) -> Column {
        if let Some(column) = self.settings.fate(label) {
            return column;
        }
        let (_, last) = self.settings.buckets_of(label);
        match is_settled {
            _ if self.is_gone(last) => Column::Expired,
            true => Column::Unmatched,
            false => Column::Waiting,
        }
    }

    fn drop_label(&mut self, dropped: &Placed) {
        if dropped.is_home {
            self.ledger[Column::Corrected] += 1;
        }
    }
}

/// Writes a row into the journal's pages.
fn write(pages: &mut Vec<Vec<u8>>, kind: u8, bucket: i64, row: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = vec![kind];
    bytes.extend(bucket.to_le_bytes());
    row(&mut bytes);
    match pages.last_mut() {
        Some(page) if page.len() + bytes.len() <= PAGE_BYTES => page.extend(bytes),
        _ => {
            let mut page = Vec::with_capacity(PAGE_BYTES);
            page.extend(bytes);
            pages.push(page);
        }
    }
}
