//! How far the rows of one partition let us believe that time has passed: the last stretches of its log
//! (RULES §1, docs/decisions/061).
//!
//! One row proves little: its clock may be wrong. A stretch is what one producer said in one go, and as
//! long as clocks agree that is a row. Where they jump to and fro, rows of one half minute, and then of one
//! minute, are one stretch, so that a producer that sends fifty rows at once speaks once. A heartbeat costs
//! nothing to send and counts nothing: where there are rows, it is they that are believed.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::encoding::{DecodeError, Reader, put_signed};

/// Stretches that are kept, and that must agree while clocks do not.
pub(super) const KEPT: usize = 96;
/// Stretches that must agree while clocks do.
const AGREEING: usize = 32;
/// Jumps among those kept from which on clocks disagree: a gap or a start is a jump too.
const JUMPS: u32 = 4;
/// Rows that count of one stretch: a flood of one producer is no proof.
const ROWS: u8 = 16;
/// What a row weighs beside a stretch of heartbeats alone.
const ROW_WEIGHT: u32 = 4;

/// What the stretches of a model's partitions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StretchRule {
    /// A longer way between neighbours is a jump.
    pub(super) jump_us: i64,
    /// Neighbours that lie less than this apart and from the first are one stretch while a jump is kept;
    /// while clocks disagree, less than twice this from the first.
    pub(super) run_us: i64,
}

/// Who says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Row,
    Heartbeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    least_us: i64,
    /// At most [`ROWS`]; 0 of heartbeats alone.
    rows: u8,
    /// Whether it began with a jump.
    jump: bool,
}

impl Stretch {
    fn weight(self) -> u32 {
        match self.rows {
            0 => 1,
            rows => ROW_WEIGHT * u32::from(rows),
        }
    }
}

/// The last stretches of one partition, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Stretches {
    kept: VecDeque<Stretch>,
    /// Jumps among those kept.
    jumps: u32,
    /// Time of the last row or heartbeat.
    previous_us: Option<i64>,
    /// The first time of the last stretch.
    run_from_us: i64,
    tally: Agreement,
}

/// What is known of the stretches that must agree, so that a row costs no look at all of them. Follows
/// from the rest.
#[derive(Debug, Clone, Default)]
struct Agreement {
    /// The instant that may be passed next.
    watch_us: i64,
    weight: u32,
    /// Weight of the stretches that begin before it.
    before: u32,
}

impl Agreement {
    fn add(&mut self, stretch: Stretch) {
        self.weight += stretch.weight();
        self.before += stretch.weight() * u32::from(stretch.least_us < self.watch_us);
    }

    fn remove(&mut self, stretch: Stretch) {
        self.weight -= stretch.weight();
        self.before -= stretch.weight() * u32::from(stretch.least_us < self.watch_us);
    }
}

impl Stretches {
    /// Watches for this instant from now on.
    pub(super) fn watch(&mut self, instant_us: i64) {
        self.tally.watch_us = instant_us;
        self.tally_up();
    }

    /// Takes a row or heartbeat; says whether the instant that is watched is passed.
    pub(super) fn add(&mut self, time_us: i64, voice: Voice, rule: StretchRule) -> bool {
        let jump_us = rule.jump_us.unsigned_abs();
        let way_us = self.previous_us.map_or(u64::MAX, |us| us.abs_diff(time_us));
        let jump = way_us > jump_us;
        self.previous_us = Some(time_us);
        if jump && self.jumps == 0 {
            self.kept.clear();
            self.tally_up();
        }
        let run_us = rule.run_us.max(1).unsigned_abs();
        let longest_us = if self.disagree() { 2 * run_us } else { run_us };
        let goes_on = !jump
            && self.jumps > 0
            && way_us < run_us
            && time_us.abs_diff(self.run_from_us) < longest_us;
        let rows = u8::from(voice == Voice::Row);
        match self.kept.back_mut() {
            Some(last) if goes_on => {
                self.tally.remove(*last);
                last.least_us = last.least_us.min(time_us);
                last.rows = (last.rows + rows).min(ROWS);
                self.tally.add(*last);
            }
            _ => {
                self.run_from_us = time_us;
                self.push(Stretch { least_us: time_us, rows, jump });
            }
        }
        self.kept.len() >= self.needed() && 4 * self.tally.before <= self.tally.weight
    }

