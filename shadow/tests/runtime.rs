//! Loading ONNX Runtime, in a process of its own: a process keeps the first library it loads.

use std::path::PathBuf;

use driftline_shadow::Runtime;

/// One test, since its steps share what the process has loaded.
#[test]
fn a_library_is_loaded_once_and_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("garbage.so"), b"this is not a library").expect("written");
    std::fs::write(path("empty.so"), b"").expect("written");
    let unusable = vec![path("missing.so"), path("garbage.so"), path("empty.so"), path("")];
    let error = Runtime::load(&unusable).expect_err("none is usable").to_string();
    let reasons = [
        "missing.so: No such file",
        "garbage.so: failed to load",
        "empty.so: failed to load",
        ": not a file",
    ];
    for reason in reasons {
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let error = Runtime::load(&[]).expect_err("nothing to try").to_string();
    assert!(error.contains("none named") && error.contains("--onnxruntime"), "{error}");

    let Ok(library) = std::env::var("DRIFTLINE_TEST_ONNXRUNTIME") else {
        println!("skipped: DRIFTLINE_TEST_ONNXRUNTIME names no library");
        return;
    };
    let library = PathBuf::from(library);
    let other = library.with_file_name("libonnxruntime_providers_shared.so");
    if other.exists() {
        let error = Runtime::load(&[other]).expect_err("another library").to_string();
        assert!(error.contains("does not export `OrtGetApiBase`"), "{error}");
    }
    // A download that broke off: without a check the system's loader would end the process.
    let bytes = std::fs::read(&library).expect("readable");
    std::fs::write(path("half.so"), &bytes[..bytes.len() / 2]).expect("written");
    let error = Runtime::load(&[path("half.so")]).expect_err("truncated").to_string();
    assert!(error.contains("half.so: the file is truncated"), "{error}");
    let mut paths = unusable;
    paths.push(library);
    let first = Runtime::load(&paths).expect("the last path is good");
    let second = Runtime::load(&[]).expect("loaded before");
    assert_eq!(first.path(), second.path());
}
