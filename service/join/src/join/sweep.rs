//! Whole buckets: silence gets its meaning, the sample is halved, and what the horizon has passed goes.

use super::{Join, MOST_HALVINGS, Task};
use crate::bytes::Damaged;
use crate::cell::Cell;
use crate::label::Order;
use crate::ledger::Column;
use crate::page::{PageKey, PageKind, PageRange};

/// A bucket that is gone through slice by slice.
#[derive(Debug)]
pub(super) struct Sweep {
    bucket: i64,
    from: u64,
    /// Where it ends; `None`: behind the last hash.
    end: Option<u64>,
    purpose: Purpose,
}

/// What becomes of the cells of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Imply,
    /// They are not in the sample any more.
    Drop,
}

impl Join {
    /// Whether a bucket is so old that no label of it can come.
    pub(super) fn is_gone(&self, ordinal: i64) -> bool {
        let timing = self.settings.timing;
        // Its labels are not remembered any more either.
        let behind_us =
            timing.horizon_us + timing.wait_for_capture_us + self.settings.recent_width_us();
        self.least_us() >= self.end_us(ordinal).saturating_add(behind_us)
    }

    /// Whether silence about a bucket has its meaning at a time.
    pub(super) fn is_implied_by(&self, ordinal: i64, at_us: i64) -> bool {
        let implied = self.settings.timing.implied;
        implied.is_some_and(|it| at_us >= self.end_us(ordinal).saturating_add(it.after_us))
    }

    /// Puts off to tasks what the marks mean for whole buckets.
    pub(super) fn imply_and_expire(&mut self) {
        let (at_us, end) = (self.least_us(), self.share());
        for (ordinal, bucket) in &self.buckets {
            if !bucket.is_implied && self.is_implied_by(*ordinal, at_us) {
                let (bucket, from, purpose) = (*ordinal, 0, Purpose::Imply);
                self.tasks.push_back(Task::Sweep(Sweep { bucket, from, end, purpose }));
            }
            if self.is_gone(*ordinal) {
                self.tasks.push_back(Task::Expire(*ordinal));
            }
        }
    }

    /// Halves the share where the disk holds more than it should.
    pub(super) fn halve_if_full(&mut self) {
        let is_under_way = self.tasks.iter().any(|task| matches!(task, Task::Sweep(_)));
        if is_under_way
            || self.disk_bytes() <= self.settings.disk_bytes
            || self.halvings >= MOST_HALVINGS
        {
            return;
        }
        let end = self.share();
        self.halvings += 1;
        let from = self.share().unwrap_or_default();
        for recent in self.recents.forget_from(from) {
            if recent.home.is_none() {
                self.ledger.move_record(Column::Waiting, Column::SampledOut);
            }
        }
        for bucket in self.buckets.keys() {
            let (bucket, purpose) = (*bucket, Purpose::Drop);
            self.tasks.push_back(Task::Sweep(Sweep { bucket, from, end, purpose }));
        }
    }

    pub(super) fn pages_of_sweep(&self, sweep: &Sweep) -> Vec<PageKey> {
        let mut wanted = Vec::new();
        // Tasks are done in turn, and a bucket goes by a task.
        if let Some(bucket) = self.buckets.get(&sweep.bucket) {
            bucket.pages_of_slice(bucket.slice(sweep.from, sweep.end), &mut wanted);
        }
        wanted
    }

    /// Goes through one slice of a bucket.
    pub(super) fn sweep(&mut self, sweep: Sweep) -> Result<(), Damaged> {
        // As above.
        let Some(bucket) = self.buckets.get(&sweep.bucket) else { return Ok(()) };
        let slice = bucket.slice(sweep.from, sweep.end);
        for before in bucket.cells(slice, &self.at_hand)? {
            match sweep.purpose {
                Purpose::Imply => {
                    let now = Cell { is_implied: true, ..before.clone() };
                    self.tell(sweep.bucket, &before, &now);
                }
                Purpose::Drop => self.drop_cell(sweep.bucket, &before),
            }
        }
        match slice.to {
            Some(to) if Some(to) != sweep.end => {
                self.tasks.push_front(Task::Sweep(Sweep { from: to, ..sweep }));
            }
            _ => self.finish(&sweep),
        }
        Ok(())
    }

    pub(super) fn expire(&mut self, ordinal: i64) {
        // It goes once.
        let Some(bucket) = self.buckets.remove(&ordinal) else { return };
        self.counters.expired += bucket.rows.saturating_sub(bucket.labelled);
        for kind in [PageKind::Index, PageKind::Predictions, PageKind::Labels] {
            self.changes.remove(PageRange::of_bucket(bucket.room, kind, ordinal));
        }
    }

    fn end_us(&self, ordinal: i64) -> i64 {
        (ordinal + 1).saturating_mul(self.settings.width_us())
    }

    fn drop_cell(&mut self, ordinal: i64, before: &Cell) {
        let labels = before.columns(&self.settings).len() as i64;
        self.tell(ordinal, before, &Cell::default());
        self.ledger[Column::SampledOut] += labels;
        let rows = before.predictions.len() as u64;
        self.counters.sampled_out += rows;
        // The cell is of this bucket.
        if let Some(bucket) = self.buckets.get_mut(&ordinal) {
            bucket.rows = bucket.rows.saturating_sub(rows);
        }
    }

    fn finish(&mut self, sweep: &Sweep) {
        let share = self.share().unwrap_or_default();
        // The sweep went through it.
        let Some(bucket) = self.buckets.get_mut(&sweep.bucket) else { return };
        if sweep.purpose == Purpose::Imply {
            bucket.is_implied = true;
            return;
        }
        let from = u128::from(share) << 64;
        bucket.hot_predictions.split_off(&(from, 0));
        bucket.hot_labels.split_off(&(from, Order::MIN));
        for kind in [PageKind::Predictions, PageKind::Labels] {
            for run in bucket.runs_of_mut(kind) {
                let page = run.first_page_from(share);
                let (room, bucket, run_number) = (self.settings.room, sweep.bucket, run.number);
                let first = PageKey { room, kind, bucket, run: run_number, page };
                self.changes.remove(PageRange::behind(first));
                run.truncate(page);
            }
        }
    }
}
