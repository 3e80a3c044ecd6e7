//! Lanes with scorers of the tests' own making: what is shed, what fails, what dies, and that it adds up.

use std::sync::mpsc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray};
use proptest::prelude::*;

use super::pairing::Scored;
use super::queue::compacted;
use super::worker::Score;
use super::*;
use crate::model::Scores;
use crate::model::tests::candidate;
use crate::process::tests::died;
use crate::process::{Failure, Request};
use crate::sums::Pair;
use crate::wire::Answer;

const PATIENCE: Duration = Duration::from_secs(30);

/// Offset, id, labels and scores of a paired row.
type PairedRow = (i64, Option<String>, Option<(String, String)>, Option<(f64, f64)>);

/// Keeps the paired rows themselves.
#[derive(Debug, Clone, Default, PartialEq)]
struct Kept {
    rows: Vec<PairedRow>,
    /// Rows that were scored in batches, and one by one.
    batch_rows: u64,
    single_rows: u64,
}

impl Sums for Kept {
    fn add(&mut self, pair: &Pair<'_>) {
        let labels = pair.labels.map(|(left, right)| (left.to_owned(), right.to_owned()));
        self.rows.push((pair.offset, pair.id.map(str::to_owned), labels, pair.scores));
    }

    fn add_batch_time(&mut self, rows: u64, _took_ns: u64) {
        self.batch_rows += rows;
    }

    fn add_single_time(&mut self, _took_ns: u64) {
        self.single_rows += 1;
    }

    fn merge(&mut self, other: &Kept) {
        self.rows.extend(other.rows.iter().cloned());
        self.batch_rows += other.batch_rows;
        self.single_rows += other.single_rows;
    }
}

impl Kept {
    fn sorted(&self) -> Vec<PairedRow> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.0);
        rows
    }
}

/// Rows 0..n at the times 0..n, with a champion's answers: late from 0.5 on.
fn batch(n: i64) -> CaptureBatch {
    let scores: Vec<f64> = (0..n).map(|row| row as f64 / n as f64).collect();
    let labels = scores.iter().map(|score| if *score < 0.5 { "on-time" } else { "late" });
    let numbers = || Arc::new(Int64Array::from_iter_values(0..n)) as ArrayRef;
    let ids = StringArray::from_iter_values((0..n).map(|row| format!("id-{row}")));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (columns::OFFSET, numbers()),
        (columns::TIME_US, numbers()),
        (columns::RECORD_TIME_US, numbers()),
        (columns::ID, Arc::new(ids)),
        (columns::VERSION, Arc::new(StringArray::from(vec![None::<&str>; n as usize]))),
        (columns::LATENCY_US, Arc::new(Int64Array::from(vec![None; n as usize]))),
        (columns::STATUS, Arc::new(Int32Array::from(vec![None; n as usize]))),
        (columns::SAMPLE_RATE, Arc::new(Float64Array::from(vec![1.0; n as usize]))),
        ("prediction:label", Arc::new(StringArray::from_iter_values(labels))),
        ("prediction:score", Arc::new(Float64Array::from(scores))),
    ];
    capture(columns)
}

fn capture(columns: Vec<(&str, ArrayRef)>) -> CaptureBatch {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    CaptureBatch::new(batch).expect("an envelope")
}

/// The batch with other columns of these names, or more of them.
fn with(batch: &CaptureBatch, others: Vec<(&str, ArrayRef)>) -> CaptureBatch {
    let schema = batch.record_batch().schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let mut columns: Vec<_> = names.zip(batch.record_batch().columns().iter().cloned()).collect();
    for (name, other) in others {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, column)) => *column = other,
            None => columns.push((name, other)),
        }
    }
    capture(columns)
}

/// Answers `late` with 0.75 for every row, after `before` was called.
fn scorer(mut before: impl FnMut() -> Result<(), ShadowError> + 'static) -> Box<Score> {
    Box::new(move |request| Ok(before().map_or_else(sick, |()| answer(request))))
}

fn answer(request: &Request<'_>) -> Answer {
    let rows = request.rows.len();
    let singles = request.single.iter().filter(|single| **single).count();
    Answer {
        scores: Scores {
            rows: request.rows.to_vec(),
            labels: Some(vec!["late".to_owned(); rows]),
            scores: Some(vec![0.75; rows]),
        },
        batch_rows: (rows - singles) as u64,
        single_ns: vec![1000; singles],
        ..Answer::default()
    }
}

fn sick(error: ShadowError) -> Answer {
    Answer { problem: Some(error.to_string()), ..Answer::default() }
}

