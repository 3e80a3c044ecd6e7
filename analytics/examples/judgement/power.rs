//! The tables of streams in which one column changes: how soon each rule opens an incident, if at all.

use std::fmt::Write;

use crate::judges::{Judges, RULES, names};
use crate::stream::{AR_5, CHANGES, NO_LEAST, NOTHING, STEADY, STORMS, Source, Stream};
use crate::{Outcome, runs};

/// Windows before the change, and after it.
const BEFORE: usize = 20;
const AFTER: usize = 60;
/// Windows that are drawn at least, for the rules of others.
const LEAST: usize = 15;

/// One setting in which everything changes once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) what: &'static str,
    stream: Stream,
}

const SETTINGS: [Setting; 7] = [
    Setting {
        what: "independent, 90 own windows, `min_effect: 0`",
        stream: Stream { least: NO_LEAST, ..STEADY },
    },
    Setting {
        what: "independent, 120 own windows, `min_effect: 0`",
        stream: Stream { least: NO_LEAST, own: 120, ..STEADY },
    },
    Setting { what: "independent, 90 own windows, `min_effect` by default, 0.03", stream: STEADY },
    Setting {
        what: "independent, 90 own windows of 10 000 rows, 3 columns, `min_effect` by default",
        stream: Stream { rows: 10_000, numeric: 2, categorical: 1, ..STEADY },
    },
    Setting { what: "AR .5, 90 own windows", stream: AR_5 },
    Setting { what: "AR .5, 120 own windows", stream: Stream { own: 120, ..AR_5 } },
    Setting { what: "storm days, 90 own windows", stream: STORMS },
];

/// How soon the rules found each change in one setting.
pub(crate) struct Delays {
    pub(crate) setting: Setting,
    /// By change, rule and run: windows until the incident opened.
    found: Vec<Vec<[Option<usize>; RULES]>>,
}

pub(crate) fn all(count: u64, named: &str) -> Outcome<Vec<Delays>> {
    let settings = SETTINGS.iter().filter(|setting| setting.what.contains(named));
    settings.map(|setting| delays(setting, count)).collect()
}

fn delays(setting: &Setting, count: u64) -> Outcome<Delays> {
    let started = std::time::Instant::now();
    let by_run = runs::all(count, |run| {
        let mut source = Source::new(setting.stream, 5000 + run);
        let judges = Judges::new(&setting.stream, &mut source)?;
        let mut progress = judges.begin();
        for _ in 0..BEFORE {
            judges.see(&mut progress, &source.next(&NOTHING)?, 0);
        }
        let mut of_run = Vec::new();
        for change in &CHANGES {
            let (mut source, mut progress) = (source.clone(), progress.clone());
            let mut first = [None; RULES];
            for window in 1..=AFTER {
                let [ours, ..] = first;
                if ours.is_some() && window > LEAST {
                    break;
                }
                let day = source.next(change)?;
                let alarms = judges.see(&mut progress, &day, change.column(&setting.stream));
                for (first, _) in first.iter_mut().zip(alarms).filter(|(_, alarm)| *alarm) {
                    *first = first.or(Some(window));
                }
            }
            of_run.push(first);
        }
        Ok(of_run)
    })?;
    let of_change =
        |change: usize| by_run.iter().filter_map(|run| run.get(change).copied()).collect();
    let found = (0..CHANGES.len()).map(of_change).collect();
    crate::took(setting.what, started);
    Ok(Delays { setting: *setting, found })
}

/// The middle delay, or none where half of the runs found nothing, and the share that found nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Middle {
    pub(crate) windows: Option<usize>,
    pub(crate) missed: f64,
}

impl Delays {
    pub(crate) fn middle(&self, change: usize, rule: usize) -> Middle {
        let runs = self.found.get(change).map_or(&[][..], Vec::as_slice);
        let mut delays: Vec<usize> =
            runs.iter().map(|run| run.get(rule).copied().flatten().unwrap_or(usize::MAX)).collect();
        delays.sort_unstable();
        let missed = delays.iter().filter(|&&delay| delay == usize::MAX).count();
        // A run without any counts as one that found nothing.
        let middle = delays.get(delays.len().saturating_sub(1) / 2).copied().unwrap_or(usize::MAX);
        Middle {
            windows: (middle < usize::MAX).then_some(middle),
            missed: missed as f64 / delays.len().max(1) as f64,
        }
    }

    pub(crate) fn table(&self) -> Outcome<String> {
        let changes: Vec<&str> = CHANGES.iter().map(|change| change.name).collect();
        let mut table = format!(
            "### {}\n\n| rule | {} |\n|---|{}\n",
            self.setting.what,
            changes.join(" | "),
            "--:|".repeat(CHANGES.len())
        );
        for (rule, name) in names().into_iter().enumerate() {
            let cell = |change: usize| {
                let Middle { windows, missed } = self.middle(change, rule);
                let windows = windows.map_or("–".to_owned(), |windows| windows.to_string());
                format!("{windows} / {:.0} %", 100.0 * missed)
            };
            let cells: Vec<String> = (0..CHANGES.len()).map(cell).collect();
            writeln!(table, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(table)
    }
}

pub(crate) fn table(all: &[Delays]) -> Outcome<String> {
    let tables: Vec<String> = all.iter().map(Delays::table).collect::<Outcome<_>>()?;
    Ok(tables.join("\n"))
}
