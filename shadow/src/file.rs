//! The file of a candidate: read whole, and looked at, before anything is done with it.

use std::fs::File;
use std::io::Read;

use driftline_config::{Candidate, sha256_hex};

use crate::error::{ShadowError, one_line};
use crate::onnx;

/// The bytes of the file that the configuration names.
///
/// # Errors
/// When it cannot be read or is no file, and whatever [`check`] refuses.
pub(crate) fn read(candidate: &Candidate, max_bytes: u64) -> Result<Vec<u8>, ShadowError> {
    let refused = |reason| ShadowError::Read { path: candidate.onnx.clone(), reason };
    let failed = |error: std::io::Error| refused(one_line(error));
    // Opening a pipe would wait for somebody who writes, and a device may never end.
    if !candidate.onnx.metadata().map_err(failed)?.is_file() {
        return Err(refused("it is not a file".to_owned()));
    }
    let file = File::open(&candidate.onnx).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    check(&bytes, &candidate.sha256, max_bytes)?;
    Ok(bytes)
}

/// Whether these are the bytes that were declared, and one self-contained model of standard operators.
///
/// # Errors
/// Too large, another sha256, external data, custom operators, truncated.
pub(crate) fn check(bytes: &[u8], declared: &str, limit: u64) -> Result<(), ShadowError> {
    if bytes.len() as u64 > limit {
        return Err(ShadowError::TooLarge { bytes: bytes.len() as u64, limit });
    }
    let found = sha256_hex(bytes);
    if found != declared {
        return Err(ShadowError::Sha256 { found, declared: declared.to_owned() });
    }
    onnx::check(bytes)
}
