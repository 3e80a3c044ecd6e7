//! A small world of predictions and labels, what they come to computed directly, and runs through a join.

use std::collections::BTreeMap;
use std::fmt::Debug;

use driftline_join::{
    Changes, Column, Contribution, Counters, Implied, Join, Label, Ledger, MemoryPages, Order,
    Pages, Passed, Prediction, Said, Settings, Sign, Timing, Truth, Value, drive,
};
use driftline_join::{IdHash, IdHasher};
use fastrand::Rng;

pub(crate) const SECOND_US: i64 = 1_000_000;
/// Longest time between an event and its arrival, less than the horizon.
const LONGEST_DELAY_S: i64 = 200;
/// Beyond every event and every wait.
const END: Passed = Passed { captures_us: 5000 * SECOND_US, labels_us: 5000 * SECOND_US };

/// Pages that a test can commit to.
pub(crate) trait Keeps: Pages<Error: Debug> {
    /// One transaction.
    fn keep(&mut self, changes: &Changes);
}

impl Keeps for MemoryPages {
    fn keep(&mut self, changes: &Changes) {
        self.apply(changes);
    }
}

/// One record of one of the two logs.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Prediction(Prediction),
    Label(Label),
}

/// What is read next.
#[derive(Debug, Clone)]
pub(crate) enum Read {
    Record(Record),
    Passed(Passed),
}

/// Everything that is said of some records once all have been read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// How often each prediction counts for each truth.
    pub(crate) sums: BTreeMap<Counted, i64>,
    pub(crate) ledger: Ledger,
    pub(crate) counters: Counters,
}

/// What distinguishes contributions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counted {
    id: IdHash,
    ts_us: i64,
    window: Option<u32>,
    version: u8,
    bins: Vec<u8>,
    truth: Truth,
}

impl Outcome {
    pub(crate) fn add(&mut self, contributions: Vec<Contribution>) {
        for Contribution { sign, prediction, truth } in contributions {
            let by = if sign == Sign::Add { 1 } else { -1 };
            let counted = counted(&prediction, truth);
            let sum = self.sums.entry(counted.clone()).or_default();
            *sum += by;
            if *sum == 0 {
                self.sums.remove(&counted);
            }
        }
    }
}

pub(crate) fn settings(implied: bool) -> Settings {
    let implied = implied.then_some(Implied { value: Value::Code(0), after_us: 60 * SECOND_US });
    let timing =
        Timing { horizon_us: 320 * SECOND_US, wait_for_capture_us: 40 * SECOND_US, implied };
    Settings { hot_rows: 4, ..Settings::new(7, timing).unwrap() }
}

pub(crate) fn id(text: &str) -> IdHash {
    IdHasher::new([3; 16]).hash("flights", text.as_bytes()).unwrap()
}

pub(crate) fn prediction(id: IdHash, ts_s: i64) -> Prediction {
    Prediction {
        id,
        ts_us: ts_s * SECOND_US,
        window: Some((ts_s / 60) as u32),
        version: 0,
        value: Value::Number(0.25),
        weight: 1.0,
        bins: Box::default(),
        candidates: Box::default(),
    }
}

pub(crate) fn label(id: IdHash, ts_s: i64, offset: u64, said: Said) -> Label {
    let order = Order { ts_us: ts_s * SECOND_US, partition: 0, offset };
    Label { id, order, said, capture_ts_us: None }
}

