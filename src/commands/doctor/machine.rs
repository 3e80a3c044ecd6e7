//! The machine: state folder, listener, ONNX Runtime and candidates.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use driftline_config::Config;
use driftline_shadow::Surroundings;

use super::Finding;
use crate::{libraries, scoring};
use driftline_web::Tls;

/// How long a listener of our own may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// What ours answers to `/livez`, at the end.
const ALIVE: &[u8] = b"\r\n\r\nok\n";

pub(super) fn examine(config: &Config, named_library: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![state_folder(&config.state)];
    let http = &config.http;
    match http.tls.as_ref().map(Tls::load).transpose() {
        // An encrypted listener is asked nothing: whoever runs on our folder is taken for it.
        Ok(Some(_)) => findings.push(listener(&http.listen, |_| is_held(&config.state))),
        Ok(None) => findings.push(listener(&http.listen, |listen| is_ours(listen, ANSWER))),
        Err(error) => findings.push(Finding::fail("http.tls", error.to_string())),
    }
    findings.extend(candidates(config, named_library));
    findings
}

/// Whether the state folder can be written, and whether somebody holds it.
pub(super) fn state_folder(folder: &Path) -> Finding {
    let shown = folder.display();
    if !folder.exists() {
        let above =
            folder.ancestors().skip(1).find(|above| above.exists() || *above == Path::new(""));
        let above = above.filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
        return match tempfile::tempfile_in(above) {
            Ok(_) => Finding::ok("state folder", format!("{shown}: will be created")),
            Err(error) => unwritable(folder, &error),
        };
    }
    if let Err(error) = tempfile::tempfile_in(folder) {
        return unwritable(folder, &error);
    }
    if is_held(folder) {
        return Finding::ok("state folder", format!("{shown}: held by a running driftline"));
    }
    Finding::ok("state folder", format!("{shown}: writable"))
}

/// Whether a running driftline holds the folder.
fn is_held(folder: &Path) -> bool {
    let lock = File::options().write(true).open(folder.join("lock"));
    lock.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Finding {
    let says =
        format!("{}: {error}: make it writable, or set state to another folder", folder.display());
    Finding::fail("state folder", says)
}

/// Whether the address can be bound, or is served by a running driftline.
pub(super) fn listener(listen: &str, is_ours: impl Fn(&str) -> bool) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("http.listen", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_ours(listen) => {
            Finding::ok("http.listen", format!("{listen} is served by a running driftline"))
        }
        Err(error) => {
            let says = format!("{listen}: {error}: stop what uses it, or choose another address");
            Finding::fail("http.listen", says)
        }
    }
}

/// Whether a running driftline answers at the address, each step of it within `limit`.
pub(super) fn is_ours(listen: &str, limit: Duration) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut address: SocketAddr = listen.parse().map_err(std::io::Error::other)?;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        // In one piece: a server that has read enough and hangs up on the rest takes its answer back.
        let request =
            format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with(ALIVE))
}

/// Loads ONNX Runtime and every candidate in a process of its own, where there are any.
fn candidates(config: &Config, named: Option<&Path>) -> Vec<Finding> {
    let of = |model: &driftline_config::Model| model.shadow.len();
    if config.models.iter().map(of).sum::<usize>() == 0 {
        return Vec::new();
    }
    let named = named.or(config.onnxruntime.as_deref());
    let launch = scoring::launch(&config.shadow, &config.limits, libraries::paths(named));
    let Surroundings { library, lacks } = match launch.look_around() {
        Ok(surroundings) => surroundings,
        Err(error) => {
            let says = format!(
                "{error}: name it with --onnxruntime or ORT_DYLIB_PATH; candidates will not be scored"
            );
            return vec![Finding::fail("ONNX Runtime", says)];
        }
    };
    let mut findings = vec![
        Finding::ok("ONNX Runtime", library.display().to_string()),
        sandbox(&lacks, config.shadow.unsandboxed),
    ];
    for model in &config.models {
        for candidate in &model.shadow {
            let check = format!("candidate {} of {}", candidate.name, model.name);
            findings.push(match launch.open(candidate) {
                Ok(_) => Finding::ok(check, format!("{} loads", candidate.onnx.display())),
                Err(error) => {
                    Finding::fail(check, format!("{}: {error}", candidate.onnx.display()))
                }
            });
        }
    }
    findings
}

/// Whether the process of a candidate can be locked up here, and what that means.
pub(super) fn sandbox(lacks: &[String], unsandboxed: bool) -> Finding {
    let check = "sandbox of candidates";
    if lacks.is_empty() {
        let says = "landlock and seccomp hold: a candidate reaches no file, no network, no process";
        return Finding::ok(check, says);
    }
    let lacks = lacks.join("; ");
    if unsandboxed {
        let says = format!(
            "shadow.unsandboxed: true, and this kernel lacks {lacks}: whoever supplies a model can do what driftline can"
        );
        return Finding::warn(check, says);
    }
    let says = format!(
        "this kernel lacks {lacks}: candidates will not be scored; mend that, or set shadow.unsandboxed: true and trust the files"
    );
    Finding::fail(check, says)
}
