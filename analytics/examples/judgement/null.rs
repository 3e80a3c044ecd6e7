//! The table of streams in which nothing changes: how often each rule opens an incident.

use std::fmt::Write;

use crate::judges::{Judges, RULES, names};
use crate::stream::{AR_5, AR_9, NO_LEAST, NOTHING, STEADY, STORMS, Source, Stream};
use crate::{Outcome, runs};

/// Windows after the baseline: five periods.
const WINDOWS: usize = 140;
/// Windows of a period.
const PERIOD: f64 = 28.0;

const STREAMS: [Stream; 23] = [
    STEADY,
    Stream { own: 120, ..STEADY },
    Stream { name: "independent, `min_effect: 0`", least: NO_LEAST, ..STEADY },
    Stream { name: "independent, `min_effect: 0`", least: NO_LEAST, own: 120, ..STEADY },
    AR_5,
    Stream { own: 120, ..AR_5 },
    AR_9,
    Stream { own: 240, ..AR_9 },
    Stream { name: "weekdays", weekdays: true, memory: 0.5, wander: 0.03, ..STEADY },
    STORMS,
    Stream { name: "100 rows", rows: 100, ..STEADY },
    Stream { name: "10 000 rows", rows: 10_000, numeric: 2, categorical: 1, ..STEADY },
    Stream { name: "a quarter of the traffic", traffic: 0.25, ..STEADY },
    Stream { name: "half the traffic", traffic: 0.5, ..STEADY },
    Stream { name: "half the traffic, `min_effect: 0`", traffic: 0.5, least: NO_LEAST, ..STEADY },
    Stream { name: "four times the traffic", traffic: 4.0, rows: 500, ..STEADY },
    Stream { name: "AR .5, half the traffic", traffic: 0.5, ..AR_5 },
    Stream {
        name: "open vocabularies",
        numeric: 4,
        categorical: 6,
        categories: 900,
        fresh: 0.04,
        ..STEADY
    },
    Stream { name: "outages", outages: 0.01, memory: 0.5, wander: 0.03, ..STEADY },
    Stream { name: "100 columns", numeric: 95, categorical: 5, rows: 300, ..STEADY },
    Stream { name: "30 own windows", own: 30, ..STEADY },
    Stream { name: "60 own windows", own: 60, ..STEADY },
    Stream { name: "360 own windows", own: 360, numeric: 7, categorical: 1, rows: 500, ..STEADY },
];

/// One line of the table.
pub(crate) struct Line {
    pub(crate) stream: Stream,
    /// What Driftline says to expect.
    promised: f64,
    /// Share of runs in which its bound held.
    held: f64,
    /// Openings in a period, by rule.
    pub(crate) openings: [f64; RULES],
    /// Share of windows with an incident open, by rule.
    open: [f64; RULES],
}

pub(crate) fn lines(count: u64, named: &str) -> Outcome<Vec<Line>> {
    let streams = STREAMS.iter().filter(|stream| stream.name.contains(named));
    streams.map(|stream| line(stream, count)).collect()
}

fn line(stream: &Stream, count: u64) -> Outcome<Line> {
    let started = std::time::Instant::now();
    let found = runs::all(count, |run| {
        let mut source = Source::new(*stream, 1000 + run);
        let judges = Judges::new(stream, &mut source)?;
        let mut progress = judges.begin();
        for _ in 0..WINDOWS {
            judges.see(&mut progress, &source.next(&NOTHING)?, 0);
        }
        Ok((progress.incidents, judges.budget.expected(), judges.budget.bound()))
    })?;
    let mut line = Line {
        stream: *stream,
        promised: 0.0,
        held: 0.0,
        openings: [0.0; RULES],
        open: [0.0; RULES],
    };
    let each = 1.0 / count.max(1) as f64;
    for (incidents, expected, bound) in found {
        let per_period = |openings: usize| openings as f64 * PERIOD / WINDOWS as f64;
        let sums = line.openings.iter_mut().zip(&mut line.open);
        for ((openings, open), rule) in sums.zip(&incidents) {
            *openings += per_period(rule.openings) * each;
            *open += rule.open_windows as f64 / WINDOWS as f64 * each;
        }
        line.promised += expected * each;
        let [ours, ..] = incidents;
        line.held += f64::from(u8::from(per_period(ours.openings) <= bound)) * each;
    }
    crate::took(stream.name, started);
    Ok(line)
}

pub(crate) fn table(lines: &[Line]) -> Outcome<String> {
    let mut table = format!(
        "| stream | own windows | columns | rows | promised | bound held | {} |\n|---|{}\n",
        names().join(" | "),
        "--:|".repeat(5 + RULES)
    );
    for line in lines {
        let Line { stream, promised, held, openings, open } = line;
        let rows = (stream.rows as f64 * stream.traffic) as usize;
        let cell =
            |(openings, open): (&f64, &f64)| format!("{openings:.2} / {:.0} %", 100.0 * open);
        let cells: Vec<String> = openings.iter().zip(open).map(cell).collect();
        let held =
            if *promised > 0.0 { format!("{:.0} %", 100.0 * held) } else { "–".to_owned() };
        writeln!(
            table,
            "| {} | {} | {} | {rows} | {promised:.2} | {held} | {} |",
            stream.name,
            stream.own,
            stream.columns(),
            cells.join(" | ")
        )?;
    }
    Ok(table)
}
