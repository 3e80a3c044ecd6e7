//! The join: events come in, contributions and wanted pages go out, a commit takes what changed.

mod arrivals;
mod merge;
mod saved;
mod sweep;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::bucket::{AtHand, Bucket};
use crate::bytes::Damaged;
use crate::cell::Cell;
use crate::id::IdHash;
use crate::label::Label;
use crate::ledger::{Column, Ledger};
use crate::page::{Changes, Page, PageKey, PageKind, PageRange};
use crate::prediction::{Contribution, Prediction, Sign, Truth};
use crate::recent::Recents;
use crate::settings::Settings;
use arrivals::Batch;
use merge::Merge;
use sweep::Sweep;

/// Most events that are looked up together: labels of one day lie in few pages, each of which is read once.
const BATCH: usize = 32 << 10;
/// Pages beyond which a batch takes no more labels: 32 MB.
const BATCH_PAGES: usize = 8192;

/// A smaller share than one in 4 billion is none.
const MOST_HALVINGS: u32 = 32;

/// How far the logs have passed: no row in time, and no label, that is not beyond is still to come. Each is
/// the least over its partitions (RULES §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    pub captures_us: i64,
    pub labels_us: i64,
}

/// What became of predictions, and what the bounds did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Rows that wait now.
    pub waiting: u64,
    /// Of these, those with a label that somebody sent.
    pub labelled: u64,
    /// Rows whose horizon passed without a label.
    pub expired: u64,
    /// Rows that are not in the sample.
    pub sampled_out: u64,
    /// Rows that came when their bucket was gone.
    pub gone: u64,
    /// Labels that were forgotten early, since too many were remembered.
    pub given_up: u64,
}

/// The predictions of one model that wait, with the labels that came: see the package's head.
#[derive(Debug)]
pub struct Join {
    settings: Settings,
    passed: Passed,
    /// How often the share that is kept was halved.
    halvings: u32,
    buckets: BTreeMap<i64, Bucket>,
    recents: Recents,
    ledger: Ledger,
    counters: Counters,
    events: VecDeque<Event>,
    tasks: VecDeque<Task>,
    /// What waits for its pages.
    asked: Option<Task>,
    at_hand: AtHand,
    contributions: Vec<Contribution>,
    /// Rows since the last commit, in pages.
    unwritten: Vec<Vec<u8>>,
    next_journal_page: u32,
    next_run: u32,
    changes: Changes,
    /// Pages of a commit that is under way.
    in_flight: HashMap<PageKey, Arc<[u8]>>,
}

/// What came and is not looked at yet.
#[derive(Debug)]
enum Event {
    Prediction(Prediction),
    Label(Label),
    Passed(Passed),
}

/// Work that may need pages.
#[derive(Debug)]
enum Task {
    Batch(Batch),
    Sweep(Sweep),
    Merge(Merge),
    /// A bucket goes, once what its end means was said.
    Expire(i64),
}

impl Join {
    /// A join that knows nothing yet.
    pub fn new(settings: Settings) -> Join {
        Join {
            settings,
            passed: Passed { captures_us: i64::MIN, labels_us: i64::MIN },
            halvings: 0,
            buckets: BTreeMap::new(),
            recents: Recents::new(settings.room, settings.recent_width_us()),
            ledger: Ledger::default(),
            counters: Counters::default(),
            events: VecDeque::new(),
            tasks: VecDeque::new(),
            asked: None,
            at_hand: AtHand::default(),
            contributions: Vec::new(),
            unwritten: Vec::new(),
            next_journal_page: 0,
            next_run: 0,
            changes: Changes::default(),
            in_flight: HashMap::new(),
        }
    }

    /// A row of a capture came. What it comes to is known after [`Join::step`], as of all events.
    pub fn predict(&mut self, mut prediction: Prediction) {
        prediction.ts_us = prediction.ts_us.div_euclid(1000) * 1000;
        self.events.push_back(Event::Prediction(prediction));
    }

