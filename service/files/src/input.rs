//! The standard input as a file: rows are read more than once, and a pipe can be read once.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::error::FileError;
use super::paths::{Copies, FileFormat, Files};

/// Bytes from which the format is told.
const SAMPLE_BYTES: usize = 1 << 16;
/// What errors call it.
const NAME: &str = "standard input";

/// Copies everything that comes into a file that is gone with its table, and tells its format by how it
/// begins.
///
/// # Errors
/// Nothing came, or it cannot be written down.
pub(crate) fn spool(input: impl BufRead) -> Result<Files, FileError> {
    let io = |source| FileError::Io { path: NAME.into(), source };
    let folder = tempfile::tempdir().map_err(io)?;
    let path = folder.path().join("standard-input");
    let mut reader = input;
    let mut file = File::create(&path).map_err(io)?;
    let bytes = std::io::copy(&mut reader, &mut file).map_err(io)?;
    file.flush().map_err(io)?;
    if bytes == 0 {
        return Err(FileError::Empty { name: NAME.to_owned(), what: "rows: 0 bytes" });
    }
    let format = sniffed(&path).map_err(io)?;
    let copies = Some(Copies { folder: Arc::new(folder) });
    Ok(Files { format, paths: vec![path], partitions: Vec::new(), copies })
}

/// The format by the first bytes: those of text may be packed.
fn sniffed(path: &Path) -> std::io::Result<FileFormat> {
    let mut reader = BufReader::with_capacity(SAMPLE_BYTES, File::open(path)?);
    let first = reader.fill_buf()?;
    if first.starts_with(b"PAR1") {
        return Ok(FileFormat::Parquet);
    }
    if first.starts_with(b"ARROW1") || first.starts_with(&[0xff, 0xff, 0xff, 0xff]) {
        return Ok(FileFormat::Arrow);
    }
    if first.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = BufReader::with_capacity(SAMPLE_BYTES, MultiGzDecoder::new(reader));
        return Ok(of_text(unpacked.fill_buf()?));
    }
    Ok(of_text(first))
}

fn of_text(first: &[u8]) -> FileFormat {
    let signs = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    match signs.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => FileFormat::JsonLines,
        _ => FileFormat::Csv,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_told_by_how_it_begins() {
        let format = |bytes: &[u8]| spool(bytes).unwrap().format;
        assert_eq!(format(b"PAR1..."), FileFormat::Parquet);
        assert_eq!(format(b"ARROW1.."), FileFormat::Arrow);
        assert_eq!(format(b"\xff\xff\xff\xff\x10"), FileFormat::Arrow);
        assert_eq!(format(b"\n {\"x\":1}\n"), FileFormat::JsonLines);
        assert_eq!(format(b"x,y\n1,2\n"), FileFormat::Csv);
        assert!(matches!(spool(&b""[..]), Err(FileError::Empty { .. })));
    }

    #[test]
    fn the_copy_is_gone_with_its_table() {
        let files = spool(&b"x\n1\n"[..]).unwrap();
        let path = files.paths[0].clone();
        assert!(path.exists());
        drop(files);
        assert!(!path.exists());
    }
}