/// Records of few ids: several rows and labels each, corrections, retractions, repetitions, rows that came too
/// late, labels that name a capture, a wrong one, or none.
pub(crate) fn records(rng: &mut Rng) -> Vec<Record> {
    let mut records = Vec::new();
    let mut offset = 0;
    for number in 0..rng.usize(2..6) {
        let id = id(&number.to_string());
        let mut times: Vec<i64> = (0..rng.usize(0..4)).map(|_| rng.i64(0..600)).collect();
        for ts_s in &times {
            let mut row = prediction(id, *ts_s);
            row.version = rng.u8(0..2);
            if rng.u8(0..6) == 0 {
                row.window = None;
            }
            row.bins = (0..rng.u8(0..3)).collect();
            records.push(Record::Prediction(row));
        }
        times.push(rng.i64(0..600));
        for _ in 0..rng.usize(0..6) {
            let of_s = *rng.choice(&times).unwrap();
            let ts_s = (of_s + rng.i64(-60..400)).max(0);
            let said = match rng.u8(0..5) {
                0 => Said::Retracted,
                code => Said::Value(Value::Code(u16::from(code % 2))),
            };
            let mut label = label(id, ts_s, offset, said);
            label.order.partition = rng.u32(0..3);
            if rng.bool() {
                label.capture_ts_us = Some((of_s + rng.i64(-1..2)) * SECOND_US);
            }
            for _ in 0..rng.usize(1..3) {
                label.order.offset = offset;
                offset += 1;
                records.push(Record::Label(label));
            }
        }
    }
    records
}

/// One order in which records may be read: each some time behind its own, and marks that are true of what is
/// still to come.
pub(crate) fn interleaved(records: &[Record], rng: &mut Rng) -> Vec<Read> {
    let delay_s = rng.i64(1..=LONGEST_DELAY_S);
    let mut arriving: Vec<(i64, &Record)> = records
        .iter()
        .map(|record| (time_us(record) + rng.i64(0..delay_s * SECOND_US), record))
        .collect();
    arriving.sort_by_key(|(at_us, _)| *at_us);
    let mut reads = Vec::new();
    let mut said_us = 0;
    for (at, (at_us, record)) in arriving.iter().enumerate() {
        reads.push(Read::Record((*record).clone()));
        if rng.u8(0..4) == 0 || at_us - said_us > 50 * SECOND_US {
            said_us = *at_us;
            let left = |is_label: bool| {
                let left = arriving[at + 1..].iter().map(|(_, record)| *record);
                let of_kind = left.filter(|it| matches!(it, Record::Label(_)) == is_label);
                of_kind.map(time_us).min().map_or(*at_us, |us| (us - 1).min(*at_us))
            };
            reads.push(Read::Passed(Passed { captures_us: left(false), labels_us: left(true) }));
        }
    }
    reads.push(Read::Passed(END));
    reads
}

/// Reads everything, in steps and with commits as they come.
pub(crate) fn read<P: Keeps>(
    settings: Settings,
    reads: &[Read],
    pages: &mut P,
    rng: &mut Rng,
) -> Outcome {
    let mut run = Run::new(settings, pages);
    while run.at < reads.len() {
        run.go_on(reads, rng);
        if rng.bool() {
            run.commit(true);
        }
    }
    run.outcome()
}

/// Reads everything, and dies now and then: before, while and after a transaction is made.
pub(crate) fn read_through_crashes<P: Keeps>(
    settings: Settings,
    reads: &[Read],
    pages: &mut P,
    rng: &mut Rng,
) -> Outcome {
    let mut run = Run::new(settings, pages);
    let mut left = 6;
    while run.at < reads.len() {
        run.go_on(reads, rng);
        match rng.u8(0..4) {
            0 => run.commit(true),
            1 if left > 0 => {
                left -= 1;
                let is_made = rng.bool();
                run.commit(is_made);
                run.die();
            }
            2 if left > 0 => {
                left -= 1;
                run.die();
            }
            _ => {}
        }
    }
    run.outcome()
}

