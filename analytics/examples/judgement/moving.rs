//! The table of streams on which a reference should move: repeats of an incident, slow seasons, walks.

use std::fmt::Write;

use crate::judges::Judges;
use crate::stream::{AR_5, Change, NOTHING, STEADY, Source, Stream};
use crate::{Outcome, runs};

const WINDOWS: usize = 240;
const PERIOD: f64 = 28.0;
/// Windows within which a change counts as found.
const SOON: usize = 5;
/// First windows of the incidents, and how long they last.
const INCIDENTS: [usize; 2] = [60, 140];
const LASTS: usize = 20;
const INCIDENT: Change = Change { mean: 0.5, ..NOTHING };

/// By what a stream is compared. `rolling` and `learn` take their place here.
const REFERENCES: [&str; 1] = ["the baseline's file"];

const STREAMS: [Case; 4] = [
    Case { what: "incident and repeat, independent", stream: STEADY, incidents: true },
    Case { what: "incident and repeat, AR .5", stream: AR_5, incidents: true },
    Case {
        what: "season",
        stream: Stream { season: 0.3, memory: 0.5, wander: 0.03, ..STEADY },
        incidents: false,
    },
    Case { what: "walk", stream: Stream { walk: 0.01, ..STEADY }, incidents: false },
];

/// One stream and whether incidents come in it.
#[derive(Debug, Clone, Copy)]
struct Case {
    what: &'static str,
    stream: Stream,
    incidents: bool,
}

/// What one run showed.
#[derive(Debug, Default)]
struct Found {
    beside: usize,
    open: usize,
    repeats: [bool; 2],
}

pub(crate) fn table(count: u64) -> Outcome<String> {
    let mut table = String::from(
        "| stream | reference | openings | open | first found | repeat found |\n|---|---|--:|--:|--:|--:|\n",
    );
    for case in &STREAMS {
        for reference in REFERENCES {
            let started = std::time::Instant::now();
            let found = runs::all(count, |run| against_file(case, run))?;
            let each = 100.0 / count.max(1) as f64;
            let mean = |of: &dyn Fn(&Found) -> f64| found.iter().map(of).sum::<f64>() * each;
            let openings = mean(&|run| run.beside as f64) / 100.0 * PERIOD / WINDOWS as f64;
            let open = mean(&|run| run.open as f64 / WINDOWS as f64);
            let [first, repeat] = [0, 1].map(|at| {
                let share = mean(&|run| f64::from(u8::from(run.repeats[at])));
                if case.incidents { format!("{share:.0} %") } else { "–".to_owned() }
            });
            writeln!(
                table,
                "| {} | {reference} | {openings:.2} | {open:.0} % | {first} | {repeat} |",
                case.what
            )?;
            crate::took(case.what, started);
        }
    }
    Ok(table)
}

fn against_file(case: &Case, run: u64) -> Outcome<Found> {
    let mut source = Source::new(case.stream, 9000 + run);
    let judges = Judges::new(&case.stream, &mut source)?;
    let mut progress = judges.begin();
    let mut found = Found::default();
    for window in 0..WINDOWS {
        // Which incident's windows these are.
        let of = INCIDENTS.iter().position(|&from| (from..from + LASTS).contains(&window));
        let of = of.filter(|_| case.incidents);
        let before = progress.incidents[0].openings;
        let day = source.next(if of.is_some() { &INCIDENT } else { &NOTHING })?;
        let [named, ..] = judges.see(&mut progress, &day, INCIDENT.column(&case.stream));
        let opened = progress.incidents[0].openings > before;
        match of {
            Some(at) if named && window < INCIDENTS[at] + SOON => found.repeats[at] = true,
            None if opened => found.beside += 1,
            _ => {}
        }
    }
    found.open = progress.incidents[0].open_windows;
    Ok(found)
}
