//! Sends one outbox row to its receiver and says how that went.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use driftline_config::{MailTransport, Receiver, ReceiverKind};

use crate::alertmanager::Alert;
use crate::mail::{Illustrate, Letter, Mail};
use crate::outbox::{OutboxRow, RowKind};
use crate::webhook::SecretError;

mod address;
mod alertmanager;
mod channel;
mod folder;
mod http;
mod message;
mod smtp;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it. Recipients whom the server refuses for good are logged.
    Delivered,
    Retry {
        /// How long the receiver asked us to wait.
        after: Option<Duration>,
        /// One sentence, without addresses of webhooks.
        why: String,
    },
    /// Never.
    Failed {
        /// One sentence, without addresses of webhooks.
        why: String,
    },
    /// The receiver wants nothing more, ever (410 Gone): this row and all later ones.
    Disabled {
        /// One sentence, without addresses of webhooks.
        why: String,
    },
    /// It was not attempted: somebody wanted no messages about it.
    Silenced,
}

impl Outcome {
    /// The value of the label `outcome` of `driftline_notifications_total`.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Failed { .. } => "failed",
            Outcome::Disabled { .. } => "disabled",
            Outcome::Silenced => "silenced",
        }
    }

    pub(crate) fn retry(why: impl Into<String>) -> Outcome {
        Outcome::Retry { after: None, why: why.into() }
    }
}

/// How long to wait for receivers, and whom not to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// A webhook from connecting to the status line.
    pub webhook_timeout: Duration,
    /// A mail from connecting to the last reply, with a second connection if the first breaks.
    pub mail_timeout: Duration,
    /// Whether webhooks may go to link-local addresses, where clouds keep their metadata services.
    pub allow_link_local: bool,
}

impl Default for DeliverySettings {
    fn default() -> DeliverySettings {
        DeliverySettings {
            webhook_timeout: Duration::from_secs(30),
            mail_timeout: Duration::from_secs(60),
            allow_link_local: false,
        }
    }
}

/// Why a receiver cannot be used as it was declared.
#[derive(Debug, thiserror::Error)]
#[error("receiver {receiver}: {problem}")]
pub struct DeliverError {
    pub receiver: String,
    pub problem: ReceiverProblem,
}

/// What is wrong with a receiver.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverProblem {
    /// An address that is not one, or not in ASCII.
    #[error("{address:?} is not a mail address that SMTP carries: {why}")]
    Address { address: String, why: String },
    /// A server that is none of the three kinds.
    #[error(
        "{server:?} is not a mail server: write smtp://host:port (STARTTLS), smtps://host:port, or \
         smtp+insecure://host:port"
    )]
    Server { server: String },
    /// A user without password, or the other way round.
    #[error("user and password belong together: one of them is missing")]
    Credentials,
    /// A certificate file that cannot be read.
    #[error("the certificate file {} cannot be used: {why}", path.display())]
    Certificate { path: PathBuf, why: String },
    /// The address of a webhook is a secret: it is not named.
    #[error("the url of the {what} is not an http:// or https:// address")]
    Url {
        /// `webhook` or `Alertmanager`.
        what: &'static str,
    },
    /// The address is one that programs must not be led to.
    #[error("the url of the {what} is a link-local address, where clouds keep their secrets")]
    LinkLocal {
        /// `webhook` or `Alertmanager`.
        what: &'static str,
    },
    /// A header that HTTP cannot carry; its value may be a secret.
    #[error("the header {name:?} cannot be sent: its name or value has characters HTTP refuses")]
    Header { name: String },
    /// A secret that cannot sign.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The HTTP client could not be built.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
    /// The TLS set-up was refused.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Every receiver, ready to be sent to.
pub struct Deliverer {
    senders: BTreeMap<String, Sender>,
    illustrate: Option<Illustrate>,
    drawing_timeout: Duration,
}

enum Sender {
    Smtp(Box<smtp::SmtpSender>),
    Folder(folder::FolderSender),
    Webhook(Box<http::WebhookSender>),
    Alertmanager(Box<alertmanager::AlertmanagerSender>),
    Channel(Box<channel::ChannelSender>),
}

/// Names only: the rest is addresses and passwords.
impl fmt::Debug for Deliverer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.senders.keys()).finish()
    }
}

impl Deliverer {
    /// Checks every receiver and reads its certificates; connects to nobody.
    ///
    /// # Errors
    /// The first receiver that cannot be used, and why.
    pub fn new(
        receivers: &[Receiver],
        settings: &DeliverySettings,
    ) -> Result<Deliverer, DeliverError> {
        let mut senders = BTreeMap::new();
        for receiver in receivers {
            let sender = sender(receiver, settings)
                .map_err(|problem| DeliverError { receiver: receiver.name.clone(), problem })?;
            senders.insert(receiver.name.clone(), sender);
        }
        Ok(Deliverer { senders, illustrate: None, drawing_timeout: settings.mail_timeout })
    }

    /// Gives mails their images.
    pub fn illustrated(mut self, illustrate: Illustrate) -> Deliverer {
        self.illustrate = Some(illustrate);
        self
    }