    /// The latest instant that is passed: at most a quarter of the weight lies in stretches that begin
    /// before it. `None` where too few stretches are kept.
    pub(super) fn passed_us(&self) -> Option<i64> {
        let needed = self.needed();
        let first = self.kept.len().checked_sub(needed)?;
        let mut agreeing: Vec<(i64, u32)> =
            self.kept.range(first..).map(|stretch| (stretch.least_us, stretch.weight())).collect();
        agreeing.sort_unstable();
        let all: u32 = agreeing.iter().map(|(_, weight)| weight).sum();
        let mut before = 0;
        for (least_us, weight) in agreeing {
            before += weight;
            if 4 * before > all {
                return Some(least_us);
            }
        }
        None
    }

    /// How many stretches must agree.
    fn needed(&self) -> usize {
        if self.disagree() { KEPT } else { AGREEING }
    }

    fn disagree(&self) -> bool {
        self.jumps >= JUMPS
    }

    fn push(&mut self, stretch: Stretch) {
        let needed = self.needed();
        if self.kept.len() == KEPT
            && let Some(first) = self.kept.pop_front()
        {
            self.jumps -= u32::from(first.jump);
            if needed == KEPT {
                self.tally.remove(first);
            }
        }
        self.kept.push_back(stretch);
        self.jumps += u32::from(stretch.jump);
        self.tally.add(stretch);
        if self.needed() != needed {
            self.tally_up();
        } else if let Some(leaves) = self.kept.len().checked_sub(needed + 1)
            && let Some(stretch) = self.kept.get(leaves)
        {
            self.tally.remove(*stretch);
        }
    }

    fn tally_up(&mut self) {
        let first = self.kept.len().saturating_sub(self.needed());
        let mut tally = Agreement { watch_us: self.tally.watch_us, ..Agreement::default() };
        self.kept.range(first..).for_each(|stretch| tally.add(*stretch));
        self.tally = tally;
    }
}

/// As the checkpoint writes them, since JSON would be ten times as long.
impl From<Stretches> for String {
    fn from(stretches: Stretches) -> String {
        let Some(previous_us) = stretches.previous_us else { return String::new() };
        let mut bytes = Vec::with_capacity(24 + 6 * stretches.kept.len());
        put_signed(&mut bytes, previous_us);
        put_signed(&mut bytes, stretches.run_from_us);
        let mut before_us = previous_us;
        for stretch in &stretches.kept {
            put_signed(&mut bytes, stretch.least_us.wrapping_sub(before_us));
            before_us = stretch.least_us;
            bytes.push(stretch.rows | u8::from(stretch.jump) << 7);
        }
        STANDARD_NO_PAD.encode(bytes)
    }
}

impl TryFrom<String> for Stretches {
    type Error = DecodeError;

    fn try_from(text: String) -> Result<Stretches, DecodeError> {
        let mut stretches = Stretches::default();
        if text.is_empty() {
            return Ok(stretches);
        }
        let invalid = DecodeError::Invalid { what: "stretches of a partition" };
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| invalid.clone())?;
        let mut reader = Reader::new(&bytes);
        let previous_us = reader.signed("the last time")?;
        stretches.previous_us = Some(previous_us);
        stretches.run_from_us = reader.signed("the last run")?;
        let mut before_us = previous_us;
        while reader.left() > 0 {
            before_us = before_us.wrapping_add(reader.signed("a stretch")?);
            let packed = reader.byte("the rows of a stretch")?;
            let (rows, jump) = (packed & 0x7f, packed >> 7 == 1);
            if rows > ROWS || stretches.kept.len() == KEPT {
                return Err(invalid);
            }
            stretches.jumps += u32::from(jump);
            stretches.kept.push_back(Stretch { least_us: before_us, rows, jump });
        }
        stretches.tally_up();
        Ok(stretches)
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
    use proptest::prelude::*;

    use super::*;

    const RULE: StretchRule = StretchRule { jump_us: MINUTE_US, run_us: 30 * SECOND_US };

    fn after(times_us: impl IntoIterator<Item = i64>) -> Stretches {
        let mut stretches = Stretches::default();
        for time_us in times_us {
            stretches.add(time_us, Voice::Row, RULE);
        }
        stretches
    }

    #[test]
    fn where_clocks_agree_a_quarter_of_thirty_two_rows_may_lie_before() {
        let table: [(&str, Vec<i64>, Option<i64>); 5] = [
            ("too few", (0..31).map(|n| n * 31).collect(), None),
            ("one row each half minute", (0..32).map(|n| n * 31).collect(), Some(8 * 31)),
            ("later ones push earlier ones out", (0..40).map(|n| n * 31).collect(), Some(16 * 31)),
            ("a run at the start is one stretch", (0..32).collect(), None),
            (
                "an hour's gap",
                [0].into_iter().chain((0..32).map(|n| 3600 + n * 31)).collect(),
                Some(3600 + 8 * 31),
            ),
        ];
        for (name, seconds, passed_s) in table {
            let stretches = after(seconds.iter().map(|s| s * SECOND_US));
            assert_eq!(stretches.passed_us(), passed_s.map(|s| s * SECOND_US), "{name}");
        }
    }

