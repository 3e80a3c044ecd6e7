//! Measures several ways to do the same work by turns, so that a noisy machine troubles them alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One way to do the work.
pub struct Contender<'a> {
    pub name: &'a str,
    pub work: Box<dyn FnMut() -> usize + 'a>,
}

impl<'a> Contender<'a> {
    /// `work` returns anything that depends on all of it.
    pub fn new(name: &'a str, work: impl FnMut() -> usize + 'a) -> Contender<'a> {
        Contender { name, work: Box::new(work) }
    }
}

/// The median time of each contender over `rounds`, and the median of its ratios to the first, taken
/// within each round.
pub fn by_turns(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<(Duration, f64)> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds + 1 {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let started = Instant::now();
            black_box((contender.work)());
            // The first round warms up.
            if round > 0 {
                times.push(started.elapsed().as_secs_f64());
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

/// The median; 0 of nothing.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
