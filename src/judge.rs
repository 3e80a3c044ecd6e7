//! The judge: threads that compare closed windows with their baselines, each model's in order.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_pipeline::judge::{Job, Verdict, decide};

use crate::priority::give_way;

/// Windows that a thread has before it at most: enough for it not to wait for the loop.
const AHEAD: usize = 16;
/// Where more windows wait than fit before a thread, it rests after each for this part of the time that the
/// window took: even a thread that all others may push aside is in their way.
const REST: u32 = 2;
/// How long windows wait for a core that nobody else wants, before they are judged like anything else.
const PATIENCE: Duration = Duration::from_secs(7);

/// The judge's two threads; dropping it waits for the windows under judgement.
///
/// Judging must not slow down reading, so it is done where no other thread wants a core. Other processes
/// may want all of them for long: the second thread, which stands back for nobody, judges what waited too
/// long, also before the first thread, and everything while reading waits for windows. Each model has at most
/// one window here, which bounds the queue.
#[derive(Debug)]
pub(crate) struct Judge {
    standing_back: Seat,
    prompt: Seat,
    hurried: bool,
    queue: VecDeque<(Instant, Box<Job>)>,
    /// What the thread that stands back was given and may not have begun with.
    given: VecDeque<(Instant, Shared)>,
    /// Windows that were submitted and whose verdict was not taken.
    waiting: usize,
    verdicts: Receiver<(Who, Option<Verdict>)>,
}

/// A window that is judged by whoever takes it first.
type Shared = Arc<Mutex<Option<Box<Job>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    StandingBack,
    Prompt,
}

struct Turn {
    job: Shared,
    rests: bool,
}

#[derive(Debug)]
struct Seat {
    jobs: Option<SyncSender<Turn>>,
    /// Turns that it has not answered, those whose window was taken from it included.
    turns: usize,
    thread: Option<JoinHandle<()>>,
}

impl Judge {
    pub(crate) fn start() -> std::io::Result<Judge> {
        let (outbox, verdicts) = sync_channel(2 * AHEAD);
        Ok(Judge {
            standing_back: Seat::start(Who::StandingBack, outbox.clone())?,
            prompt: Seat::start(Who::Prompt, outbox)?,
            hurried: false,
            queue: VecDeque::new(),
            given: VecDeque::new(),
            waiting: 0,
            verdicts,
        })
    }

    /// Whether reading waits for windows, so that nothing is gained by standing back.
    pub(crate) fn hurry(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    /// Takes a window that closed at `now`.
    pub(crate) fn submit(&mut self, job: Box<Job>, now: Instant) {
        self.queue.push_back((now, job));
        self.waiting += 1;
        self.hand_over(now);
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Option<Verdict> {
        loop {
            let (who, verdict) = self.verdicts.recv_timeout(wait).ok()?;
            let seat = match who {
                Who::StandingBack => &mut self.standing_back,
                Who::Prompt => &mut self.prompt,
            };
            seat.turns = seat.turns.saturating_sub(1);
            if verdict.is_some() {
                self.waiting = self.waiting.saturating_sub(1);
                return verdict;
            }
        }
    }

    /// Gives the threads what they have room for: the second one only what has waited too long, or, in a
    /// hurry, everything that it can take.
    pub(crate) fn hand_over(&mut self, now: Instant) {
        let hurried = self.hurried;
        let is_urgent = |since: Instant| hurried || now.duration_since(since) > PATIENCE;
        while self.prompt.turns < AHEAD
            && let Some((_, job)) = self.given.pop_front_if(|(since, _)| is_urgent(*since))
        {
            // Where it cannot be taken from it, the thread has it.
            let taken = job.try_lock().ok().and_then(|mut job| job.take());
            if let Some(job) = taken {
                self.prompt.take(job, false);
            }
        }
        while self.prompt.turns < AHEAD
            && let Some((_, job)) = self.queue.pop_front_if(|(since, _)| is_urgent(*since))
        {
            self.prompt.take(job, false);
        }
        while self.standing_back.turns < AHEAD
            && let Some((since, job)) = self.queue.pop_front()
        {
            let rests = !hurried && self.is_crowded();
            let job = self.standing_back.take(job, rests);
            self.given.push_back((since, job));
        }
        // It takes them in order.
        self.given.retain(|(_, job)| job.try_lock().is_ok_and(|job| job.is_some()));
    }

    /// Whether a thread is gone, so that windows wait for ever: it ends by a panic alone.
    pub(crate) fn has_ended(&self) -> bool {
        let gone = |seat: &Seat| seat.thread.as_ref().is_none_or(JoinHandle::is_finished);
        gone(&self.standing_back) || gone(&self.prompt)
    }

    /// Whether more windows wait than fit before a thread.
    pub(crate) fn is_crowded(&self) -> bool {
        self.queue.len() >= AHEAD
    }

    /// Windows that were submitted and whose verdict was not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Seat {
    fn start(who: Who, outbox: SyncSender<(Who, Option<Verdict>)>) -> std::io::Result<Seat> {
        let (jobs, inbox) = sync_channel::<Turn>(AHEAD);
        let work = move || {
            if who == Who::StandingBack {
                give_way();
            }
            while let Ok(Turn { job, rests }) = inbox.recv() {
                let begun = Instant::now();
                let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
                let verdict = job.map(|job| decide(&job));
                let judged = verdict.is_some();
                if outbox.send((who, verdict)).is_err() {
                    return;
                }
                if rests && judged {
                    std::thread::sleep(begun.elapsed() / REST);
                }
            }
        };
        let name = match who {
            Who::StandingBack => "judge",
            Who::Prompt => "judge-prompt",
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Seat { jobs: Some(jobs), turns: 0, thread: Some(thread) })
    }

    /// Gives the thread a window, which may be taken back until it begins with it.
    fn take(&mut self, job: Box<Job>, rests: bool) -> Shared {
        let job = Arc::new(Mutex::new(Some(job)));
        if let Some(jobs) = &self.jobs {
            // The thread ends only when this handle is dropped, and has room for what it may have.
            let turn = Turn { job: Arc::clone(&job), rests };
            self.turns += usize::from(jobs.send(turn).is_ok());
        }
        job
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        for seat in [&mut self.standing_back, &mut self.prompt] {
            seat.jobs = None;
            if let Some(thread) = seat.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
