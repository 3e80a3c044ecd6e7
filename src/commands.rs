//! The commands, one file each: arguments, and what they do.

pub mod backtest;
pub mod baseline;
pub mod check;
pub mod doctor;
pub mod export;
pub mod produce;
pub mod replay;
pub mod run;
pub mod validate;

mod configured;
mod progress;
mod reading;
mod recorded;
#[cfg(test)]
pub(crate) mod rig;
mod text_table;

use std::io::{ErrorKind, Write};

/// Writes to stdout. A reader that has gone away, such as `head`, has seen enough.
fn write(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