/// What records come to, said directly: for each prediction in time the label of the greatest key that is one of it.
pub(crate) fn expected(settings: Settings, records: &[Record]) -> BTreeMap<Counted, i64> {
    let Timing { horizon_us, wait_for_capture_us, implied } = settings.timing;
    let mut sums = BTreeMap::new();
    for row in records.iter().filter_map(as_prediction).filter(|it| it.window.is_some()) {
        let bucket = |us: i64| us.div_euclid(horizon_us / 32);
        let of_it = records.iter().filter_map(as_label).filter(|it| {
            let behind_us = it.order.ts_us - row.ts_us;
            let named = it.capture_ts_us.is_none_or(|us| {
                (bucket(us - SECOND_US)..=bucket(us + SECOND_US)).contains(&bucket(row.ts_us))
            });
            it.id == row.id && (-wait_for_capture_us..=horizon_us).contains(&behind_us) && named
        });
        let truth = match of_it.max_by_key(|it| it.order) {
            Some(Label { said: Said::Value(value), order, .. }) => {
                Some(Truth { value: *value, implied: false, known_us: order.ts_us })
            }
            _ => implied.map(|it| Truth {
                value: it.value,
                implied: true,
                known_us: row.ts_us + it.after_us,
            }),
        };
        if let Some(truth) = truth {
            *sums.entry(counted(row, truth)).or_default() += 1;
        }
    }
    sums
}

pub(crate) fn as_label(record: &Record) -> Option<&Label> {
    match record {
        Record::Label(label) => Some(label),
        Record::Prediction(_) => None,
    }
}

pub(crate) fn as_prediction(record: &Record) -> Option<&Prediction> {
    match record {
        Record::Prediction(prediction) => Some(prediction),
        Record::Label(_) => None,
    }
}

/// A join with its store, and what was known of both when they were last committed.
struct Run<'p, P> {
    settings: Settings,
    pages: &'p mut P,
    join: Join,
    at: usize,
    outcome: Outcome,
    committed_at: usize,
    committed: Outcome,
}

impl<'p, P: Keeps> Run<'p, P> {
    fn new(settings: Settings, pages: &'p mut P) -> Run<'p, P> {
        let outcome = Outcome::default();
        let committed = outcome.clone();
        Run {
            settings,
            pages,
            join: Join::new(settings),
            at: 0,
            outcome,
            committed_at: 0,
            committed,
        }
    }

    /// Reads some more, and sees that each record stands in one column.
    fn go_on(&mut self, reads: &[Read], rng: &mut Rng) {
        for read in reads[self.at..].iter().take(rng.usize(1..6)) {
            self.at += 1;
            match read.clone() {
                Read::Record(Record::Prediction(prediction)) => self.join.predict(prediction),
                Read::Record(Record::Label(label)) => self.join.label(label),
                Read::Passed(passed) => self.join.passed(passed),
            }
        }
        self.outcome.add(drive(&mut self.join, self.pages).unwrap());
        let labels = reads[..self.at].iter();
        let labels = labels.filter(|it| matches!(it, Read::Record(Record::Label(_)))).count();
        assert_eq!(self.join.ledger().read, labels as u64);
        assert!(self.join.ledger().is_balanced(), "{:?}", self.join.ledger());
    }

    fn commit(&mut self, is_made: bool) {
        self.outcome.add(drive(&mut self.join, self.pages).unwrap());
        let changes = self.join.commit().unwrap();
        if is_made {
            self.pages.keep(&changes);
            self.committed_at = self.at;
            self.committed = self.outcome.clone();
        }
        self.join.committed();
    }

    fn die(&mut self) {
        let pages = self.pages.resident(self.settings.room).unwrap();
        self.join = Join::restore(self.settings, pages).unwrap();
        self.at = self.committed_at;
        self.outcome = self.committed.clone();
    }

    fn outcome(mut self) -> Outcome {
        self.outcome.add(drive(&mut self.join, self.pages).unwrap());
        self.outcome.ledger = *self.join.ledger();
        self.outcome.counters = self.join.counters();
        assert_eq!(self.outcome.ledger.count(Column::Waiting), 0, "all waits are over");
        self.outcome
    }
}

fn counted(prediction: &Prediction, truth: Truth) -> Counted {
    let Prediction { id, ts_us, window, version, bins, .. } = prediction.clone();
    Counted { id, ts_us, window, version, bins: bins.into(), truth }
}

fn time_us(record: &Record) -> i64 {
    match record {
        Record::Prediction(prediction) => prediction.ts_us,
        Record::Label(label) => label.order.ts_us,
    }
}
