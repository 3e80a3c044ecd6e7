//! When a failed delivery is tried again: the schedule of Standard Webhooks with jitter.

use std::time::Duration;

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};

/// Waits before each attempt; about 75 hours in all.
const WAITS_US: [i64; 10] = [
    0,
    5 * SECOND_US,
    5 * MINUTE_US,
    30 * MINUTE_US,
    2 * HOUR_US,
    5 * HOUR_US,
    10 * HOUR_US,
    14 * HOUR_US,
    20 * HOUR_US,
    24 * HOUR_US,
];

/// A receiver that asks for more patience than this is tried anyway.
const RETRY_AFTER_MOST_US: i64 = 24 * HOUR_US;

/// Wall time of the next attempt in microseconds, after `attempt` attempts have been made; `None`
/// gives up. The wait grows by up to a tenth, chosen by `jitter_seed`, so that rows that failed
/// together do not come back together. `retry_after` is the receiver's own wish, honoured up to a day.
pub fn next_attempt(
    attempt: u32,
    now_us: i64,
    retry_after: Option<Duration>,
    jitter_seed: u64,
) -> Option<i64> {
    let wait_us = *WAITS_US.get(attempt as usize)?;
    let asked_us = retry_after.map_or(0, |after| {
        i64::try_from(after.as_micros()).unwrap_or(i64::MAX).min(RETRY_AFTER_MOST_US)
    });
    let wait_us = wait_us.max(asked_us);
    let seed = jitter_seed ^ u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let jitter_us = fastrand::Rng::with_seed(seed).i64(0..=wait_us / 10);
    Some(now_us.saturating_add(wait_us).saturating_add(jitter_us))
}
