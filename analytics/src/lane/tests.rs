//! The rules of time, each with the test that is named after it.

use std::collections::BTreeMap;

use driftline_config::TimeZone;
use driftline_config::time::{
    ALIGNMENT_US, ClockReading, DAY_US, HOUR_US, MINUTE_US, SECOND_US, parse_instant_us,
};
use proptest::prelude::*;

use super::*;

/// A Monday at midnight, so that hours are easy to read.
const T0: i64 = ALIGNMENT_US;
/// Long after everything: the log alone decides.
const LATER: i64 = T0 + 3650 * DAY_US;
const IDLE_US: i64 = 5 * SECOND_US;

fn hours() -> LaneSettings {
    LaneSettings {
        grid: WindowGrid::every(HOUR_US),
        lateness_us: 5 * MINUTE_US,
        at_least: 1,
        at_most_us: 14 * DAY_US,
        idle_us: Some(IDLE_US),
    }
}

/// A clock and its drift lane, driven row by row. What the lane of panes would do is left out.
struct Bench {
    clock: PlacingClock,
    lane: ClosingLane,
    positions: BTreeMap<i32, i64>,
    now: ClockReading,
    late: Vec<(i32, i64)>,
    ahead: Vec<(i32, i64)>,
    closed: Vec<Closed>,
    carried: Vec<(i64, i64)>,
}

impl Bench {
    fn new(settings: LaneSettings, partitions: i32) -> Bench {
        let both = PerLane { drift: settings.clone(), operations: settings.clone() };
        let mut lane = ClosingLane::new(settings);
        for partition in 0..partitions {
            lane.add_partition(Partition(partition), 0);
        }
        Bench {
            clock: PlacingClock::new(&both, HOUR_US),
            lane,
            positions: (0..partitions).map(|partition| (partition, 0)).collect(),
            now: ClockReading { steady_us: 0, wall_us: LATER },
            late: Vec::new(),
            ahead: Vec::new(),
            closed: Vec::new(),
            carried: Vec::new(),
        }
    }

    /// One row whose record timestamp is its event time.
    fn row(&mut self, partition: i32, time_us: i64) {
        self.read(partition, &[time_us], &[time_us]);
    }

    /// So many rows, half a minute apart, that everything before the first of them is passed.
    fn pass(&mut self, partition: i32, time_us: i64) {
        let times: Vec<i64> = (0..96).map(|nth| time_us + nth * 30 * SECOND_US).collect();
        self.read(partition, &times, &times);
    }

    fn read(&mut self, partition: i32, times_us: &[i64], record_times_us: &[i64]) {
        let position = self.positions.get_mut(&partition).unwrap();
        let offsets: Vec<i64> = (*position..).take(times_us.len()).collect();
        *position += times_us.len() as i64;
        let rows = Rows { offsets: &offsets, times_us, record_times_us };
        self.take(partition, rows, &[]);
    }

    fn beat(&mut self, partition: i32, time_us: i64) {
        let position = self.positions.get_mut(&partition).unwrap();
        let beat = Heartbeat { offset: *position, time_us, record_time_us: time_us };
        *position += 1;
        self.take(partition, Rows::default(), &[beat]);
    }

    fn take(&mut self, partition: i32, rows: Rows<'_>, beats: &[Heartbeat]) {
        let at = Partition(partition);
        let passage = self.clock.read(at, rows, beats, self.now.wall_us);
        for stray in &passage.strays {
            let offset = rows.offsets[stray.index as usize];
            match stray.kind {
                StrayKind::Late => self.late.push((partition, offset)),
                StrayKind::Ahead => self.ahead.push((partition, offset)),
                StrayKind::Fast => {}
            }
        }
        let of = ReadStretch { partition: at, passage: &passage, offsets: rows.offsets };
        self.lane.take(of, &passage.lanes.drift, self.now);
        self.advance();
    }