    /// One heartbeat 55 minutes ahead once made 500 of 500 honest rows late.
    #[test]
    fn one_clock_that_is_ahead_passes_nothing() {
        let honest = (0..200).map(|n| n * SECOND_US);
        let stretches =
            after(honest.chain([55 * MINUTE_US]).chain((200..205).map(|n| n * SECOND_US)));
        assert!(stretches.passed_us().is_none_or(|us| us < 205 * SECOND_US));
    }

    #[test]
    fn while_clocks_disagree_ninety_six_must_agree() {
        let fast = |n: i64| n * SECOND_US + if n % 3 == 0 { HOUR_US } else { 0 };
        let stretches = after((0..95).map(fast));
        assert_eq!(stretches.passed_us(), None, "ninety-five");
        let stretches = after((0..400).map(fast));
        assert!(stretches.passed_us().is_some_and(|us| us < 400 * SECOND_US), "{stretches:?}");
    }

    /// Half of the producers a year ahead, a row a second in runs of fifty: runs of fifty seconds once
    /// were two or three stretches each, so that ninety-six were some forty runs, of which by chance more
    /// than three quarters were wrong. 1188 of 7735 good rows were late.
    #[test]
    fn a_run_of_fifty_seconds_is_one_stretch_where_clocks_disagree() {
        let run = |n: i64| (0..50).map(move |row| (n * 50 + row + n % 2 * 100_000) * SECOND_US);
        let stretches = after((0..200).flat_map(run));
        assert!(stretches.kept.iter().all(|stretch| stretch.jump), "{stretches:?}");
    }

    /// Where heartbeats of a clock 55 minutes ahead were twice as many as rows, good rows were late now
    /// and then: 72 of 2225.
    #[test]
    fn heartbeats_weigh_less_than_rows_and_enough_alone() {
        let mut stretches = Stretches::default();
        for n in 0..400 {
            let fast = n % 5 != 0;
            let voice = if fast { Voice::Heartbeat } else { Voice::Row };
            let ahead_us = if fast { 55 * MINUTE_US } else { 0 };
            stretches.add(n * 31 * SECOND_US + ahead_us, voice, RULE);
        }
        let now_us = 400 * 31 * SECOND_US;
        assert!(stretches.passed_us().is_some_and(|us| us < now_us), "four of five: {stretches:?}");
        for n in 0..KEPT as i64 {
            stretches.add(now_us + n * 31 * SECOND_US, Voice::Heartbeat, RULE);
        }
        assert!(stretches.passed_us().is_some_and(|us| us >= now_us), "alone: {stretches:?}");
    }

    proptest! {
        /// The tally is an account of what is kept, and never says anything else.
        #[test]
        fn the_tally_says_what_a_look_at_all_would(
            steps in prop::collection::vec((-5_000i64..9_000, 0u8..40), 1..400),
            watch_s in -2_000i64..20_000,
        ) {
            let mut stretches = Stretches::default();
            stretches.watch(watch_s * SECOND_US);
            let mut time_us = 0;
            for (index, (step, kind)) in (0i64..).zip(steps) {
                time_us += match kind { 0..=30 => step.rem_euclid(20) * SECOND_US, _ => step * SECOND_US };
                let voice = if kind % 5 == 0 { Voice::Heartbeat } else { Voice::Row };
                let said = stretches.add(time_us, voice, RULE);
                let looked = stretches.passed_us().is_some_and(|us| us >= watch_s * SECOND_US);
                prop_assert_eq!(said, looked);
                if index % 37 == 0 {
                    stretches.watch((watch_s + index * 10) * SECOND_US);
                    stretches.watch(watch_s * SECOND_US);
                }
                let text = String::from(stretches.clone());
                prop_assert!(text.len() < 1600, "{} bytes", text.len());
                let mut again = Stretches::try_from(text).unwrap();
                again.watch(watch_s * SECOND_US);
                prop_assert_eq!(format!("{again:?}"), format!("{stretches:?}"));
                stretches = again;
            }
        }

        #[test]
        fn any_text_is_refused_or_read(text in "[A-Za-z0-9+/=]{0,60}") {
            let _ = Stretches::try_from(text);
        }
    }
}
