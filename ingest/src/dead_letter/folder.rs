//! Dead letters to a folder: one JSON Lines file per topic, synced before a letter counts as
//! arrived.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::DeadLetter;
use super::pending::Pending;
use crate::error::IngestError;

pub(crate) struct Folder {
    path: PathBuf,
    state: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    queued: Vec<DeadLetter>,
    files: BTreeMap<String, File>,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Folder, IngestError> {
        // Letters hold what captures hold. A folder that is there keeps the rights that somebody gave it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| IngestError::Folder { path: path.to_owned(), source })?;
        Ok(Folder { path: path.to_owned(), state: Mutex::default() })
    }

    pub(crate) fn queue(&self, letter: DeadLetter) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).queued.push(letter);
    }

    /// Writes and syncs what is queued. After an error everything queued stays so, and is written
    /// again: at least once.
    pub(crate) fn settle(&self, pending: &Pending) -> Result<(), IngestError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if state.queued.is_empty() {
            return Ok(());
        }
        let mut lines: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for letter in &state.queued {
            let lines = lines.entry(&letter.topic).or_default();
            lines.extend_from_slice(line(letter).as_bytes());
            lines.push(b'\n');
        }
        for (topic, lines) in lines {
            // Kafka's topic names are file names: letters, digits, dot, underscore and hyphen.
            let path = self.path.join(format!("{topic}.jsonl"));
            append(&mut state.files, topic, &path, &lines).map_err(|source| {
                pending.refused(source.to_string());
                IngestError::Folder { path, source }
            })?;
        }
        for letter in state.queued.drain(..) {
            pending.arrived(&letter);
        }
        Ok(())
    }
}

fn append(
    files: &mut BTreeMap<String, File>,
    topic: &str,
    path: &Path,
    lines: &[u8],
) -> std::io::Result<()> {
    let mut file = match files.remove(topic) {
        Some(file) => file,
        None => open_at_a_line(path)?,
    };
    file.write_all(lines)?;
    file.sync_data()?;
    // One that failed is opened again: part of a line may stand at its end.
    files.insert(topic.to_owned(), file);
    Ok(())
}

/// The file, to be appended to. A line that was torn by the end of a process or of the disk's room is closed,
/// so that it spoils no other.
fn open_at_a_line(path: &Path) -> std::io::Result<File> {
    let mut file =
        OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn line(letter: &DeadLetter) -> String {
    let base64 = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
    let headers: Vec<_> =
        letter.headers.iter().map(|(name, value)| json!([name, base64(value)])).collect();
    json!({
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_us": letter.timestamp_us,
        "reason": letter.reason.as_str(),
        "detail": letter.detail,
        "key": base64(&letter.key),
        "value": base64(&letter.value),
        "headers": headers,
    })
    .to_string()
}
