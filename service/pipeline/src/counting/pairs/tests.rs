//! Halves that find each other, and those that do not.

use driftline_analytics::lane::{Crossing, LanePassage};
use driftline_capture::Side;
use driftline_config::time::{ALIGNMENT_US, HOUR_US, MINUTE_US, SECOND_US};

use super::*;

const T0: i64 = ALIGNMENT_US;
const LATER: i64 = i64::MAX;

/// Offset, latency and status of a row, and whether window and pane count it.
type Said = (i64, Option<i64>, Option<i32>, bool, bool);

/// A model's pairs on two partitions, with hours for windows and minutes for panes.
struct Bench {
    pairs: Pairs,
    schema: CaptureSchema,
    offset: i64,
    passed: PerLane<i64>,
    rows: Vec<PairedRow>,
    late: Vec<i64>,
    ahead: Vec<i64>,
}

impl Bench {
    fn new(most_bytes: usize) -> Bench {
        let grids =
            PerLane { drift: WindowGrid::every(HOUR_US), operations: WindowGrid::every(MINUTE_US) };
        Bench {
            pairs: Pairs::with_limits(MINUTE_US, grids, most_bytes),
            schema: CaptureSchema::default(),
            offset: 0,
            passed: PerLane { drift: i64::MIN, operations: i64::MIN },
            rows: Vec::new(),
            late: Vec::new(),
            ahead: Vec::new(),
        }
    }

    fn half(&mut self, side: Side, key: Option<&str>, time_us: i64) -> i64 {
        self.offset += 1;
        let row = CaptureRow {
            offset: self.offset,
            time_us,
            record_time_us: time_us,
            id: key.map(Box::from),
            version: None,
            latency_us: None,
            status: (side == Side::Response).then_some(200),
            sample_rate: 1.0,
            cells: Box::new([]),
            wrong: Vec::new(),
            unknown: Vec::new(),
        };
        let rows = driftline_capture::CaptureBatch::of_rows(&self.schema, &[row]).unwrap();
        let keys = rows.ids().clone();
        let halves = ModelHalves { model: 0, side, rows, keys };
        let (drift_us, pane_us) = (self.window(time_us), time_us.div_euclid(MINUTE_US) * MINUTE_US);
        let mut passage = Passage::default();
        if drift_us + HOUR_US > self.passed.drift {
            passage.lanes.drift =
                LanePassage { windows: vec![(drift_us, vec![0])], ..LanePassage::default() };
        }
        if pane_us + MINUTE_US > self.passed.operations {
            passage.lanes.operations.windows = vec![(pane_us, vec![0])];
        }
        let is_request = side == Side::Request;
        let arrived = Arrived {
            partition: Partition(i32::from(is_request)),
            requests: is_request.then_some(&halves),
            responses: (!is_request).then_some(&halves),
            passage: &passage,
            passed: self.passed,
            ahead_from_us: LATER,
        };
        let settled = self.pairs.take(arrived, &self.schema);
        self.note(settled);
        self.offset
    }

    fn window(&self, time_us: i64) -> i64 {
        self.pairs.grids.drift.start_us(time_us)
    }

    fn note(&mut self, settled: Settled) {
        self.rows.extend(settled.rows);
        self.late.extend(settled.late);
        self.ahead.extend(settled.ahead);
    }

    fn close(&mut self, start_us: i64) -> PairCounts {
        let mut settled = Settled::default();
        self.pairs.close_window(start_us, &mut settled);
        self.note(settled);
        self.passed.drift = start_us + HOUR_US;
        let counts = self.pairs.take_counts(start_us);
        self.pairs.close_through(start_us + HOUR_US);
        counts
    }

    fn close_pane(&mut self, start_us: i64) {
        let mut settled = Settled::default();
        self.pairs.close_pane(start_us, &mut settled);
        self.note(settled);
        self.passed.operations = start_us + MINUTE_US;
    }

    fn said(&self) -> Vec<Said> {
        let row = |paired: &PairedRow| {
            let (row, starts) = (&paired.row, paired.starts);
            let counted = (starts.drift.is_some(), starts.operations.is_some());
            (row.offset, row.latency_us, row.status, counted.0, counted.1)
        };
        self.rows.iter().map(row).collect()
    }
}

#[test]
fn either_half_may_come_first_and_the_latency_is_what_lies_between() {
    let mut bench = Bench::new(usize::MAX);
    let first = bench.half(Side::Request, Some("a"), T0);
    bench.half(Side::Response, Some("a"), T0 + 7 * SECOND_US);
    bench.half(Side::Response, Some("b"), T0 + 9 * SECOND_US);
    let second = bench.half(Side::Request, Some("b"), T0 + SECOND_US);
    assert_eq!(
        bench.said(),
        [
            (first, Some(7 * SECOND_US), Some(200), true, true),
            (second, Some(8 * SECOND_US), Some(200), true, true)
        ]
    );
    assert_eq!(bench.pairs.waiting(), 0);
    assert_eq!(bench.pairs.bytes, 0);
}

