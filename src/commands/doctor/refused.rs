//! What a broker refuses, and the command that shows it or mends it.

use driftline_config::{Config, KafkaAuth};
use driftline_ingest::{IngestError, Refusal};

/// One sentence: what is wrong with reaching the broker, and what to do.
pub(super) fn broker(config: &Config, error: &IngestError) -> String {
    let refusal = match error {
        IngestError::Unreachable { refusal, .. } => *refusal,
        _ => None,
    };
    let advice = match refusal {
        None => "start it, or correct kafka.bootstrap and kafka.properties".to_owned(),
        Some(Refusal::Tls) => format!(
            "the certificates do not fit ({}); look with openssl s_client -connect {} -showcerts",
            if config.kafka.tls.is_some() {
                "kafka.tls"
            } else {
                "ssl.ca.location of kafka.properties, or ca, certificate and key of kafka.tls"
            },
            first_broker(config)
        ),
        Some(Refusal::Token) => token(config),
        Some(Refusal::Authentication) => authentication(config),
        Some(Refusal::Authorization) => {
            "the login is known and may not: ask for its rights".to_owned()
        }
    };
    format!("{error}: {advice}")
}

/// The same of a topic.
pub(super) fn topic(config: &Config, name: &str, error: &IngestError) -> String {
    match error {
        IngestError::Topic { denied: true, .. } if is_msk(config) => format!(
            "{error}: the login is known and may not; allow its role kafka-cluster:DescribeTopic, \
             kafka-cluster:ReadData and kafka-cluster:DescribeTopicDynamicConfiguration on topic {name}, and \
             kafka-cluster:AlterGroup and DescribeGroup on group {}",
            config.kafka.group
        ),
        IngestError::Topic { denied: true, .. } => format!(
            "{error}: the login is known and may not; run kafka-acls --bootstrap-server {} --add \
             --allow-principal User:NAME --operation Read --operation DescribeConfigs --topic {name}, and \
             --operation Read --group {}",
            first_broker(config),
            config.kafka.group
        ),
        _ => error.to_string(),
    }
}

fn token(config: &Config) -> String {
    match &config.kafka.auth {
        Some(KafkaAuth::AwsMskIam(_)) => {
            "no token could be signed; look with aws sts get-caller-identity as the service's user"
                .to_owned()
        }
        Some(KafkaAuth::OAuthBearer(settings)) => format!(
            "no token was given; look with curl --user {} --data grant_type=client_credentials {}",
            settings.client_id, settings.token_url
        ),
        None => "set kafka.auth".to_owned(),
    }
}

fn authentication(config: &Config) -> String {
    match &config.kafka.auth {
        Some(KafkaAuth::AwsMskIam(settings)) => format!(
            "the broker refuses the token; look whose it is with aws sts get-caller-identity, and allow it \
             kafka-cluster:Connect on a cluster in {}",
            settings.region
        ),
        Some(KafkaAuth::OAuthBearer(settings)) => format!(
            "the broker refuses the token that {} gives; compare its issuer, audience and scope with \
             sasl.oauthbearer.expected.issuer and sasl.oauthbearer.expected.audience of the broker",
            settings.token_url
        ),
        None => format!(
            "correct the user and the password in kafka.properties; for SCRAM look with kafka-configs \
             --bootstrap-server {} --describe --entity-type users",
            first_broker(config)
        ),
    }
}

fn is_msk(config: &Config) -> bool {
    matches!(config.kafka.auth, Some(KafkaAuth::AwsMskIam(_)))
}

fn first_broker(config: &Config) -> &str {
    config.kafka.bootstrap.split(',').next().unwrap_or_default().trim()
}
