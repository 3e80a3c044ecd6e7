//! Where the ONNX Runtime library may be on this machine.

use std::path::{Path, PathBuf};

use driftline_shadow::library_paths;

/// The candidates in the order of trying: the named one, `ORT_DYLIB_PATH`, beside the executable,
/// the cache folder that the set-up fills, and the `onnxruntime` package of the Python environment that
/// holds the executable.
pub(crate) fn paths(named: Option<&Path>) -> Vec<PathBuf> {
    let environment = std::env::var("ORT_DYLIB_PATH").ok();
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let cache = cache_folder().map(|folder| folder.join("onnxruntime"));
    let mut paths = library_paths(named, environment.as_deref(), beside, cache.as_deref());
    if named.is_none() && environment.is_none() {
        let of_python = beside.map(python_packages).unwrap_or_default();
        paths.extend(of_python.iter().flat_map(|it| library_paths(None, None, Some(it), None)));
    }
    paths
}

/// Where the libraries of the `onnxruntime` package are, for an executable in the `bin` of an environment.
fn python_packages(bin: &Path) -> Vec<PathBuf> {
    let library = bin.join("..").join("lib");
    // Most executables stand in no environment of Python.
    let Ok(entries) = library.read_dir() else { return Vec::new() };
    let of_python = entries.flatten().map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3"))
    });
    let packages = of_python.flat_map(|python| {
        ["site-packages", "dist-packages"]
            .map(|it| python.join(it).join("onnxruntime").join("capi"))
    });
    let mut packages: Vec<PathBuf> = packages.filter(|path| path.is_dir()).collect();
    packages.sort();
    packages
}

fn cache_folder() -> Option<PathBuf> {
    let declared = std::env::var_os("DRIFTLINE_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    declared.or_else(|| home().map(|home| home.join(".cache").join("driftline")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_the_environment_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let capi = folder.path().join("lib/python3.12/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&bin).unwrap();
        assert!(python_packages(&bin).is_empty());
        std::fs::create_dir_all(&capi).unwrap();
        let found = python_packages(&bin);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].canonicalize().unwrap(), capi.canonicalize().unwrap());
    }
}
