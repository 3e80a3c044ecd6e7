//! A backup put where a checkpoint stands.

use std::fs::DirBuilder;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::open::{set_aside, sync_folder};
use super::{Store, StoreError};
use crate::backup::{BackedUp, Contents, read_backup};
use crate::lock::lock_folder;

/// Where a backup is unpacked and looked through before it becomes the checkpoint.
const UNPACKED: &str = "restoring";

/// What a restored folder holds now.
#[derive(Debug)]
pub struct Restored {
    pub backup: BackedUp,
    /// `None` where the backup is of format 1, which the next start brings up to date.
    pub contents: Option<Contents>,
    /// Where the checkpoint is that was there before.
    pub aside: Option<PathBuf>,
}

impl Store {
    /// Makes a backup the checkpoint of `folder`, which no process may have open. One that is there is moved aside
    /// where `replace` says so, and is a reason to refuse otherwise.
    ///
    /// # Errors
    /// [`StoreError`]: the folder is in use, holds a checkpoint, or cannot be written; the backup is damaged.
    pub fn restore(
        folder: &Path,
        backup: impl Read,
        replace: bool,
    ) -> Result<Restored, StoreError> {
        let _lock = lock_folder(folder, Duration::ZERO)?;
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let file = Store::file_in(folder);
        if file.exists() && !replace {
            return Err(StoreError::Occupied { file });
        }
        let unpacked = folder.join(UNPACKED);
        match std::fs::remove_dir_all(&unpacked) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&unpacked).map_err(failed)?;
        let whole = Store::file_in(&unpacked);
        let backup = read_backup(backup, &whole)
            .map_err(|source| StoreError::Backup { why: source.to_string() })?;
        let contents = match Store::open_as_it_is(&unpacked) {
            Ok(store) => Some(store.contents()?),
            Err(StoreError::Older { .. }) => None,
            Err(error) => return Err(error),
        };
        let aside = match file.exists() {
            true => Some(set_aside(folder, &file).map_err(failed)?),
            false => None,
        };
        std::fs::rename(&whole, &file).map_err(failed)?;
        sync_folder(folder).map_err(failed)?;
        std::fs::remove_dir_all(&unpacked).map_err(failed)?;
        Ok(Restored { backup, contents, aside })
    }
}
