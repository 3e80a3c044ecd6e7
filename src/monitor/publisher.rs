//! Sends reports to their topic, one after the other, until the broker has them.

#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftline_ingest::{IngestError, ReportProducer};
use serde::Deserialize;

/// Reports handed over and not yet sent; the rest waits in the outbox.
pub(super) const HANDED_OVER: usize = 256;
/// How long one acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Record {
    pub sequence: u64,
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub sequence: u64,
    /// Whether it was given up because the topic takes no record of its size.
    pub too_large: bool,
}

/// The handle of the publishing thread. Dropping it leaves unsent reports in the outbox.
#[derive(Debug)]
pub(super) struct Publisher {
    records: SyncSender<Record>,
    fates: Receiver<Fate>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Publisher {
    pub(super) fn start(producer: ReportProducer) -> std::io::Result<Publisher> {
        let (records, inbox) = sync_channel::<Record>(HANDED_OVER);
        let (outbox, fates) = sync_channel(2 * HANDED_OVER);
        let trouble = Arc::default();
        let mut worker = Worker { producer, prepared: false, trouble: Arc::clone(&trouble) };
        let work = move || {
            while let Ok(record) = inbox.recv() {
                let fate = loop {
                    match worker.publish(&record) {
                        Some(fate) => break fate,
                        None => std::thread::sleep(REST),
                    }
                };
                if outbox.send(fate).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("reports".to_owned()).spawn(work)?;
        Ok(Publisher { records, fates, trouble })
    }

    /// Hands a record over; gives it back when too many wait already.
    pub(super) fn submit(&self, record: Record) -> Result<(), Record> {
        self.records.try_send(record).map_err(|refused| match refused {
            TrySendError::Full(record) | TrySendError::Disconnected(record) => record,
        })
    }

    pub(super) fn take_fates(&self) -> Vec<Fate> {
        self.fates.try_iter().collect()
    }

    /// Why the last record was not taken, and what to do; `None` once one is.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Worker {
    producer: ReportProducer,
    prepared: bool,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Worker {
    /// Tries once; `None` where it must be tried again.
    fn publish(&mut self, record: &Record) -> Option<Fate> {
        let fate = |too_large| Fate { sequence: record.sequence, too_large };
        let ready = if self.prepared { Ok(()) } else { self.producer.prepare() };
        let outcome = ready.and_then(|()| {
            self.prepared = true;
            self.producer.send(&record.key, record.value.as_bytes(), PATIENCE)
        });
        match outcome {
            Ok(()) => {
                self.say(None);
                Some(fate(false))
            }
            Err(error @ IngestError::TooLarge { .. }) => {
                tracing::error!(
                    model = record.key,
                    window = window_of(&record.value),
                    bytes = record.value.len(),
                    %error,
                    "a report is not published, it stands in the store and in the API"
                );
                self.say(Some(format!("a report was not published: {error}")));
                Some(fate(true))
            }
            Err(error) => {
                let says = format!(
                    "reports wait to be published: {error}; if nobody reads them, set \
                     kafka.reports: off"
                );
                if self.say(Some(says)) {
                    tracing::warn!(%error, "a report waits to be published");
                }
                None
            }
        }
    }

    /// Changes what is said of the topic; whether that is something new.
    fn say(&self, says: Option<String>) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *trouble != says;
        *trouble = says;
        is_new
    }
}

/// The id of the window that a report or a shadow record is about.
fn window_of(value: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        window: Window,
    }
    #[derive(Deserialize)]
    struct Window {
        id: String,
    }
    serde_json::from_str(value).map(|named: Named| named.window.id).unwrap_or_default()
}
