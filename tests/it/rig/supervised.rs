//! A server process that lives no longer than the test that started it, and whose output can be awaited.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How much of a server's output a failure shows.
const LINES_SHOWN: usize = 40;

/// A running server. Dropping it, or the death of the test process in any way, kills the server and
/// removes its folder: `tests/rig/supervise.sh` holds the other end of its standard input.
pub(crate) struct Supervised {
    wrapper: Child,
    output: Arc<Output>,
    name: String,
}

#[derive(Default)]
struct Output {
    state: Mutex<OutputState>,
    moved: Condvar,
}

#[derive(Default)]
struct OutputState {
    lines: Vec<String>,
    ended: bool,
}

impl Supervised {
    /// Starts `program` with `arguments` in `folder`, which then belongs to the server.
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(
        folder: &Path,
        program: &Path,
        arguments: &[S],
    ) -> Supervised {
        let mut wrapper = Command::new(super::rig_folder().join("supervise.sh"))
            .arg(folder)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/rig/supervise.sh runs");
        let stdout = wrapper.stdout.take().expect("standard output was piped");
        let output = Arc::new(Output::default());
        let reader = Arc::clone(&output);
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                reader.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                reader.moved.notify_all();
            }
            reader.lock().ended = true;
            reader.moved.notify_all();
        });
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Supervised { wrapper, output, name }
    }

    /// Waits until `found` makes something of the lines printed so far, oldest first.
    ///
    /// Panics with the end of the output when the server ends or `within` passes before that.
    pub(crate) fn wait_for<T>(
        &self,
        within: Duration,
        what: &str,
        found: impl Fn(&[String]) -> Option<T>,
    ) -> T {
        self.try_wait_for(within, found).unwrap_or_else(|lines| {
            let tail = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            panic!("{}: no {what} within {within:?}; it printed:\n{tail}", self.name)
        })
    }

    /// Waits until the server has ended, which closes its output.
    pub(crate) fn wait_for_end(&self, within: Duration) {
        let began = Instant::now();
        let lines = self.try_wait_for(within, |_| None::<()>).unwrap_err();
        let tail = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        assert!(began.elapsed() < within, "{} did not end; it printed:\n{tail}", self.name);
    }

    /// Like [`wait_for`](Self::wait_for), but hands back all lines instead of panicking.
    pub(crate) fn try_wait_for<T>(
        &self,
        within: Duration,
        found: impl Fn(&[String]) -> Option<T>,
    ) -> Result<T, Vec<String>> {
        let deadline = Instant::now() + within;
        let mut state = self.output.lock();
        loop {
            if let Some(value) = found(&state.lines) {
                return Ok(value);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return Err(state.lines.clone());
            }
            state = self.output.moved.wait_timeout(state, left).expect("the reader never panics").0;
        }
    }

    /// Whether the server has ended: it prints nothing any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.output.lock().ended
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.wrapper.stdin.take());
        // The wrapper kills the server and removes the folder before it ends.
        let _ = self.wrapper.wait();
    }
}
