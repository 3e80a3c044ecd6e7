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

use scenarios::{Size, scenarios};

const INTRODUCTION: &str = include_str!("introduction.md");

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(INTRODUCTION.as_bytes())?;
    let is_short = std::env::args().any(|argument| argument == "short");
    for scenario in scenarios(if is_short { Size::Short } else { Size::Full }) {
        for reading in &scenario.readings {
            let lines = scenario.lines(*reading);
            out.write_all(lines.drift.markdown(&scenario.name, *reading).as_bytes())?;
            if scenario.panes {
                let name = format!("{}: the panes", scenario.name);
                out.write_all(lines.operations.markdown(&name, *reading).as_bytes())?;
            }
            out.flush()?;
        }
    }
    Ok(())
}
