//! The redb file: tables, one transaction per snapshot, and what a restart reads back.

mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::lock::lock_folder;
use super::packing::Packer;
use super::past;
use driftline_pipeline::snapshot::{
    DocumentKey, Increment, Increments, LaneKind, OutboxItem, Saved, Snapshot, StoredReport,
    WindowKey,
};
use shapes::SHAPES;

const FILE_NAME: &str = "checkpoint.redb";
/// Where a rebuild leaves the checkpoint that it replaces.
const ASIDE_NAME: &str = "checkpoint.redb.before-rebuild";
/// The format of the tables. A reader refuses a newer one.
const FORMAT: u64 = 1;
/// Our share of memory for pages: the working set is a few megabytes a commit, and the rest of the store
/// lies in the page cache of the system.
const CACHE_BYTES: usize = 16 << 20;
/// Longest value of the windows table.
const PIECE_BYTES: usize = 256 << 10;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
const NAMED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("named");
/// Key: model, lane, start, increment number, piece number.
type WindowRow = (&'static str, u8, i64, u64, u32);
const WINDOWS: TableDefinition<'_, WindowRow, &[u8]> = TableDefinition::new("windows");
/// Key: model, window start.
pub(super) const REPORTS: TableDefinition<'_, (&str, i64), &[u8]> = TableDefinition::new("reports");
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");

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
    /// Where the file that a rebuild replaced is now.
    aside: Option<PathBuf>,
    _lock: File,
}

