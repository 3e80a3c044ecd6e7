//! Models made ready from disk: their baseline files are read, each once for all models.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use driftline_analytics::baseline::Baseline;
use driftline_analytics::budget::Budget;
use driftline_analytics::layout::{Baselines, Layout, LayoutError};
use driftline_config::{About, Complaint, Limits, Model, read_file};
use driftline_pipeline::setup::{
    BaselineFile, BaselineFiles, DEFAULT_BASELINE, Setup, SetupError, check_hours, other_days,
};

/// Longest baseline file that is read: those of thousands of columns have a few tens of MiB.
pub(crate) const BASELINE_BYTES: u64 = 256 << 20;

/// The baseline files that were read, by what is in them and by where they were found.
#[derive(Debug, Default)]
pub struct BaselineReader {
    known: BaselineFiles,
    by_path: HashMap<PathBuf, Arc<BaselineFile>>,
}

/// Why a model cannot be monitored.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("model {model}: baseline {}: {source}", path.display())]
    Read { model: String, path: PathBuf, source: std::io::Error },
    /// What was read is of no use.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Reads one model's baseline files.
///
/// # Errors
/// [`LoadError`] with the file and what is wrong with it.
pub fn load_setup(model: &Model, limits: &Limits) -> Result<Setup, LoadError> {
    BaselineReader::default().load(model, limits)
}

impl BaselineReader {
    /// Reads a model's baseline files; those that are known are not read again.
    ///
    /// # Errors
    /// [`LoadError`] with the file and what is wrong with it.
    pub fn load(&mut self, model: &Model, limits: &Limits) -> Result<Setup, LoadError> {
        let mut files = BTreeMap::new();
        for (version, path) in &model.baseline {
            files.insert(version.clone(), self.read(model, path)?);
        }
        let setup = Setup::new(model.clone(), files, limits)?;
        check_hours(model, &setup.baselines.default)?;
        Ok(setup)
    }

    /// Reads the files of these models on all cores. What cannot be read is left out: whoever wants it
    /// then reads it again, and is told why.
    pub fn read_ahead(&mut self, models: &[Model]) {
        let named = models.iter().flat_map(|model| model.baseline.values());
        let paths: Vec<&PathBuf> = named.collect::<BTreeSet<_>>().into_iter().collect();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(paths.len());
        let (reader, next) = (Mutex::new(self), AtomicUsize::new(0));
        let work = || {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Ok(bytes) = read_file(path, BASELINE_BYTES) else { continue };
                let Ok(file) = BaselineFile::parse(bytes) else { continue };
                // Made here rather than under the lock, or by the first model that asks.
                file.baseline.prepare();
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                let file = reader.known.keep(file);
                reader.by_path.insert((*path).clone(), file);
            }
        };
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }

    /// Whether the file with this sha256 was read.
    pub fn know(&self, sha256: &str) -> bool {
        self.known.know(sha256)
    }

    fn read(&mut self, model: &Model, path: &Path) -> Result<Arc<BaselineFile>, LoadError> {
        if let Some(file) = self.by_path.get(path) {
            return Ok(Arc::clone(file));
        }
        let (name, place) = (|| model.name.clone(), || path.to_owned());
        let bytes = read_file(path, BASELINE_BYTES).map_err(|source| LoadError::Read {
            model: name(),
            path: place(),
            source,
        })?;
        let file = self.known.of(bytes).map_err(|source| SetupError::Baseline {
            model: name(),
            path: place(),
            source,
        })?;
        self.by_path.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// What [`load_setup`] would say of a model.
#[derive(Debug, Default)]
pub struct Examined {
    /// Everything for which it would refuse the model, by the setting that it is about.
    pub complaints: Vec<Complaint>,
    /// As [`Setup::other_days`] and [`Setup::trend`].
    pub warnings: Vec<String>,
}

/// Reads a model's baseline files for what is wrong with them.
pub fn examine(model: &Model, limits: &Limits) -> Examined {
    let mut warnings = Vec::new();
    let mut complaints: Vec<(About, LoadError)> = Vec::new();
    let mut by_version: BTreeMap<String, Arc<Baseline>> = BTreeMap::new();
    let mut reader = BaselineReader::default();
    for (version, path) in &model.baseline {
        match reader.read(model, path) {
            Ok(file) => {
                warnings.extend(other_days(model, version, &file.baseline));
                by_version.insert(version.clone(), Arc::clone(&file.baseline));
            }
            Err(error) => complaints.push((About::Baseline(version.clone()), error)),
        }
    }
    if let Some(default) = by_version.remove(DEFAULT_BASELINE) {
        let of_default = || About::Baseline(DEFAULT_BASELINE.to_owned());
        if let Err(error) = check_hours(model, &default) {
            complaints.push((of_default(), error.into()));
        }
        warnings.extend(Budget::new(model, &default).trend_told(model, &default));
        let baselines = Baselines { default, by_version };
        for source in Layout::problems(model, &baselines, limits) {
            let about = match &source {
                LayoutError::UnknownFeature { feature, .. } => About::Feature(feature.clone()),
                LayoutError::TooManyColumns { .. } => of_default(),
                LayoutError::KindsDiffer { version, .. } => About::Baseline(version.clone()),
            };
            let model = model.name.clone();
            complaints.push((about, SetupError::Layout { model, source }.into()));
        }
    }
    let complaint = |(about, error): (About, LoadError)| {
        let says = error.to_string();
        Complaint { about, says }
    };
    Examined { complaints: complaints.into_iter().map(complaint).collect(), warnings }
}

#[cfg(test)]
mod tests;
