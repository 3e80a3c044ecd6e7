//! One mail over one fresh SMTP connection, the whole of it under a timeout.
//!
//! lettre's transport stops at the first refused recipient, its timeout covers connecting only, and
//! its pool hands out connections that the server has closed. So the conversation is held here, over
//! lettre's connection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use driftline_config::Secret;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::http::certificates;
use super::message::Letterhead;
use super::{Outcome, ReceiverProblem, unwritable, with_advice};
use crate::mail::Letter;

/// Mails that some recipients have and others wait for; beyond it the oldest is forgotten, and its
/// recipients may get the same Message-ID twice.
const PARTLY_DELIVERED: usize = 1000;
/// Saying goodbye is a courtesy.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A mail server and how it is talked to.
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
}

enum Security {
    /// Refuses servers without STARTTLS.
    Starttls(TlsParameters),
    Tls(TlsParameters),
    None,
}

impl Server {
    /// Checks the address and reads the certificate file.
    pub(super) fn new(
        server: &str,
        credentials: Option<(&str, &Secret)>,
        ca: Option<&Path>,
    ) -> Result<Server, ReceiverProblem> {
        let refused = || ReceiverProblem::Server { server: server.to_owned() };
        let url = reqwest::Url::parse(server).map_err(|_| refused())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(refused)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        let (security, default_port) = match url.scheme() {
            "smtp" => (Security::Starttls(tls(&host, ca)?), 587),
            "smtps" => (Security::Tls(tls(&host, ca)?), 465),
            "smtp+insecure" => (Security::None, 25),
            _ => return Err(refused()),
        };
        let credentials = credentials.map(|(user, password)| {
            Credentials::new(user.to_owned(), password.expose().to_owned())
        });
        Ok(Server { host, port: url.port().unwrap_or(default_port), security, credentials })
    }