    fn advance(&mut self) {
        let positions = &self.positions;
        let steps = self.lane.advance(self.now, &|partition| positions[&partition.0]);
        for step in steps {
            match step {
                Step::Close(closed) => self.closed.push(closed),
                Step::Carry { from_us, into_us } => self.carried.push((from_us, into_us)),
            }
        }
        let through_us = self.lane.closed_through_us();
        self.clock.close_through(PerLane { drift: through_us, operations: i64::MIN });
    }

    /// Time goes on.
    fn wait(&mut self, us: i64) {
        self.now.steady_us += us;
        self.now.wall_us += us;
    }

    /// The end of a partition is looked up now and has been reached.
    fn reach_end(&mut self, partition: i32) {
        self.lane.reach_end(Partition(partition), Some(self.now), self.now);
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
        assert_eq!(
            WindowGrid::every(every_us).start_us(time_us),
            expected_us,
            "{time_us} {every_us}"
        );
    }
}

/// The day in Paris on which summer time ends takes 25 hours of rows and closes behind its own midnight.
#[test]
fn windows_are_days_of_their_zone() {
    let grid = WindowGrid::new(DAY_US, TimeZone::named("Europe/Paris"));
    let mut bench = Bench::new(LaneSettings { grid, lateness_us: HOUR_US, ..hours() }, 1);
    let sunday_us = parse_instant_us("2026-10-24T22:00:00Z").unwrap();
    let monday_us = sunday_us + 25 * HOUR_US;
    bench.now = ClockReading::from(sunday_us + 10 * DAY_US);
    for hour in 0..25 {
        bench.row(0, sunday_us + hour * HOUR_US);
    }
    bench.pass(0, monday_us - HOUR_US);
    assert_eq!(bench.closed, []);
    bench.pass(0, monday_us + HOUR_US);
    let [closed] = &bench.closed[..] else { panic!("{:?}", bench.closed) };
    assert_eq!((closed.start_us, closed.end_us), (sunday_us, monday_us));
    assert_eq!((closed.rows, closed.parts), (25 + 96, 1));
}

#[test]
fn a_window_closes_when_every_partition_has_passed_it() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(0, T0 + 10 * MINUTE_US);
    bench.row(1, T0 + 20 * MINUTE_US);
    bench.pass(0, T0 + HOUR_US + 5 * MINUTE_US);
    assert!(bench.closed.is_empty(), "partition 1 has not passed");
    bench.pass(1, T0 + HOUR_US + 5 * MINUTE_US);
    let [closed] = &bench.closed[..] else { panic!("{:?}", bench.closed) };
    assert_eq!((closed.start_us, closed.rows), (T0, 2));
    // The first row and the gap behind it are two jumps; the thirty-second stretch passes.
    for partition in [0, 1] {
        let cut = Cut { from: 0, to: 32, by: CutBy::Log, rows_from: Some(0) };
        assert_eq!(closed.cuts[&Partition(partition)], cut);
    }
}

#[test]
fn a_row_is_late_if_and_only_if_it_lies_beyond_its_cut_in_its_own_partition() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(0, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    bench.row(0, T0 + 1);
    assert_eq!(bench.late, [(0, 97)], "partition 0 has passed the window");
    bench.row(1, T0 + 1);
    assert_eq!(bench.late, [(0, 97)], "partition 1 has not, though the window is over elsewhere");
}

/// Six partitions, rows in order in bursts eleven seconds apart, each spanning an hour: of every burst but
/// the first 69 % were late.
#[test]
fn a_pause_between_bursts_closes_nothing_that_goes_on() {
    let mut bench =
        Bench::new(LaneSettings { grid: WindowGrid::every(10 * MINUTE_US), ..hours() }, 6);
    bench.now.wall_us = T0 + 48 * HOUR_US;
    for burst in 0..6 {
        for minute in 0..60 {
            for partition in 0..6 {
                bench.row(
                    partition,
                    T0 + burst * HOUR_US + minute * MINUTE_US + i64::from(partition),
                );
            }
        }
        for _ in 0..11 {
            bench.wait(SECOND_US);
            (0..6).for_each(|partition| bench.reach_end(partition));
            bench.advance();
        }
    }
    assert_eq!(bench.late, []);
    assert!(bench.closed.len() > 20, "{}", bench.closed.len());
}