impl Store {
    /// Opens or creates the store in `folder`. `rebuild` moves an existing file aside first.
    ///
    /// # Errors
    /// [`StoreError`]: the folder is not writable or in use, the file is damaged or newer.
    pub fn open(folder: &Path, wait: Duration, rebuild: bool) -> Result<Store, StoreError> {
        let lock = lock_folder(folder, wait)?;
        let file = folder.join(FILE_NAME);
        let aside = (rebuild && file.exists()).then(|| folder.join(ASIDE_NAME));
        if let Some(aside) = &aside {
            std::fs::rename(&file, aside)
                .map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })?;
        }
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&file)
            .map_err(|source| StoreError::database(&file, source))?;
        let store = Store { database, file, aside, _lock: lock };
        store.check_format()?;
        Ok(store)
    }

    /// What the checkpoint held that opening moved aside; `None` where there was none.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be read, which may well be why it was moved aside.
    pub fn load_aside(&self) -> Result<Option<Saved>, StoreError> {
        let Some(file) = &self.aside else { return Ok(None) };
        let database = Database::open(file).map_err(|source| StoreError::database(file, source))?;
        let saved = load_from(&database, &|_| false)
            .map_err(|source| StoreError::database(file, source))?;
        Ok(Some(saved))
    }

    /// The database file of a state folder.
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join(FILE_NAME)
    }

    /// Writes a snapshot as one durable transaction and returns the stored bytes of each window
    /// that it touched, per increment.
    ///
    /// # Errors
    /// [`StoreError::Database`] and [`StoreError::Incomplete`]; nothing of the snapshot is then in the store.
    pub fn commit(&self, snapshot: &Snapshot) -> Result<BTreeMap<WindowKey, usize>, StoreError> {
        if let Some(lacks) = snapshot.lacks.clone() {
            return Err(StoreError::Incomplete { lacks });
        }
        self.try_commit(snapshot).map_err(|source| self.failed(source))
    }

    /// Reads everything that a restart needs. Of baselines and settings that `are_known` by their sha256
    /// it has no more than the name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn load(&self, are_known: &dyn Fn(&str) -> bool) -> Result<Saved, StoreError> {
        load_from(&self.database, are_known).map_err(|source| self.failed(source))
    }

    /// The report of a window, where it is kept.
    ///
    /// # Errors
    /// [`StoreError`]: the file or the report cannot be read.
    pub fn report(&self, model: &str, start_us: i64) -> Result<Option<StoredReport>, StoreError> {
        let bytes = self.try_report(model, start_us).map_err(|source| self.failed(source))?;
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
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let table = match transaction.open_table(NAMED) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(sha256)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|source| self.failed(source))
    }

    /// Removes baselines or settings.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn forget_named(&self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        let forget = || -> Result<(), redb::Error> {
            let transaction = self.begin_write()?;
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
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(DOCUMENTS)?;
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        };
        read().map_err(|source| self.failed(source))
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.try_format().map_err(|source| self.failed(source))?;
        if found > FORMAT {
            return Err(StoreError::Newer { file: self.file.clone(), found });
        }
        Ok(())
    }

    fn try_format(&self) -> Result<u64, redb::Error> {
        let transaction = self.begin_write()?;
        let found = {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("format")?.map(|value| value.value());
            match found {
                Some(found) => found,
                None => {
                    meta.insert("format", FORMAT)?;
                    FORMAT
                }
            }
        };
        transaction.open_table(DOCUMENTS)?;
        transaction.open_table(NAMED)?;
        transaction.open_table(WINDOWS)?;
        transaction.open_table(REPORTS)?;
        transaction.open_table(SHAPES)?;
        transaction.open_table(OUTBOX)?;
        past::make_tables(&transaction)?;
        transaction.commit()?;
        Ok(found)
    }

    #[cfg(test)]
    pub(super) fn write_outbox_row(&self, sequence: u64, body: &[u8]) -> Result<(), redb::Error> {
        let transaction = self.begin_write()?;
        transaction.open_table(OUTBOX)?.insert(sequence, body)?;
        Ok(transaction.commit()?)
    }

    #[cfg(test)]
    pub(super) fn write_format(&self, format: u64) -> Result<(), redb::Error> {
        let transaction = self.begin_write()?;
        transaction.open_table(META)?.insert("format", format)?;
        Ok(transaction.commit()?)
    }

    fn begin_write(&self) -> Result<redb::WriteTransaction, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn try_commit(&self, snapshot: &Snapshot) -> Result<BTreeMap<WindowKey, usize>, redb::Error> {
        let transaction = self.begin_write()?;
        let mut packer = Packer::new()?;
        let mut sizes = BTreeMap::new();
        {
            let mut documents = transaction.open_table(DOCUMENTS)?;
            for (key, document) in &snapshot.documents {
                let key = key.to_string();
                if document.is_empty() {
                    documents.remove(key.as_str())?;
                } else {
                    documents.insert(key.as_str(), document.as_slice())?;
                }
            }
            let mut named = transaction.open_table(NAMED)?;
            for (sha256, bytes) in &snapshot.named {
                named.insert(sha256.as_str(), bytes.as_slice())?;
            }
            let mut windows = transaction.open_table(WINDOWS)?;
            // First what moves: an increment that replaces what is stored holds it already.
            for (from, into) in &snapshot.carried {
                move_window(&mut windows, from, into)?;
            }
            for increment in &snapshot.increments {
                let bytes = write_increment(&mut windows, increment)?;
                *sizes.entry(increment.window.clone()).or_default() += bytes;
            }
            for window in &snapshot.dropped {
                remove_window(&mut windows, window)?;
            }
            let mut reports = transaction.open_table(REPORTS)?;
            for report in &snapshot.reports {
                let packed = pack(report, &mut packer)?;
                reports.insert((report.model.as_str(), report.start_us), packed.as_slice())?;
            }
            let mut shapes = transaction.open_table(SHAPES)?;
            for window in &snapshot.shapes {
                let packed = shapes::pack(&window.shapes, &mut packer)?;
                shapes.insert((window.model.as_str(), window.start_us), packed.as_slice())?;
            }
            let mut outbox = transaction.open_table(OUTBOX)?;
            for item in &snapshot.outbox {
                let body = serde_json::to_vec(&item.body).map_err(std::io::Error::other)?;
                outbox.insert(item.sequence, body.as_slice())?;
            }
            for sequence in &snapshot.outbox_done {
                outbox.remove(*sequence)?;
            }
        }
        past::write(&transaction, &snapshot.shown, &mut packer)?;
        transaction.commit()?;
        Ok(sizes)
    }

    fn try_report(&self, model: &str, start_us: i64) -> Result<Option<Vec<u8>>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(REPORTS)?;
        Ok(table.get((model, start_us))?.map(|value| value.value().to_vec()))
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
            packed.push(entry?.1.value().to_vec());
        }
        Ok(packed)
    }

    fn try_prune(&self, now_us: i64, keep_us: i64, most_bytes: u64) -> Result<u64, redb::Error> {
        let transaction = self.begin_write()?;
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
        StoreError::Database { file: self.file.clone(), source: Box::new(source) }
    }
}

impl StoreError {
    fn database(file: &Path, source: impl Into<redb::Error>) -> StoreError {
        StoreError::Database { file: file.to_owned(), source: Box::new(source.into()) }
    }
}