    /// A label of this model came. What lies beyond the clock of whoever read it is not for here: it would be
    /// remembered until its time; [count](Join::count) it as rejected.
    pub fn label(&mut self, label: Label) {
        self.events.push_back(Event::Label(label));
    }

    /// A record of the label topic came that is no label of this model.
    pub fn count(&mut self, column: Column) {
        self.ledger.read += 1;
        self.ledger[column] += 1;
    }

    /// Both logs passed some time; what came before this was before it.
    pub fn passed(&mut self, passed: Passed) {
        self.events.push_back(Event::Passed(passed));
    }

    /// Does what can be done; `Some` where pages must be [answered](Join::answer) before it goes on, `None` where
    /// nothing is left to do.
    ///
    /// # Errors
    /// [`Damaged`]: a page is not what was written. The join must not be used any more.
    pub fn step(&mut self) -> Result<Option<Vec<PageKey>>, Damaged> {
        loop {
            let task = match self.asked.take() {
                Some(task) => task,
                None => {
                    let Some(task) = self.next_task() else { return Ok(None) };
                    let wanted = self.wanted(&task);
                    if !wanted.is_empty() {
                        self.asked = Some(task);
                        return Ok(Some(wanted));
                    }
                    task
                }
            };
            match task {
                Task::Batch(batch) => self.take_in(batch)?,
                Task::Sweep(sweep) => self.sweep(sweep)?,
                Task::Merge(merge) => self.merge(merge)?,
                Task::Expire(bucket) => self.expire(bucket),
            }
            self.at_hand.pages.clear();
        }
    }

    /// The pages that the last step asked for.
    pub fn answer(&mut self, pages: Vec<Page>) {
        self.at_hand.pages.extend(pages.into_iter().map(|page| (page.key, page.bytes)));
    }

    /// What came of the steps since the last call, in the order in which it is to be added.
    pub fn take_contributions(&mut self) -> Vec<Contribution> {
        std::mem::take(&mut self.contributions)
    }

    /// What became of the labels of each topic, and of the predictions.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What became of the predictions.
    pub fn counters(&self) -> Counters {
        let (mut waiting, mut labelled) = (0, 0);
        for bucket in self.buckets.values() {
            waiting += bucket.rows;
            labelled += bucket.labelled;
        }
        Counters { waiting, labelled, ..self.counters }
    }

    /// The share of ids that is kept, 2 to the minus this.
    pub fn halvings(&self) -> u32 {
        self.halvings
    }

    /// Bytes that waiting predictions and labels take on disk, but for the journal.
    pub fn disk_bytes(&self) -> u64 {
        self.buckets.values().flat_map(Bucket::runs).map(|run| run.disk_bytes()).sum()
    }

    /// Bytes of filters and fences in memory.
    pub fn index_bytes(&self) -> u64 {
        self.buckets.values().flat_map(Bucket::runs).map(|run| run.memory_bytes()).sum()
    }

    fn next_task(&mut self) -> Option<Task> {
        loop {
            if let Some(task) = self.tasks.pop_front() {
                return Some(task);
            }
            self.halve_if_full();
            if !self.tasks.is_empty() {
                continue;
            }
            match self.events.front() {
                None => return None,
                Some(Event::Passed(passed)) => {
                    let passed = *passed;
                    self.events.pop_front();
                    self.pass(passed);
                }
                Some(_) => {
                    let batch = self.gather();
                    self.bound();
                    return Some(Task::Batch(batch));
                }
            }
        }
    }

