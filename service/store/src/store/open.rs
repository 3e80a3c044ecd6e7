//! How the file is made, opened, checked as a whole, and brought to today's format.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_pipeline::snapshot::Saved;
use redb::{Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableError};

use super::load::load_from;
use super::shapes::SHAPES;
use super::waiting::WAITING;
use super::windows::WINDOWS;
use super::{DOCUMENTS, META, NAMED, OUTBOX, REPORTS, Store, StoreError, begin_write};
use crate::lock::lock_folder;
use crate::past;
use crate::seal::{self, Definition, Seals};

const FILE_NAME: &str = "checkpoint.redb";
/// What a new file is called until it is whole.
const NEW_NAME: &str = "checkpoint.redb.new";
/// Where a rebuild leaves the checkpoint that it replaces; further ones have a number behind it.
const ASIDE_NAME: &str = "checkpoint.redb.before-rebuild";
/// The format of the tables: a reader refuses a newer one. Values of format 1 have no checksums.
pub(super) const FORMAT: u64 = 2;
/// Our share of memory for pages: the working set is a few megabytes a commit, and the rest of the store
/// lies in the page cache of the system.
const CACHE_BYTES: usize = 16 << 20;

/// Which file this is, whatever it is called by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(file: &Path) -> std::io::Result<Identity> {
        let found = std::fs::metadata(file)?;
        Ok(Identity { device: found.dev(), inode: found.ino() })
    }
}

impl Store {
    /// Opens or creates the store in `folder`. `rebuild` moves an existing file aside first. The file is read
    /// as a whole: whatever changed in it since it was written is told.
    ///
    /// # Errors
    /// [`StoreError`]: the folder is not writable or in use, the file is damaged or newer.
    pub fn open(folder: &Path, wait: Duration, rebuild: bool) -> Result<Store, StoreError> {
        let lock = lock_folder(folder, wait)?;
        let file = folder.join(FILE_NAME);
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let aside = match rebuild && file.exists() {
            true => Some(set_aside(folder, &file).map_err(failed)?),
            false => None,
        };
        if !file.exists() {
            make(folder, &file)?;
        }
        let database = checked(&file)?;
        let identity = Identity::of(&file).map_err(failed)?;
        let store = Store { database, file, identity, aside, _lock: lock };
        store.bring_up_to_date()?;
        Ok(store)
    }

    /// Opens what there is for commands that only read: a file of an older format is left as it is.
    ///
    /// # Errors
    /// [`StoreError`]: as [`Store::open`], and [`StoreError::Older`].
    pub fn open_as_it_is(folder: &Path) -> Result<Store, StoreError> {
        let lock = lock_folder(folder, Duration::ZERO)?;
        let file = folder.join(FILE_NAME);
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let identity = Identity::of(&file).map_err(failed)?;
        let store = Store { database: checked(&file)?, file, identity, aside: None, _lock: lock };
        match store.format()? {
            Some(found) if found < FORMAT => {
                Err(StoreError::Older { file: store.file.clone(), found })
            }
            Some(FORMAT) => Ok(store),
            found => Err(StoreError::Newer { file: store.file.clone(), found: found.unwrap_or(0) }),
        }
    }

    /// What the checkpoint held that opening moved aside; `None` where there was none.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be read, which may well be why it was moved aside.
    pub fn load_aside(&self) -> Result<Option<Saved>, StoreError> {
        let Some(file) = &self.aside else { return Ok(None) };
        let failed = |source| StoreError::database(file, source);
        // Damage elsewhere in it, as in one of its reports, does not make its documents less true.
        let database = checked(file).or_else(|_| unchecked(file))?;
        let read = || -> Result<Saved, redb::Error> {
            let seals = seals_of(format_of(&database)?);
            load_from(&database, seals, &|_| false)
        };
        guarded(file, read)?.map(Some).map_err(failed)
    }

    /// The database file of a state folder.
    pub fn file_in(folder: &Path) -> PathBuf {
        folder.join(FILE_NAME)
    }

    fn format(&self) -> Result<Option<u64>, StoreError> {
        format_of(&self.database).map_err(|source| self.failed(source))
    }

    /// Refuses a newer format, and writes the values of an older one anew.
    fn bring_up_to_date(&self) -> Result<(), StoreError> {
        let found = self.format()?;
        match found {
            Some(found) if found > FORMAT => {
                return Err(StoreError::Newer { file: self.file.clone(), found });
            }
            Some(1) => tracing::warn!(
                file = %self.file.display(),
                "the checkpoint is of format 1, which has no checksums: what changed in it before now cannot \
                 be told; it is brought to format {FORMAT}, which older releases refuse"
            ),
            _ => {}
        }
        self.write_tables(found).map_err(|source| self.failed(source))
    }

