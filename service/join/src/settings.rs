//! How long predictions and labels wait, and how much of both is kept.

use crate::prediction::Value;

/// Buckets of one horizon.
const BUCKETS: i64 = 32;
/// A bucket is a whole number of seconds, so that times that are rounded to the second name the same one.
const SECOND_US: i64 = 1_000_000;
/// Longest bucket: times within it are kept as 32 bits of milliseconds.
const LONGEST_BUCKET_US: i64 = 49 * 86_400 * SECOND_US;

/// The times of a model's labels, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long behind its capture a label may be.
    pub horizon_us: i64,
    /// How long before its capture a label may be.
    pub wait_for_capture_us: i64,
    /// Behind what time without a label a prediction has the implied one.
    pub implied: Option<Implied>,
}

/// The label that silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Implied {
    pub value: Value,
    pub after_us: i64,
}

/// How one model's predictions wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The model's number in the store that it shares with others.
    pub room: u32,
    pub timing: Timing,
    /// Most bytes of waiting predictions and labels on disk: beyond it the share that is kept halves.
    pub disk_bytes: u64,
    /// How many rows wait in memory before they are written as sorted runs.
    pub hot_rows: usize,
    /// Most labels that are remembered for predictions yet to come: beyond it the oldest are given up.
    pub recent_labels: usize,
}

/// Settings under which nothing could be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    #[error("`labels.horizon` is {seconds} s: write one from 1 minute to 4 years")]
    Horizon { seconds: i64 },
    #[error("`labels.wait_for_capture` is {seconds} s: write one from 1 second to the horizon")]
    Wait { seconds: i64 },
    #[error("`labels.implied.after` is {seconds} s: write one from 1 second to the horizon")]
    After { seconds: i64 },
}

impl Settings {
    /// With the default bounds: 20 GiB on disk, 256 Ki rows and 512 Ki labels in memory (some 40 and 100 MB).
    ///
    /// # Errors
    /// [`BadSettings`]: times that contradict each other.
    pub fn new(room: u32, timing: Timing) -> Result<Settings, BadSettings> {
        let Timing { horizon_us, wait_for_capture_us, implied } = timing;
        let seconds = |us: i64| us / SECOND_US;
        if !(60 * SECOND_US..=BUCKETS * LONGEST_BUCKET_US).contains(&horizon_us) {
            return Err(BadSettings::Horizon { seconds: seconds(horizon_us) });
        }
        let within = SECOND_US..=horizon_us;
        if !within.contains(&wait_for_capture_us) {
            return Err(BadSettings::Wait { seconds: seconds(wait_for_capture_us) });
        }
        if let Some(Implied { after_us, .. }) = implied.filter(|it| !within.contains(&it.after_us))
        {
            return Err(BadSettings::After { seconds: seconds(after_us) });
        }
        let (disk_bytes, hot_rows, recent_labels) = (20 << 30, 256 << 10, 512 << 10);
        Ok(Settings { room, timing, disk_bytes, hot_rows, recent_labels })
    }

    /// How much time of captures lies in one bucket.
    pub(crate) fn width_us(&self) -> i64 {
        let seconds = (self.timing.horizon_us / SECOND_US + BUCKETS - 1) / BUCKETS;
        seconds.max(1) * SECOND_US
    }

    /// How much time of labels is forgotten at once.
    pub(crate) fn recent_width_us(&self) -> i64 {
        (self.timing.wait_for_capture_us / 8).max(SECOND_US)
    }
}
