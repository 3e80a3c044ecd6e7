//! Lanes with scorers of the tests' own making: what is shed, what fails, and that it adds up.

use std::sync::mpsc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use proptest::prelude::*;

use super::queue::{RunSwitch, compacted};
use super::*;
use crate::comparison::{Comparison, Pair};
use crate::model::Scores;
use crate::model::tests::{candidate, runtime};
use crate::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(30);

/// Rows 0..n at the times 0..n, with a champion's answers: late from 0.5 on.
fn batch(n: i64) -> RecordBatch {
    let scores: Vec<f64> = (0..n).map(|row| row as f64 / n as f64).collect();
    let labels = scores.iter().map(|score| if *score < 0.5 { "on-time" } else { "late" });
    let columns: Vec<(&str, ArrayRef)> = vec![
        (capture::OFFSET, Arc::new(Int64Array::from_iter_values(0..n))),
        (capture::TIME_US, Arc::new(Int64Array::from_iter_values(0..n))),
        (
            capture::ID,
            Arc::new(StringArray::from_iter_values((0..n).map(|row| format!("id-{row}")))),
        ),
        (capture::STATUS, Arc::new(Int32Array::from(vec![None; n as usize]))),
        ("prediction:label", Arc::new(StringArray::from_iter_values(labels))),
        ("prediction:score", Arc::new(Float64Array::from(scores))),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}

fn replace(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let index = batch.schema().index_of(name).expect("there");
    let mut columns = batch.columns().to_vec();
    columns[index] = column;
    RecordBatch::try_new(batch.schema(), columns).expect("of the same type")
}

/// Answers `late` with 0.75 for every row, after `before` was called.
fn scorer(mut before: impl FnMut() -> Result<(), ShadowError> + 'static) -> Scorer {
    Scorer {
        score: Box::new(move |_, rows| {
            before()?;
            Ok(Scores {
                rows: rows.to_vec(),
                labels: Some(vec!["late".to_owned(); rows.len()]),
                scores: Some(vec![0.75; rows.len()]),
            })
        }),
        switch: RunSwitch { stop: Box::new(|| ()), allow: Box::new(|| ()) },
    }
}

fn lane(limit: usize, scorer: impl FnOnce() -> Scorer + Send + 'static) -> CandidateLane {
    CandidateLane::spawn_scorer(candidate(b"", &[]), limit, move |_| Ok(scorer()))
}

fn rows(batch: &RecordBatch) -> Vec<u32> {
    (0..batch.num_rows() as u32).collect()
}

fn offer(lane: &CandidateLane, window_start_us: i64, batch: &RecordBatch) {
    lane.offer(window_start_us, batch, &rows(batch));
}

fn finish(lane: &CandidateLane, window_start_us: i64) -> CandidateReport {
    lane.close(window_start_us, Instant::now() + PATIENCE);
    let mut finished = lane.wait_finished(PATIENCE);
    assert_eq!(finished.len(), 1);
    let (start_us, report) = finished.remove(0);
    assert_eq!(start_us, window_start_us);
    report
}

fn counts(report: &CandidateReport) -> (u64, u64, u64, u64) {
    (report.sampled, report.paired, report.shed, report.failed)
}

#[test]
fn a_window_is_compared() {
    let lane = lane(10_000, || scorer(|| Ok(())));
    offer(&lane, 7, &batch(1000));
    let report = finish(&lane, 7);
    assert_eq!(counts(&report), (1000, 1000, 0, 0));
    assert_eq!(report.agreement, Some(0.5));
    assert_eq!(
        (report.classes, report.table),
        (vec!["late".into(), "on-time".into()], vec![vec![500, 0], vec![500, 0]])
    );
    let score = report.score.expect("scores");
    // Mean of 0.75 - row/1000 over the rows 0..1000.
    assert!((score.mean_difference - 0.2505).abs() < 1e-11, "{score:?}");
    assert_eq!((score.largest_difference, score.largest_at.as_str()), (0.75, "id-0"));
    // 1/16 of the rows one by one; four standard errors are 31 rows.
    let single = report.single_us.expect("measured");
    assert!(single.n.abs_diff(62) < 31, "{single:?}");
    assert!(report.batch_us_per_row.is_some());
    assert_eq!(lane.health(), Health::Ready);
}

#[test]
fn a_lane_that_rests_stops_at_once() {
    let queue = Arc::new(Queue::new(1));
    let resting = Arc::clone(&queue);
    let thread = thread::spawn(move || {
        resting.rest(Duration::from_secs(3600));
        resting.stopped();
    });
    assert!(queue.stop(PATIENCE));
    thread.join().expect("it rests and ends");
}

/// The main way waited for a thread that all others may push aside, and woke it with every batch.
#[test]
fn neither_a_rest_nor_what_is_asked_at_each_turn_needs_the_lock() {
    let queue = Arc::new(Queue::new(1));
    let asked = Arc::clone(&queue);
    let (answer, answered) = mpsc::channel();
    let held = queue.hold();
    thread::spawn(move || {
        asked.rest(Duration::from_millis(1));
        let finished = asked.take_finished(Instant::now(), &candidate(b"", &[]));
        let _ = answer.send((finished.len(), asked.counters()));
    });
    assert_eq!(answered.recv_timeout(PATIENCE), Ok((0, LaneCounters::default())));
    drop(held);
}

/// A window whose rows nobody came to score, since the lane rested, was told the last words of the run that
/// had been ended before: that it had been ended.
#[test]
fn a_run_that_is_ended_with_its_window_is_blamed_for_that_alone() {
    let of = candidate(b"", &[]);
    let queue = Queue::new(100);
    queue.ready(RunSwitch { stop: Box::new(|| ()), allow: Box::new(|| ()) });
    queue.push(0, batch(1), vec![0], &of.output.classes);
    let slice = queue.next().expect("a row waits");
    let deadline = Instant::now();
    queue.close(0, deadline, &of.output.classes);
    assert_eq!(queue.take_finished(deadline, &of).len(), 1);
    let terminated = Health::Degraded("exiting due to terminate flag".to_owned());
    queue.done(&slice, &Comparison::new(&of.output.classes), None, terminated);
    let reason = "its run did not end before the window's deadline".to_owned();
    assert_eq!(queue.health(), Health::Degraded(reason));
}

/// So many rows with a score of 0.5, for which the candidate says 0.75.
fn scored(rows: usize) -> Comparison {
    let mut scored = Comparison::new(&[]);
    for offset in 0..rows as i64 {
        scored.add(&Pair { labels: None, scores: Some((0.5, 0.75)), id: None, offset });
    }
    scored
}

/// Start of a window, and its sampled, paired and shed rows.
type Rows = (i64, u64, u64, u64);

/// A comparison grows beside the lock: what happens to its window meanwhile must neither undo it nor be
/// undone by it.
#[test]
fn rows_count_once_whatever_becomes_of_their_window_while_they_are_merged() {
    // Three rows of window 0 are scored, then four of window 1: in which of the two turns what happens, and
    // which windows there are in the end.
    type Meanwhile = fn(&Queue);
    let into_0: Meanwhile = |queue| queue.carry(1, 0);
    let into_5: Meanwhile = |queue| queue.carry(1, 5);
    let over: Meanwhile = |queue| queue.close(1, Instant::now(), &[]);
    let table: [(usize, Meanwhile, &[Rows]); 5] = [
        (0, |_| (), &[(0, 3, 3, 0), (1, 4, 4, 0)]),
        (0, into_0, &[(0, 7, 7, 0)]),
        (1, into_0, &[(0, 7, 7, 0)]),
        (1, into_5, &[(0, 3, 3, 0), (5, 4, 4, 0)]),
        (1, over, &[(1, 4, 0, 4), (0, 3, 3, 0)]),
    ];
    let of = candidate(b"", &[]);
    for (case, (at, meanwhile, expected)) in table.into_iter().enumerate() {
        let queue = Queue::new(100);
        queue.push(0, batch(3), (0..3).collect(), &[]);
        queue.push(1, batch(4), (0..4).collect(), &[]);
        let mut finished = Vec::new();
        for turn in 0..2 {
            let slice = queue.next().expect("rows wait");
            let scored = scored(slice.rows.len());
            let merged = queue.merged(&scored);
            if turn == at {
                meanwhile(&queue);
                finished.extend(queue.take_finished(Instant::now(), &of));
            }
            queue.done(&slice, &scored, merged, Health::Ready);
        }
        (0..6).for_each(|start_us| queue.close(start_us, Instant::now(), &[]));
        finished.extend(queue.take_finished(Instant::now(), &of));
        let windows = finished.iter().filter(|(_, report)| report.sampled > 0);
        let windows: Vec<Rows> = windows
            .map(|(start_us, report)| (*start_us, report.sampled, report.paired, report.shed))
            .collect();
        assert_eq!(windows, expected, "case {case}");
        let paired = windows.iter().map(|(_, _, paired, _)| paired).sum();
        let shed = windows.iter().map(|(_, _, _, shed)| shed).sum();
        assert_eq!(queue.counters(), LaneCounters { paired, shed, failed: 0, queued: 0 });
    }
}

/// A window that was too small for a report had a shadow record of its own, under the id of the one that
/// it became part of.
#[test]
fn a_window_that_is_carried_and_the_earlier_one_have_one_report() {
    let (whole, parts) = (batch(1000), lane(10_000, || scorer(|| Ok(()))));
    parts.offer(0, &whole, &rows(&whole)[..300]);
    parts.offer(1, &whole, &rows(&whole)[300..]);
    parts.carry(1, 0);
    let at_once = lane(10_000, || scorer(|| Ok(())));
    offer(&at_once, 0, &whole);
    let timeless = |report| CandidateReport { batch_us_per_row: None, single_us: None, ..report };
    assert_eq!(timeless(finish(&parts, 0)), timeless(finish(&at_once, 0)));
}

#[test]
fn a_slow_candidate_sheds_and_holds_nobody_up() {
    let (release, released) = mpsc::channel::<()>();
    let lane = lane(100, || {
        scorer(move || {
            let _ = released.recv();
            Ok(())
        })
    });
    (0..3).for_each(|_| offer(&lane, 0, &batch(60)));
    assert_eq!(lane.counters(), LaneCounters { paired: 0, shed: 80, failed: 0, queued: 100 });
    drop(release);
    assert_eq!(counts(&finish(&lane, 0)), (180, 100, 80, 0));
    assert_eq!(lane.counters(), LaneCounters { paired: 100, shed: 80, failed: 0, queued: 0 });
}

#[test]
fn at_the_deadline_what_waits_is_shed_even_under_the_model() {
    let (release, released) = mpsc::channel::<()>();
    let lane = lane(1000, || {
        scorer(move || {
            let _ = released.recv();
            Ok(())
        })
    });
    offer(&lane, 0, &batch(60));
    offer(&lane, 1, &batch(40));
    let now = Instant::now();
    lane.close(0, now);
    let finished = lane.take_finished(now);
    assert_eq!(counts(&finished[0].1), (60, 0, 60, 0));
    // The run that was under way ends after its window: its rows are not counted twice.
    drop(release);
    assert_eq!(counts(&finish(&lane, 1)), (40, 40, 0, 0));
    assert_eq!(lane.counters(), LaneCounters { paired: 40, shed: 60, failed: 0, queued: 0 });
}

/// A queue that is full has room for a few rows of each batch that comes: it kept the whole batches.
#[test]
fn what_waits_keeps_no_whole_batches_alive() {
    let (release, released) = mpsc::channel::<()>();
    let lane = CandidateLane::spawn_scorer(candidate(b"", &[]), 1000, move |_| {
        let _ = released.recv();
        Ok(scorer(|| Ok(())))
    });
    offer(&lane, 0, &batch(990));
    offer(&lane, 0, &batch(100));
    assert_eq!((lane.counters().queued, lane.queue.kept_rows()), (1000, 1000));
    drop(release);
    assert_eq!(counts(&finish(&lane, 0)), (1090, 1000, 90, 0));
}

#[test]
fn a_model_that_cannot_be_loaded_fails_its_rows_with_the_reason() {
    let (release, released) = mpsc::channel::<()>();
    let lane = CandidateLane::spawn_scorer(candidate(b"", &[]), 100, move |_| {
        let _ = released.recv();
        Err(ShadowError::ExternalData)
    });
    offer(&lane, 0, &batch(30));
    assert_eq!(lane.health(), Health::Loading);
    drop(release);
    let report = finish(&lane, 0);
    assert_eq!(counts(&report), (30, 0, 0, 30));
    assert!(report.problem.is_some_and(|problem| problem.contains("external data")));
    offer(&lane, 1, &batch(5));
    assert_eq!(counts(&finish(&lane, 1)), (5, 0, 0, 5));
    assert!(matches!(lane.health(), Health::Degraded(_)));
}

#[test]
fn a_run_that_fails_is_no_end() {
    let mut failing = true;
    let lane = lane(1000, move || {
        scorer(move || {
            let failed = std::mem::replace(&mut failing, false);
            if failed {
                Err(ShadowError::Run { reason: "out of memory".to_owned() })
            } else {
                Ok(())
            }
        })
    });
    offer(&lane, 0, &batch(30));
    let report = finish(&lane, 0);
    assert_eq!(counts(&report), (30, 0, 0, 30));
    assert_eq!(report.problem.as_deref(), Some("scoring failed: out of memory"));
    offer(&lane, 1, &batch(30));
    assert_eq!(counts(&finish(&lane, 1)), (30, 30, 0, 0));
    assert_eq!(lane.health(), Health::Ready);
}

#[test]
fn a_panic_of_the_binding_degrades_the_candidate_alone() {
    let lane = lane(1000, || scorer(|| panic!("the binding gave up")));
    offer(&lane, 0, &batch(30));
    let report = finish(&lane, 0);
    assert_eq!(counts(&report), (30, 0, 0, 30));
    assert_eq!(report.problem.as_deref(), Some("its model panicked"));
}

#[test]
fn what_is_no_request_or_was_training_data_is_not_sampled() {
    let mut settings = candidate(b"", &[]);
    settings.trained_until_us = Some(10);
    let lane = CandidateLane::spawn_scorer(settings, 1000, |_| Ok(scorer(|| Ok(()))));
    let codes = (0..100).map(|row| Some(if row >= 90 { 500 } else { 200 }));
    let failed = replace(&batch(100), capture::STATUS, Arc::new(Int32Array::from_iter(codes)));
    // Rows 0 to 9 were training data, rows 90 to 99 failed.
    offer(&lane, 0, &failed);
    assert_eq!(counts(&finish(&lane, 0)), (80, 80, 0, 0));
    // A window without rows has its report, too.
    let empty = finish(&lane, 1);
    assert_eq!((counts(&empty), empty.agreement, empty.score), ((0, 0, 0, 0), None, None));
}

#[test]
fn a_row_without_the_champions_answer_failed() {
    let labels = (0..100).map(|row| (row % 10 != 0).then_some("late"));
    let scores = (0..100).map(|row| if row % 10 == 1 { f64::NAN } else { 0.5 });
    let gaps = replace(&batch(100), "prediction:label", Arc::new(StringArray::from_iter(labels)));
    let gaps = replace(&gaps, "prediction:score", Arc::new(Float64Array::from_iter_values(scores)));
    let lane = lane(1000, || scorer(|| Ok(())));
    offer(&lane, 0, &gaps);
    assert_eq!(counts(&finish(&lane, 0)), (100, 80, 0, 20));
    let nothing = gaps.project(&[0, 1, 2, 3]).expect("columns");
    offer(&lane, 1, &nothing);
    let report = finish(&lane, 1);
    assert_eq!(counts(&report), (100, 0, 0, 100));
    assert!(
        report
            .problem
            .is_some_and(|problem| problem.contains("neither the prediction label nor score"))
    );
}

#[test]
fn a_thin_sample_keeps_no_whole_batch_alive() {
    let mut settings = candidate(b"", &[]);
    settings.sample = 0.01;
    let lane = CandidateLane::spawn_scorer(settings.clone(), 10_000, |_| Ok(scorer(|| Ok(()))));
    let batch = batch(10_000);
    let sample = lane.sample(&batch, &rows(&batch));
    assert!(sample.len().abs_diff(100) < 40, "{}", sample.len());
    let (narrow, chosen) = slim(&batch, sample.clone(), &needed_columns(&settings));
    let (small, all) = compacted(narrow, chosen);
    assert_eq!((small.num_rows(), small.num_columns()), (sample.len(), 4));
    assert!(small.get_array_memory_size() < batch.get_array_memory_size() / 10);
    assert_eq!(Ids::of(&small).get(3), Ids::of(&batch).get(sample[3] as usize));
    assert_eq!(all.len(), sample.len());
    offer(&lane, 0, &batch);
    assert_eq!(finish(&lane, 0).paired, sample.len() as u64);
}

#[test]
fn an_endless_run_ends_with_its_window() {
    // A loop of 2^62 rounds: a standard model that passes every check and never answers.
    let bytes = include_bytes!("../model/fixtures/endless.onnx").as_slice();
    let Some(runtime): Option<Runtime> = runtime() else { return };
    let lane = CandidateLane::spawn(candidate(bytes, &["a", "b"]), 1000, move |candidate| {
        Model::load(bytes, candidate, 1 << 20, &runtime)
    });
    let plain = batch(30);
    let ones = || Arc::new(Float64Array::from(vec![1.0; 30])) as ArrayRef;
    let columns =
        [("feature:a", ones()), ("feature:b", ones()), (capture::ID, plain.column(2).clone())];
    let champion = [("prediction:score", plain.column(5).clone())];
    let wide = RecordBatch::try_from_iter(columns.into_iter().chain(champion)).expect("one length");
    offer(&lane, 0, &wide);
    while lane.health() == Health::Loading {
        thread::yield_now();
    }
    for window in 0..2 {
        offer(&lane, window + 1, &wide);
        lane.close(window, Instant::now() + Duration::from_millis(200));
        let finished = lane.wait_finished(PATIENCE);
        assert_eq!(counts(&finished[0].1), (30, 0, 30, 0), "window {window}");
        let problem = finished[0].1.problem.as_deref();
        assert_eq!(problem, Some("its run did not end before the window's deadline"));
    }
    // The rows of the third window are being scored by now, or soon.
    while lane.queue.kept_rows() > 0 {
        thread::yield_now();
    }
    assert!(lane.queue.stop(PATIENCE), "the run was not ended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_sampled_row_is_paired_shed_or_failed(
        steps in proptest::collection::vec((0_i64..3, 0_i64..80, 0_u8..4), 1..20),
        limit in 1_usize..200,
    ) {
        let mut turn = 0;
        let lane = lane(limit, move || scorer(move || {
            turn += 1;
            if turn % 5 == 0 { Err(ShadowError::Run { reason: "now and then".to_owned() }) } else { Ok(()) }
        }));
        let mut finished = Vec::new();
        let mut offered = 0;
        for (window, n, then) in steps {
            offer(&lane, window, &batch(n));
            offered += n as u64;
            if then == 0 {
                let now = Instant::now();
                lane.close(window, now);
                finished.extend(lane.take_finished(now));
            } else if then == 1 && window > 0 {
                lane.carry(window, 0);
            }
        }
        for window in 0..3 {
            lane.close(window, Instant::now() + PATIENCE);
        }
        while lane.counters().queued > 0 {
            finished.extend(lane.wait_finished(PATIENCE));
        }
        finished.extend(lane.take_finished(Instant::now()));
        let mut total = (0, 0, 0, 0);
        for (_, report) in &finished {
            let (sampled, paired, shed, failed) = counts(report);
            prop_assert_eq!(sampled, paired + shed + failed);
            total = (total.0 + sampled, total.1 + paired, total.2 + shed, total.3 + failed);
        }
        prop_assert_eq!(total.0, offered);
        let expected = LaneCounters { paired: total.1, shed: total.2, failed: total.3, queued: 0 };
        prop_assert_eq!(lane.counters(), expected);
    }
}
