//! The Python package over the built binary: its own tests, by the test environment's Python.

use std::process::Command;

use crate::rig::{python, service};

#[test]
fn frames_are_compared_and_captures_sent() {
    let Some(interpreter) = python::interpreter() else { return };
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
    let binary = service::driftline().get_program().to_owned();
    let mut command = Command::new(interpreter);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(package);
    command.env("PYTHONPATH", package).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("DRIFTLINE_BINARY", binary);
    let (code, out, errors) = service::run(&mut command);
    assert_eq!(code, Some(0), "{out}\n{errors}");
    // Without pandas or FastAPI whole files of tests would be skipped.
    assert!(out.contains(" passed") && !out.contains("skipped"), "{out}");
}
