//! Sends reports to their topic, one after the other, until the broker has them.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use driftline_ingest::ReportProducer;

/// Reports handed over and not yet sent; the rest waits in the outbox.
const HANDED_OVER: usize = 256;
/// How long one acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rest after a refused report.
const REST: Duration = Duration::from_secs(1);

/// A record of the reports topic.
#[derive(Debug)]
pub(super) struct Record {
    /// Its place in the outbox.
    pub sequence: u64,
    /// Name of the model.
    pub key: String,
    /// The report, byte for byte.
    pub value: String,
}

/// The handle of the publishing thread. Dropping it leaves unsent reports in the outbox.
#[derive(Debug)]
pub(super) struct Publisher {
    records: SyncSender<Record>,
    sent: Receiver<u64>,
}

impl Publisher {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(super) fn start(producer: ReportProducer) -> std::io::Result<Publisher> {
        let (records, inbox) = sync_channel::<Record>(HANDED_OVER);
        let (outbox, sent) = sync_channel(2 * HANDED_OVER);
        let work = move || {
            let mut prepared = false;
            while let Ok(record) = inbox.recv() {
                while !publish(&producer, &mut prepared, &record) {
                    std::thread::sleep(REST);
                }
                if outbox.send(record.sequence).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("reports".to_owned()).spawn(work)?;
        Ok(Publisher { records, sent })
    }

    /// Hands a record over; gives it back when too many wait already.
    ///
    /// # Errors
    /// The record, to be handed over later.
    pub(super) fn submit(&self, record: Record) -> Result<(), Record> {
        self.records.try_send(record).map_err(|refused| match refused {
            TrySendError::Full(record) | TrySendError::Disconnected(record) => record,
        })
    }

    /// Sequence numbers of the records that the broker has, since the last call.
    pub(super) fn take_sent(&self) -> Vec<u64> {
        self.sent.try_iter().collect()
    }
}

fn publish(producer: &ReportProducer, prepared: &mut bool, record: &Record) -> bool {
    let ready = if *prepared { Ok(()) } else { producer.prepare() };
    let outcome = ready.and_then(|()| {
        *prepared = true;
        producer.send(&record.key, record.value.as_bytes(), PATIENCE)
    });
    if let Err(error) = &outcome {
        tracing::warn!(%error, "a report waits to be published");
    }
    outcome.is_ok()
}
