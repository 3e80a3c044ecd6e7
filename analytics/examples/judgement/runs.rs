//! Runs of one thing with as many seeds, on all processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::Outcome;

/// What `one` gives for each seed from 0 on, in that order.
pub(crate) fn all<T: Send>(count: u64, one: impl Fn(u64) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return done;
            }
            // Errors are texts, since they go from thread to thread.
            done.push((seed, one(seed).map_err(|error| error.to_string())));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(u64, Result<T, String>)> = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = started.into_iter().map(|thread| thread.join());
        // A thread that panicked has said why.
        ended.flat_map(Result::unwrap_or_default).collect()
    });
    done.sort_by_key(|(seed, _)| *seed);
    if done.len() as u64 != count {
        return Err("a run panicked".into());
    }
    done.into_iter().map(|(_, found)| found.map_err(Into::into)).collect()
}
