//! A bar on stderr for long work; nothing where stderr is no terminal.

use std::cell::RefCell;
use std::time::Duration;

use driftline_batch::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// The bar of the work that is under way, if any.
#[derive(Debug, Default)]
pub(crate) struct Bar {
    shown: RefCell<Option<RowsBar>>,
}

/// A bar over so many rows, or one without an end; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct RowsBar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Begins { what, rows } => {
                let ended = self.shown.replace(None);
                drop(ended);
                self.shown.replace(Some(RowsBar::new(what, rows)));
            }
            Progress::Rows(rows) => {
                if let Some(bar) = &*self.shown.borrow() {
                    bar.add(rows);
                }
            }
            Progress::Ends => drop(self.shown.replace(None)),
        }
    }
}

impl RowsBar {
    /// Says what is done, of as many rows as there are, where that is known.
    pub(crate) fn new(what: &str, rows: Option<u64>) -> RowsBar {
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
        RowsBar { bar }
    }

    pub(crate) fn add(&self, rows: u64) {
        self.bar.inc(rows);
    }
}

impl Drop for RowsBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
