//! Measures several ways to do the same work by turns, so that a noisy machine troubles them alike, in
//! the time that the processor gave to this thread.
#![allow(dead_code, reason = "some benchmarks need the clock alone")]

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One way to do the work.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) work: Box<dyn FnMut() -> usize + 'a>,
}

impl<'a> Contender<'a> {
    /// `work` returns anything that depends on all of it.
    pub(crate) fn new(name: &'a str, work: impl FnMut() -> usize + 'a) -> Contender<'a> {
        Contender { name, work: Box::new(work) }
    }
}

/// The median time of each contender over `rounds`, and the median of its ratios to the first, taken
/// within each round.
pub(crate) fn by_turns(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<(Duration, f64)> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds + 1 {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let started = thread_seconds();
            black_box((contender.work)());
            let took = thread_seconds() - started;
            // The first round warms up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    let first = times.first().cloned().unwrap_or_default();
    let summary = |times: Vec<f64>| {
        let ratios = times.iter().zip(&first).map(|(time, first)| first / time).collect();
        (Duration::from_secs_f64(median(times)), median(ratios))
    };
    times.into_iter().map(summary).collect()
}

/// What the processor gave to this thread so far.
pub(crate) fn thread_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The median; 0 of nothing.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
