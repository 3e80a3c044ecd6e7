//! The rules of time, each with the test that is named after it.

use std::collections::BTreeMap;

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use proptest::prelude::*;

use super::*;

const HOUR_WINDOWS: LaneSettings = LaneSettings {
    every_us: HOUR_US,
    lateness_us: 5 * MINUTE_US,
    at_least: 1,
    at_most_us: 14 * DAY_US,
    jump_us: HOUR_US,
};
/// A Monday at midnight, so that hours are easy to read.
const T0: i64 = ALIGNMENT_US;

/// A lane with its positions and idle partitions, driven row by row.
struct Bench {
    lane: Lane,
    positions: BTreeMap<i32, i64>,
    idle: Vec<i32>,
    late: Vec<(i32, i64)>,
    closed: Vec<Closed>,
    carried: Vec<(i64, i64)>,
}

impl Bench {
    fn new(settings: LaneSettings, partitions: i32) -> Bench {
        let mut lane = Lane::new(settings);
        for partition in 0..partitions {
            lane.add_partition(Partition(partition), 0);
        }
        Bench {
            lane,
            positions: (0..partitions).map(|partition| (partition, 0)).collect(),
            idle: Vec::new(),
            late: Vec::new(),
            closed: Vec::new(),
            carried: Vec::new(),
        }
    }

    /// One row whose record timestamp is its event time.
    fn row(&mut self, partition: i32, time_us: i64) {
        self.row_stamped(partition, time_us, time_us);
    }

    fn row_stamped(&mut self, partition: i32, time_us: i64, record_time_us: i64) {
        let position = self.positions.get_mut(&partition).unwrap();
        let rows = Rows {
            offsets: &[*position],
            times_us: &[time_us],
            record_times_us: &[record_time_us],
        };
        *position += 1;
        let assignment = self.lane.assign(Partition(partition), rows, &[], true);
        self.late.extend(assignment.late.iter().map(|offset| (partition, *offset)));
    }

    fn beat(&mut self, partition: i32, time_us: i64) {
        let position = self.positions.get_mut(&partition).unwrap();
        let beat = Heartbeat { offset: *position, time_us, record_time_us: time_us };
        *position += 1;
        let rows = Rows { offsets: &[], times_us: &[], record_times_us: &[] };
        self.lane.assign(Partition(partition), rows, &[beat], true);
    }

    fn advance(&mut self, now_us: i64) {
        let (idle, positions) = (&self.idle, &self.positions);
        let steps =
            self.lane.advance(now_us, &|partition| idle.contains(&partition.0), &|partition| {
                positions[&partition.0]
            });
        for step in steps {
            match step {
                Step::Close(closed) => self.closed.push(closed),
                Step::Carry { from_us, into_us } => self.carried.push((from_us, into_us)),
            }
        }
    }

    fn closed_starts(&self) -> Vec<i64> {
        self.closed.iter().map(|closed| closed.start_us).collect()
    }
}

#[test]
fn windows_are_aligned_to_a_monday_by_floor_division() {
    for (time_us, every_us, expected_us) in [
        (T0, 7 * DAY_US, T0),
        (T0 - 1, 7 * DAY_US, T0 - 7 * DAY_US),
        (T0 + 90 * MINUTE_US, HOUR_US, T0 + HOUR_US),
        (0, 7 * DAY_US, T0 - 7 * DAY_US),
        (-1, DAY_US, -DAY_US),
    ] {
        assert_eq!(window_start_us(time_us, every_us), expected_us, "{time_us} {every_us}");
    }
}

