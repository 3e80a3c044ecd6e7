//! The lane's thread: load the model, score slice by slice, until the lane stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use driftline_config::Candidate;

use super::pairing::{Champion, Scored};
use super::queue::{Queue, RunSwitch, Slice};
use super::rest::Stopwatch;
use super::{Health, Ids};
use crate::error::ShadowError;
use crate::model::{Model, Scores};
use crate::sample::{Decision, chosen};
use crate::sums::Sums;

/// Share of rows that are scored one by one, to know the latency of a single request.
const SINGLE_SHARE: f64 = 1.0 / 16.0;

type Score = dyn FnMut(&RecordBatch, &[u32]) -> Result<Scores, ShadowError>;

/// Something that scores rows, and how its run is ended from outside.
pub(super) struct Scorer {
    pub(super) score: Box<Score>,
    pub(super) switch: RunSwitch,
}

impl Scorer {
    pub(super) fn of(mut model: Model) -> Scorer {
        let (stop, allow) = (Box::new(model.stopper()), Box::new(model.starter()));
        let switch = RunSwitch { stop, allow };
        Scorer { score: Box::new(move |batch, rows| model.score(batch, rows)), switch }
    }
}

pub(super) fn run<S: Sums>(
    candidate: &Candidate,
    queue: &Queue<S>,
    load: impl FnOnce(&Candidate) -> Result<Scorer, ShadowError>,
) {
    // A panic below would be one of the ONNX binding's; it must end as a degraded candidate.
    let ended = catch_unwind(AssertUnwindSafe(|| match load(candidate) {
        Ok(scorer) => score_all(candidate, queue, scorer),
        Err(error) => {
            tracing::error!(candidate = candidate.name, %error, "a candidate cannot be scored");
            queue.give_up(error.to_string());
        }
    }));
    if ended.is_err() {
        tracing::error!(candidate = candidate.name, "a candidate's model panicked");
        queue.give_up("its model panicked".to_owned());
    }
    queue.stopped();
}

fn score_all<S: Sums>(candidate: &Candidate, queue: &Queue<S>, scorer: Scorer) {
    let Scorer { mut score, switch } = scorer;
    queue.ready(switch);
    let (mut well, mut shed) = (true, 0);
    while let Some(slice) = queue.next() {
        let stopwatch = Stopwatch::start();
        let mut scored = Scored { paired: 0, failed: 0, sums: queue.nothing() };
        let health = match score_slice(candidate, &slice, score.as_mut(), &mut scored) {
            Ok(()) => Health::Ready,
            Err(error) => {
                // Rows that were paired before the error stay; the others failed.
                scored.failed = slice.rows.len() as u64 - scored.paired;
                if well {
                    tracing::error!(candidate = candidate.name, %error, "a candidate fails");
                }
                Health::Degraded(error.to_string())
            }
        };
        well = health == Health::Ready;
        // What the two do together is split so that the merging needs no lock.
        let merged = queue.merged(&scored);
        queue.done(&slice, &scored, merged, health);
        let shed_before = std::mem::replace(&mut shed, queue.counters().shed);
        queue.rest(stopwatch.effort().rest(shed > shed_before));
    }
}

fn score_slice<S: Sums>(
    candidate: &Candidate,
    slice: &Slice,
    score: &mut Score,
    into: &mut Scored<S>,
) -> Result<(), ShadowError> {
    let champion = Champion::of(&slice.batch, &candidate.output)?;
    let ids = Ids::of(&slice.batch);
    let (single, together): (Vec<u32>, Vec<u32>) = slice.rows.iter().partition(|row| {
        let (id, offset) = ids.get(**row as usize);
        chosen(Decision::Single, id, offset, SINGLE_SHARE)
    });
    if !together.is_empty() {
        let started = Instant::now();
        let scores = score(&slice.batch, &together)?;
        into.sums.add_batch_time(scores.rows.len() as u64, nanoseconds(started.elapsed()));
        champion.pair(&ids, &scores, together.len(), into)?;
    }
    for row in single {
        let started = Instant::now();
        let scores = score(&slice.batch, &[row])?;
        let elapsed = started.elapsed();
        if !scores.rows.is_empty() {
            into.sums.add_single_time(nanoseconds(elapsed));
        }
        champion.pair(&ids, &scores, 1, into)?;
    }
    Ok(())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
