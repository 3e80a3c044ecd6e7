//! The commands, one file each: arguments, and what they do.

pub(crate) mod backtest;
pub(crate) mod baseline;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod formats;
pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod produce;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod score_candidate;
pub(crate) mod screen;
pub(crate) mod sensitivity;
pub(crate) mod state;
pub(crate) mod validate;

mod configured;
mod progress;
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
