//! When a failed delivery is tried again: the schedule of Standard Webhooks with jitter, and a
//! shorter one for alerts, which are sent again anyway.

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

/// The first wait of an alert; it doubles up to the interval at which what stands is sent again.
const ALERT_WAIT_US: i64 = 5 * SECOND_US;
/// How long the end of an alert is offered: as long as any message.
const ALERT_PATIENCE_US: i64 = 75 * HOUR_US;

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
    Some(later(now_us, wait_us, retry_after, jitter_seed ^ spread(attempt)))
}

/// The same for an alert of which `attempt` attempts in a row have failed, and which is sent every
/// `resend_us` while it stands. One that stands is never given up.
pub fn next_alert_attempt(
    attempt: u32,
    now_us: i64,
    retry_after: Option<Duration>,
    resend_us: i64,
    is_standing: bool,
) -> Option<i64> {
    let resend_us = resend_us.max(1);
    let given_up = i64::from(attempt) > ALERT_PATIENCE_US / resend_us;
    if given_up && !is_standing {
        return None;
    }
    let doubled = ALERT_WAIT_US.saturating_mul(1 << attempt.saturating_sub(1).min(20));
    Some(later(now_us, doubled.min(resend_us), retry_after, spread(attempt)))
}

fn spread(attempt: u32) -> u64 {
    u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn later(now_us: i64, wait_us: i64, retry_after: Option<Duration>, seed: u64) -> i64 {
    let asked_us = retry_after.map_or(0, |after| {
        i64::try_from(after.as_micros()).unwrap_or(i64::MAX).min(RETRY_AFTER_MOST_US)
    });
    let wait_us = wait_us.max(asked_us);
    let jitter_us = fastrand::Rng::with_seed(seed).i64(0..=wait_us / 10);
    now_us.saturating_add(wait_us).saturating_add(jitter_us)
}