    fn write_tables(&self, found: Option<u64>) -> Result<(), redb::Error> {
        let transaction = begin_write(&self.database)?;
        make_tables(&transaction)?;
        if found == Some(1) {
            let before = self.database.begin_read()?;
            let anew = Anew { before: &before, transaction: &transaction };
            anew.seal(DOCUMENTS)?;
            anew.seal(NAMED)?;
            anew.seal(WINDOWS)?;
            anew.seal(REPORTS)?;
            anew.seal(SHAPES)?;
            anew.seal(OUTBOX)?;
            past::seal_tables(&anew)?;
        }
        transaction.open_table(META)?.insert("format", FORMAT)?;
        Ok(transaction.commit()?)
    }
}

/// The values of a file of format 1, written with their checksums.
pub(crate) struct Anew<'t> {
    pub(crate) before: &'t ReadTransaction,
    pub(crate) transaction: &'t redb::WriteTransaction,
}

impl Anew<'_> {
    pub(crate) fn seal<K: Key + 'static>(&self, table: Definition<K>) -> Result<(), redb::Error> {
        let mut sealed = self.transaction.open_table(table)?;
        let stored = match self.before.open_table(table) {
            // A table of a later release of format 1.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            stored => stored?,
        };
        for entry in stored.iter()? {
            let (key, value) = entry?;
            seal::put(&mut sealed, &key.value(), value.value())?;
        }
        Ok(())
    }
}

fn make_tables(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(DOCUMENTS)?;
    transaction.open_table(NAMED)?;
    transaction.open_table(WINDOWS)?;
    transaction.open_table(REPORTS)?;
    transaction.open_table(SHAPES)?;
    transaction.open_table(OUTBOX)?;
    transaction.open_table(WAITING)?;
    past::make_tables(transaction)
}

/// Moves the file aside, under a name that is free.
pub(super) fn set_aside(folder: &Path, file: &Path) -> std::io::Result<PathBuf> {
    let mut aside = folder.join(ASIDE_NAME);
    for number in 2_u32.. {
        if !aside.exists() {
            break;
        }
        aside = folder.join(format!("{ASIDE_NAME}.{number}"));
    }
    std::fs::rename(file, &aside)?;
    Ok(aside)
}

/// What was renamed in it stays so, whatever happens to the machine.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the file under another name, and gives it its own once it is whole: a process that dies meanwhile leaves
/// nothing that the next one could take for a checkpoint.
fn make(folder: &Path, file: &Path) -> Result<(), StoreError> {
    let new = folder.join(NEW_NAME);
    let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    let write = || -> Result<(), redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&new)?;
        let transaction = begin_write(&database)?;
        make_tables(&transaction)?;
        transaction.open_table(META)?.insert("format", FORMAT)?;
        Ok(transaction.commit()?)
    };
    write().map_err(|source| StoreError::database(&new, source))?;
    let settle = || -> std::io::Result<()> {
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, file)?;
        sync_folder(folder)
    };
    settle().map_err(failed)
}

/// Opens a file after reading it as a whole.
fn checked(file: &Path) -> Result<Database, StoreError> {
    let open = || -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        let builder = builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        Ok(builder.open(file)?)
    };
    guarded(file, open)?.map_err(|source| StoreError::database(file, source))
}

fn unchecked(file: &Path) -> Result<Database, StoreError> {
    let open = || -> Result<Database, redb::Error> { Ok(Database::open(file)?) };
    guarded(file, open)?.map_err(|source| StoreError::database(file, source))
}

/// Reads bytes that may be anybody's: a defect of the library that reads them becomes a sentence.
fn guarded<T: Send>(file: &Path, read: impl FnOnce() -> T + Send) -> Result<T, StoreError> {
    let outcome = std::thread::scope(|scope| scope.spawn(read).join());
    outcome.map_err(|_| {
        StoreError::database(file, redb::Error::Corrupted("it cannot be read at all".to_owned()))
    })
}

fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    let found = meta.get("format")?;
    Ok(found.map(|found| found.value()))
}

fn seals_of(format: Option<u64>) -> Seals {
    match format {
        None | Some(1) => Seals::None,
        Some(_) => Seals::Checked,
    }
}
