//! Which of the two threads judges what.

use driftline_analytics::budget::ScaleHistory;
use driftline_analytics::judgement::History;
use driftline_analytics::report::WindowMeta;
use driftline_analytics::window::WindowState;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{ModelId, WindowId};
use driftline_pipeline::setup::Setup;
use driftline_world::World;

use super::*;

const CONFIG: &str = "kafka: {bootstrap: \"localhost:1\"}\nmodels:\n  - {name: m, captures: {topic: captures}, baseline: baseline.json}\n";

fn setup() -> Arc<Setup> {
    let world = World::new(CONFIG, &driftline_world::baseline(200, 8));
    Arc::clone(&world.setups[0])
}

/// A window without a row.
fn job(setup: &Arc<Setup>) -> Box<Job> {
    let day_us = ALIGNMENT_US..ALIGNMENT_US + DAY_US;
    Box::new(Job {
        model: ModelId(0),
        setup: Arc::clone(setup),
        state: Arc::new(WindowState::default()),
        window: WindowMeta::new(WindowId::from("a window"), day_us),
        history: History::default(),
        newest: ScaleHistory::default(),
    })
}

/// A judge whose first thread never gets a core, and what lies before that thread.
fn starved() -> (Judge, Arc<Setup>, Receiver<Turn>) {
    let mut judge = Judge::start().unwrap();
    let (jobs, turns) = sync_channel(AHEAD);
    judge.standing_back = Seat { jobs: Some(jobs), turns: 0, thread: None };
    (judge, setup(), turns)
}

fn shares(judge: &Judge) -> (usize, usize, usize) {
    (judge.standing_back.turns, judge.prompt.turns, judge.queue.len())
}

/// Takes all verdicts, for which `now` is handed on.
fn judge_all(judge: &mut Judge, now: Instant) {
    for waiting in (0..judge.waiting()).rev() {
        assert!(judge.next(Duration::from_secs(60)).is_some());
        judge.hand_over(now);
        assert_eq!(judge.waiting(), waiting);
    }
}

/// Where other processes took every core, windows would have waited for them without end: at first all, and
/// later the sixteen that a thread without a core had before it, which were all windows of a small service.
#[test]
fn what_waited_too_long_for_a_free_core_is_judged_by_the_second_thread() {
    let (mut judge, setup, turns) = starved();
    let then = Instant::now();
    (0..2 * AHEAD + 8).for_each(|_| judge.submit(job(&setup), then));
    assert_eq!(shares(&judge), (AHEAD, 0, AHEAD + 8));
    judge.hand_over(then + PATIENCE);
    assert_eq!(shares(&judge), (AHEAD, 0, AHEAD + 8));
    let late = then + PATIENCE + Duration::from_micros(1);
    judge.hand_over(late);
    // What was taken from the first thread leaves it a turn with nothing to do.
    assert_eq!(shares(&judge), (AHEAD, AHEAD, AHEAD + 8));
    assert_eq!(judge.waiting(), 2 * AHEAD + 8);
    judge_all(&mut judge, late);
    let left: Vec<Turn> = turns.try_iter().collect();
    assert_eq!(left.len(), AHEAD);
    assert!(left.iter().all(|turn| turn.job.lock().unwrap().is_none()));
}

/// A log of small windows was judged at the pace of a thread that stands back for everybody.
#[test]
fn in_a_hurry_both_threads_judge() {
    let (mut judge, setup, _turns) = starved();
    let then = Instant::now();
    judge.submit(job(&setup), then);
    assert_eq!(shares(&judge), (1, 0, 0));
    judge.hurry(true);
    (0..AHEAD + 2).for_each(|_| judge.submit(job(&setup), then));
    assert_eq!(shares(&judge), (4, AHEAD, 0));
    judge.hurry(false);
    judge.submit(job(&setup), then);
    assert_eq!(shares(&judge), (5, AHEAD, 0));
    judge.hurry(true);
    judge_all(&mut judge, then);
}

/// The same with threads that both run: every window is judged once.
#[test]
fn each_window_is_judged_by_one_of_the_threads() {
    let setup = setup();
    let mut judge = Judge::start().unwrap();
    let then = Instant::now();
    for turn in 0..50 {
        judge.hurry(turn % 3 == 0);
        (0..5).for_each(|_| judge.submit(job(&setup), then));
        judge.next(Duration::ZERO);
        judge.hand_over(then);
    }
    judge_all(&mut judge, then);
    while judge.standing_back.turns + judge.prompt.turns > 0 {
        assert!(judge.next(Duration::from_millis(10)).is_none(), "one was judged twice");
    }
}

/// A thread that panicked left its windows waiting, and the service looked alive.
#[test]
fn a_thread_that_is_gone_is_noticed() {
    for gone in [Who::StandingBack, Who::Prompt] {
        let mut judge = Judge::start().unwrap();
        assert!(!judge.has_ended());
        match gone {
            Who::StandingBack => judge.standing_back.jobs = None,
            Who::Prompt => judge.prompt.jobs = None,
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !judge.has_ended() {
            assert!(Instant::now() < deadline, "{gone:?}");
            std::thread::yield_now();
        }
    }
}