#[test]
fn a_window_closes_when_every_partition_has_passed_it() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.row(0, T0 + 10 * MINUTE_US);
    bench.row(1, T0 + 20 * MINUTE_US);
    bench.row(0, T0 + HOUR_US + 5 * MINUTE_US);
    bench.advance(T0);
    assert!(bench.closed.is_empty(), "partition 1 has not passed");
    bench.row(1, T0 + HOUR_US + 5 * MINUTE_US - 1);
    bench.advance(T0);
    assert!(bench.closed.is_empty(), "one microsecond short of the lateness");
    bench.row(1, T0 + HOUR_US + 5 * MINUTE_US);
    bench.advance(T0);
    let [closed] = &bench.closed[..] else { panic!("{:?}", bench.closed) };
    assert_eq!((closed.start_us, closed.rows), (T0, 2));
    assert_eq!(
        closed.cuts[&Partition(0)],
        Cut { from: 0, to: 1, by: CutBy::Log, rows_from: Some(0) }
    );
    assert_eq!(
        closed.cuts[&Partition(1)],
        Cut { from: 0, to: 2, by: CutBy::Log, rows_from: Some(0) }
    );
}

#[test]
fn a_row_is_late_if_and_only_if_it_lies_beyond_its_cut_in_its_own_partition() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.row(0, T0);
    bench.row(0, T0 + 2 * HOUR_US);
    bench.row(0, T0 + 1);
    assert_eq!(bench.late, [(0, 2)], "partition 0 has passed the window");
    bench.row(1, T0 + 1);
    assert_eq!(bench.late, [(0, 2)], "partition 1 has not, though the window is over elsewhere");
}

#[test]
fn a_partition_that_never_had_a_row_can_be_idle() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.row(0, T0);
    bench.row(0, T0 + 2 * HOUR_US);
    bench.advance(T0);
    assert!(bench.closed.is_empty());
    bench.idle = vec![1];
    bench.advance(T0);
    assert_eq!(
        bench.closed[0].cuts[&Partition(1)],
        Cut { from: 0, to: 0, by: CutBy::Idle, rows_from: None }
    );
}

#[test]
fn all_partitions_silent_in_mid_window_close_nothing_until_the_wall_has_carried_it() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    let stamped_us = T0 + 40 * DAY_US;
    bench.row_stamped(0, T0 + 30 * MINUTE_US, stamped_us);
    bench.row_stamped(1, T0 + 20 * MINUTE_US, stamped_us);
    bench.idle = vec![0, 1];
    bench.advance(stamped_us + 34 * MINUTE_US);
    assert!(bench.closed.is_empty(), "a pause inside a window closes nothing");
    bench.advance(stamped_us + 35 * MINUTE_US);
    assert_eq!(bench.closed_starts(), [T0], "it would have ended by now");
    assert_eq!(bench.closed[0].cuts[&Partition(0)].by, CutBy::Idle);
}

#[test]
fn a_row_after_an_idle_close_is_late_and_the_strips_tile_the_log() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.row(0, T0);
    bench.row(1, T0);
    bench.row(0, T0 + 2 * HOUR_US);
    bench.idle = vec![1];
    bench.advance(T0);
    assert_eq!(bench.closed_starts(), [T0]);
    bench.idle.clear();
    bench.row(1, T0 + 5);
    assert_eq!(bench.late, [(1, 1)]);
    for partition in [0, 1] {
        bench.row(partition, T0 + 2 * HOUR_US + 1);
        bench.row(partition, T0 + 4 * HOUR_US);
    }
    bench.advance(T0);
    let strips: Vec<_> = bench
        .closed
        .iter()
        .map(|closed| (closed.cuts[&Partition(1)].from, closed.cuts[&Partition(1)].to))
        .collect();
    assert_eq!(strips, [(0, 1), (1, 3)]);
}

#[test]
fn one_clock_a_year_ahead_cannot_close_everybodys_windows() {
    let mut bench = Bench::new(HOUR_WINDOWS, 1);
    for index in 0..100 {
        bench.row(0, T0 + index * SECOND_US);
    }
    for index in 0..100 {
        bench.row(0, T0 + 365 * DAY_US);
        bench.row(0, T0 + (100 + index) * SECOND_US);
    }
    bench.advance(T0);
    assert!(bench.closed.is_empty() && bench.late.is_empty());
    for _ in 0..20 {
        bench.row(0, T0 + 3 * DAY_US);
    }
    bench.advance(T0);
    assert_eq!(bench.closed_starts(), [T0], "twenty rows in a row are the log going on");
    assert_eq!(bench.lane.watermark_us(Partition(0)), Some(T0 + 3 * DAY_US));
}