/// One of four producers with a clock that is 30 minutes fast: 1773 of 2400 rows were late, essentially
/// every good one.
#[test]
fn a_quarter_of_fast_clocks_makes_no_good_row_late() {
    for run in [1, 50] {
        let mut bench = Bench::new(
            LaneSettings {
                grid: WindowGrid::every(10 * MINUTE_US),
                lateness_us: MINUTE_US,
                ..hours()
            },
            1,
        );
        let mut fast = Vec::new();
        for index in 0..24_000_i64 {
            let time_us = T0 + index * SECOND_US / 2;
            bench.now = ClockReading::from(time_us);
            let is_fast = (index / run) % 4 == 0;
            if is_fast {
                fast.push((0, index));
            }
            bench.row(0, time_us + if is_fast { 30 * MINUTE_US } else { 0 });
        }
        bench.late.retain(|late| !fast.contains(late));
        assert_eq!(bench.late, [], "runs of {run}");
        assert!(bench.closed.len() >= 15, "runs of {run}: {}", bench.closed.len());
    }
}

/// One heartbeat 55 minutes ahead made 500 of 500 honest rows late.
#[test]
fn one_heartbeat_ends_no_window() {
    let mut bench = Bench::new(hours(), 1);
    bench.row(0, T0);
    bench.beat(0, T0 + 2 * HOUR_US);
    for index in 1..500 {
        bench.row(0, T0 + index * SECOND_US);
    }
    assert_eq!((bench.late.len(), bench.closed.len()), (0, 0));
}

/// A batch of requests in one record is one producer that speaks once, however many rows it has.
#[test]
fn a_record_of_many_rows_ends_no_window() {
    let mut bench = Bench::new(hours(), 1);
    bench.row(0, T0);
    let (offsets, times_us) = ([1; 400], [T0 + 2 * HOUR_US; 400]);
    let rows = Rows { offsets: &offsets, times_us: &times_us, record_times_us: &times_us };
    bench.take(0, rows, &[]);
    bench.positions.insert(0, 2);
    for index in 1..500 {
        bench.row(0, T0 + index * SECOND_US);
    }
    assert_eq!((bench.late.len(), bench.closed.len()), (0, 0));
}

#[test]
fn a_row_too_far_beyond_our_clock_is_in_no_window_and_no_stretch() {
    let mut bench = Bench::new(hours(), 1);
    bench.now.wall_us = T0 + 3 * HOUR_US;
    bench.row(0, T0);
    for index in 0..200 {
        bench.row(0, T0 + 300 * 365 * DAY_US + index);
    }
    assert_eq!(bench.ahead.len(), 200);
    assert_eq!((bench.late.len(), bench.lane.open_windows()), (0, 1));
    let kept = serde_json::to_string(&bench.clock.partitions()).unwrap();
    let mut alone = Bench::new(hours(), 1);
    alone.row(0, T0);
    assert_eq!(kept, serde_json::to_string(&alone.clock.partitions()).unwrap());
}

#[test]
fn nothing_is_passed_before_our_clock() {
    let mut bench = Bench::new(hours(), 1);
    bench.now.wall_us = T0 + 30 * MINUTE_US;
    bench.row(0, T0);
    // All of them lie half an hour in the future, which is allowed.
    bench.pass(0, T0 + HOUR_US + 5 * MINUTE_US - 47 * MINUTE_US);
    let ahead: Vec<i64> =
        (0..96).map(|nth| T0 + HOUR_US + 6 * MINUTE_US + nth * SECOND_US).collect();
    bench.read(0, &ahead, &ahead);
    bench.row(0, T0 + 40 * MINUTE_US);
    assert_eq!((bench.late.len(), bench.closed.len()), (0, 0), "the window is not over");
    bench.now.wall_us = T0 + HOUR_US + 5 * MINUTE_US;
    bench.row(0, T0 + 50 * MINUTE_US);
    assert_eq!(bench.closed_starts(), [T0], "it is now, and the log has passed it long ago");
    bench.row(0, T0 + 51 * MINUTE_US);
    assert_eq!(bench.late.len(), 1);
}

