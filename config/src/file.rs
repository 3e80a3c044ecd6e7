//! Files that the configuration names, read without waiting for anybody and without an end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// The bytes of a file of at most `most` bytes.
///
/// # Errors
/// It cannot be read, has more bytes, or is no regular file: opening a pipe would wait for somebody who writes,
/// and a device may never end.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let size = match most >> 20 {
            0 => format!("{} KiB", most >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {size}")));
    }
    Ok(bytes)
}
