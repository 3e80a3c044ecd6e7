//! Which of the two threads judges what.

use driftline_analytics::report::Ledger;
use driftline_config::time::{ALIGNMENT_US, DAY_US};

use super::*;
use crate::commands::rig::Rig;

/// A window without a row.
fn job(setup: &Arc<Setup>) -> Box<Job> {
    let (start_us, end_us) = (ALIGNMENT_US, ALIGNMENT_US + DAY_US);
    let (incomplete, cuts) = (Vec::new(), BTreeMap::new());
    let window = WindowMeta {
        id: "a window".to_owned(),
        start_us,
        end_us,
        parts: 1,
        incomplete: Vec::new(),
        previous: None,
        ledger: Ledger::default(),
        cuts: BTreeMap::new(),
    };
    Box::new(Job {
        unit: 0,
        closed: Closed { start_us, end_us, rows: 0, parts: 1, incomplete, cuts },
        setup: Arc::clone(setup),
        state: Arc::new(WindowState::new(&setup.layout)),
        window,
        history: History::default(),
    })
}

/// Where other processes took every core, windows would have waited for them without end.
#[test]
fn what_waited_too_long_for_a_free_core_is_judged_by_the_second_thread() {
    let rig = Rig::new(50);
    let config = rig.config();
    let setup = Arc::new(Setup::load(&config.models[0], &config.limits).unwrap());
    let mut judge = Judge::start().unwrap();
    let then = Instant::now();
    let windows = 2 * AHEAD + 8;
    (0..windows).for_each(|_| judge.submit(job(&setup), then));
    let shares =
        |judge: &Judge| (judge.standing_back.waiting, judge.prompt.waiting, judge.queue.len());
    assert_eq!(shares(&judge), (AHEAD, 0, AHEAD + 8));
    judge.hand_over(then + PATIENCE);
    assert_eq!(shares(&judge), (AHEAD, 0, AHEAD + 8));
    judge.hand_over(then + PATIENCE + Duration::from_micros(1));
    assert_eq!(shares(&judge), (AHEAD, AHEAD, 8));
    for waiting in (0..windows).rev() {
        assert!(judge.next(Duration::from_secs(60)).is_some());
        judge.hand_over(then);
        assert_eq!(judge.waiting(), waiting);
    }
    assert_eq!(shares(&judge), (0, 0, 0));
}

/// A log of small windows was judged at the pace of a thread that stands back for everybody.
#[test]
fn in_a_hurry_both_threads_judge() {
    let rig = Rig::new(50);
    let config = rig.config();
    let setup = Arc::new(Setup::load(&config.models[0], &config.limits).unwrap());
    let mut judge = Judge::start().unwrap();
    let then = Instant::now();
    judge.submit(job(&setup), then);
    judge.hurry(true);
    (0..AHEAD + 2).for_each(|_| judge.submit(job(&setup), then));
    assert_eq!((judge.standing_back.waiting, judge.prompt.waiting), (3, AHEAD));
    judge.hurry(false);
    judge.submit(job(&setup), then);
    assert_eq!((judge.standing_back.waiting, judge.prompt.waiting), (4, AHEAD));
    while judge.waiting() > 0 {
        assert!(judge.next(Duration::from_secs(60)).is_some());
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