#[test]
fn nothing_closes_before_our_clock_also_where_that_is_set_back() {
    let mut bench = Bench::new(hours(), 1);
    bench.now.wall_us = T0 + HOUR_US + 5 * MINUTE_US;
    bench.row(0, T0 + 30 * MINUTE_US);
    bench.now.wall_us = T0 + 50 * MINUTE_US;
    bench.wait(IDLE_US);
    bench.reach_end(0);
    bench.advance();
    assert!(bench.closed.is_empty(), "the hour is not over");
    bench.wait(15 * MINUTE_US);
    bench.advance();
    assert_eq!(bench.closed_starts(), [T0]);
}

#[test]
fn a_partition_is_quiet_from_an_end_that_was_looked_up_after_the_wait() {
    let mut bench = Bench::new(hours(), 3);
    bench.row(0, T0 + 10 * MINUTE_US);
    bench.row(1, T0 + 20 * MINUTE_US);
    (0..3).for_each(|partition| bench.reach_end(partition));
    bench.wait(IDLE_US);
    bench.pass(0, T0 + 2 * HOUR_US);
    assert!(bench.closed.is_empty(), "the ends were looked up before time was seen to have passed");
    bench.wait(IDLE_US);
    bench.advance();
    assert!(bench.closed.is_empty(), "and nobody has looked since");
    bench.reach_end(1);
    bench.reach_end(2);
    bench.advance();
    assert_eq!(bench.closed_starts(), [T0]);
    let by = |partition: i32| bench.closed[0].cuts[&Partition(partition)].by;
    assert_eq!([by(0), by(1), by(2)], [CutBy::Log, CutBy::Idle, CutBy::Idle]);
}

/// A process that was stopped for a minute reaches the ends that it looked up before.
#[test]
fn an_end_that_was_looked_up_before_the_wait_proves_nothing_when_it_is_reached() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(1, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    let before = bench.now;
    bench.wait(MINUTE_US);
    bench.lane.reach_end(Partition(1), Some(before), bench.now);
    bench.advance();
    assert!(bench.closed.is_empty());
    bench.reach_end(1);
    bench.advance();
    assert_eq!(bench.closed_starts(), [T0]);
}

#[test]
fn where_rows_of_a_window_still_come_the_wait_begins_anew() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(1, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    for nth in 1..10 {
        bench.wait(IDLE_US - 1);
        bench.row(1, T0 + nth);
        bench.reach_end(1);
        bench.advance();
    }
    assert!(bench.closed.is_empty() && bench.late.is_empty());
    bench.wait(IDLE_US - 1);
    bench.reach_end(1);
    bench.advance();
    assert!(bench.closed.is_empty(), "a microsecond short");
    bench.wait(1);
    bench.reach_end(1);
    bench.advance();
    assert_eq!(bench.closed_starts(), [T0]);
}

#[test]
fn all_partitions_silent_in_mid_window_close_nothing_until_the_wall_has_carried_it() {
    let mut bench = Bench::new(hours(), 2);
    let stamped_us = T0 + 40 * DAY_US;
    bench.now = ClockReading::from(stamped_us);
    bench.read(0, &[T0 + 30 * MINUTE_US], &[stamped_us]);
    bench.read(1, &[T0 + 20 * MINUTE_US], &[stamped_us]);
    let look = |bench: &mut Bench| {
        (0..2).for_each(|partition| bench.reach_end(partition));
        bench.advance();
        bench.closed.len()
    };
    bench.wait(35 * MINUTE_US - 1);
    assert_eq!(look(&mut bench), 0, "a pause inside a window closes nothing");
    bench.wait(1);
    assert_eq!(look(&mut bench), 0, "it would have ended by now");
    bench.wait(IDLE_US);
    assert_eq!(look(&mut bench), 1, "and nothing came since");
    assert_eq!(bench.closed[0].cuts[&Partition(0)].by, CutBy::Idle);
}

