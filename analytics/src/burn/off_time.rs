//! Rows whose time is not what it should be: how many, of which partitions, by how much and whose clock.

use driftline_config::Level;
use driftline_config::time::{SECOND_US, duration_words};

use super::sentence;
use super::{BrokenInput, PaneCheck, StrayShare};
use crate::judgement::test_share;
use crate::pane::{ClockCounts, PaneRecords};
use crate::report::rounded;

/// Share of such rows in a pane above which the input is broken: RULES §1, rule 8.
pub(super) const OFF_TIME: f64 = 0.01;
/// Rows of the last ten panes below which that share says nothing.
pub(super) const OFF_TIME_OF: u64 = 500;
/// Share of late rows in a window's stretch of the log above which that window alone says so.
const LATE_OF_A_WINDOW: f64 = 0.05;
/// Partitions that the sentence names.
const NAMED: usize = 3;

/// The rows of a pane that are late, ahead or fast, where they are more than 1 %, and more than 1 % of at
/// least 500 rows of the last ten panes with 99 % confidence: one late row of a hundred is chance.
pub(super) fn off_time(records: &PaneRecords, recent: StrayShare) -> Option<BrokenInput> {
    let mut all = ClockCounts::default();
    records.clocks.iter().for_each(|(_, counts)| all += *counts);
    let share = all.strays() as f64 / records.rows.max(1) as f64;
    if recent.rows < OFF_TIME_OF || records.rows == 0 || share <= OFF_TIME {
        return None;
    }
    let bound = test_share(recent.strays.min(recent.rows), recent.rows, OFF_TIME).bound;
    if bound <= OFF_TIME {
        return None;
    }
    let because = format!(
        "{} % of rows {}, most in partition {}, {}: {}",
        sentence::percent(share.min(1.0)),
        what_became(&all),
        partitions(records),
        by_how_much(&all),
        whose_clock(&all),
    );
    Some(BrokenInput {
        level: Level::Alarm,
        value: rounded(share.min(1.0)),
        bound: rounded(bound),
        tolerance: OFF_TIME,
        because,
        ..BrokenInput::unknown("model".into(), PaneCheck::OffTime)
    })
}

/// The same of a whole window's stretch of the log: rows of the future, which only a wrong clock sends, or
/// late ones that are more than a twentieth. Of a log that is read in one go, all panes may be cut at one place,
/// and of the windows that follow the stretch holds no rows: they say nothing, `not_computable`.
pub fn off_time_of_window(records: &PaneRecords) -> Option<BrokenInput> {
    let mut all = ClockCounts::default();
    records.clocks.iter().for_each(|(_, counts)| all += *counts);
    let (rows, future) = (records.rows, all.ahead + all.fast);
    let share = StrayShare { rows, strays: all.strays() };
    let too_few = rows < OFF_TIME_OF && all.strays() as f64 > OFF_TIME * rows as f64;
    if rows == 0 || too_few {
        return Some(BrokenInput::unknown("model".into(), PaneCheck::OffTime));
    }
    let of_future = off_time(records, StrayShare { rows, strays: future });
    let late =
        off_time(records, share).filter(|_| all.late as f64 > LATE_OF_A_WINDOW * rows as f64);
    of_future.or(late)
}

fn what_became(all: &ClockCounts) -> &'static str {
    let most = all.late.max(all.ahead).max(all.fast);
    if most == all.late {
        "came after their window had closed and are in none"
    } else if most == all.ahead {
        "lie so far in the future that no window took them"
    } else {
        "lie in the future and end up in windows that have not begun"
    }
}

fn partitions(records: &PaneRecords) -> String {
    let named = records.clocks.iter().take(NAMED);
    let named: Vec<String> = named.map(|(partition, _)| partition.to_string()).collect();
    named.join(", ")
}

fn by_how_much(all: &ClockCounts) -> String {
    let mean_us = i64::try_from(all.off_s / all.strays().max(1)).unwrap_or(0) * SECOND_US;
    let side = if all.late >= all.ahead + all.fast { "behind" } else { "ahead of" };
    format!("about {} {side} the rows around them", duration_words(mean_us.max(SECOND_US)))
}

/// Two clocks that agree with each other and with nobody else are one machine's; where they do not agree,
/// `ts` is the one that windows go by.
fn whose_clock(all: &ClockCounts) -> &'static str {
    let is_late = all.late >= all.ahead + all.fast;
    match (2 * all.apart > all.strays(), is_late) {
        (false, true) => "ts and the record's timestamp agree, so a producer's clock is slow",
        (false, false) => "ts and the record's timestamp agree, so a producer's clock is fast",
        (true, true) => {
            "ts lies before the record's timestamp, so they are sent late or what writes ts has a slow clock"
        }
        (true, false) => {
            "ts lies beyond the record's timestamp, so what writes ts has a fast clock"
        }
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::Partition;

    use super::*;

    /// Nothing told of a clock that was wrong: levels were `ok`, and no mail was sent.
    #[test]
    fn the_sentence_names_partitions_amount_and_clock() {
        let off = |late, ahead, fast, minutes: u64, apart| ClockCounts {
            late,
            ahead,
            fast,
            off_s: minutes * 60 * (late + ahead + fast),
            apart,
        };
        let table = [
            (
                off(0, 0, 25, 30, 0),
                "25 % of rows lie in the future and end up in windows that have not begun, most in partition 3, about 30 minutes ahead of the rows around them: ts and the record's timestamp agree, so a producer's clock is fast",
            ),
            (
                off(0, 2, 0, 60 * 24 * 365, 0),
                "2 % of rows lie so far in the future that no window took them, most in partition 3, about 52 weeks ahead of the rows around them: ts and the record's timestamp agree, so a producer's clock is fast",
            ),
            (
                off(40, 0, 0, 90, 40),
                "40 % of rows came after their window had closed and are in none, most in partition 3, about 90 minutes behind the rows around them: ts lies before the record's timestamp, so they are sent late or what writes ts has a slow clock",
            ),
        ];
        for (counts, sentence) in table {
            let mut records = PaneRecords { rows: 100, ..PaneRecords::default() };
            records.add_clock(Partition(3), counts);
            let recent = |rows, strays| StrayShare { rows, strays };
            assert_eq!(off_time(&records, recent(500, 100)).unwrap().because, sentence);
            assert!(off_time(&records, recent(499, 100)).is_none(), "too few rows");
            assert!(off_time(&records, recent(500, 8)).is_none(), "eight of 500 may be chance");
        }
        let mut records = PaneRecords { rows: 100, ..PaneRecords::default() };
        let of_window = |records: &PaneRecords| off_time_of_window(records).map(|off| off.level);
        assert_eq!(
            of_window(&PaneRecords::default()),
            Some(Level::NotComputable),
            "no rows at all"
        );
        assert_eq!(of_window(&records), None, "a hundred good ones");
        records.add_clock(Partition(0), off(30, 0, 0, 9, 0));
        assert_eq!(of_window(&records), Some(Level::NotComputable), "too few to say more");
        let mut records = PaneRecords { rows: 100, ..PaneRecords::default() };
        records.add_clock(Partition(0), off(1, 0, 0, 9, 0));
        let recent = StrayShare { rows: 500, strays: 100 };
        assert!(off_time(&records, recent).is_none(), "one of a hundred");
    }
}