#[test]
fn what_found_nothing_is_an_error_or_counted_when_the_window_closes() {
    let mut bench = Bench::new(usize::MAX);
    let alone = bench.half(Side::Request, Some("a"), T0);
    // Too late for it by its own clock, before it, and without a key.
    bench.half(Side::Response, Some("a"), T0 + MINUTE_US + 1);
    bench.half(Side::Response, Some("a"), T0 - 1);
    bench.half(Side::Response, None, T0 + 1);
    assert_eq!((bench.rows.len(), bench.pairs.waiting()), (0, 3));
    bench.close_pane(T0);
    assert_eq!(bench.said(), [(alone, None, Some(504), false, true)]);
    let before = bench.close(T0 - HOUR_US);
    assert_eq!((before.request_missing, before.paired), (1, 0));
    let counts = bench.close(T0);
    assert_eq!(bench.said()[1..], [(alone, None, Some(504), true, false)]);
    let expected = PairCounts { response_missing: 1, request_missing: 2, ..PairCounts::default() };
    assert_eq!(counts, expected);
    assert_eq!((bench.pairs.waiting(), bench.pairs.bytes), (0, 0));
    assert_eq!(bench.pairs.total().request_missing, 3);
}

#[test]
fn an_answer_beyond_the_cut_of_the_pane_counts_in_the_window_alone() {
    let mut bench = Bench::new(usize::MAX);
    let request = bench.half(Side::Request, Some("a"), T0);
    // Its partition has passed the pane, which has not closed yet.
    bench.passed.operations = T0 + MINUTE_US;
    bench.half(Side::Response, Some("a"), T0 + SECOND_US);
    assert_eq!(
        bench.said(),
        [
            (request, None, Some(504), false, true),
            (request, Some(SECOND_US), Some(200), true, false)
        ]
    );
    bench.close_pane(T0);
    assert_eq!(bench.rows.len(), 2);
}

#[test]
fn an_answer_beyond_the_cut_of_its_window_is_late() {
    let mut bench = Bench::new(usize::MAX);
    bench.half(Side::Request, Some("a"), T0);
    bench.close(T0);
    let late = bench.half(Side::Response, Some("a"), T0 + SECOND_US);
    assert_eq!(bench.late, [late]);
    assert_eq!(bench.pairs.total().response_missing, 1);
}

#[test]
fn a_boundary_that_the_log_crosses_before_the_answer_cuts_it_off() {
    let mut bench = Bench::new(usize::MAX);
    bench.half(Side::Request, Some("a"), T0);
    let mut passage = Passage::default();
    passage.lanes.drift.crossed = vec![Crossing { through_us: T0 + HOUR_US, offset: 5 }];
    let arrived = Arrived {
        partition: Partition(0),
        requests: None,
        responses: None,
        passage: &passage,
        passed: bench.passed,
        ahead_from_us: LATER,
    };
    assert_eq!(passed_at(&arrived, 4).drift, i64::MIN);
    assert_eq!(passed_at(&arrived, 5).drift, T0 + HOUR_US);
}

#[test]
fn of_two_with_one_key_the_first_in_the_log_is_answered() {
    let mut bench = Bench::new(usize::MAX);
    let first = bench.half(Side::Request, Some("a"), T0 + SECOND_US);
    let second = bench.half(Side::Request, Some("a"), T0);
    bench.half(Side::Response, Some("a"), T0 + 2 * SECOND_US);
    assert_eq!(bench.rows[0].row.offset, first);
    bench.half(Side::Response, Some("a"), T0 + 2 * SECOND_US);
    assert_eq!(bench.rows[1].row.offset, second);
}

#[test]
fn the_oldest_are_given_up_where_too_many_wait() {
    let mut bench = Bench::new(100 * 1024);
    for index in 0..1000 {
        bench.half(Side::Request, Some(&format!("key {index}")), T0 + index * SECOND_US);
    }
    assert!(bench.pairs.bytes <= 100 * 1024);
    let given_up = bench.rows.len() as u64;
    assert!((500..1000).contains(&given_up), "{given_up}");
    assert_eq!(bench.rows[0].row.offset, 1, "the oldest first");
    let counts = bench.close(T0);
    assert_eq!((counts.given_up, counts.response_missing), (given_up, 1000));
    for index in 0..1000 {
        bench.half(Side::Response, Some(&format!("key {index}")), T0 + HOUR_US + index);
    }
    assert!(bench.pairs.bytes <= 100 * 1024);
    assert!(bench.close(T0 + HOUR_US).given_up > 500);
}

#[test]
fn what_waits_is_written_by_the_minute_and_read_again() {
    let mut bench = Bench::new(usize::MAX);
    bench.half(Side::Request, Some("a"), T0);
    bench.half(Side::Request, None, T0 + 1);
    bench.half(Side::Response, Some("b"), T0 + 2 * MINUTE_US);
    let schema = bench.schema.clone();
    let first = bench.pairs.changes(&schema);
    assert_eq!(first.len(), 2);
    assert!(bench.pairs.changes(&schema).is_empty(), "nothing changed since");
    let mut again = Bench::new(usize::MAX);
    for (minute, document) in first {
        let json = serde_json::to_vec(&document.unwrap()).unwrap();
        again.pairs.restore(minute, serde_json::from_slice(&json).unwrap(), &schema);
    }
    assert_eq!(again.pairs.requests, bench.pairs.requests);
    assert_eq!(again.pairs.responses, bench.pairs.responses);
    assert_eq!(again.pairs.bytes, bench.pairs.bytes);
    assert!(again.pairs.changes(&schema).is_empty(), "the store has it");
    again.offset = 10;
    again.half(Side::Response, Some("a"), T0 + SECOND_US);
    let minutes: Vec<bool> =
        again.pairs.changes(&schema).into_values().map(|document| document.is_some()).collect();
    assert_eq!(minutes, [true], "the second request of the minute still waits");
    again.close_pane(T0);
    again.close(T0);
    let minutes: Vec<bool> =
        again.pairs.changes(&schema).into_values().map(|document| document.is_some()).collect();
    assert_eq!(minutes, [false, false], "and is gone");
}