#[test]
fn idle_off_waits_for_the_log_alone() {
    let mut bench = Bench::new(LaneSettings { idle_us: None, ..hours() }, 2);
    bench.row(1, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    bench.wait(DAY_US);
    bench.reach_end(1);
    bench.advance();
    assert!(bench.closed.is_empty());
}

#[test]
fn a_window_that_closes_takes_those_before_it_along() {
    let mut bench = Bench::new(hours(), 2);
    for hour in 0..3 {
        bench.row(0, T0 + hour * HOUR_US);
    }
    bench.pass(0, T0 + 4 * HOUR_US);
    bench.pass(1, T0 + 2 * HOUR_US + 5 * MINUTE_US);
    assert_eq!(bench.closed_starts(), [T0, T0 + HOUR_US]);
}

#[test]
fn a_row_after_an_idle_close_is_late_and_the_strips_tile_the_log() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(0, T0);
    bench.row(1, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    bench.wait(IDLE_US);
    bench.reach_end(1);
    bench.advance();
    assert_eq!(bench.closed_starts(), [T0]);
    bench.row(1, T0 + 5);
    assert_eq!(bench.late, [(1, 1)]);
    bench.row(1, T0 + 2 * HOUR_US + 1);
    for partition in [0, 1] {
        bench.pass(partition, T0 + 4 * HOUR_US);
    }
    let strips: Vec<_> = bench
        .closed
        .iter()
        .map(|closed| (closed.cuts[&Partition(1)].from, closed.cuts[&Partition(1)].to))
        .collect();
    assert_eq!((strips[0], strips[1].0), ((0, 1), 1));
    assert!(strips.windows(2).all(|pair| pair[0].1 == pair[1].0), "{strips:?}");
}

#[test]
fn a_partition_that_is_gone_counts_as_passed_at_its_last_position() {
    let mut bench = Bench::new(hours(), 2);
    bench.row(0, T0);
    bench.row(1, T0);
    bench.pass(0, T0 + 2 * HOUR_US);
    assert!(bench.closed.is_empty());
    bench.lane.end(Partition(1), 1);
    bench.advance();
    let cut = Cut { from: 0, to: 1, by: CutBy::Log, rows_from: Some(0) };
    assert_eq!(bench.closed[0].cuts[&Partition(1)], cut);
    // It is there again with another log, or with the same one, and everybody waits for it.
    let ended = bench.lane.clone();
    for resume in [false, true] {
        bench.lane = ended.clone();
        let before = bench.lane.passed_through_us(Partition(1));
        if resume {
            bench.lane.resume(Partition(1));
        } else {
            bench.lane.begin(Partition(1), 0);
        }
        assert_eq!((before, bench.lane.passed_through_us(Partition(1))), (i64::MAX, i64::MIN));
        bench.pass(0, T0 + 5 * HOUR_US);
        assert_eq!(bench.closed.len(), 1, "resumed: {resume}");
    }
    let before = bench.lane.passed_through_us(Partition(0));
    bench.lane.resume(Partition(0));
    assert_eq!(bench.lane.passed_through_us(Partition(0)), before, "it never was gone");
}

/// What heartbeats passed without a row was kept until a window closed: in a quiet night of minutes, of six
/// partitions and a thousand models, it was 230 MB, written anew with each snapshot.
#[test]
fn heartbeats_without_rows_leave_nothing_behind_that_no_window_is_cut_by() {
    let mut bench = Bench::new(hours(), 2);
    for partition in 0..2 {
        bench.row(partition, T0);
        bench.pass(partition, T0 + 2 * HOUR_US);
    }
    assert_eq!(bench.closed_starts()[0], T0);
    let mut beats = 3 * 60..;
    let mut night = |bench: &mut Bench, minutes: usize| {
        for minute in beats.by_ref().take(minutes) {
            (0..2).for_each(|partition| bench.beat(partition, T0 + minute * MINUTE_US));
        }
    };
    night(&mut bench, 500 * 60);
    let written = serde_json::to_string(&bench.lane).unwrap();
    assert!(written.len() < 3000, "{written}");
    let (last, next) = bench.lane.next_cut(Partition(0));
    assert!(bench.lane.may_cut_at(Partition(0), last), "where the next window begins");
    assert!(!bench.lane.may_cut_at(Partition(0), last + 1), "nothing is cut between");
    let behind = bench.positions[&0] - next;
    assert!((15 * 60..17 * 60).contains(&behind), "sixteen hours are kept: {behind}");
}

/// A checkpoint holds the clock of each of a thousand models on a hundred partitions.
#[test]
fn what_is_kept_of_a_partitions_clock_is_two_kilobytes_at_most() {
    let settings = PerLane { drift: hours(), operations: hours() };
    // The longest ways there are, each a jump, and no two times alike.
    let far = |nth: i64| if nth % 2 == 0 { i64::MIN / 2 + nth } else { LATER - nth };
    let times_us: Vec<i64> = (0..200).map(far).collect();
    let offsets: Vec<i64> = (0..200).collect();
    let rows = Rows { offsets: &offsets, times_us: &times_us, record_times_us: &times_us };
    for times in [1, 20] {
        let mut clock = PlacingClock::new(&settings, HOUR_US);
        for _ in 0..times {
            clock.read(Partition(0), rows, &[], LATER);
        }
        let kept = serde_json::to_string(&clock.partitions()[&Partition(0)]).unwrap();
        assert!((1200..2048).contains(&kept.len()), "{} bytes: {kept}", kept.len());
        println!("{} bytes", kept.len());
    }
}

#[test]
fn the_record_timestamp_holds_time_back() {
    let mut bench = Bench::new(hours(), 1);
    bench.read(0, &[T0 + 2 * HOUR_US], &[T0 + 10 * MINUTE_US]);
    assert_eq!(bench.clock.newest_us(Partition(0)), Some(T0 + 10 * MINUTE_US));
}

#[test]
fn a_small_window_is_carried_until_it_has_enough_rows() {
    let mut bench = Bench::new(LaneSettings { at_least: 3, ..hours() }, 1);
    for hour in [0, 1, 1, 2] {
        bench.row(0, T0 + hour * HOUR_US);
    }
    bench.pass(0, T0 + 4 * HOUR_US);
    let closed = &bench.closed[0];
    assert_eq!((closed.start_us, closed.end_us), (T0, T0 + 2 * HOUR_US));
    assert_eq!((closed.rows, closed.parts), (3, 2));
    assert_eq!(closed.cuts[&Partition(0)].from, 0);
    assert_eq!(bench.carried, [(T0 + HOUR_US, T0)]);
}

#[test]
fn a_carried_window_is_not_joined_with_one_of_other_settings() {
    let settings = LaneSettings { at_least: 3, ..hours() };
    let closed = |restarts_before_second: bool| {
        let mut bench = Bench::new(settings.clone(), 1);
        bench.row(0, T0);
        if restarts_before_second {
            bench.lane.begin_era();
        }
        bench.row(0, T0 + HOUR_US);
        bench.row(0, T0 + HOUR_US + MINUTE_US);
        if !restarts_before_second {
            bench.lane.begin_era();
        }
        bench.pass(0, T0 + 3 * HOUR_US);
        let closed = bench.closed.iter();
        closed.map(|closed| (closed.start_us - T0, closed.rows)).next()
    };
    assert_eq!(closed(false), Some((0, 3)), "both opened under the same settings");
    assert_eq!(closed(true), Some((0, 1)), "closed small, since what follows counts otherwise");
}

#[test]
fn an_idle_cut_is_noted_when_it_is_made_also_where_the_window_is_carried() {
    let mut bench = Bench::new(LaneSettings { at_least: 900, ..hours() }, 2);
    bench.row(0, T0);
    bench.row(1, T0 + 1);
    bench.pass(0, T0 + HOUR_US + 5 * MINUTE_US);
    bench.wait(IDLE_US);
    bench.reach_end(1);
    bench.advance();
    assert_eq!(bench.closed, [], "carried");
    assert_eq!(bench.lane.take_idle_cuts(), [(Partition(1), 1)]);
    assert_eq!(bench.lane.take_idle_cuts(), []);
}

#[test]
fn a_carried_window_closes_at_its_longest() {
    let settings = LaneSettings { at_least: 100, at_most_us: 3 * HOUR_US, ..hours() };
    let mut bench = Bench::new(settings, 1);
    bench.row(0, T0);
    bench.pass(0, T0 + 9 * HOUR_US);
    assert_eq!(bench.closed_starts(), [T0], "though no window between holds a row");
    assert_eq!(bench.closed[0].end_us, T0 + HOUR_US);
}

#[test]
fn a_window_is_incomplete_where_rows_may_lie_before_the_first_offset_read() {
    let mut bench = Bench::new(hours(), 2);
    bench.lane.mark_incomplete(Partition(1), T0 + 30 * MINUTE_US, Incomplete::Started);
    for partition in 0..2 {
        bench.row(partition, T0);
        bench.row(partition, T0 + HOUR_US);
        bench.pass(partition, T0 + 3 * HOUR_US);
    }
    let reasons: Vec<_> = bench.closed.iter().map(|closed| closed.incomplete.clone()).collect();
    assert_eq!(reasons[..2], [vec![Incomplete::Started], vec![]]);
}

#[test]
fn what_is_missing_before_the_first_row_is_known_when_it_comes() {
    let mut bench = Bench::new(hours(), 2);
    bench.lane.mark_until_a_row(Partition(1), Incomplete::Started);
    bench.row(0, T0 + 10 * MINUTE_US);
    // Whatever comes of other models, and however late we look: the first row decides.
    bench.row(1, T0 + HOUR_US + 30 * MINUTE_US);
    (0..2).for_each(|partition| bench.pass(partition, T0 + 10 * HOUR_US));
    let incomplete: Vec<bool> =
        bench.closed.iter().take(2).map(|closed| !closed.incomplete.is_empty()).collect();
    assert_eq!(incomplete, [true, true]);
}

proptest! {
    /// Batches are an accident of reading: however the log is split into calls, rows, cuts and
    /// closes are the same.
    #[test]
    fn any_split_into_calls_gives_the_same_windows(
        steps in prop::collection::vec((0i32..3, -40i64..90, 0u8..20), 1..300),
        splits in prop::collection::vec(1usize..9, 1..60),
    ) {
        let mut times: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for (index, (partition, minutes, kind)) in (0i64..).zip(&steps) {
            let of_partition = times.entry(*partition).or_default();
            let time_us = T0 + (index * 7 + minutes) * MINUTE_US;
            let run = if *kind == 0 { 96 } else { 1 };
            of_partition.extend((0..run).map(|nth| time_us + nth * 30 * SECOND_US));
        }
        let whole = run(&times, &[usize::MAX]);
        let split = run(&times, &splits);
        prop_assert_eq!(whole, split);
    }
}

type Outcome = (Vec<Closed>, Vec<(i32, i64)>);

fn run(times: &BTreeMap<i32, Vec<i64>>, splits: &[usize]) -> Outcome {
    let mut bench = Bench::new(hours(), 3);
    let mut splits = splits.iter().cycle();
    let mut left: BTreeMap<i32, &[i64]> =
        times.iter().map(|(partition, rows)| (*partition, rows.as_slice())).collect();
    while left.values().any(|rows| !rows.is_empty()) {
        for (&partition, rows) in &mut left {
            let (now, later) = rows.split_at(rows.len().min(*splits.next().unwrap()));
            *rows = later;
            if !now.is_empty() {
                bench.read(partition, now, now);
            }
        }
    }
    (0..3).for_each(|partition| bench.pass(partition, T0 + 100 * DAY_US));
    bench.late.sort_unstable();
    (bench.closed, bench.late)
}
