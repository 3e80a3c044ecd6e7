//! The least HTTP client that asks a server on this machine: one request, one connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// An answer: status and body as text.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The three digits of the status line.
    pub(crate) status: u16,
    /// The body, which must be UTF-8.
    pub(crate) body: String,
}

/// Asks for `http://HOST:PORT/PATH`.
pub(crate) fn get(url: &str) -> io::Result<Answer> {
    request("GET", url, &[], "")
}

/// Sends one request with these headers and this body; HTTP/1.0, so the answer comes unchunked.
pub(crate) fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let address = url.strip_prefix("http://").ok_or_else(|| bad(url))?;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} /{path} HTTP/1.0\r\nhost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| bad(&text))
}

/// The same in HTTP/1.1, for servers that want it and announce the length of their answers.
pub(crate) fn exchange(method: &str, url: &str, body: &str) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let address = url.strip_prefix("http://").ok_or_else(|| bad(url))?;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), None);
    loop {
        let before = head.len();
        reader.read_line(&mut head)?;
        let line = head[before..].trim_end();
        let header =
            line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length = header.and_then(|(_, value)| value.trim().parse().ok()).or(length);
        if line.is_empty() {
            break;
        }
    }
    let mut answer = vec![0; length.ok_or_else(|| bad(&head))?];
    reader.read_exact(&mut answer)?;
    let answer = String::from_utf8(answer).map_err(|_| bad("an answer that is no UTF-8"))?;
    parse(&(head + &answer)).ok_or_else(|| bad("an answer without a status"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// Escapes a query parameter's value.
pub(crate) fn escape(value: &str) -> String {
    value.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}
