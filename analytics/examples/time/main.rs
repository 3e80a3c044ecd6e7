//! Writes docs/time.md: what becomes of good rows under our rule of time and under the former one. With
//! `short`, of fewer rows.

mod account;
mod draw;
mod drive;
mod former;
mod lanes;
mod producers;
mod scenarios;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use scenarios::{Scenario, Size, scenarios};

const INTRODUCTION: &str = "\
# A row that comes in time is not late

What becomes of good rows under the rule of time ([RULES §1](rules.md)), and what became of them under the rule
before it. `make time` writes this file: it feeds streams to the lanes of the service, by virtual clocks, and to
the former rule in its smallest form (`analytics/examples/time/former.rs`). `make test` does the same with fewer
rows and refuses a line with a good row late or `ahead`, or with a window of good rows that stays open.

Where a line says nothing else, a stream has six partitions, five rows a second in each for two hours, and four
producers; windows are of ten minutes and wait for one, `idle` is 30 s, `max_ahead` 1 h. Beside them run panes of
a minute; lines that end with \"the panes\" are of those. Partitions are not held together in event time here:
each is read as fast as it goes.

- *read*: `live` as rows are written; `backlog` at 20 000 records a second from a minute after the last one on;
  `backlog, old` likewise from 400 days after it on, when nothing lies beyond our clock any more.
- *good rows*: those of producers whose clock is right, sent in time.
- *late*: good rows that no window took, formerly and now. *ahead*: good rows that were taken for rows beyond our
  clock.
- *windows*: those that hold good rows; *open*: those of them that never closed, formerly and now. With `idle: off`
  windows of the end wait for rows that nobody wrote, and are left out.
- *later*: how much later than formerly the windows closed that closed under both rules, the median and the most;
  below zero they closed earlier (rows an hour apart were jumps to the former rule, of which it doubted twenty).
  In a backlog this is time of reading. Where good rows were late formerly, windows
  closed before they were over, and this is what it takes to wait for them.

What nobody who reads a log can tell, the rule cannot either: long after, where more than three quarters of what a
partition says is of clocks that are ahead; and in a partition whose rows are further apart than `idle`, where our
own clock is ahead from the start, or producers' clocks are ahead with it. Such streams are not in the table.

";

const HEAD: &str = "\
| stream | read | good rows | late, formerly | late | ahead | windows | open, formerly / now | later: median | later: most |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
";

fn main() -> io::Result<()> {
    let is_short = std::env::args().any(|argument| argument == "short");
    let all = scenarios(if is_short { Size::Short } else { Size::Full });
    let mut out = io::stdout().lock();
    write!(out, "{INTRODUCTION}{HEAD}")?;
    all.iter().try_for_each(|scenario| lines(scenario, &mut out))
}

fn lines(scenario: &Scenario, out: &mut impl Write) -> io::Result<()> {
    for reading in &scenario.readings {
        let lines = scenario.lines(*reading);
        out.write_all(lines.drift.markdown(&scenario.name, *reading).as_bytes())?;
        if scenario.panes {
            let name = format!("{}: the panes", scenario.name);
            out.write_all(lines.operations.markdown(&name, *reading).as_bytes())?;
        }
    }
    out.flush()
}
