//! Finding and loading the ONNX Runtime library.

use std::cmp::Reverse;
use std::fs::File;
use std::io::Read;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::elf;
use crate::error::{ShadowError, one_line};

/// A loaded ONNX Runtime. Clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) environment: Environment,
    path: PathBuf,
}

/// ONNX Runtime allows one environment for the life of a process, and a second call must find it.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the first usable library of `candidates`. Once a library is loaded the process keeps
    /// it: later calls return it whatever they name.
    ///
    /// # Errors
    /// Every path with the reason why it was not used: missing, not a library, too old.
    pub fn load(candidates: &[PathBuf]) -> Result<Runtime, ShadowError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = loaded.as_ref() {
            return Ok(runtime.clone());
        }
        let mut reasons = Vec::new();
        for path in candidates {
            // The binding asserts on libraries that export the right names and answer nonsense.
            let result = catch_unwind(|| load_one(path))
                .unwrap_or_else(|_| Err("it does not behave like ONNX Runtime".to_owned()));
            match result {
                Ok(runtime) => {
                    tracing::info!(path = %runtime.path.display(), "onnx runtime loaded");
                    *loaded = Some(runtime.clone());
                    return Ok(runtime);
                }
                Err(reason) => reasons.push(format!("{}: {reason}", path.display())),
            }
        }
        if reasons.is_empty() {
            reasons
                .push("none named, none beside the executable or in the cache folder".to_owned());
        }
        Err(ShadowError::Runtime { reasons: reasons.join("; ") })
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Runtime").field("path", &self.path).finish_non_exhaustive()
    }
}

fn load_one(path: &Path) -> Result<Runtime, String> {
    // Absolute, since the binding would look for a relative path beside the executable.
    let path = path.canonicalize().map_err(|error| one_line(&error))?;
    if !path.is_file() {
        return Err("not a file".to_owned());
    }
    check_readable(&path)?;
    let builder = ort::init_from(&path).map_err(|error| one_line(&error))?;
    let environment = builder
        .with_name("driftline")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _, _, _, message: &str| {
            tracing::debug!(?level, message, "onnx runtime says");
        }))
        .build()
        .map_err(|error| one_line(&error))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(Runtime { environment, path })
}

fn check_readable(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(one_line)?;
    let file_bytes = file.metadata().map_err(one_line)?.len();
    let mut head = Vec::new();
    file.take(elf::HEAD_BYTES).read_to_end(&mut head).map_err(one_line)?;
    elf::check_whole(&head, file_bytes).map_err(str::to_owned)
}

/// Where the library may be, in the order of trying. A path that somebody named, by option or by
/// the environment variable `ORT_DYLIB_PATH`, stands alone: nobody wants another library than the
/// named one without a word. Otherwise the executable's folder and the cache folder are searched.
/// A folder stands for the libraries in it, the newest version first.
pub fn library_paths(
    configured: Option<&Path>,
    environment_value: Option<&str>,
    executable_folder: Option<&Path>,
    cache_folder: Option<&Path>,
) -> Vec<PathBuf> {
    let named = configured
        .map(Path::to_path_buf)
        .or_else(|| environment_value.filter(|value| !value.is_empty()).map(PathBuf::from));
    match named {
        Some(path) if path.is_dir() => libraries_in(&path),
        Some(path) => vec![path],
        None => {
            [executable_folder, cache_folder].into_iter().flatten().flat_map(libraries_in).collect()
        }
    }
}

fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut found: Vec<(Reverse<Vec<u32>>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name
                .strip_prefix("libonnxruntime.so")
                .or_else(|| name.strip_prefix("libonnxruntime.")?.strip_suffix("dylib"))?;
            let numbers = version.split('.').filter_map(|part| part.parse().ok()).collect();
            Some((Reverse(numbers), entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_library_stands_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.31.1",
            "libonnxruntime_providers_shared.so",
            "libother.so",
        ] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let inside = |name: &str| folder.path().join(name);
        let newest_first =
            vec![inside("libonnxruntime.so.1.31.1"), inside("libonnxruntime.so.1.9.0")];
        let named = Path::new("/opt/libonnxruntime.so");
        let table = [
            (Some(named), Some("/env.so"), vec![named.to_path_buf()]),
            (None, Some("/env.so"), vec![PathBuf::from("/env.so")]),
            (None, Some(""), newest_first.clone()),
            (Some(folder.path()), None, newest_first.clone()),
            (None, None, newest_first),
        ];
        for (configured, environment_value, expected) in table {
            let paths = library_paths(configured, environment_value, None, Some(folder.path()));
            assert_eq!(paths, expected, "{configured:?} {environment_value:?}");
        }
        assert!(library_paths(None, None, Some(Path::new("/nowhere")), None).is_empty());
    }
}
