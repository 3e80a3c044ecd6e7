//! Small servers that misbehave in the ways real ones do.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What an HTTP server does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends these bytes and closes.
    Send(String),
    /// Sends these bytes and then nothing, for ever.
    SendAndHang(String),
    /// Reads the request and says nothing, for ever.
    Hang,
    HangUp,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Method, path and version.
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An HTTP server on a free port that gives these answers in turn, the last one for ever.
pub(super) struct HttpServer {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HttpServer {
    pub(super) async fn start(answers: Vec<Answer>) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut held: Vec<TcpStream> = Vec::new();
            let mut answers = answers.into_iter().peekable();
            let mut answer = Answer::HangUp;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                answer = answers.next().unwrap_or(answer);
                let mut stream = BufReader::new(stream);
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                let mut stream = stream.into_inner();
                match &answer {
                    Answer::Send(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
                    Answer::SendAndHang(bytes) => {
                        stream.write_all(bytes.as_bytes()).await.unwrap();
                        held.push(stream);
                    }
                    Answer::Hang => held.push(stream),
                    Answer::HangUp => {}
                }
            }
        });
        HttpServer { url, requests }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Request {
    let mut headers = Vec::new();
    let mut length = 0;
    let mut first = String::new();
    stream.read_line(&mut first).await.unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            let name = name.to_lowercase();
            if name == "content-length" {
                length = value.parse().unwrap();
            }
            headers.push((name, value.to_owned()));
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Request { line: first.trim_end().to_owned(), headers, body }
}

/// How a mail server behaves.
#[derive(Default, Clone)]
pub(super) struct MailRules {
    /// Accepts connections and never says a word.
    pub(super) silent: bool,
    /// Closes the first so many connections without a word.
    pub(super) hang_ups: usize,
    /// Says nothing more once the message has been sent.
    pub(super) silent_after_data: bool,
    /// Replies to recipients, by address; all others are accepted. Each reply is given once, the
    /// last one for ever.
    pub(super) recipients: Vec<(String, Vec<String>)>,
    /// Replies to `MAIL FROM`, instead of 250.
    pub(super) sender: Option<String>,
    /// Replies to `AUTH`, and offers it.
    pub(super) auth: Option<String>,
}

/// One mail as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) to: Vec<String>,
    pub(super) message: String,
}

/// An SMTP server on a free port, without TLS.
pub(super) struct MailServer {
    pub(super) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
}

impl MailServer {
    pub(super) async fn start(mut rules: MailRules) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let (seen, counted) = (Arc::clone(&received), Arc::clone(&connections));
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *counted.lock().unwrap() += 1;
                if rules.silent {
                    held.push(BufReader::new(stream));
                } else if rules.hang_ups > 0 {
                    rules.hang_ups -= 1;
                } else if let Some(stream) =
                    converse(BufReader::new(stream), &mut rules, &seen).await
                {
                    held.push(stream);
                }
            }
        });
        MailServer { port, received, connections }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// Holds one conversation; gives the stream back when it is to be held without a word.
async fn converse(
    mut stream: BufReader<TcpStream>,
    rules: &mut MailRules,
    received: &Mutex<Vec<Received>>,
) -> Option<BufReader<TcpStream>> {
    let mut to = Vec::new();
    say(&mut stream, "220 test").await;
    loop {
        let line = hear(&mut stream).await?;
        let reply = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" if rules.auth.is_some() => String::from("250-test\r\n250 AUTH PLAIN LOGIN"),
            "EHLO" => String::from("250 test"),
            "AUTH" => rules.auth.clone().unwrap_or_else(|| String::from("502 no")),
            "MAIL" => rules.sender.clone().unwrap_or_else(|| String::from("250 ok")),
            "RCPT" => {
                let reply = recipient_reply(&line, rules);
                if reply.starts_with('2') {
                    to.push(line);
                }
                reply
            }
            "DATA" => {
                say(&mut stream, "354 go on").await;
                let mut message = String::new();
                loop {
                    let line = hear(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    message.push_str(&line);
                    message.push('\n');
                }
                if rules.silent_after_data {
                    return Some(stream);
                }
                received.lock().unwrap().push(Received { to: std::mem::take(&mut to), message });
                String::from("250 queued")
            }
            "QUIT" => String::from("221 bye"),
            _ => String::from("500 what"),
        };
        say(&mut stream, &reply).await;
    }
}

fn recipient_reply(line: &str, rules: &mut MailRules) -> String {
    for (address, replies) in &mut rules.recipients {
        if line.contains(&format!("<{address}>")) {
            return if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() };
        }
    }
    String::from("250 ok")
}

/// The other side may be gone, which is its right.
async fn say(stream: &mut BufReader<TcpStream>, text: &str) {
    let _ = stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await;
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(count) if count > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}
