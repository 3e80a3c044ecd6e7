//! Writes docs/judgement.md and its pictures: how often the rules page where nothing changed, and how soon
//! where something did, on streams that are drawn here and judged by the code that is shipped.
//!
//! `make judgement`, or `cargo run --release -p driftline-analytics --example judgement [RUNS]`. With
//! `null`, `power` or `moving` (and RUNS, and part of a stream's name) it prints that table alone; with `cost` what
//! judging costs.

#![expect(clippy::disallowed_methods, reason = "it measures time on many threads and writes files")]

mod cost;
mod incidents;
mod judges;
mod moving;
mod null;
mod peers;
mod plot;
mod power;
mod random;
mod runs;
mod settings;
mod stream;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Where it is written.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
const RUNS: u64 = 20;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count, named] = [0, 1, 2].map(|at| arguments.get(at).map(String::as_str));
    let runs = || count.map_or(Ok(RUNS), str::parse);
    // Of all streams by default.
    let named = named.unwrap_or_default();
    match what {
        Some("cost") => cost::print(),
        Some("null") => print(&null::table(&null::lines(runs()?, named)?)?),
        Some("power") => print(&power::table(&power::all(runs()?, named)?)?),
        Some("moving") => print(&moving::table(runs()?)?),
        runs => write(runs.map_or(Ok(RUNS), str::parse)?),
    }
}

fn print(text: &str) -> Outcome<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// Says on standard error how long a part took: a run takes half an hour.
pub(crate) fn took(what: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{seconds:6.1} s  {what}");
}

fn write(runs: u64) -> Outcome<()> {
    let lines = null::lines(runs, "")?;
    let delays = power::all(runs, "")?;
    let moving = moving::table(runs)?;
    let docs = Path::new(DOCS);
    fs::write(docs.join("img/judgement-openings.svg"), plot::openings(&lines)?)?;
    if let Some(first) = delays.first() {
        fs::write(docs.join("img/judgement-delays.svg"), plot::delays(first)?)?;
    }
    let text = format!(
        "{}{}{}{}{}{}",
        introduction(runs),
        null::table(&lines)?,
        AFTER_NULL,
        power::table(&delays)?,
        BEFORE_MOVING,
        moving
    );
    Ok(fs::write(docs.join("judgement.md"), text)?)
}

fn introduction(runs: u64) -> String {
    format!(
        "\
<!-- Written by `make judgement`: do not edit. -->
# How the judgement does

How often the rules of [RULES §4](rules.md) open an incident where nothing changed, and how soon where something
did. `make judgement` writes this file: `analytics/examples/judgement/` draws streams and has them judged by the
code that is shipped, with the settings by default (`false_alarms: {{at_most: 1, per: 28d}}`), in {runs} runs a
stream, each with a baseline of its own. Windows are of a day and of 1000
rows; of 20 columns 18 are normal numbers and 2 have 12 categories. Beside Driftline stand, on the same windows,
the rules of others with their documented defaults (`peers.rs` says which, and from where); an incident of
theirs opens with an alarm in any column and closes after two windows without one, as ours does.

## Where nothing changed

Openings of incidents in 28 windows, the mean over 140 windows a run, and the share of windows with an incident open:
a rule that always alarms opens once. *Promised* is what Driftline says to expect of this baseline; *bound held* is in
how many runs openings were at most the bound that it says holds for nine baselines in ten. With `min_effect` by
default most chance effects do not count, so that fewer open than promised. With 30 own windows drift cannot be promised at this budget: tolerances decide it, and
only broken input has a rank. *Driftline without ranks* is what decides then, and where `tolerance` is set.

![Openings by stream and rule](img/judgement-openings.svg)

"
    )
}

const AFTER_NULL: &str = "
An AR stream's means wander by 0.05 sd from day to day, with that autocorrelation; on weekdays two days in seven
have 0.4 of the rows and other means; in storms three days in a hundred are off by a normal number of sd in four
columns; open vocabularies have six columns of 900 names with 4 % of rows whose name never came; in outages each of
four columns misses up to a fifth of its values on one day in a hundred. Where windows follow one another the bound
is not promised, and the report says so.

## Where something did

A lasting change in one column, 20 windows after the baseline's end. The cells have the windows until an incident is
open in which that column is at alarm (the middle run; – where half of the runs had none), and the share of runs in
which there was none within 60 windows, or, of the other rules, within 15 or until Driftline had found it. A rule that
cries where nothing changed is early by luck: read it beside its line above.

![Delay by size of the shift](img/judgement-delays.svg)

";

const BEFORE_MOVING: &str = "
## Where the reference should move

Against the baseline's file, on 240 windows: two incidents of 0.5 sd, 20 windows each, 60 windows apart; a year's
season of 0.3 sd; means that walk by 0.01 sd a day. *Openings* are those in 28 windows beside the incidents; *found*
is the share of runs in which the first incident, and its repeat, had the column at alarm within 5 windows; *open* is the share of
windows with an incident open. A file cannot follow seasons and walks: that is what moving references are for.

";
