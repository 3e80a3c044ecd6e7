//! Thousands of runs, each drawn from a seed: whatever is read in which order, comes twice, fails or
//! dies, the log decides what is reported.
//!
//! A seed is a log ([`scenario`]) and everything that befalls its reading ([`run`]). The run without any
//! fault over the same log and the same idle cuts is the measure, and [`oracle`] holds that one against
//! the log itself. To run one seed again, with its number:
//!
//! ```text
//! DRIFTLINE_SIMULATION_SEED=4711 cargo test --lib one_seed -- --nocapture
//! DRIFTLINE_SIMULATION_SEEDS=100000 cargo test --lib whatever_befalls
//! ```

mod oracle;
mod process;
mod run;
mod scenario;
mod store;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use run::{Outcome, Troubles};
use scenario::Scenario;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one seed; panics where the disturbed run says anything else than the calm one.
fn simulate(seed: u64) -> (Outcome, Troubles) {
    let scenario = Scenario::draw(seed);
    let calm = run::calm(&scenario);
    oracle::check(&scenario, &calm);
    let (found, troubles) = run::disturbed(&scenario, seed);
    assert_eq!(found.topics, calm.topics);
    assert_eq!(found.letters, calm.letters);
    for (key, report) in &calm.reports {
        assert_eq!(found.reports.get(key), Some(report), "{key:?}");
    }
    assert_eq!(found.reports.len(), calm.reports.len());
    for (name, model) in &calm.models {
        let other = &found.models[name];
        assert_eq!(other.drift, model.drift, "{name}");
        assert_eq!(other.operations, model.operations, "{name}");
        assert!(other.facts == model.facts, "{name}: {}", difference(&other.facts, &model.facts));
        assert_eq!(other.open, model.open, "{name}");
    }
    assert_eq!(found.requests, calm.requests);
    assert_eq!(found.messages, calm.messages);
    (calm, troubles)
}

/// Where two texts begin to differ.
fn difference(found: &str, wanted: &str) -> String {
    let at = found.bytes().zip(wanted.bytes()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| {
        let from = at.saturating_sub(300);
        text.bytes().skip(from).take(600).map(char::from).collect::<String>()
    };
    format!("found\n{}\nwanted\n{}", around(found), around(wanted))
}

#[test]
fn whatever_befalls_the_reading_the_log_decides() {
    let seeds = number("DRIFTLINE_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let sums = Mutex::new([0u64; 7]);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failed.lock().unwrap().len() > 4 {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
                Ok((calm, troubles)) => {
                    let mut sums = sums.lock().unwrap();
                    sums[0] += calm.reports.len() as u64;
                    sums[1] += calm.messages.len() as u64;
                    sums[2] += calm.requests.len() as u64;
                    sums[3] += calm.letters.len() as u64;
                    sums[4] += u64::from(troubles.crashes);
                    sums[5] += u64::from(troubles.lost_commits);
                    sums[6] += u64::from(troubles.failed_commits);
                }
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
        "seeds {failed:?} failed; run one alone: DRIFTLINE_SIMULATION_SEED={} cargo test --lib one_seed",
        failed[0]
    );
    // A simulation in which nothing happens proves nothing.
    let sums = sums.into_inner().unwrap();
    println!(
        "{seeds} seeds: reports, messages, requests, letters, crashes, lost, failed: {sums:?}"
    );
    assert!(sums.iter().all(|sum| *sum > seeds / 200), "{sums:?}");
}

#[test]
fn one_seed_alone() {
    let seed = number("DRIFTLINE_SIMULATION_SEED").unwrap_or(1);
    let (calm, troubles) = simulate(seed);
    println!("seed {seed}: {} reports, {troubles:?}", calm.reports.len());
}

#[test]
fn the_store_in_memory_keeps_what_the_real_one_keeps() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let scenario = Scenario::draw(seed);
        let folder = folder.path().join(seed.to_string());
        let real = crate::checkpoint::Store::open(&folder, Duration::ZERO, false).unwrap();
        run::disturbed_beside(&scenario, seed, Some(real));
    }
}
