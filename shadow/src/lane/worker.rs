//! The lane's thread: has the candidate's process started, scores slice by slice, until the lane stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use driftline_config::Candidate;

use super::mourning::{Deaths, Then};
use super::pairing::{Champion, Scored};
use super::queue::{Queue, Slice};
use super::rest::Stopwatch;
use super::{Health, Ids};
use crate::error::ShadowError;
use crate::process::{Death, Failure, Launch, Process, Request, Stop};
use crate::sample::{Decision, chosen};
use crate::sums::Sums;
use crate::wire::Answer;

/// Share of rows that are scored one by one, to know the latency of a single request.
const SINGLE_SHARE: f64 = 1.0 / 16.0;

/// Something that scores rows.
pub(super) type Score = dyn FnMut(&Request<'_>) -> Result<Answer, Failure>;
/// Starts what scores, anew after each death; what ends it is given away as soon as there is something to end.
pub(super) type Start = dyn FnMut(&dyn Fn(Stop)) -> Result<Box<Score>, Failure>;

/// Starts a process for each life of the candidate.
pub(super) fn processes(candidate: &Candidate, launch: Launch) -> Box<Start> {
    let candidate = candidate.clone();
    Box::new(move |stops| {
        let mut process = Process::open(&launch, &candidate, stops)?;
        Ok(Box::new(move |request: &Request<'_>| process.score(request)))
    })
}

pub(super) fn run<S: Sums>(
    candidate: &Candidate,
    queue: &Queue<S>,
    prepare: impl FnOnce(&Candidate) -> Result<Box<Start>, ShadowError>,
) {
    // What a panic below leaves behind is a degraded candidate, and not a lane that is silent.
    let ended = catch_unwind(AssertUnwindSafe(|| match prepare(candidate) {
        Ok(mut start) => live(candidate, queue, start.as_mut()),
        Err(error) => give_up(candidate, queue, &error.to_string()),
    }));
    if ended.is_err() {
        give_up(candidate, queue, "its lane panicked, which is a defect");
    }
    queue.stopped();
}

/// One life after the other, until the lane stops or there is no hope.
fn live<S: Sums>(candidate: &Candidate, queue: &Queue<S>, start: &mut Start) {
    let mut deaths = Deaths::default();
    loop {
        let life = start(&|stop| queue.interruptible(stop))
            .and_then(|mut score| score_all(candidate, queue, score.as_mut()));
        let failure = match life {
            Err(failure) if !queue.is_halted() => failure,
            _ => return,
        };
        let (death, then) = match failure {
            Failure::Refused(error) => return give_up(candidate, queue, &error.to_string()),
            Failure::Died(death) => {
                let then = deaths.mourn(&death, Instant::now());
                (death, then)
            }
        };
        match then {
            Then::GiveUp(why) => return give_up(candidate, queue, &why),
            Then::Rest(pause) => {
                tracing::error!(candidate = candidate.name, %death, "a candidate died");
                queue.restarting(death.to_string());
                queue.rest(pause);
            }
        }
    }
}

fn give_up<S: Sums>(candidate: &Candidate, queue: &Queue<S>, why: &str) {
    tracing::error!(candidate = candidate.name, why, "a candidate cannot be scored");
    queue.give_up(why.to_owned());
}

fn score_all<S: Sums>(
    candidate: &Candidate,
    queue: &Queue<S>,
    score: &mut Score,
) -> Result<(), Failure> {
    queue.ready();
    let (mut well, mut shed) = (true, 0);
    while let Some(slice) = queue.next() {
        let stopwatch = Stopwatch::start();
        let mut scored = Scored { paired: 0, failed: 0, shed: 0, sums: queue.nothing() };
        let (health, ended) = match score_slice(candidate, &slice, score, &mut scored) {
            Ok(ran) => (Health::Ready, Ok(ran)),
            Err(Ill::Sick(error, ran)) => {
                // Rows that were paired before the error stay; the others failed.
                scored.failed = slice.rows.len() as u64 - scored.paired;
                if well {
                    tracing::error!(candidate = candidate.name, %error, "a candidate fails");
                }
                (Health::Degraded(error.to_string()), Ok(ran))
            }
            Err(Ill::Dead(death)) => {
                // Nobody knows what it would have said of them.
                scored.shed = slice.rows.len() as u64;
                (Health::Restarting(death.to_string()), Err(death))
            }
        };
        well = health == Health::Ready;
        // What the two do together is split so that the merging needs no lock.
        let merged = queue.merged(&scored);
        queue.done(&slice, &scored, merged, health);
        let ran = ended.map_err(Failure::Died)?;
        let shed_before = std::mem::replace(&mut shed, queue.counters().shed);
        queue.rest(stopwatch.effort(ran).rest(shed > shed_before));
    }
    Ok(())
}

/// Why a slice was not scored to its end.
enum Ill {
    /// With the processor time that was used all the same.
    Sick(ShadowError, Duration),
    Dead(Death),
}

impl From<ShadowError> for Ill {
    fn from(error: ShadowError) -> Ill {
        Ill::Sick(error, Duration::ZERO)
    }
}

/// Scores a slice, and says how much processor time the candidate took for it.
fn score_slice<S: Sums>(
    candidate: &Candidate,
    slice: &Slice,
    score: &mut Score,
    into: &mut Scored<S>,
) -> Result<Duration, Ill> {
    let champion = Champion::of(&slice.batch, &candidate.output)?;
    let ids = Ids::of(&slice.batch);
    let is_single = |row: &u32| {
        let (id, offset) = ids.get(*row as usize);
        chosen(Decision::Single, id, offset, SINGLE_SHARE)
    };
    let single: Vec<bool> = slice.rows.iter().map(is_single).collect();
    let request = Request { batch: &slice.batch, rows: &slice.rows, single: &single };
    let answer = score(&request).map_err(|failure| match failure {
        Failure::Refused(error) => Ill::from(error),
        Failure::Died(death) => Ill::Dead(death),
    })?;
    let ran = Duration::from_nanos(answer.ran_ns);
    let sick = |error: ShadowError| Ill::Sick(error, ran);
    if answer.batch_rows > 0 {
        into.sums.add_batch_time(answer.batch_rows, answer.batch_ns);
    }
    answer.single_ns.iter().for_each(|took_ns| into.sums.add_single_time(*took_ns));
    // Rows before the error have scores, if there are any.
    if answer.problem.is_none() || !answer.scores.rows.is_empty() {
        champion.pair(&ids, &answer.scores, slice.rows.len(), into).map_err(sick)?;
    }
    match answer.problem {
        Some(says) => Err(sick(ShadowError::Told { says })),
        None => Ok(ran),
    }
}