fn load_from(database: &Database, are_known: &dyn Fn(&str) -> bool) -> Result<Saved, redb::Error> {
    let transaction = database.begin_read()?;
    let mut saved = Saved::default();
    for entry in transaction.open_table(DOCUMENTS)?.iter()? {
        let (key, value) = entry?;
        saved.documents.insert(key.value().to_owned(), value.value().to_vec());
    }
    for entry in transaction.open_table(NAMED)?.iter()? {
        let (key, value) = entry?;
        let bytes = if are_known(key.value()) { Vec::new() } else { value.value().to_vec() };
        saved.named.insert(key.value().to_owned(), bytes);
    }
    let mut last = None;
    for entry in transaction.open_table(WINDOWS)?.iter()? {
        let (key, value) = entry?;
        let (model, lane, start_us, increment, _) = key.value();
        let Some(lane) = lane_of(lane) else { continue };
        let window = WindowKey::new(model, lane, start_us);
        let increments: &mut Increments = saved.windows.entry(window.clone()).or_default();
        let this = (window, increment);
        match increments.last_mut() {
            Some(bytes) if last.as_ref() == Some(&this) => {
                bytes.extend_from_slice(value.value());
            }
            _ => increments.push(value.value().to_vec()),
        }
        last = Some(this);
    }
    for entry in transaction.open_table(OUTBOX)?.iter()? {
        let (key, value) = entry?;
        let sequence = key.value();
        match serde_json::from_slice(value.value()) {
            Ok(body) => saved.outbox.push(OutboxItem { sequence, body }),
            Err(error) => {
                tracing::error!(sequence, %error, "an outbox row cannot be read and is dropped");
                saved.unreadable.push(sequence);
            }
        }
    }
    Ok(saved)
}

fn pack(report: &StoredReport, packer: &mut Packer) -> Result<Vec<u8>, redb::Error> {
    let json = serde_json::to_vec(report).map_err(std::io::Error::other)?;
    Ok(packer.pack(&json)?)
}

fn lane_number(lane: LaneKind) -> u8 {
    match lane {
        LaneKind::Drift => 0,
        LaneKind::Operations => 1,
    }
}

fn lane_of(number: u8) -> Option<LaneKind> {
    match number {
        0 => Some(LaneKind::Drift),
        1 => Some(LaneKind::Operations),
        _ => None,
    }
}

type WindowTable<'t> = redb::Table<'t, WindowRow, &'static [u8]>;

fn write_increment(
    windows: &mut WindowTable<'_>,
    increment: &Increment,
) -> Result<usize, redb::Error> {
    let WindowKey { model, lane, start_us } = &increment.window;
    if increment.replaces {
        remove_window(windows, &increment.window)?;
    }
    let mut bytes = Vec::new();
    (increment.encode)(&mut bytes);
    let number = next_number(windows, &increment.window)?;
    for (piece, chunk) in (0u32..).zip(bytes.chunks(PIECE_BYTES)) {
        windows.insert((model.as_str(), lane_number(*lane), *start_us, number, piece), chunk)?;
    }
    Ok(bytes.len())
}

/// The number of the next increment of a window: one more than its last.
fn next_number(windows: &WindowTable<'_>, window: &WindowKey) -> Result<u64, redb::Error> {
    let (from, to) = window_range(window);
    let last = windows.range(from..=to)?.next_back().transpose()?;
    Ok(last.map_or(0, |(key, _)| key.value().3 + 1))
}

type RowKey<'k> = (&'k str, u8, i64, u64, u32);

fn window_range(window: &WindowKey) -> (RowKey<'_>, RowKey<'_>) {
    let lane = lane_number(window.lane);
    let model = window.model.as_str();
    ((model, lane, window.start_us, 0, 0), (model, lane, window.start_us, u64::MAX, u32::MAX))
}

fn remove_window(windows: &mut WindowTable<'_>, window: &WindowKey) -> Result<(), redb::Error> {
    let (from, to) = window_range(window);
    windows.retain_in(from..=to, |_, _| false)?;
    Ok(())
}

fn move_window(
    windows: &mut WindowTable<'_>,
    from: &WindowKey,
    into: &WindowKey,
) -> Result<(), redb::Error> {
    let (first, last) = window_range(from);
    let mut rows = Vec::new();
    for entry in windows.range(first..=last)? {
        let (key, value) = entry?;
        let (_, _, _, number, piece) = key.value();
        rows.push((number, piece, value.value().to_vec()));
    }
    let base = next_number(windows, into)?;
    let lane = lane_number(into.lane);
    for (number, piece, value) in rows {
        let key = (into.model.as_str(), lane, into.start_us, base + number, piece);
        windows.insert(key, value.as_slice())?;
    }
    remove_window(windows, from)
}
