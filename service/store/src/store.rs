//! The redb file: tables, one transaction per snapshot, and what a restart reads back.

mod load;
mod open;
mod restore;
mod shapes;
mod waiting;
mod whole;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_join::Changes;
use redb::{Database, ReadableDatabase, TableDefinition, TableHandle};

use super::packing::Packer;
use super::past;
use crate::seal::{self, Definition, Seals};
use driftline_pipeline::snapshot::{DocumentKey, Saved, Snapshot, StoredReport, WindowKey};
use open::{FORMAT, Identity};
use shapes::SHAPES;
use windows::WINDOWS;

pub(crate) use open::Anew;
pub use restore::Restored;
pub(crate) use whole::{each, plain};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const DOCUMENTS: Definition<&str> = Definition::new("documents");
const NAMED: Definition<&str> = Definition::new("named");
/// Key: model, window start.
pub(super) const REPORTS: Definition<(&str, i64)> = Definition::new("reports");
const OUTBOX: Definition<u64> = Definition::new("outbox");

/// Why the state cannot be kept. Every one of these ends the process.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("state folder {}: {source}; make it writable or set `state` to another folder", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    /// Another process holds the folder.
    #[error("state folder {} is in use by another driftline process (waited {} s); stop it, or give this one a folder of its own", folder.display(), wait.as_secs())]
    Locked {
        folder: PathBuf,
        /// How long we waited.
        wait: Duration,
    },
    /// The file cannot be read or written.
    #[error("checkpoint {}: {source}; free or mend the disk and start again, or start with `--rebuild`", file.display())]
    Database {
        file: PathBuf,
        #[source]
        source: Box<redb::Error>,
    },
    #[error("checkpoint {} has format {found}, this release reads up to {FORMAT}; run the newer release, or start with `--rebuild`", file.display())]
    Newer { file: PathBuf, found: u64 },
    /// A file that a command would have to bring to today's format.
    #[error("checkpoint {} has format {found}, which a start of this release brings to {FORMAT}", file.display())]
    Older { file: PathBuf, found: u64 },
    /// What the file says is not what was written.
    #[error("checkpoint {} is damaged: {why}; put a backup of it back (`driftline state restore`), or start with `--rebuild`", file.display())]
    Damaged { file: PathBuf, why: String },
    /// A backup would take the place of a checkpoint.
    #[error("checkpoint {}: there is one already; write `--replace` to move it aside, or restore into another folder", file.display())]
    Occupied { file: PathBuf },
    /// What is to be restored cannot be.
    #[error("the backup cannot be restored: {why}")]
    Backup { why: String },
    /// The file that was opened is not there any more.
    #[error("checkpoint {}: it was removed, renamed or replaced while this process ran, so that nothing more can be kept in it; put the state folder back and start again", file.display())]
    Gone { file: PathBuf },
    /// A snapshot that is not whole: nothing of it is stored.
    #[error(
        "the checkpoint cannot be written whole: {lacks}; what was committed before is safe, a restart goes on from there"
    )]
    Incomplete {
        /// What it should hold and does not.
        lacks: String,
    },
    /// A document in it cannot be read back.
    #[error("checkpoint document {key}: {why}; start with `--rebuild`")]
    Document {
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The open store; holds the lock of its folder.
#[derive(Debug)]
pub struct Store {
    pub(super) database: Database,
    file: PathBuf,
    identity: Identity,
    /// Where the file that a rebuild replaced is now.
    aside: Option<PathBuf>,
    _lock: File,
}

impl Store {
    /// Writes a snapshot as one durable transaction and returns the stored bytes of each window
    /// that it touched, per increment.
    ///
    /// # Errors
    /// [`StoreError::Database`] and [`StoreError::Incomplete`]; nothing of the snapshot is then in the store.
    pub fn commit(&self, snapshot: &Snapshot) -> Result<BTreeMap<WindowKey, usize>, StoreError> {
        self.commit_with(snapshot, &[])
    }

    /// Writes a snapshot, and in the same transaction what changed among the predictions that wait for labels.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_with(
        &self,
        snapshot: &Snapshot,
        waiting: &[Changes],
    ) -> Result<BTreeMap<WindowKey, usize>, StoreError> {
        if let Some(lacks) = snapshot.lacks.clone() {
            return Err(StoreError::Incomplete { lacks });
        }
        let sizes = self.try_commit(snapshot, waiting).map_err(|source| self.failed(source))?;
        // What was written into a file that nobody finds again is not kept.
        match Identity::of(&self.file) {
            Ok(identity) if identity == self.identity => Ok(sizes),
            _ => Err(StoreError::Gone { file: self.file.clone() }),
        }
    }

    /// Reads everything that a restart needs. Of baselines and settings that `are_known` by their sha256
    /// it has no more than the name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn load(&self, are_known: &dyn Fn(&str) -> bool) -> Result<Saved, StoreError> {
        load::load_from(&self.database, Seals::Checked, are_known)
            .map_err(|source| self.failed(source))
    }

    /// The report of a window, where it is kept.
    ///
    /// # Errors
    /// [`StoreError`]: the file or the report cannot be read.
    pub fn report(&self, model: &str, start_us: i64) -> Result<Option<StoredReport>, StoreError> {
        let bytes = self.read(REPORTS, &(model, start_us)).map_err(|source| self.failed(source))?;
        bytes.map(|bytes| self.unpack(&bytes)).transpose()
    }

    /// The newest `limit` reports of a model with a start in this range, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]: the file or a report cannot be read.
    pub fn reports(
        &self,
        model: &str,
        starts_us: Range<i64>,
        limit: usize,
    ) -> Result<Vec<StoredReport>, StoreError> {
        let packed = self
            .try_reports(model, starts_us.start, starts_us.end, limit)
            .map_err(|source| self.failed(source))?;
        let mut reports = Vec::with_capacity(packed.len());
        for bytes in packed.iter().rev() {
            reports.push(self.unpack(bytes)?);
        }
        Ok(reports)
    }

    /// Removes reports of windows that lie more than `keep_us` back, and then the oldest until no more
    /// than `bytes` are kept, each with its shapes. Returns how many the bound on bytes removed. Age counts from `now_us`, or
    /// from a model's newest window where that is older: what is read from an old log is not old yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn prune_reports(&self, now_us: i64, keep_us: i64, bytes: u64) -> Result<u64, StoreError> {
        self.try_prune(now_us, keep_us, bytes).map_err(|source| self.failed(source))
    }

    /// A baseline or settings text by its sha256.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn named(&self, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || self.read(NAMED, &sha256);
        read().map_err(|source| self.failed(source))
    }

    /// Removes baselines or settings.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn forget_named(&self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        let forget = || -> Result<(), redb::Error> {
            let transaction = begin_write(&self.database)?;
            {
                let mut named = transaction.open_table(NAMED)?;
                for sha256 in names {
                    named.remove(sha256.as_str())?;
                }
            }
            Ok(transaction.commit()?)
        };
        forget().map_err(|source| self.failed(source))
    }

    /// A document by its key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn document(&self, key: &DocumentKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_string();
        self.read(DOCUMENTS, &key.as_str()).map_err(|source| self.failed(source))
    }

    /// One value by its key, where there is one.
    fn read<K: redb::Key + 'static>(
        &self,
        table: Definition<K>,
        key: &K::SelfType<'_>,
    ) -> Result<Option<Vec<u8>>, redb::Error> {
        let stored = self.database.begin_read()?.open_table(table)?;
        let found = stored.get(key)?;
        found.map(|value| Seals::Checked.open::<K>(stored.name(), key, value.value())).transpose()
    }

    #[cfg(test)]
    pub(super) fn write_outbox_row(&self, sequence: u64, body: &[u8]) -> Result<(), redb::Error> {
        let transaction = begin_write(&self.database)?;
        seal::put(&mut transaction.open_table(OUTBOX)?, &sequence, body)?;
        Ok(transaction.commit()?)
    }

    #[cfg(test)]
    pub(super) fn write_format(&self, format: u64) -> Result<(), redb::Error> {
        let transaction = begin_write(&self.database)?;
        transaction.open_table(META)?.insert("format", format)?;
        Ok(transaction.commit()?)
    }

    fn try_commit(
        &self,
        snapshot: &Snapshot,
        waiting: &[Changes],
    ) -> Result<BTreeMap<WindowKey, usize>, redb::Error> {
        let transaction = begin_write(&self.database)?;
        let mut packer = Packer::new()?;
        let mut sizes = BTreeMap::new();
        {
            let mut documents = transaction.open_table(DOCUMENTS)?;
            for (key, document) in &snapshot.documents {
                let key = key.to_string();
                if document.is_empty() {
                    documents.remove(key.as_str())?;
                } else {
                    seal::put(&mut documents, &key.as_str(), document)?;
                }
            }
            let mut named = transaction.open_table(NAMED)?;
            for (sha256, bytes) in &snapshot.named {
                seal::put(&mut named, &sha256.as_str(), bytes)?;
            }
            let mut windows = transaction.open_table(WINDOWS)?;
            // First what moves: an increment that replaces what is stored holds it already.
            for (from, into) in &snapshot.carried {
                windows::move_window(&mut windows, from, into)?;
            }
            for increment in &snapshot.increments {
                let bytes = windows::write_increment(&mut windows, increment)?;
                *sizes.entry(increment.window.clone()).or_default() += bytes;
            }
            for window in &snapshot.dropped {
                windows::remove_window(&mut windows, window)?;
            }
            let mut reports = transaction.open_table(REPORTS)?;
            for report in &snapshot.reports {
                let packed = pack(report, &mut packer)?;
                seal::put(&mut reports, &(report.model.as_str(), report.start_us), &packed)?;
            }
            let mut shapes = transaction.open_table(SHAPES)?;
            for window in &snapshot.shapes {
                let packed = shapes::pack(&window.shapes, &mut packer)?;
                seal::put(&mut shapes, &(window.model.as_str(), window.start_us), &packed)?;
            }
            let mut outbox = transaction.open_table(OUTBOX)?;
            for item in &snapshot.outbox {
                let body = serde_json::to_vec(&item.body).map_err(std::io::Error::other)?;
                seal::put(&mut outbox, &item.sequence, &body)?;
            }
            for sequence in &snapshot.outbox_done {
                outbox.remove(*sequence)?;
            }
        }
        for changes in waiting {
            waiting::write(&transaction, changes)?;
        }
        past::write(&transaction, &snapshot.shown, &mut packer)?;
        transaction.commit()?;
        Ok(sizes)
    }

    fn try_reports(
        &self,
        model: &str,
        from_us: i64,
        to_us: i64,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(REPORTS)?;
        let mut packed = Vec::new();
        for entry in table.range((model, from_us)..(model, to_us))?.rev().take(limit) {
            let (key, value) = entry?;
            packed.push(Seals::Checked.open::<(&str, i64)>(
                "reports",
                &key.value(),
                value.value(),
            )?);
        }
        Ok(packed)
    }

    fn try_prune(&self, now_us: i64, keep_us: i64, most_bytes: u64) -> Result<u64, redb::Error> {
        let transaction = begin_write(&self.database)?;
        let removed = shapes::prune(&transaction, now_us, keep_us, most_bytes)?;
        past::prune(&transaction, now_us.saturating_sub(keep_us))?;
        transaction.commit()?;
        Ok(removed)
    }

    fn unpack(&self, packed: &[u8]) -> Result<StoredReport, StoreError> {
        let document = |why: String| StoreError::Document { key: "report".to_owned(), why };
        let json = zstd::decode_all(packed).map_err(|error| document(error.to_string()))?;
        serde_json::from_slice(&json).map_err(|error| document(error.to_string()))
    }

    pub(super) fn failed(&self, source: redb::Error) -> StoreError {
        StoreError::database(&self.file, source)
    }
}

impl StoreError {
    fn database(file: &Path, source: impl Into<redb::Error>) -> StoreError {
        let file = file.to_owned();
        match source.into() {
            redb::Error::Corrupted(why) => StoreError::Damaged { file, why },
            source => StoreError::Database { file, source: Box::new(source) },
        }
    }
}

fn begin_write(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn pack(report: &StoredReport, packer: &mut Packer) -> Result<Vec<u8>, redb::Error> {
    let json = serde_json::to_vec(report).map_err(std::io::Error::other)?;
    Ok(packer.pack(&json)?)
}
