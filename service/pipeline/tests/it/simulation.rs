//! Thousands of runs, each drawn from a seed: whatever is read in which order, comes twice, fails or
//! dies, the log decides what is reported.
//!
//! A seed is a log ([`scenario`]) and everything that befalls its reading ([`run`]). The run without any
//! fault over the same log and the same idle cuts is the measure, and [`oracle`] holds that one against
//! the log itself. More seeds, or one again by its number:
//!
//! ```text
//! DRIFTLINE_SIMULATION_SEEDS=100000 cargo test -p driftline-pipeline whatever_befalls
//! DRIFTLINE_SIMULATION_SEED=4711 cargo test -p driftline-pipeline whatever_befalls -- --nocapture
//! ```

mod faults;
mod oracle;
mod process;
mod run;
mod scenario;
pub(crate) mod store;
mod variants;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftline_store::Store;

use faults::{Befallen, Fault};
use scenario::Scenario;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 10_000;
/// Of so many seeds one has its logs replaced.
const REPLACED: u64 = 4;
/// Each fault comes more than once in so many seeds.
const RAREST: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one seed; panics where the disturbed run says anything else than the calm one. Returns what befell
/// it.
fn simulate(seed: u64) -> Befallen {
    let scenario = Scenario::draw(seed);
    let calm = run::calm(&scenario);
    oracle::check(&scenario, &calm);
    let (found, mut befallen) = run::disturbed(&scenario, seed, None);
    assert_eq!(found.topics, calm.topics);
    assert_eq!(found.letters, calm.letters);
    for (key, report) in &calm.reports {
        assert_eq!(found.reports.get(key), Some(report), "{key:?}");
    }
    assert_eq!(found.reports.len(), calm.reports.len());
    for ((name, model), (_, other)) in calm.models.iter().zip(&found.models) {
        assert_eq!(other.clock, model.clock, "{name}");
        assert_eq!(other.lanes, model.lanes, "{name}");
        assert_eq!(other.counted, model.counted, "{name}");
        let decided = [other, model].map(|model| serde_json::to_string(&model.decided).unwrap());
        assert!(other.decided == model.decided, "{name}: {}", difference(&decided));
        assert_eq!(other.open, model.open, "{name}");
        assert_eq!(other.newest, model.newest, "{name}: the newest windows");
    }
    assert_eq!(found.requests, calm.requests);
    assert_eq!(found.messages, calm.messages);
    if seed.is_multiple_of(REPLACED) {
        let (reports, of_replaced) = run::replaced(&scenario);
        let closed = "of windows that closed before their log was replaced";
        assert!(reports == calm.reports, "{closed}:\n{reports:?}\n{:?}", calm.reports);
        befallen.take_in(&of_replaced);
    }
    befallen.take_in(&scenario.befallen);
    faults::of_outcome(&calm, &mut befallen);
    befallen
}

/// Where two texts begin to differ.
fn difference([found, wanted]: &[String; 2]) -> String {
    let at = found.bytes().zip(wanted.bytes()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| {
        let from = at.saturating_sub(300);
        text.bytes().skip(from).take(600).map(char::from).collect::<String>()
    };
    format!("found\n{}\nwanted\n{}", around(found), around(wanted))
}

/// Runs all these seeds, on every processor.
fn simulate_all(seeds: Range<u64>) -> Befallen {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let befallen = Mutex::new(Befallen::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().len() > 4 {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
                Ok(found) => befallen.lock().unwrap().take_in(&found),
                Err(_) => failed.lock().unwrap().push(seed),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "seeds {failed:?} failed; run one again: DRIFTLINE_SIMULATION_SEED={} cargo test -p \
         driftline-pipeline whatever_befalls",
        failed[0]
    );
    befallen.into_inner().unwrap()
}

#[test]
fn whatever_befalls_the_reading_the_log_decides() {
    if let Some(seed) = number("DRIFTLINE_SIMULATION_SEED") {
        return println!("seed {seed}: {:?}", simulate_all(seed..seed + 1));
    }
    let seeds = number("DRIFTLINE_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let befallen = simulate_all(0..seeds);
    println!("{seeds} seeds: {befallen:?}");
    // A simulation in which nothing happens proves nothing.
    let too_rare: Vec<&Fault> =
        Fault::ALL.iter().filter(|fault| befallen.times(**fault) <= seeds / RAREST).collect();
    assert!(too_rare.is_empty(), "hardly ever happened: {too_rare:?}, of {befallen:?}");
}

/// What docs/failures.md says that the simulation proves is a fault that it counts.
#[test]
fn every_row_that_names_the_simulation_has_faults_that_it_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/failures.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (faults, _) = text.split_once("## Planted bugs").unwrap();
    let named = faults.lines().filter(|line| line.contains("`whatever_befalls_the_reading_"));
    let named: Vec<&str> = named.filter_map(|line| line.split(" | ").next()).collect();
    let mut known: Vec<&str> = faults::ROWS.iter().map(|(row, _)| *row).collect();
    for row in named {
        let row = row.trim_start_matches("| ");
        let place = known.iter().position(|known| row.starts_with(known));
        known.remove(place.unwrap_or_else(|| panic!("no fault is counted for the row: {row}")));
    }
    assert!(known.is_empty(), "no such row names the simulation: {known:?}");
    assert!(faults::ROWS.iter().all(|(_, faults)| !faults.is_empty()));
}

#[test]
fn the_store_in_memory_keeps_what_the_real_one_keeps() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let scenario = Scenario::draw(seed);
        let folder = folder.path().join(seed.to_string());
        let real = Store::open(&folder, Duration::ZERO, false).unwrap();
        run::disturbed(&scenario, seed, Some(real));
    }
}
