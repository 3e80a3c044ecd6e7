//! Rows in memory become runs, and small runs become larger ones.

use std::collections::BTreeMap;

use super::{Join, Task};
use crate::bucket::{AtHand, Bucket, Slice};
use crate::bytes::Damaged;
use crate::cell::LABELS;
use crate::label::{Order, Placed};
use crate::page::{Page, PageKey, PageKind, PageRange};
use crate::prediction::Prediction;
use crate::run::{Builder, Row, Run};

/// Runs of a bucket that are merged into one: a row of a prediction is written in the journal, in a run and in a
/// merged one, and no more.
const RUNS: usize = 8;
/// Neighbouring runs of labels that are merged where there are more than [`RUNS`].
const LABEL_RUNS: usize = 5;

/// Runs of a bucket that are merged slice by slice.
#[derive(Debug)]
pub(super) struct Merge {
    bucket: i64,
    runs: Vec<u32>,
    from: u64,
    into: Into,
}

/// The run that a merge writes.
#[derive(Debug)]
enum Into {
    Predictions(Builder<Prediction>),
    Labels(Builder<Placed>),
}

impl Join {
    /// Writes what is in memory as runs, in the place of the journal.
    pub(super) fn flush(&mut self) {
        let mut pages = Vec::new();
        for (ordinal, bucket) in &mut self.buckets {
            let (room, from_us) = (bucket.room, bucket.from_us);
            let key = PageKey { room, kind: PageKind::State, bucket: *ordinal, run: 0, page: 0 };
            let mut place = |kind: PageKind| {
                self.next_run += 1;
                PageKey { kind, run: self.next_run, ..key }
            };
            let hot = std::mem::take(&mut bucket.hot_predictions);
            if !hot.is_empty() {
                let key = place(PageKind::Predictions);
                let mut builder = Builder::new(key, false, from_us, hot.len());
                hot.values().for_each(|row| builder.push(row));
                bucket.prediction_runs.push(finished(builder, &mut pages));
            }
            let hot = std::mem::take(&mut bucket.hot_labels);
            if !hot.is_empty() {
                let key = place(PageKind::Labels);
                let mut builder = Builder::new(key, false, from_us, hot.len());
                hot.values().for_each(|row| builder.push(row));
                bucket.label_runs.push(finished(builder, &mut pages));
            }
        }
        self.changes.written.extend(pages.into_iter().map(|page| (page.key, page.bytes)));
        self.changes.remove(PageRange::of_kind(self.settings.room, PageKind::Journal));
        self.unwritten.clear();
        self.merge_where_many();
    }

    pub(super) fn pages_of_merge(&self, merge: &Merge) -> Vec<PageKey> {
        let mut wanted = Vec::new();
        // Tasks are done in turn, and a bucket goes by a task.
        if let Some(bucket) = self.buckets.get(&merge.bucket) {
            let slice = bucket.slice(merge.from, self.share());
            for run in merge.runs_in(bucket) {
                wanted.extend(bucket.keys(merge.kind(), run.number, pages_in(run, slice)));
            }
        }
        wanted
    }

    /// Merges one slice.
    pub(super) fn merge(&mut self, mut merge: Merge) -> Result<(), Damaged> {
        let end = self.share();
        // As above.
        let Some(bucket) = self.buckets.get(&merge.bucket) else { return Ok(()) };
        let slice = bucket.slice(merge.from, end);
        let (kind, numbers) = (merge.kind(), &merge.runs);
        let runs = bucket.runs_of(kind).iter();
        let runs: Vec<&Run> = runs.filter(|run| numbers.contains(&run.number)).collect();
        match &mut merge.into {
            Into::Predictions(builder) => {
                let mut rows: Vec<Prediction> =
                    rows_of_runs(bucket, kind, &runs, &self.at_hand, slice)?;
                rows.sort_by_key(|row| row.id);
                rows.iter().for_each(|row| builder.push(row));
            }
            Into::Labels(builder) => {
                let rows: Vec<Placed> = rows_of_runs(bucket, kind, &runs, &self.at_hand, slice)?;
                // The newer row of a label holds.
                let rows: BTreeMap<(u128, Order), Placed> =
                    rows.into_iter().map(|row| ((row.label.id.0, row.label.order), row)).collect();
                let rows: Vec<Placed> = rows.into_values().collect();
                for of_id in rows.chunk_by(|one, other| one.label.id == other.label.id) {
                    let skipped = of_id.len().saturating_sub(LABELS);
                    of_id.iter().skip(skipped).for_each(|row| builder.push(row));
                }
            }
        }
        match slice.to {
            Some(to) if Some(to) != end => {
                merge.from = to;
                self.tasks.push_front(Task::Merge(merge));
            }
            _ => self.replace(merge),
        }
        Ok(())
    }

