//! Baseline files by what is in them: each is kept and understood once, however many models name it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use driftline_analytics::baseline::{Baseline, BaselineError};
use driftline_config::sha256_hex;

/// A baseline with the bytes that it was read from.
#[derive(Debug)]
pub struct BaselineFile {
    /// What the checkpoint keeps; nothing once it does.
    bytes: Mutex<Vec<u8>>,
    pub baseline: Arc<Baseline>,
}

impl BaselineFile {
    /// Understands the bytes of a file.
    ///
    /// # Errors
    /// [`BaselineError`]: they are no baseline.
    pub fn parse(bytes: Vec<u8>) -> Result<BaselineFile, BaselineError> {
        let baseline = Arc::new(Baseline::parse(&bytes)?);
        Ok(BaselineFile { bytes: Mutex::new(bytes), baseline })
    }

    /// The bytes; `None` after [`BaselineFile::let_go`].
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        (!bytes.is_empty()).then(|| bytes.clone())
    }

    /// Lets go of the bytes: a thousand files can be a quarter of a gigabyte.
    pub(super) fn let_go(&self) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new();
    }
}

/// The files that are known, by their sha256.
#[derive(Debug, Default)]
pub struct BaselineFiles {
    by_sha256: BTreeMap<String, Arc<BaselineFile>>,
}

impl BaselineFiles {
    /// The file with these bytes.
    ///
    /// # Errors
    /// [`BaselineError`]: they are no baseline.
    pub fn of(&mut self, bytes: Vec<u8>) -> Result<Arc<BaselineFile>, BaselineError> {
        // Else nobody has read it yet.
        if let Some(file) = self.by_sha256.get(&sha256_hex(&bytes)) {
            return Ok(Arc::clone(file));
        }
        Ok(self.keep(BaselineFile::parse(bytes)?))
    }

    /// The file with this sha256, where it is known.
    pub(super) fn named(&self, sha256: &str) -> Option<Arc<BaselineFile>> {
        self.by_sha256.get(sha256).cloned()
    }

    /// Whether the file with this sha256 is known.
    pub fn know(&self, sha256: &str) -> bool {
        self.by_sha256.contains_key(sha256)
    }

    /// Takes up a file that somebody else read.
    pub(super) fn take_up(&mut self, file: &Arc<BaselineFile>) {
        self.by_sha256.entry(file.baseline.sha256.clone()).or_insert_with(|| Arc::clone(file));
    }

    /// Keeps a file, or gives the one that is known with the same bytes.
    pub fn keep(&mut self, file: BaselineFile) -> Arc<BaselineFile> {
        let known = self.by_sha256.entry(file.baseline.sha256.clone());
        Arc::clone(known.or_insert_with(|| Arc::new(file)))
    }
}
