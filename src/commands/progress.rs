//! A bar on stderr for long reading; nothing where stderr is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Rows that passed so far.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that says what is done, without an end.
    pub(crate) fn new(what: &str) -> Progress {
        Progress::of(what, None)
    }

    /// A bar that says what is done, of as many rows as there are, where that is known.
    pub(crate) fn of(what: &str, rows: Option<u64>) -> Progress {
        let bar = rows.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = match rows {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} rows {eta}",
            None => "{spinner} {msg}: {human_pos} rows",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }

    /// Further rows have passed.
    pub(crate) fn add(&self, rows: u64) {
        self.bar.inc(rows);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
