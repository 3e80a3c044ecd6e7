//! How the processes are started that candidates are scored in: this program again, as another command.

use std::path::PathBuf;
use std::time::Duration;

use driftline_config::{Limits, Sandbox};
use driftline_shadow::Launch;

/// This very program, whatever lies at its path by now.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// By what the configuration allows, with the first of these libraries that can be used.
pub(crate) fn launch(sandbox: &Sandbox, limits: &Limits, libraries: Vec<PathBuf>) -> Launch {
    let duration = |us: i64| Duration::from_micros(us.unsigned_abs());
    Launch {
        program: THIS_PROGRAM.into(),
        libraries,
        model_bytes: limits.onnx_bytes,
        memory_bytes: sandbox.memory_bytes,
        load: duration(sandbox.load_us),
        run: duration(sandbox.run_us),
        unsandboxed: sandbox.unsandboxed,
    }
}
