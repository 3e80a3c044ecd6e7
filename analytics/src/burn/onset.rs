//! When an objective began to be overspent, rather than when that was certain.

use super::{BadOf, BurnWindow, Objective};

impl BurnWindow {
    /// Start of the pane from which on the share was nearer to `share` than to what is allowed: the change
    /// point of the cumulative sum of Page (1954). `None` where nothing of the stretch was counted.
    pub(super) fn onset_us(&self, objective: &Objective, now_us: i64, share: f64) -> Option<i64> {
        let middle = f64::midpoint(objective.allowed, share);
        let (mut sum, mut best, mut onset_us) = (0.0, 0.0, None);
        for (&start_us, sums) in self.sums.range(..now_us).rev() {
            let BadOf { bad, of } = sums.bad_of(objective.check);
            sum += bad - middle * of;
            if sum > best {
                (best, onset_us) = (sum, Some(start_us));
            }
        }
        onset_us
    }
}
