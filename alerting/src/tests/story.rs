//! Observations written as strings: one character per window, pane or look at the clock.

use std::collections::BTreeMap;

use driftline_config::time::{ALIGNMENT_US, DAY_US, HOUR_US, MINUTE_US};
use driftline_config::{Level, Subject, WindowGrid, WindowId};

use crate::{
    Class, ClassSignal, Evidence, Measure, ModelAlerts, Observation, Rules, Source, Transition,
    TransitionState, decide,
};

/// What looks at the model.
#[derive(Clone, Copy)]
pub(super) enum Watch {
    /// Windows of a day.
    Windows,
    /// Panes of a minute.
    Panes,
    /// The clock, every minute.
    Wall,
}

/// The 24th of June 2013, a Monday.
pub(super) const START_US: i64 = ALIGNMENT_US + 2268 * 7 * DAY_US;

pub(super) fn subject(name: &str, level: Level, value: f64, bound: f64) -> Evidence {
    Evidence {
        subject: Subject::feature(name),
        check: String::from("distribution"),
        level,
        value: Some(value),
        bound: Some(bound),
        tolerance: Some(0.05),
        unit: Measure::Statistic,
        because: format!("{name} moved by {value}"),
        first_over_us: None,
        rows: None,
        returned: false,
    }
}

/// The signal that a character stands for, over a tolerance of 0.05:
/// `o` ok; `w` warn with the value over tolerance; `u` warn with only the bound near it; `a` alarm;
/// `b` alarm with a bound over three tolerances; `t` with a bound of exactly three; `A` alarm with a
/// second column; `G` alarm with twice the effect; `g` with a third more; `n` alarm of another column
/// only; `-` not computable; `?` ok, but the alarming column is not computable; `i` alarm in an
/// incomplete window.
pub(super) fn signal(mark: char) -> ClassSignal {
    let alarm = |value, bound| subject("dep_delay", Level::Alarm, value, bound);
    let (level, subjects) = match mark {
        'o' => (Level::Ok, vec![]),
        'w' => (Level::Warn, vec![subject("dep_delay", Level::Warn, 0.06, 0.01)]),
        'u' => (Level::Warn, vec![subject("dep_delay", Level::Warn, 0.04, 0.03)]),
        'a' | 'i' => (Level::Alarm, vec![alarm(0.16, 0.08)]),
        'b' => (Level::Alarm, vec![alarm(0.3, 0.16)]),
        't' => (Level::Alarm, vec![alarm(0.3, 0.15)]),
        'A' => {
            (Level::Alarm, vec![alarm(0.16, 0.08), subject("distance", Level::Alarm, 0.2, 0.12)])
        }
        'G' => (Level::Alarm, vec![alarm(0.32, 0.14)]),
        'g' => (Level::Alarm, vec![alarm(0.21, 0.1)]),
        'n' => (Level::Alarm, vec![subject("distance", Level::Alarm, 0.16, 0.08)]),
        '-' => (Level::NotComputable, vec![]),
        '?' => (Level::Ok, vec![subject("dep_delay", Level::NotComputable, 0.0, 0.0)]),
        other => panic!("no signal is written as {other}"),
    };
    ClassSignal::new(level, subjects)
}

/// The observation of step `index` with this signal for this class.
pub(super) fn observation(watch: Watch, index: usize, class: Class, mark: char) -> Observation {
    observation_of(watch, index, BTreeMap::from([(class, signal(mark))]), mark != 'i')
}

pub(super) fn observation_of(
    watch: Watch,
    index: usize,
    classes: BTreeMap<Class, ClassSignal>,
    complete: bool,
) -> Observation {
    let (every_us, lateness_us) = match watch {
        Watch::Windows => (DAY_US, HOUR_US),
        Watch::Panes | Watch::Wall => (MINUTE_US, MINUTE_US),
    };
    let start_us = START_US + index as i64 * every_us;
    let end_us = start_us + every_us;
    let source = match watch {
        Watch::Windows => {
            let id = WindowId::new("flight-delay", start_us, &WindowGrid::every(DAY_US));
            Source::Window { id, start_us, end_us, complete }
        }
        Watch::Panes => Source::Pane { start_us, end_us },
        Watch::Wall => Source::Wall,
    };
    let model = String::from("flight-delay");
    Observation { model, source, at_us: end_us + lateness_us, classes }
}

/// Runs the marks through `decide`; the state that remains and the transitions of each step.
pub(super) fn run(watch: Watch, class: Class, marks: &str) -> (ModelAlerts, Vec<Vec<Transition>>) {
    let mut alerts = ModelAlerts::default();
    let mut steps = Vec::new();
    for (index, mark) in marks.chars().enumerate() {
        let observation = observation(watch, index, class, mark);
        let (after, transitions) = decide(&alerts, &observation, &Rules::default());
        alerts = after;
        steps.push(transitions);
    }
    (alerts, steps)
}

/// All transitions of a run, flat.
pub(super) fn transitions(watch: Watch, class: Class, marks: &str) -> Vec<Transition> {
    run(watch, class, marks).1.into_iter().flatten().collect()
}

/// One character per step: `.` nothing, `F` firing, `C` changed, `R` resolved.
pub(super) fn written(steps: &[Vec<Transition>]) -> String {
    let letter = |step: &Vec<Transition>| match step.as_slice() {
        [] => '.',
        [one] => match one.state {
            TransitionState::Firing => 'F',
            TransitionState::Changed => 'C',
            TransitionState::Resolved => 'R',
        },
        more => panic!("{} transitions of one class in one step", more.len()),
    };
    steps.iter().map(letter).collect()
}
