//! Baseline files that were read: each is kept and understood once, however many models name it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use driftline_analytics::baseline::{Baseline, BaselineError};
use driftline_config::Model;

use super::sha256;

/// A baseline with the bytes that it was read from.
#[derive(Debug)]
pub struct BaselineFile {
    /// What the checkpoint keeps; nothing once it does.
    bytes: Mutex<Vec<u8>>,
    /// What they say.
    pub baseline: Arc<Baseline>,
}

impl BaselineFile {
    fn new(bytes: Vec<u8>, baseline: Baseline) -> BaselineFile {
        BaselineFile { bytes: Mutex::new(bytes), baseline: Arc::new(baseline) }
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

/// The files that are known, by what is in them and by where they were found.
#[derive(Debug, Default)]
pub struct BaselineFiles {
    by_sha256: BTreeMap<String, Arc<BaselineFile>>,
    by_path: HashMap<PathBuf, Arc<BaselineFile>>,
}

/// Why a file is of no use.
#[derive(Debug)]
pub(super) enum FileError {
    /// It cannot be read.
    Read(std::io::Error),
    /// It is no baseline.
    Baseline(BaselineError),
}

impl BaselineFiles {
    /// Reads the files of these models on all cores. What cannot be read is left out: whoever wants it
    /// then reads it again, and is told why.
    pub fn read_ahead(&mut self, models: &[Model]) {
        let named = models.iter().flat_map(|model| model.baseline.values());
        let paths: Vec<&PathBuf> = named.collect::<BTreeSet<_>>().into_iter().collect();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(paths.len());
        let (files, next) = (Mutex::new(self), AtomicUsize::new(0));
        let work = || {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Ok(bytes) = std::fs::read(path) else { continue };
                let Ok(baseline) = Baseline::parse(&bytes) else { continue };
                let file = BaselineFile::new(bytes, baseline);
                // Made here rather than under the lock, or by the first model that asks.
                file.baseline.prepare();
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                files.found(path, file);
            }
        };
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }

    /// The file at a path.
    pub(super) fn at(&mut self, path: &Path) -> Result<Arc<BaselineFile>, FileError> {
        if let Some(file) = self.by_path.get(path) {
            return Ok(Arc::clone(file));
        }
        let bytes = std::fs::read(path).map_err(FileError::Read)?;
        let file = self.of(bytes).map_err(FileError::Baseline)?;
        self.by_path.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// The file with these bytes.
    pub(super) fn of(&mut self, bytes: Vec<u8>) -> Result<Arc<BaselineFile>, BaselineError> {
        if let Some(file) = self.by_sha256.get(&sha256(&bytes)) {
            return Ok(Arc::clone(file));
        }
        let baseline = Baseline::parse(&bytes)?;
        Ok(self.keep(BaselineFile::new(bytes, baseline)))
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

    fn found(&mut self, path: &Path, file: BaselineFile) {
        let file = self.keep(file);
        self.by_path.insert(path.to_owned(), file);
    }

    fn keep(&mut self, file: BaselineFile) -> Arc<BaselineFile> {
        let known = self.by_sha256.entry(file.baseline.sha256.clone());
        Arc::clone(known.or_insert_with(|| Arc::new(file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::rig::Rig;
    use crate::setup::Setup;

    const FILE: &str = r#"{"driftline_baseline":1,
        "provenance":{"source":"train.csv","first_us":null,"last_us":null,"held_out_predictions":false},
        "rows":2,"columns_seen":["feature:age"],"windows":null,
        "columns":[{"kind":"numeric","subject":"feature:age","cut_points":[1.0],"counts":[0,2,0],"n":2,
            "missing":0,"nan":0,"wrong_type":0,"distinct":1,"discrete":true,"exact":true,
            "moments":{"n":2,"mean":1.0,"variance":0.0,"min":1.0,"max":1.0,
                "positive_infinities":0,"negative_infinities":0},
            "psi_bins":[{"to":null,"count":2}],"own_windows":null}]}"#;

    #[test]
    fn a_file_is_kept_once_wherever_it_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let [first, copy, broken] =
            ["a.json", "b.json", "c.json"].map(|name| folder.path().join(name));
        std::fs::write(&first, FILE).unwrap();
        std::fs::write(&copy, FILE).unwrap();
        std::fs::write(&broken, "{").unwrap();
        let mut files = BaselineFiles::default();
        let known = files.at(&first).unwrap();
        assert!(Arc::ptr_eq(&known, &files.at(&first).unwrap()), "by its path");
        assert!(Arc::ptr_eq(&known, &files.at(&copy).unwrap()), "by what is in it");
        assert!(Arc::ptr_eq(&known, &files.of(FILE.into()).unwrap()), "by its bytes");
        assert!(
            Arc::ptr_eq(&known, &files.named(&known.baseline.sha256).unwrap()),
            "by its sha256"
        );
        assert!(matches!(files.at(&broken), Err(FileError::Baseline(_))));
        assert!(matches!(files.at(&folder.path().join("d.json")), Err(FileError::Read(_))));
        let mut others = BaselineFiles::default();
        others.take_up(&known);
        assert!(
            Arc::ptr_eq(&known, &others.of(FILE.into()).unwrap()),
            "where another one told of it"
        );
    }

    #[test]
    fn what_the_store_has_is_let_go_and_comes_back_from_there() {
        let rig = Rig::new(50);
        let (config, nothing) = (rig.config(), BTreeSet::new());
        let setup = Setup::load(&config.models[0], &config.limits).unwrap();
        let parts: BTreeMap<_, _> = setup.keep(&nothing).unwrap().into_iter().collect();
        assert_eq!(parts.len(), 2, "a baseline and the settings");
        setup.let_go_of_files(&nothing);
        assert_eq!(setup.keep(&nothing).unwrap().len(), 2, "nobody else has the file");
        let stored = parts.keys().cloned().collect();
        setup.let_go_of_files(&stored);
        let again = setup.keep(&stored).unwrap();
        assert_eq!(again, [(setup.sha256().to_owned(), parts[setup.sha256()].clone())]);
        assert!(setup.keep(&nothing).is_err(), "the bytes are gone");
        let (named, mut files) = (|name: &str| parts.get(name).cloned(), BaselineFiles::default());
        let restored = Setup::restore(setup.sha256(), &named, &mut files, &config.limits).unwrap();
        assert_eq!(restored.sha256(), setup.sha256());
    }
}
