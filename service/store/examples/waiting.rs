//! Measures predictions that wait in a checkpoint: bytes on disk and written, memory, labels a second, a restart.
//!
//! `cargo run --release -p driftline-store --example waiting -- FOLDER [ROWS] [BINS]`
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use driftline_join::{
    Column, IdHash, IdHasher, Join, Label, Order, Pages, Passed, Prediction, Said, Settings,
    Timing, Value, drive,
};
use driftline_pipeline::snapshot::Snapshot;
use driftline_store::Store;

const SECOND_US: i64 = 1_000_000;
const HORIZON_US: i64 = 30 * 86_400 * SECOND_US;
/// Rows between two commits.
const COMMIT_ROWS: u64 = 20_000;
/// Expiries after the horizon is full.
const EXPIRIES: u64 = 60;
const LABELS: u64 = 1_000_000;

/// The store, the join, and what is counted of both.
struct World<'f> {
    folder: &'f Path,
    store: Store,
    join: Join,
    hasher: IdHasher,
    rows: u64,
    bins: usize,
    /// Bytes that a prediction has packed.
    packed: usize,
    contributions: u64,
    commit_s: f64,
}

impl World<'_> {
    fn ts_us(&self, number: u64) -> i64 {
        (number as i128 * i128::from(HORIZON_US) / i128::from(self.rows)) as i64
    }

    fn id(&self, number: u64) -> IdHash {
        self.hasher.hash("flights", format!("2026-{number:032x}").as_bytes()).unwrap()
    }

    fn predict(&mut self, from: u64, to: u64) {
        for number in from..to {
            let ts_us = self.ts_us(number);
            self.join.predict(Prediction {
                id: self.id(number),
                ts_us,
                window: Some((ts_us / (86_400 * SECOND_US)) as u32),
                version: 1,
                value: Value::Number(0.25),
                weight: 1.0,
                bins: vec![number as u8; self.bins].into(),
                candidates: Box::default(),
            });
            if number % COMMIT_ROWS == 0 {
                let passed_us = ts_us - 60 * SECOND_US;
                self.join.passed(Passed { captures_us: passed_us, labels_us: passed_us });
                self.commit();
            }
        }
        self.commit();
    }

    /// Labels for predictions among the newest `among`, in no order.
    fn label(&mut self, now: u64, among: u64, names_capture: bool) {
        for offset in 0..LABELS {
            // A step that is coprime to their number.
            let number = now - 1 - offset * 7_919_017 % among;
            let capture_ts_us = names_capture.then(|| self.ts_us(number));
            let order =
                Order { ts_us: self.ts_us(now), partition: u32::from(!names_capture), offset };
            let said = Said::Value(Value::Code((offset % 2) as u16));
            self.join.label(Label { id: self.id(number), order, said, capture_ts_us });
            if offset % COMMIT_ROWS == 0 {
                self.commit();
            }
        }
        self.commit();
    }

    fn commit(&mut self) {
        self.contributions += drive(&mut self.join, &self.store).unwrap().len() as u64;
        let changes = self.join.commit().unwrap();
        let before_s = on_core_s();
        self.store.commit_with(&Snapshot::default(), &[changes]).unwrap();
        self.commit_s += on_core_s() - before_s;
        self.join.committed();
    }

    fn say(&self, what: &str) {
        let file = std::fs::metadata(Store::file_in(self.folder)).unwrap();
        let rows = self.join.counters().waiting.max(1);
        println!(
            "{what}: {rows} rows wait, {:.1} bytes each on disk ({:.1} of them runs), file {} MB, index {} MB, resident {} MB",
            (file.blocks() * 512) as f64 / rows as f64,
            self.join.disk_bytes() as f64 / rows as f64,
            file.len() >> 20,
            self.join.index_bytes() >> 20,
            of_process("/proc/self/status", "VmRSS:") >> 10,
        );
    }
}