    async fn connect(&self, limit: Duration) -> Result<AsyncSmtpConnection, Error> {
        let hello = ClientId::default();
        let at_once = match &self.security {
            Security::Tls(parameters) => Some(parameters.clone()),
            Security::Starttls(_) | Security::None => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(limit), &hello, at_once, None)
                .await?;
        if let Security::Starttls(parameters) = &self.security {
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

fn tls(host: &str, ca: Option<&Path>) -> Result<TlsParameters, ReceiverProblem> {
    let mut builder: TlsParametersBuilder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        for certificate in certificates(path)? {
            let unusable = |error: Error| {
                let why = error.to_string();
                ReceiverProblem::Certificate { path: path.to_owned(), why }
            };
            let certificate = Certificate::from_der(certificate.to_vec()).map_err(unusable)?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| ReceiverProblem::Tls(error.to_string()))
}

pub(super) struct SmtpSender {
    server: Server,
    letterhead: Letterhead,
    limit: Duration,
    /// Recipients who are settled, by row, while others of the same row wait. Lost with the
    /// process: then they get the same Message-ID again.
    settled: Mutex<BTreeMap<String, Settled>>,
}

/// Recipients of one row, by position, who need no further attempt.
#[derive(Clone, Default)]
struct Settled {
    accepted: BTreeSet<usize>,
    refused: BTreeSet<usize>,
}

/// How far a conversation came when it broke.
enum Broken {
    /// Before anything about this mail was said: the server or the account.
    Session(Error),
    /// While the mail was being handed over.
    Mail(Error),
}

/// What the server said about each recipient, by position.
#[derive(Default)]
struct Replies {
    accepted: Vec<usize>,
    refused: Vec<(usize, String)>,
    deferred: Vec<(usize, String)>,
}

impl SmtpSender {
    pub(super) fn new(server: Server, letterhead: Letterhead, limit: Duration) -> SmtpSender {
        SmtpSender { server, letterhead, limit, settled: Mutex::default() }
    }

    /// Connects, encrypts and logs in, and says goodbye.
    pub(super) async fn reach(&self) -> Result<String, String> {
        let Server { host, port, security, credentials } = &self.server;
        match timeout(self.limit, self.server.connect(self.limit)).await {
            Err(_) => Err(format!("the mail server {host} did not answer within {:?}", self.limit)),
            Ok(Err(error)) => Err(format!("the mail server {host}:{port}: {}", said(&error))),
            Ok(Ok(mut connection)) => {
                let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
                let tls = match security {
                    Security::Starttls(_) => "STARTTLS",
                    Security::Tls(_) => "TLS",
                    Security::None => "no encryption",
                };
                let login = if credentials.is_some() { ", logged in" } else { "" };
                Ok(format!("the mail server {host}:{port} answers, {tls}{login}"))
            }
        }
    }

    pub(super) async fn send(&self, id: &str, letter: &Letter) -> Outcome {
        let bytes = match self.letterhead.write(letter, SystemTime::now()) {
            Ok(bytes) => bytes,
            Err(error) => return unwritable(&letter.mail, &error),
        };
        let settled = self.settled_of(id);
        let waits = |position: &usize| {
            !settled.accepted.contains(position) && !settled.refused.contains(position)
        };
        let waiting: Vec<usize> = (0..self.letterhead.to.len()).filter(waits).collect();
        match timeout(self.limit, self.twice(&bytes, &waiting)).await {
            Err(_) => Outcome::retry(format!(
                "the mail server {} did not finish within {:?}",
                self.server.host, self.limit
            )),
            Ok(Err(broken)) => self.outcome_of(broken),
            Ok(Ok(replies)) => self.settle(id, replies),
        }
    }

    /// Over one connection, and over a second one if the first breaks without a reply.
    async fn twice(&self, bytes: &[u8], waiting: &[usize]) -> Result<Replies, Broken> {
        match self.once(bytes, waiting).await {
            Err(Broken::Session(error) | Broken::Mail(error)) if error.status().is_none() => {
                tracing::debug!(%error, "the mail connection broke, trying a fresh one");
                self.once(bytes, waiting).await
            }
            result => result,
        }
    }

    async fn once(&self, bytes: &[u8], waiting: &[usize]) -> Result<Replies, Broken> {
        let mut connection = self.server.connect(self.limit).await.map_err(Broken::Session)?;
        let from = MailFrom::new(Some(self.letterhead.from.email.clone()), Vec::new());
        connection.command(from).await.map_err(Broken::Mail)?;
        let mut replies = Replies::default();
        for &position in waiting {
            let Some(to) = self.letterhead.to.get(position) else { continue };
            match connection.command(Rcpt::new(to.email.clone(), Vec::new())).await {
                Ok(_) => replies.accepted.push(position),
                Err(error) if error.is_permanent() => {
                    replies.refused.push((position, said(&error)));
                }
                Err(error) if error.is_transient() => {
                    replies.deferred.push((position, said(&error)));
                }
                Err(error) => return Err(Broken::Mail(error)),
            }
        }
        if !replies.accepted.is_empty() {
            connection.command(Data).await.map_err(Broken::Mail)?;
            connection.message(bytes).await.map_err(Broken::Mail)?;
        }
        // The mail is delivered whatever the server thinks of a goodbye.
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(replies)
    }

    fn outcome_of(&self, broken: Broken) -> Outcome {
        let host = &self.server.host;
        match broken {
            // Passwords and server policies get repaired: the mail is not to blame.
            Broken::Session(error) => {
                Outcome::retry(format!("the mail server {host} is not usable: {}", said(&error)))
            }
            Broken::Mail(error) if error.is_permanent() => Outcome::Failed {
                why: format!("the mail server {host} refuses the mail: {}", said(&error)),
            },
            Broken::Mail(error) => {
                Outcome::retry(format!("the mail server {host} put it off: {}", said(&error)))
            }
        }
    }

    fn settle(&self, id: &str, replies: Replies) -> Outcome {
        let address = |position: usize| {
            self.letterhead.to.get(position).map(|to| to.email.to_string()).unwrap_or_default()
        };
        for (position, why) in &replies.refused {
            tracing::error!(
                recipient = address(*position),
                why,
                message = id,
                "the mail server refuses a recipient for good"
            );
        }
        let mut by_row = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((position, why)) = replies.deferred.first() {
            let settled = by_row.entry(id.to_owned()).or_default();
            settled.accepted.extend(replies.accepted.iter());
            settled.refused.extend(replies.refused.iter().map(|(position, _)| position));
            while by_row.len() > PARTLY_DELIVERED {
                by_row.pop_first();
            }
            return Outcome::retry(format!("{} was put off: {why}", address(*position)));
        }
        let before = by_row.remove(id).unwrap_or_default();
        match replies.refused.first() {
            Some((position, why)) if replies.accepted.is_empty() && before.accepted.is_empty() => {
                Outcome::Failed { why: format!("{} was refused: {why}", address(*position)) }
            }
            _ => Outcome::Delivered,
        }
    }

    fn settled_of(&self, id: &str) -> Settled {
        let by_row = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        by_row.get(id).cloned().unwrap_or_default()
    }
}

/// The error with its causes, on one line.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    with_advice(text.replace(['\r', '\n'], " "))
}
