//! The newest stored report of each model, read beside the loop after a start: the gauges must not be
//! empty until the next window closes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use driftline_analytics::report::Report;

use driftline_store::Store;

/// Reports that wait to be shown: each may be megabytes, and the loop takes them in every turn.
const WAITING: usize = 8;

#[derive(Debug)]
pub(super) struct Newest {
    reports: Receiver<Report>,
}

impl Newest {
    /// Reads one report of each model on a thread of its own: two thousand of them take seconds.
    pub(super) fn read(store: Arc<Store>, models: Vec<String>) -> std::io::Result<Newest> {
        let (found, reports) = sync_channel(WAITING);
        let work = move || {
            for model in models {
                let stored = match store.reports(&model, i64::MIN..i64::MAX, 1) {
                    Ok(stored) => stored,
                    Err(error) => {
                        tracing::warn!(model, %error, "the last report cannot be shown");
                        continue;
                    }
                };
                for stored in stored {
                    match Report::from_json(&stored.report) {
                        Ok(report) => {
                            if found.send(report).is_err() {
                                return;
                            }
                        }
                        Err(error) => {
                            tracing::warn!(model, %error, "the last report cannot be shown");
                        }
                    }
                }
            }
        };
        std::thread::Builder::new().name("last-reports".to_owned()).spawn(work)?;
        Ok(Newest { reports })
    }

    pub(super) fn take(&self) -> Vec<Report> {
        self.reports.try_iter().collect()
    }

    #[cfg(test)]
    pub(super) fn take_all(&self) -> Vec<Report> {
        self.reports.iter().collect()
    }
}
