//! The batches of a file as they stand there, read by a thread of their own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::record_batch::RecordBatch;

use super::error::FileError;

/// Batches that wait between the reading thread and its reader.
const QUEUE: usize = 4;

/// What a reading thread sends.
#[derive(Debug)]
pub(crate) enum Raw {
    Batch(RecordBatch),
    /// Something that turned out while reading, as a sentence.
    Note(String),
    /// Why there is no more.
    Failed(FileError),
}

/// Reads on a thread of its own; `name` is that of the file, for errors.
pub(crate) fn read(
    name: &str,
    work: impl FnOnce(&SyncSender<Raw>) -> Result<(), FileError> + Send + 'static,
) -> Result<Receiver<Raw>, FileError> {
    let (outbox, inbox) = sync_channel(QUEUE);
    let run = move || {
        if let Err(error) = work(&outbox) {
            let _ = outbox.send(Raw::Failed(error));
        }
    };
    let thread = std::thread::Builder::new().name("files".to_owned()).spawn(run);
    thread.map_err(|source| FileError::Io { path: name.into(), source })?;
    Ok(inbox)
}
