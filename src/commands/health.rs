//! `driftline health`: whether a service on this machine lives, for containers without another way to ask.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

/// How long the service may take.
const ANSWER: Duration = Duration::from_secs(4);
/// More of an answer is not looked at.
const ANSWER_BYTES: u64 = 1 << 10;

/// Asks a service whether it lives.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Ask a service on this machine whether it lives",
    after_help = "Examples:\n  driftline health\n  driftline health --path /readyz --address 127.0.0.1:9464"
)]
pub(crate) struct HealthArgs {
    /// Where the service listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) address: String,
    /// What is asked for
    #[arg(long, value_name = "PATH", default_value = "/livez")]
    pub(crate) path: String,
}

/// Runs the command: 0 where the answer is 200.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let HealthArgs { address, path } = args;
    let place = || address.clone();
    let resolved = address.to_socket_addrs().with_context(place)?.next();
    let Some(resolved) = resolved else { bail!("{address}: no address") };
    let mut stream = TcpStream::connect_timeout(&resolved, ANSWER).with_context(place)?;
    stream.set_read_timeout(Some(ANSWER)).with_context(place)?;
    stream.set_write_timeout(Some(ANSWER)).with_context(place)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(place)?;
    let mut answer = Vec::new();
    // A service that closes without an answer is answered for below.
    let _ = stream.take(ANSWER_BYTES).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let first = answer.lines().next().unwrap_or_default();
    match first.split(' ').nth(1) {
        Some("200") => Ok(ExitCode::SUCCESS),
        _ => bail!("{address}{path}: answered {first:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn asked(status: &'static str) -> anyhow::Result<ExitCode> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let service = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
        });
        let outcome = run(&HealthArgs { address, path: "/livez".to_owned() });
        service.join().unwrap();
        outcome
    }

    #[test]
    fn what_lives_answers_200() {
        assert!(asked("200 OK").is_ok());
        assert!(asked("503 Service Unavailable").unwrap_err().to_string().contains("503"));
        assert!(
            run(&HealthArgs { address: "127.0.0.1:1".to_owned(), path: "/".to_owned() }).is_err()
        );
    }
}