fn lane(limit: usize, scorer: impl FnOnce() -> Box<Score> + Send + 'static) -> CandidateLane<Kept> {
    spawn(candidate(b"", &[]), limit, move |_| Ok(scorer()))
}

/// Loads once, and never again.
fn spawn(
    of: Candidate,
    limit: usize,
    load: impl FnOnce(&Candidate) -> Result<Box<Score>, ShadowError> + Send + 'static,
) -> CandidateLane<Kept> {
    CandidateLane::spawn_with(of, limit, Kept::default(), move |candidate| {
        let mut score = Some(load(candidate)?);
        let gone = || Failure::Refused(ShadowError::Told { says: "it is gone".to_owned() });
        Ok(Box::new(move |_| score.take().ok_or_else(gone)))
    })
}

fn queue(limit: usize) -> Queue<Kept> {
    Queue::new(limit, Kept::default())
}

fn push(queue: &Queue<Kept>, start_us: i64, rows: u32) {
    let batch = batch(i64::from(rows)).record_batch().clone();
    queue.push(start_us, batch, (0..rows).collect());
}

fn rows(batch: &CaptureBatch) -> Vec<u32> {
    (0..batch.rows() as u32).collect()
}

fn offer(lane: &CandidateLane<Kept>, window_start_us: i64, batch: &CaptureBatch) {
    lane.offer(window_start_us, batch, &rows(batch));
}

fn finish(lane: &CandidateLane<Kept>, window_start_us: i64) -> FinishedWindow<Kept> {
    lane.close(window_start_us, Instant::now() + PATIENCE);
    let mut finished = lane.wait_finished(PATIENCE);
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].start_us, window_start_us);
    finished.remove(0)
}

fn counts(window: &FinishedWindow<Kept>) -> (u64, u64, u64, u64) {
    (window.sampled, window.paired, window.shed, window.failed)
}

#[test]
fn the_rows_of_a_window_are_paired() {
    let lane = lane(10_000, || scorer(|| Ok(())));
    offer(&lane, 7, &batch(1000));
    let window = finish(&lane, 7);
    assert_eq!(counts(&window), (1000, 1000, 0, 0));
    let rows = window.sums.sorted();
    assert_eq!(rows.len(), 1000);
    for (at, (offset, id, labels, scores)) in rows.into_iter().enumerate() {
        let champion = if at < 500 { "on-time" } else { "late" };
        assert_eq!((offset, id), (at as i64, Some(format!("id-{at}"))));
        assert_eq!(labels, Some((champion.to_owned(), "late".to_owned())));
        assert_eq!(scores, Some((at as f64 / 1000.0, 0.75)));
    }
    // 1/16 of the rows one by one; four standard errors are 31 rows.
    let Kept { batch_rows, single_rows, .. } = *window.sums;
    assert!(single_rows.abs_diff(62) < 31, "{single_rows}");
    assert_eq!(batch_rows + single_rows, 1000);
    assert_eq!(lane.health(), Health::Ready);
}

#[test]
fn a_lane_that_rests_stops_at_once() {
    let queue = Arc::new(queue(1));
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
    let queue = Arc::new(queue(1));
    let asked = Arc::clone(&queue);
    let (answer, answered) = mpsc::channel();
    let held = queue.hold();
    thread::spawn(move || {
        asked.rest(Duration::from_millis(1));
        let finished = asked.take_finished(Instant::now());
        let _ = answer.send((finished.len(), asked.counters()));
    });
    assert_eq!(answered.recv_timeout(PATIENCE), Ok((0, LaneCounters::default())));
    drop(held);
}

/// A window whose rows nobody came to score, since the lane rested, was told the last words of a run that had
/// outlasted the window before.
#[test]
fn a_run_that_outlasts_its_window_is_blamed_for_that_alone() {
    let queue = queue(100);
    queue.ready();
    push(&queue, 0, 1);
    let slice = queue.next().expect("a row waits");
    let deadline = Instant::now();
    queue.close(0, deadline);
    assert_eq!(queue.take_finished(deadline).len(), 1);
    let last_words = Health::Degraded("what it said when it was too late".to_owned());
    queue.done(&slice, &scored(0), None, last_words);
    let reason = "its run did not end before the window's deadline".to_owned();
    assert_eq!(queue.health(), Health::Degraded(reason));
}

/// So many paired rows.
fn scored(rows: usize) -> Scored<Kept> {
    let mut sums = Kept::default();
    for offset in 0..rows as i64 {
        sums.add(&Pair { labels: None, scores: Some((0.5, 0.75)), id: None, offset });
    }
    Scored { paired: rows as u64, failed: 0, shed: 0, sums }
}

/// Start of a window, and its sampled, paired and shed rows.
type Rows = (i64, u64, u64, u64);

