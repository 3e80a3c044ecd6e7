//! How a broker is to know us, beyond what librdkafka's properties say.

use std::path::PathBuf;

use crate::secret::Secret;

/// A login by tokens (SASL OAUTHBEARER), which are fetched or signed as they are needed: `kafka.auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaAuth {
    AwsMskIam(AwsMskIam),
    OAuthBearer(ClientCredentials),
}

impl KafkaAuth {
    /// As the configuration writes it.
    pub fn name(&self) -> &'static str {
        match self {
            KafkaAuth::AwsMskIam(_) => "aws-msk-iam",
            KafkaAuth::OAuthBearer(_) => "oauthbearer",
        }
    }
}

/// Tokens signed by the AWS credentials that the environment gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsMskIam {
    /// Of the cluster, such as `eu-west-1`.
    pub region: String,
    /// ARN of a role that is taken on first.
    pub role: Option<String>,
}

/// Tokens by OAuth 2.0's grant `client_credentials` (RFC 6749 §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// `https://`, or `http://` on this machine.
    pub token_url: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
    /// PEM file of further certificates that `token_url` is trusted by.
    pub ca: Option<PathBuf>,
}

/// Encryption to the broker, and the certificate by which it knows us: `kafka.tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTls {
    /// PEM file of the certificates that the broker is trusted by; the system's where none is named.
    pub ca: Option<PathBuf>,
    pub identity: Option<KafkaIdentity>,
}

/// A certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaIdentity {
    /// PEM file of the certificate and those that vouch for it.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub key_password: Option<Secret>,
}