    /// The pages of a task that are not at hand.
    fn wanted(&mut self, task: &Task) -> Vec<PageKey> {
        let mut wanted = match task {
            Task::Batch(batch) => self.pages_of_batch(batch),
            Task::Sweep(sweep) => self.pages_of_sweep(sweep),
            Task::Merge(merge) => self.pages_of_merge(merge),
            Task::Expire(_) => Vec::new(),
        };
        wanted.sort_unstable();
        wanted.dedup();
        // What is not committed yet is not in the store.
        wanted.retain(|key| {
            let ours = self.changes.written.get(key).or_else(|| self.in_flight.get(key));
            ours.is_none_or(|bytes| {
                self.at_hand.pages.insert(*key, bytes.clone());
                false
            })
        });
        wanted
    }

    /// Goes on in time: what both logs have passed is settled, in the order of its time.
    fn pass(&mut self, passed: Passed) {
        self.passed.captures_us = self.passed.captures_us.max(passed.captures_us);
        self.passed.labels_us = self.passed.labels_us.max(passed.labels_us);
        while let Some(span) = self.recents.first_span().filter(|span| self.is_settled(*span)) {
            self.settle(span);
        }
        self.imply_and_expire();
    }

    fn least_us(&self) -> i64 {
        self.passed.captures_us.min(self.passed.labels_us)
    }

    /// Whether no prediction in time can come any more for labels of a stretch of time.
    fn is_settled(&self, span: i64) -> bool {
        let end_us = self.recents.end_us(span);
        self.least_us() >= end_us.saturating_add(self.settings.timing.wait_for_capture_us)
    }

    fn settle(&mut self, span: i64) {
        self.changes.remove(PageRange::of_bucket(self.settings.room, PageKind::Recent, span));
        for recent in self.recents.forget(span) {
            if recent.home.is_none() {
                self.ledger.move_record(Column::Waiting, Column::Unmatched);
            }
        }
    }

    /// Gives the oldest labels up where too many are remembered.
    fn bound(&mut self) {
        while self.recents.len() > self.settings.recent_labels {
            // As many are remembered, there is a first.
            let Some(span) = self.recents.first_span() else { return };
            let before = self.recents.len();
            self.settle(span);
            self.counters.given_up += (before - self.recents.len()) as u64;
        }
    }

    /// The prefix before which ids are in the sample; `None` while all are.
    fn share(&self) -> Option<u64> {
        (self.halvings > 0).then(|| 1 << (64 - self.halvings.min(MOST_HALVINGS)))
    }

    fn is_sampled_out(&self, id: IdHash) -> bool {
        self.share().is_some_and(|share| id.prefix() >= share)
    }

    /// Says what a cell that changed makes of it: contributions and columns, as differences.
    fn tell(&mut self, bucket: i64, before: &Cell, now: &Cell) {
        let settings = &self.settings;
        let (mut more, mut less) = (0, 0);
        let rows = before.predictions.len().max(now.predictions.len());
        for at in 0..rows {
            let truth = |cell: &Cell| -> Option<Truth> {
                // The prediction that came is not in the cell as it was.
                let prediction = cell.predictions.get(at)?;
                cell.truth(settings, prediction)
            };
            let (old, new) = (truth(before), truth(now));
            less += u64::from(old.is_some_and(|it| !it.implied));
            more += u64::from(new.is_some_and(|it| !it.implied));
            let longer = if at < now.predictions.len() { now } else { before };
            // It is in one of the two: the number of rows is that of the longer one.
            let Some(prediction) = longer.predictions.get(at) else { continue };
            if old == new || prediction.window.is_none() {
                continue;
            }
            for (sign, truth) in [(Sign::Subtract, old), (Sign::Add, new)] {
                let said = |truth| Contribution { sign, prediction: prediction.clone(), truth };
                self.contributions.extend(truth.map(said));
            }
        }
        for column in before.columns(settings) {
            self.ledger[column] -= 1;
        }
        for column in now.columns(settings) {
            self.ledger[column] += 1;
        }
        // Without a bucket there is no cell.
        if let Some(bucket) = self.buckets.get_mut(&bucket) {
            bucket.labelled = (bucket.labelled + more).saturating_sub(less);
        }
    }
}