#[test]
fn heartbeats_and_the_first_hundred_rows_move_the_watermark_at_once() {
    let mut bench = Bench::new(HOUR_WINDOWS, 1);
    bench.row(0, T0);
    bench.row(0, T0 + 10 * DAY_US);
    assert_eq!(bench.lane.watermark_us(Partition(0)), Some(T0 + 10 * DAY_US));
    for _ in 0..100 {
        bench.row(0, T0 + 10 * DAY_US);
    }
    bench.beat(0, T0 + 50 * DAY_US);
    assert_eq!(bench.lane.watermark_us(Partition(0)), Some(T0 + 50 * DAY_US));
}

/// What heartbeats passed without a row was kept until a window closed: in a quiet night of minutes, of six
/// partitions and a thousand models, it was 230 MB, written anew with each snapshot.
#[test]
fn heartbeats_without_rows_leave_nothing_behind_that_no_window_is_cut_by() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    let pass = |bench: &mut Bench, hour: i64| {
        (0..2).for_each(|partition| bench.beat(partition, T0 + hour * HOUR_US + 5 * MINUTE_US));
        bench.advance(T0);
    };
    bench.row(0, T0);
    pass(&mut bench, 1);
    assert_eq!(bench.closed_starts(), [T0]);
    assert_eq!(bench.closed[0].cuts[&Partition(0)].to, 1);
    (2..=500).for_each(|hour| pass(&mut bench, hour));
    let written = serde_json::to_string(&bench.lane).unwrap();
    assert!(written.len() < 3000, "{written}");
    assert!(bench.lane.may_cut_at(Partition(0), 1), "where the next window begins");
    assert!(!bench.lane.may_cut_at(Partition(0), 2) && !bench.lane.may_cut_at(Partition(0), 484));
    assert_eq!(bench.lane.next_cut(Partition(0)), (1, 485), "sixteen hours are kept");

    // A partition that is behind may still open every window that others have passed.
    (501..=510).for_each(|hour| bench.beat(0, T0 + hour * HOUR_US + 5 * MINUTE_US));
    bench.row(1, T0 + 504 * HOUR_US);
    bench.beat(1, T0 + 511 * HOUR_US);
    bench.advance(T0);
    assert_eq!(bench.closed_starts(), [T0, T0 + 504 * HOUR_US]);
    // Partition 0 began with a row, so the heartbeat of hour 505 is its record 505.
    let cut = Cut { from: 1, to: 505, by: CutBy::Log, rows_from: None };
    assert_eq!(bench.closed[1].cuts[&Partition(0)], cut);
    assert_eq!(bench.closed[1].cuts[&Partition(1)].from, bench.closed[0].cuts[&Partition(1)].to);
}

#[test]
fn the_record_timestamp_holds_the_watermark_back() {
    let mut bench = Bench::new(HOUR_WINDOWS, 1);
    bench.row_stamped(0, T0 + 2 * HOUR_US, T0 + 10 * MINUTE_US);
    assert_eq!(bench.lane.watermark_us(Partition(0)), Some(T0 + 10 * MINUTE_US));
}

#[test]
fn a_small_window_is_carried_until_it_has_enough_rows() {
    let mut bench = Bench::new(LaneSettings { at_least: 3, ..HOUR_WINDOWS }, 1);
    for hour in [0, 1, 1, 2, 4] {
        bench.row(0, T0 + hour * HOUR_US);
    }
    bench.advance(T0);
    let [closed] = &bench.closed[..] else { panic!("{:?}", bench.closed) };
    assert_eq!((closed.start_us, closed.end_us), (T0, T0 + 2 * HOUR_US));
    assert_eq!((closed.rows, closed.parts), (3, 2));
    assert_eq!(
        closed.cuts[&Partition(0)],
        Cut { from: 0, to: 4, by: CutBy::Log, rows_from: Some(0) }
    );
    assert_eq!(bench.carried, [(T0 + HOUR_US, T0)]);
}

