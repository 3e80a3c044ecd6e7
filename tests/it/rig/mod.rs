//! Real servers and oracles for the integration tests: found by `DRIFTLINE_TEST_*` variables, started when
//! first wanted, gone with the test process.
//!
//! Without a part's variable its tests print one line and pass, so `cargo test` needs nothing;
//! `make test` sets all of them and `DRIFTLINE_TEST_STRICT`, which turns a missing part into a failure.

pub(crate) mod alertmanager;
pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod outcome;
pub(crate) mod prometheus;
pub(crate) mod python;
pub(crate) mod scene;
pub(crate) mod service;
mod smoke;
pub(crate) mod smtp;
mod supervised;
pub(crate) mod toxiproxy;
pub(crate) mod traffic;
pub(crate) mod webhook;

use std::io::{self, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, process};

use serde_json::Value;

pub(crate) use supervised::Supervised;

/// How long a server may take to start or to answer: ample, since two cores may also be compiling.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Ports that Linux gives to nobody unasked: its own choice begins at 32768.
const OWN_PORTS: Range<u16> = 20_000..30_000;
/// Prime to the number of ports, so that processes started one after another begin far apart.
const SPREAD: u32 = 211;

/// The folder of the scripts that set up and run the parts.
pub(crate) fn rig_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rig")
}

/// The path of a file of this repository.
pub(crate) fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_string_lossy().into_owned()
}

/// ONNX Runtime's shared library, or `None` with a printed line.
pub(crate) fn onnx_runtime() -> Option<PathBuf> {
    part("DRIFTLINE_TEST_ONNXRUNTIME")
}

/// The path in `variable`; without it `None` and a printed line, or a panic where all must be there.
fn part(variable: &str) -> Option<PathBuf> {
    match env::var_os(variable) {
        Some(path) if Path::new(&path).exists() => Some(path.into()),
        Some(path) => panic!("{variable} names {}, which does not exist", path.display()),
        None if env::var_os("DRIFTLINE_TEST_STRICT").is_some() => {
            panic!("{variable} is not set: run `make test`, or eval \"$(tests/rig/setup.sh env)\"")
        }
        None => {
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = writeln!(io::stderr(), "skipped: {variable} is not set (`make test` sets it)");
            None
        }
    }
}

/// A new folder for a server to own; the supervisor removes it.
pub(crate) fn server_folder(name: &str) -> PathBuf {
    tempfile::Builder::new()
        .prefix(&format!("driftline-{name}-"))
        .tempdir()
        .expect("a temporary folder can be made")
        .keep()
}

/// A port that was free a moment ago and that no other caller gets, for servers that cannot choose one
/// themselves.
///
/// It lies outside the ports that the kernel gives to whoever asks for any, so no connection made
/// meanwhile takes it before its server binds it, or while its server is being started again.
pub(crate) fn free_port() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    let ports = u32::from(OWN_PORTS.end - OWN_PORTS.start);
    // Another run on this machine is likely to begin elsewhere.
    let first = process::id().wrapping_mul(SPREAD);
    for _ in 0..ports {
        let place = first.wrapping_add(HANDED_OUT.fetch_add(1, Ordering::Relaxed)) % ports;
        let port = OWN_PORTS.start + place as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {OWN_PORTS:?} is free")
}

/// The JSON lines among what a server printed, in order.
fn json_lines(lines: &[String]) -> Vec<Value> {
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The first JSON line of a server written in Python: where it listens.
fn listening(server: &Supervised) -> (u16, Value) {
    let hello = server.wait_for(PATIENCE, "port", |lines| json_lines(lines).into_iter().next());
    let port = hello["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    (port.expect("the first line names the port"), hello)
}