    /// The names of the receivers.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.senders.keys().map(String::as_str)
    }

    /// Goes as far as possible towards a receiver without sending anything: a mail server is
    /// connected to, encrypted and logged in to; a folder is written to; the server of a webhook is
    /// asked for `HEAD /`, without the configured headers; an Alertmanager for its status. Returns
    /// what was reached, in words.
    ///
    /// # Errors
    /// Why it cannot be reached, in one sentence without addresses of webhooks.
    pub async fn reach(&self, receiver: &str) -> Result<String, String> {
        match self.senders.get(receiver) {
            Some(Sender::Smtp(smtp)) => smtp.reach().await,
            Some(Sender::Folder(folder)) => folder.reach().await,
            Some(Sender::Webhook(webhook)) => webhook.reach().await,
            Some(Sender::Alertmanager(alertmanager)) => alertmanager.reach().await,
            Some(Sender::Channel(channel)) => channel.reach().await,
            None => Err(format!("there is no receiver {receiver}")),
        }
    }

    /// How often a receiver wants to be told again what still fires; `None` where once is enough.
    pub fn resend(&self, receiver: &str) -> Option<Duration> {
        match self.senders.get(receiver) {
            Some(Sender::Alertmanager(alertmanager)) => Some(alertmanager.resend()),
            _ => None,
        }
    }

    /// Sends rows of one receiver, each once; alerts together. The outcomes are in the order of the
    /// rows.
    pub async fn send_all(&self, receiver: &str, rows: &[&OutboxRow]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(rows.len());
        let Some(Sender::Alertmanager(alertmanager)) = self.senders.get(receiver) else {
            for row in rows {
                outcomes.push(self.send(row).await);
            }
            return outcomes;
        };
        let alerts: Vec<&Alert> = rows.iter().filter_map(|row| row.kind.alert()).collect();
        let together = match alerts.is_empty() {
            true => None,
            false => Some(alertmanager.send(&alerts).await),
        };
        let outcome = |row: &&OutboxRow| {
            let outcome = row.kind.alert().and(together.clone());
            outcome.unwrap_or_else(|| another_way(&row.receiver))
        };
        rows.iter().map(outcome).collect()
    }

    /// Sends one row, once. Takes no longer than the timeouts of the settings; a mail may take as
    /// long again for its images.
    pub async fn send(&self, row: &OutboxRow) -> Outcome {
        match (self.senders.get(&row.receiver), &row.kind) {
            (Some(Sender::Smtp(smtp)), RowKind::Mail(mail)) => {
                smtp.send(&row.id, &self.letter(mail).await).await
            }
            (Some(Sender::Folder(folder)), RowKind::Mail(mail)) => {
                folder.send(&row.id, &self.letter(mail).await).await
            }
            (Some(Sender::Webhook(webhook)), RowKind::Webhook { body, .. }) => {
                webhook.send(&row.id, body).await
            }
            (Some(Sender::Channel(channel)), RowKind::Channel { body }) => {
                channel.send(&row.id, body).await
            }
            (Some(Sender::Alertmanager(alertmanager)), RowKind::Alert(alert)) => {
                alertmanager.send(&[alert]).await
            }
            (None, _) => {
                Outcome::Failed { why: format!("there is no receiver {} any more", row.receiver) }
            }
            (Some(_), _) => another_way(&row.receiver),
        }
    }

    async fn letter(&self, mail: &Mail) -> Letter {
        let images = match &self.illustrate {
            Some(illustrate) => illustrate.images_of(mail, self.drawing_timeout).await,
            None => Vec::new(),
        };
        Letter { mail: mail.clone(), images }
    }
}

fn sender(receiver: &Receiver, settings: &DeliverySettings) -> Result<Sender, ReceiverProblem> {
    match &receiver.kind {
        ReceiverKind::Webhook(webhook) => {
            Ok(Sender::Webhook(Box::new(http::WebhookSender::new(webhook, settings)?)))
        }
        ReceiverKind::Alertmanager(to) => {
            let sender = alertmanager::AlertmanagerSender::new(to, settings)?;
            Ok(Sender::Alertmanager(Box::new(sender)))
        }
        ReceiverKind::Channel(to) => {
            Ok(Sender::Channel(Box::new(channel::ChannelSender::new(to, settings)?)))
        }
        ReceiverKind::Email(email) => {
            let letterhead = message::Letterhead::new(&email.from, &email.to)?;
            match &email.transport {
                MailTransport::Folder(folder) => {
                    let (name, folder) = (receiver.name.clone(), folder.clone());
                    Ok(Sender::Folder(folder::FolderSender { name, folder, letterhead }))
                }
                MailTransport::Smtp { server, user, password, ca } => {
                    let credentials = match (user, password) {
                        (Some(user), Some(password)) => Some((user.as_str(), password)),
                        (None, None) => None,
                        _ => return Err(ReceiverProblem::Credentials),
                    };
                    let server = smtp::Server::new(server, credentials, ca.as_deref())?;
                    let timeout = settings.mail_timeout;
                    let smtp = smtp::SmtpSender::new(server, letterhead, timeout);
                    Ok(Sender::Smtp(Box::new(smtp)))
                }
            }
        }
    }
}

/// The configuration changed between decision and delivery.
fn another_way(receiver: &str) -> Outcome {
    Outcome::Failed { why: format!("receiver {receiver} is reached another way now") }
}

/// Why one attempt could not even be made of a mail.
fn unwritable(mail: &Mail, why: &dyn std::error::Error) -> Outcome {
    Outcome::Failed { why: format!("the mail {} cannot be written: {why}", mail.message_id) }
}

/// What went wrong, with what to do where the words of TLS do not say it.
fn with_advice(mut why: String) -> String {
    if why.contains("UnknownIssuer") {
        why.push_str(
            ": nobody whom we trust vouches for its certificate; name its authority in `ca`",
        );
    }
    why
}