/// Seconds that this thread was on a core.
fn on_core_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// A figure of the kernel's about this process.
fn of_process(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn written() -> u64 {
    of_process("/proc/self/io", "write_bytes:")
}

fn labels(world: &mut World<'_>, now: u64, among: u64, names_capture: bool) {
    let (before_s, at, commit_s) = (on_core_s(), written(), world.commit_s);
    let joined = world.join.ledger().count(Column::Joined);
    world.label(now, among, names_capture);
    let passed_s = on_core_s() - before_s;
    println!(
        "labels of the newest {among}, capture_ts {names_capture}: {:.0} a second ({:.0} without commits), {} newly joined, {} bytes written each",
        LABELS as f64 / passed_s,
        LABELS as f64 / (passed_s - (world.commit_s - commit_s)),
        world.join.ledger().count(Column::Joined) - joined,
        (written() - at) / LABELS,
    );
}

/// Goes on until so many buckets have expired; returns how many rows came in all.
fn expire(world: &mut World<'_>, rows: u64) -> u64 {
    for expiry in 1..=EXPIRIES {
        let from = rows + (expiry - 1) * rows / 32;
        world.predict(from, rows + expiry * rows / 32);
        if expiry % 10 == 0 {
            world.say(&format!("after {expiry} expiries"));
        }
    }
    rows + EXPIRIES * rows / 32
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap();
    let folder = Path::new(&folder);
    let rows: u64 = arguments.next().map_or(20_000_000, |it| it.parse().unwrap());
    let bins: usize = arguments.next().map_or(0, |it| it.parse().unwrap());
    let timing =
        Timing { horizon_us: HORIZON_US, wait_for_capture_us: 3600 * SECOND_US, implied: None };
    let settings = Settings::new(1, timing).unwrap();
    let store = Store::open(folder, Duration::ZERO, true).unwrap();
    let mut world = World {
        folder,
        store,
        join: Join::new(settings),
        hasher: IdHasher::new([7; 16]),
        rows,
        bins,
        packed: 34 + if bins > 0 { 1 + bins } else { 0 },
        contributions: 0,
        commit_s: 0.0,
    };
    let (before_s, at) = (on_core_s(), written());
    world.predict(0, rows);
    let passed_s = on_core_s() - before_s;
    println!(
        "predictions: {:.0} a second ({:.0} without commits), {:.2} times their {} bytes written",
        rows as f64 / passed_s,
        rows as f64 / (passed_s - world.commit_s),
        (written() - at) as f64 / rows as f64 / world.packed as f64,
        world.packed
    );
    world.say("full");
    let World { store, join, .. } = world;
    drop((store, join));
    let (before, before_s) = (Instant::now(), on_core_s());
    let store = Store::open(folder, Duration::ZERO, false).unwrap();
    let opened_s = before.elapsed().as_secs_f64();
    world = World {
        join: Join::restore(settings, store.resident(settings.room).unwrap()).unwrap(),
        store,
        folder,
        hasher: IdHasher::new([7; 16]),
        rows,
        bins,
        packed: 0,
        contributions: 0,
        commit_s: 0.0,
    };
    let restored_s = before.elapsed().as_secs_f64();
    let order = Order { ts_us: world.ts_us(rows), partition: 9, offset: 0 };
    let said = Said::Value(Value::Code(1));
    let id = world.id(rows / 2);
    world.join.label(Label { id, order, said, capture_ts_us: None });
    drive(&mut world.join, &world.store).unwrap();
    println!(
        "restart: file checked after {opened_s:.2} s, restored after {restored_s:.2} s, first look-up after {:.2} s, {:.2} s of them on the core",
        before.elapsed().as_secs_f64(),
        on_core_s() - before_s
    );
    world.say("restarted");
    let now = expire(&mut world, rows);
    labels(&mut world, now, rows / 30, true);
    labels(&mut world, now, rows, true);
    labels(&mut world, now, rows, false);
    world.say("labelled");
    println!("{} contributions", world.contributions);
}