/// The sums of a window grow beside the lock: what happens to its window meanwhile must neither undo it nor be
/// undone by it.
#[test]
fn rows_count_once_whatever_becomes_of_their_window_while_they_are_merged() {
    // Three rows of window 0 are scored, then four of window 1: in which of the two turns what happens, and
    // which windows there are in the end.
    type Meanwhile = fn(&Queue<Kept>);
    let into_0: Meanwhile = |queue| queue.carry(1, 0);
    let into_5: Meanwhile = |queue| queue.carry(1, 5);
    let over: Meanwhile = |queue| queue.close(1, Instant::now());
    let table: [(usize, Meanwhile, &[Rows]); 5] = [
        (0, |_| (), &[(0, 3, 3, 0), (1, 4, 4, 0)]),
        (0, into_0, &[(0, 7, 7, 0)]),
        (1, into_0, &[(0, 7, 7, 0)]),
        (1, into_5, &[(0, 3, 3, 0), (5, 4, 4, 0)]),
        (1, over, &[(1, 4, 0, 4), (0, 3, 3, 0)]),
    ];
    for (case, (at, meanwhile, expected)) in table.into_iter().enumerate() {
        let queue = queue(100);
        push(&queue, 0, 3);
        push(&queue, 1, 4);
        let mut finished = Vec::new();
        for turn in 0..2 {
            let slice = queue.next().expect("rows wait");
            let scored = scored(slice.rows.len());
            let merged = queue.merged(&scored);
            if turn == at {
                meanwhile(&queue);
                finished.extend(queue.take_finished(Instant::now()));
            }
            queue.done(&slice, &scored, merged, Health::Ready);
        }
        (0..6).for_each(|start_us| queue.close(start_us, Instant::now()));
        finished.extend(queue.take_finished(Instant::now()));
        let windows = finished.iter().filter(|window| window.sampled > 0);
        let windows: Vec<Rows> = windows
            .inspect(|window| assert_eq!(window.sums.rows.len() as u64, window.paired))
            .map(|window| (window.start_us, window.sampled, window.paired, window.shed))
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
fn a_window_that_is_carried_and_the_earlier_one_are_one() {
    let (whole, parts) = (batch(1000), lane(10_000, || scorer(|| Ok(()))));
    parts.offer(0, &whole, &rows(&whole)[..300]);
    parts.offer(1, &whole, &rows(&whole)[300..]);
    parts.carry(1, 0);
    let at_once = lane(10_000, || scorer(|| Ok(())));
    offer(&at_once, 0, &whole);
    let (parts, at_once) = (finish(&parts, 0), finish(&at_once, 0));
    assert_eq!(counts(&parts), counts(&at_once));
    assert_eq!(parts.sums.sorted(), at_once.sums.sorted());
    assert_eq!(parts.sums.single_rows, at_once.sums.single_rows);
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
    assert_eq!(counts(&finished[0]), (60, 0, 60, 0));
    // The run that was under way ends after its window: its rows are not counted twice.
    drop(release);
    assert_eq!(counts(&finish(&lane, 1)), (40, 40, 0, 0));
    assert_eq!(lane.counters(), LaneCounters { paired: 40, shed: 60, failed: 0, queued: 0 });
}

/// A queue that is full has room for a few rows of each batch that comes: it kept the whole batches.
#[test]
fn what_waits_keeps_no_whole_batches_alive() {
    let (release, released) = mpsc::channel::<()>();
    let lane = spawn(candidate(b"", &[]), 1000, move |_| {
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
    let lane = spawn(candidate(b"", &[]), 100, move |_| {
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
fn a_panic_degrades_the_candidate_alone() {
    let lane = lane(1000, || scorer(|| panic!("a defect")));
    offer(&lane, 0, &batch(30));
    let report = finish(&lane, 0);
    assert_eq!(counts(&report), (30, 0, 0, 30));
    assert_eq!(report.problem.as_deref(), Some("its lane panicked, which is a defect"));
}

#[test]
fn what_is_no_request_or_was_training_data_is_not_sampled() {
    let mut settings = candidate(b"", &[]);
    settings.trained_until_us = Some(10);
    let lane = spawn(settings, 1000, |_| Ok(scorer(|| Ok(()))));
    let codes = (0..100).map(|row| Some(if row >= 90 { 500 } else { 200 }));
    let codes = Arc::new(Int32Array::from_iter(codes));
    let failed = with(&batch(100), vec![(columns::STATUS, codes)]);
    // Rows 0 to 9 were training data, rows 90 to 99 failed.
    offer(&lane, 0, &failed);
    assert_eq!(counts(&finish(&lane, 0)), (80, 80, 0, 0));
    // A window without rows is finished, too.
    assert_eq!(counts(&finish(&lane, 1)), (0, 0, 0, 0));
}

#[test]
fn a_row_without_the_champions_answer_failed() {
    let labels = (0..100).map(|row| (row % 10 != 0).then_some("late"));
    let scores = (0..100).map(|row| if row % 10 == 1 { f64::NAN } else { 0.5 });
    let plain = batch(100);
    let labels: ArrayRef = Arc::new(StringArray::from_iter(labels));
    let scores: ArrayRef = Arc::new(Float64Array::from_iter_values(scores));
    let gaps = with(&plain, vec![("prediction:label", labels), ("prediction:score", scores)]);
    let lane = lane(1000, || scorer(|| Ok(())));
    offer(&lane, 0, &gaps);
    assert_eq!(counts(&finish(&lane, 0)), (100, 80, 0, 20));
    let envelope: Vec<usize> = (0..columns::ENVELOPE_COLUMNS).collect();
    let nothing = gaps.record_batch().project(&envelope).expect("columns");
    offer(&lane, 1, &CaptureBatch::new(nothing).expect("an envelope"));
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
    let lane = spawn(settings.clone(), 10_000, |_| Ok(scorer(|| Ok(()))));
    let batch = batch(10_000);
    let sample = lane.sample(&batch, &rows(&batch));
    assert!(sample.len().abs_diff(100) < 40, "{}", sample.len());
    let narrow = slim(&batch, &needed_columns(&settings));
    let (small, all) = compacted(narrow, sample.clone());
    assert_eq!((small.num_rows(), small.num_columns()), (sample.len(), 4));
    let whole = batch.record_batch();
    assert!(small.get_array_memory_size() < whole.get_array_memory_size() / 10);
    assert_eq!(Ids::of(&small).get(3), Ids::of(whole).get(sample[3] as usize));
    assert_eq!(all.len(), sample.len());
    offer(&lane, 0, &batch);
    assert_eq!(finish(&lane, 0).paired, sample.len() as u64);
}

/// Each slice of which the process died was lost without a word in the ledger of its window, or would be
/// counted as failed, which is what a model answers.
#[test]
fn rows_under_a_process_that_dies_are_shed() {
    let mut lives = 0;
    let of = candidate(b"", &[]);
    let lane = CandidateLane::spawn_with(of, 1000, Kept::default(), move |_| {
        Ok(Box::new(move |_| {
            lives += 1;
            let mut dies = lives == 1;
            Ok(Box::new(move |request: &Request<'_>| {
                let dies = std::mem::replace(&mut dies, false);
                if dies { Err(Failure::Died(died(libc::SIGFPE))) } else { Ok(answer(request)) }
            }))
        }))
    });
    offer(&lane, 0, &batch(30));
    let window = finish(&lane, 0);
    assert_eq!(counts(&window), (30, 0, 30, 0));
    assert!(window.problem.is_some_and(|problem| problem.contains("SIGFPE")));
    offer(&lane, 1, &batch(40));
    assert_eq!(counts(&finish(&lane, 1)), (40, 40, 0, 0));
    assert_eq!(lane.counters(), LaneCounters { paired: 40, shed: 30, failed: 0, queued: 0 });
    assert_eq!(lane.health(), Health::Ready);
}

/// A lane whose process is being loaded had nothing to stop: the end of the service waited for the model.
#[test]
fn a_lane_that_stops_ends_what_is_being_loaded() {
    let (stopped, told) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let lane = CandidateLane::spawn_with(candidate(b"", &[]), 1, Kept::default(), move |_| {
        Ok(Box::new(move |stops| {
            let stopped = stopped.clone();
            stops(Box::new(move || {
                let _ = stopped.send(());
            }));
            let _ = begin.send(());
            let _ = told.recv();
            Err(Failure::Died(died(libc::SIGKILL)))
        }))
    });
    begun.recv_timeout(PATIENCE).expect("it begins to load");
    assert!(lane.queue.stop(PATIENCE), "the lane's thread has ended");
    assert_eq!(lane.health(), Health::Loading);
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
        for window in &finished {
            let (sampled, paired, shed, failed) = counts(window);
            prop_assert_eq!(sampled, paired + shed + failed);
            prop_assert_eq!(paired, window.sums.rows.len() as u64);
            total = (total.0 + sampled, total.1 + paired, total.2 + shed, total.3 + failed);
        }
        prop_assert_eq!(total.0, offered);
        let expected = LaneCounters { paired: total.1, shed: total.2, failed: total.3, queued: 0 };
        prop_assert_eq!(lane.counters(), expected);
    }
}
