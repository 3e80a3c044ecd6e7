//! Where the ONNX Runtime library may be on this machine.

use std::path::{Path, PathBuf};

use driftline_shadow::library_paths;

/// The candidates in the order of trying: the named one, `ORT_DYLIB_PATH`, beside the executable,
/// and the cache folder that the set-up fills.
pub(crate) fn paths(named: Option<&Path>) -> Vec<PathBuf> {
    let environment = std::env::var("ORT_DYLIB_PATH").ok();
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let cache = cache_folder().map(|folder| folder.join("onnxruntime"));
    library_paths(named, environment.as_deref(), beside, cache.as_deref())
}

fn cache_folder() -> Option<PathBuf> {
    let declared = std::env::var_os("DRIFTLINE_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    declared.or_else(|| home().map(|home| home.join(".cache").join("driftline")))
}