#[test]
fn a_carried_window_is_not_joined_with_one_of_other_settings() {
    let settings = LaneSettings { at_least: 3, ..HOUR_WINDOWS };
    let closed = |restarts_before_second: bool| {
        let mut bench = Bench::new(settings, 1);
        bench.row(0, T0);
        if restarts_before_second {
            bench.lane.begin_era();
        }
        bench.row(0, T0 + HOUR_US);
        bench.row(0, T0 + HOUR_US + 6 * MINUTE_US);
        bench.advance(T0);
        assert_eq!((bench.closed.len(), bench.carried.len()), (0, 0), "the first is carried");
        if !restarts_before_second {
            bench.lane.begin_era();
        }
        bench.row(0, T0 + 3 * HOUR_US);
        bench.advance(T0);
        let closed = bench.closed.iter();
        closed.map(|closed| (closed.start_us - T0, closed.rows)).collect::<Vec<_>>()
    };
    assert_eq!(closed(false), [(0, 3)], "both opened under the same settings");
    assert_eq!(closed(true), [(0, 1)], "closed small, since what follows counts otherwise");
}

#[test]
fn an_idle_cut_is_noted_when_it_is_made_also_where_the_window_is_carried() {
    let mut bench = Bench::new(LaneSettings { at_least: 9, ..HOUR_WINDOWS }, 2);
    bench.row(0, T0);
    bench.row(1, T0 + 1);
    bench.idle = vec![1];
    bench.row(0, T0 + HOUR_US + 5 * MINUTE_US);
    bench.advance(T0);
    assert_eq!(bench.closed, [], "carried");
    assert_eq!(bench.lane.take_idle_cuts(), [(Partition(1), 1)]);
    assert_eq!(bench.lane.take_idle_cuts(), []);
}

#[test]
fn a_carried_window_closes_at_its_longest() {
    let settings = LaneSettings { at_least: 100, at_most_us: 3 * HOUR_US, ..HOUR_WINDOWS };
    let mut bench = Bench::new(settings, 1);
    bench.row(0, T0);
    bench.row(0, T0 + 9 * HOUR_US);
    bench.advance(T0);
    assert_eq!(bench.closed_starts(), [T0], "though no window between holds a row");
    assert_eq!(bench.closed[0].end_us, T0 + HOUR_US);
}

#[test]
fn a_window_is_incomplete_where_rows_may_lie_before_the_first_offset_read() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.lane.mark_incomplete(Partition(1), T0 + 30 * MINUTE_US, Incomplete::Started);
    for hour in 0..4 {
        bench.row(0, T0 + hour * HOUR_US);
        bench.row(1, T0 + hour * HOUR_US);
    }
    bench.advance(T0);
    let reasons: Vec<_> = bench.closed.iter().map(|closed| closed.incomplete.clone()).collect();
    assert_eq!(reasons, [vec![Incomplete::Started], vec![]]);
}

proptest! {
    /// Batches are an accident of reading: however the log is split into calls, rows, cuts and
    /// closes are the same.
    #[test]
    fn any_split_into_calls_gives_the_same_windows(
        steps in prop::collection::vec((0i32..3, -40i64..90), 1..200),
        splits in prop::collection::vec(1usize..9, 1..60),
    ) {
        let mut times: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for (index, (partition, minutes)) in (0i64..).zip(&steps) {
            let time_us = T0 + (index * 7 + minutes) * MINUTE_US;
            times.entry(*partition).or_default().push(time_us);
        }
        let whole = run(&times, &[usize::MAX]);
        let split = run(&times, &splits);
        prop_assert_eq!(whole, split);
    }
}

type Outcome = (Vec<Closed>, Vec<(i32, i64)>, BTreeMap<(i32, i64), i64>);

