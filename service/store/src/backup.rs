//! A checkpoint moved to another place: one compressed stream with its length and checksum, and what it holds.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use driftline_config::Hasher;

/// The first line of a backup: what it is, and the version of this form.
const HEAD: &[u8] = b"driftline state 1\n";
/// Of a checkpoint, which is mostly compressed as it is and partly empty.
const LEVEL: i32 = 3;
const PIECE_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 8;
const SHA256_BYTES: usize = 32;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Of the checkpoint.
    pub bytes: u64,
    pub sha256: String,
}

/// Writes the file of a checkpoint that nobody has open: the head, then a zstd stream of the file, its length and
/// its SHA-256.
///
/// # Errors
/// The file cannot be read, or `out` does not take it.
pub fn write_backup(file: &Path, mut out: impl Write) -> io::Result<BackedUp> {
    out.write_all(HEAD)?;
    let mut packed = zstd::Encoder::new(out, LEVEL)?;
    let (mut hasher, mut bytes) = (Hasher::default(), 0_u64);
    let mut from = File::open(file)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        hasher.add(read);
        bytes += read.len() as u64;
        packed.write_all(read)?;
    }
    let digest = hasher.finish();
    packed.write_all(&bytes.to_le_bytes())?;
    packed.write_all(&digest)?;
    packed.finish()?.flush()?;
    Ok(BackedUp { bytes, sha256: driftline_config::hex(&digest) })
}

/// Writes the checkpoint of a backup to a new `file`, which is synced. Where anything is wrong with the backup, the
/// file is of no use.
///
/// # Errors
/// It is no backup, it was cut or changed, or the file cannot be written.
pub fn read_backup(mut backup: impl Read, file: &Path) -> io::Result<BackedUp> {
    let damaged = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut head = [0; HEAD.len()];
    backup.read_exact(&mut head).map_err(|_| damaged("it is no backup of a state"))?;
    if head != HEAD {
        return Err(damaged("it is no backup of a state, or one of a newer release"));
    }
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let mut from = zstd::Decoder::new(backup)?;
    let (mut hasher, mut bytes) = (Hasher::default(), 0_u64);
    // What may be the end is kept back.
    let mut held: Vec<u8> = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let cut = |error: Error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::PermissionDenied => error,
            _ => damaged("the backup is cut or was changed"),
        };
        let read = from.read(&mut piece).map_err(cut)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        held.extend_from_slice(read);
        let whole = held.len().saturating_sub(LENGTH_BYTES + SHA256_BYTES);
        let rest = held.split_off(whole);
        hasher.add(&held);
        bytes += held.len() as u64;
        to.write_all(&held)?;
        held = rest;
    }
    let digest = hasher.finish();
    let told = bytes.to_le_bytes().into_iter().chain(digest);
    if !held.into_iter().eq(told) {
        return Err(damaged("the backup is cut or was changed: its checksum does not agree"));
    }
    to.sync_all()?;
    Ok(BackedUp { bytes, sha256: driftline_config::hex(&digest) })
}

/// What a checkpoint holds, every value verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub format: u64,
    pub models: BTreeMap<String, ModelContents>,
    /// Topics with positions and a ledger.
    pub topics: Vec<String>,
    /// Retraining requests.
    pub requests: u64,
    /// Baselines and settings, and their bytes.
    pub named: u64,
    pub named_bytes: u64,
    /// Messages that were not delivered yet.
    pub messages: u64,
}

/// What it holds of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelContents {
    pub windows: u64,
    pub panes: u64,
    /// Of both.
    pub window_bytes: u64,
    pub reports: u64,
    pub report_bytes: u64,
    /// Starts of the first and the last window that has a report.
    pub reported_us: Option<(i64, i64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_gives_the_file_back_or_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (file, back) = (folder.path().join("file"), folder.path().join("back"));
        for length in [0, 1, 39, 40, 41, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * at / 7) as u8).collect();
            std::fs::write(&file, &bytes).unwrap();
            let mut backup = Vec::new();
            let written = write_backup(&file, &mut backup).unwrap();
            let read = read_backup(backup.as_slice(), &back).unwrap();
            assert_eq!((read, written.bytes), (written.clone(), length as u64));
            assert!(std::fs::read(&back).unwrap() == bytes, "{length} bytes");
            std::fs::remove_file(&back).unwrap();
            for cut in [0, 5, HEAD.len(), backup.len() / 2, backup.len() - 1] {
                read_backup(&backup[..cut], &back).unwrap_err();
                let _ = std::fs::remove_file(&back);
            }
            for at in [0, HEAD.len() + 6, backup.len() / 2, backup.len() - 3] {
                let mut changed = backup.clone();
                changed[at] ^= 4;
                assert!(read_backup(changed.as_slice(), &back).is_err(), "{length} bytes, {at}");
                let _ = std::fs::remove_file(&back);
            }
        }
    }
}