    fn merge_where_many(&mut self) {
        let room = self.settings.room;
        for (ordinal, bucket) in &self.buckets {
            let mut plan = |kind: PageKind, runs: &[&Run]| {
                self.next_run += 1;
                let key = PageKey { room, kind, bucket: *ordinal, run: self.next_run, page: 0 };
                let rows = runs.iter().map(|run| run.rows as usize).sum();
                let into = match kind {
                    PageKind::Labels => Into::Labels(Builder::new(key, true, bucket.from_us, rows)),
                    _ => Into::Predictions(Builder::new(key, true, bucket.from_us, rows)),
                };
                let runs = runs.iter().map(|run| run.number).collect();
                self.tasks.push_back(Task::Merge(Merge { bucket: *ordinal, runs, from: 0, into }));
            };
            let fresh: Vec<&Run> =
                bucket.prediction_runs.iter().filter(|run| !run.is_merged).collect();
            if fresh.len() >= RUNS {
                plan(PageKind::Predictions, &fresh);
            }
            if bucket.label_runs.len() > RUNS {
                let runs: Vec<&Run> = bucket.label_runs.iter().collect();
                let rows = |runs: &&[&Run]| runs.iter().map(|run| run.rows).sum::<u64>();
                let smallest = runs.windows(LABEL_RUNS).min_by_key(rows).unwrap_or_default();
                plan(PageKind::Labels, smallest);
            }
        }
    }

    /// Puts a merged run in the place of those that it was merged from.
    fn replace(&mut self, merge: Merge) {
        let kind = merge.kind();
        let mut pages = Vec::new();
        let run = match merge.into {
            Into::Predictions(builder) => finished(builder, &mut pages),
            Into::Labels(builder) => finished(builder, &mut pages),
        };
        // It was merged from the bucket's.
        let Some(bucket) = self.buckets.get_mut(&merge.bucket) else { return };
        let runs = bucket.runs_of_mut(kind);
        let at = runs.iter().position(|it| merge.runs.contains(&it.number)).unwrap_or(0);
        runs.retain(|it| !merge.runs.contains(&it.number));
        runs.insert(at, run);
        let room = self.settings.room;
        for run in merge.runs {
            for kind in [kind, PageKind::Index] {
                let first = PageKey { room, kind, bucket: merge.bucket, run, page: 0 };
                self.changes.remove(PageRange::behind(first));
            }
        }
        self.changes.written.extend(pages.into_iter().map(|page| (page.key, page.bytes)));
    }
}

impl Merge {
    fn kind(&self) -> PageKind {
        match self.into {
            Into::Predictions(_) => PageKind::Predictions,
            Into::Labels(_) => PageKind::Labels,
        }
    }

    fn runs_in<'b>(&'b self, bucket: &'b Bucket) -> impl Iterator<Item = &'b Run> {
        let runs = bucket.runs_of(self.kind()).iter();
        runs.filter(|run| self.runs.contains(&run.number))
    }
}

fn pages_in(run: &Run, slice: Slice) -> std::ops::Range<u32> {
    run.pages_between(slice.from, slice.to)
}

/// The rows of a slice, run by run.
fn rows_of_runs<R: Row>(
    bucket: &Bucket,
    kind: PageKind,
    runs: &[&Run],
    at_hand: &AtHand,
    slice: Slice,
) -> Result<Vec<R>, Damaged> {
    let mut rows = Vec::new();
    for run in runs {
        let keys = bucket.keys(kind, run.number, pages_in(run, slice));
        rows.extend(at_hand.rows::<R>(keys, bucket.from_us, slice.ids())?);
    }
    Ok(rows)
}

fn finished<R: Row>(builder: Builder<R>, pages: &mut Vec<Page>) -> Run {
    let (run, written) = builder.finish();
    pages.extend(written);
    run
}