fn run(times: &BTreeMap<i32, Vec<i64>>, splits: &[usize]) -> Outcome {
    let mut lane = Lane::new(HOUR_WINDOWS);
    for partition in 0..3 {
        lane.add_partition(Partition(partition), 0);
    }
    let (mut late, mut placed, mut closed) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut positions: BTreeMap<i32, usize> = (0..3).map(|partition| (partition, 0)).collect();
    let mut splits = splits.iter().cycle();
    while times.iter().any(|(partition, rows)| positions[partition] < rows.len()) {
        for (&partition, rows) in times {
            let from = positions[&partition];
            let to = from.saturating_add(*splits.next().unwrap()).min(rows.len());
            let offsets: Vec<i64> = (from as i64..to as i64).collect();
            let rows = &rows[from..to];
            let columns = Rows { offsets: &offsets, times_us: rows, record_times_us: rows };
            let assignment = lane.assign(Partition(partition), columns, &[], true);
            late.extend(assignment.late.iter().map(|offset| (partition, *offset)));
            for (start_us, indices) in assignment.windows {
                for index in indices {
                    placed.insert((partition, offsets[index as usize]), start_us);
                }
            }
            positions.insert(partition, to);
            closed.extend(closes(&mut lane, &positions, &[]));
        }
    }
    closed.extend(closes(&mut lane, &positions, &[0, 1, 2]));
    late.sort_unstable();
    (closed, late, placed)
}

fn closes(lane: &mut Lane, positions: &BTreeMap<i32, usize>, idle: &[i32]) -> Vec<Closed> {
    let steps =
        lane.advance(T0 + 365 * DAY_US, &|partition| idle.contains(&partition.0), &|partition| {
            positions[&partition.0] as i64
        });
    steps
        .into_iter()
        .filter_map(|step| match step {
            Step::Close(closed) => Some(closed),
            Step::Carry { .. } => None,
        })
        .collect()
}

#[test]
fn what_is_missing_before_the_first_row_is_known_when_it_comes() {
    let mut bench = Bench::new(HOUR_WINDOWS, 2);
    bench.lane.mark_until_a_row(Partition(1), Incomplete::Started);
    bench.row(0, T0 + 10 * MINUTE_US);
    // Whatever comes of other models, and however late we look: the first row decides.
    bench.row(1, T0 + HOUR_US + 30 * MINUTE_US);
    for partition in 0..2 {
        bench.beat(partition, T0 + 10 * HOUR_US);
    }
    bench.advance(0);
    let incomplete: Vec<bool> =
        bench.closed.iter().map(|closed| !closed.incomplete.is_empty()).collect();
    assert_eq!(incomplete, [true, true]);

    let mut bench = Bench::new(HOUR_WINDOWS, 1);
    bench.lane.mark_until_a_row(Partition(0), Incomplete::RetentionGap);
    assert!(bench.lane.reach_end(Partition(0), T0 - HOUR_US), "nothing is left to be read");
    assert!(!bench.lane.reach_end(Partition(0), T0 + HOUR_US));
    bench.row(0, T0 + 10 * MINUTE_US);
    bench.beat(0, T0 + 10 * HOUR_US);
    bench.advance(0);
    assert_eq!(bench.closed[0].incomplete, []);
}

#[test]
fn a_window_that_waited_for_rows_was_due_when_it_gave_up() {
    let settings = LaneSettings { at_least: 3, at_most_us: 4 * HOUR_US, ..HOUR_WINDOWS };
    let mut bench = Bench::new(settings, 1);
    bench.row(0, T0 + 10 * MINUTE_US);
    bench.beat(0, T0 + 2 * HOUR_US);
    bench.advance(0);
    assert_eq!(bench.closed, []);
    bench.beat(0, T0 + 20 * HOUR_US);
    bench.advance(0);
    let due_us = bench.lane.due_us(&bench.closed[0]);
    assert_eq!((bench.closed[0].end_us, due_us), (T0 + HOUR_US, T0 + 4 * HOUR_US + 5 * MINUTE_US));
}
