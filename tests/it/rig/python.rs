//! The Python oracles and clients of `tests/rig`: JSON in, JSON out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The interpreter of the test environment, or `None` with a printed line.
pub(crate) fn interpreter() -> Option<PathBuf> {
    super::part("DRIFTLINE_TEST_PYTHON")
}

/// Runs `tests/rig/SCRIPT` with `input` on its standard input and reads JSON from its standard output.
///
/// `None` where there is no test environment. Panics with what the script printed when it fails.
pub(crate) fn run(script: &str, input: &Value) -> Option<Value> {
    let mut child = Command::new(interpreter()?)
        .arg(super::rig_folder().join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test environment's Python runs");
    let mut stdin = child.stdin.take().expect("standard input was piped");
    let input = input.to_string();
    // A script may print before it has read everything, so both must flow at once.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the script can be waited for");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {errors}");
    writer.join().expect("the writer never panics").expect("the script reads its input");
    Some(serde_json::from_slice(&output.stdout).expect("the script prints one JSON document"))
}
