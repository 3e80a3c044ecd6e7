//! `kafka.auth` and `kafka.tls`, and the properties that would contradict them.

use crate::login::{AwsMskIam, ClientCredentials, KafkaAuth, KafkaIdentity, KafkaTls};
use crate::reader::{Read, Section, Value, wrong};
use crate::resolve::service::is_http_url;

/// Properties that `kafka.auth` decides.
const OF_AUTH: [&str; 2] = ["security.protocol", "enable.sasl.oauthbearer.unsecure.jwt"];
/// Properties that `kafka.tls` decides; a `.` ends what is the beginning of several.
const OF_TLS: [&str; 5] =
    ["security.protocol", "ssl.ca.", "ssl.certificate.", "ssl.key.", "ssl.keystore."];

/// Why a property cannot be set beside the sections that are written.
pub(super) fn property_problem(kafka: &Section<'_>, name: &str) -> Option<String> {
    if kafka.has("auth") && (OF_AUTH.contains(&name) || name.starts_with("sasl.")) {
        return Some("kafka.auth decides it: remove one of them".to_owned());
    }
    let is_of_tls = |of: &&str| if of.ends_with('.') { name.starts_with(*of) } else { name == *of };
    if kafka.has("tls") && OF_TLS.iter().any(is_of_tls) {
        return Some("kafka.tls decides it: remove one of them".to_owned());
    }
    None
}

/// Exactly one way.
pub(super) fn auth(value: Value<'_>) -> Option<KafkaAuth> {
    let mut section = Section::of(value.context, value.node, "kafka.auth")?;
    let msk = section.value("aws-msk-iam").map(aws_msk_iam);
    let bearer = section.value("oauthbearer").map(oauthbearer);
    let ways = [msk.is_some(), bearer.is_some()].iter().filter(|written| **written).count();
    section.check("auth", ways != 1, || {
        wrong("kafka.auth names one way to sign in")
            .hint("write aws-msk-iam: {region: …} or oauthbearer: {token_url: …}; passwords and SCRAM are kafka.properties")
    });
    section.finish();
    match (msk, bearer) {
        (Some(msk), None) => msk.map(KafkaAuth::AwsMskIam),
        (None, Some(bearer)) => bearer.map(KafkaAuth::OAuthBearer),
        _ => None,
    }
}

fn aws_msk_iam(value: Value<'_>) -> Option<AwsMskIam> {
    let mut section = Section::of(value.context, value.node, "kafka.auth.aws-msk-iam")?;
    let region = section.require("region", |value| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        value.text_where(
            |text| (1..=64).contains(&text.len()) && text.chars().all(fits),
            || value.not("a region of AWS").hint("write it as in eu-west-1"),
        )
    });
    let role = section.read("role", |value| {
        value.text_where(
            |text| text.starts_with("arn:") && text.contains(":role/") && !text.contains(' '),
            || value.not("the ARN of a role").hint("write arn:aws:iam::ACCOUNT:role/NAME"),
        )
    });
    section.finish();
    Some(AwsMskIam { region: region?, role })
}

fn oauthbearer(value: Value<'_>) -> Option<ClientCredentials> {
    let mut section = Section::of(value.context, value.node, "kafka.auth.oauthbearer")?;
    let token_url = section.require("token_url", token_url);
    let client_id = section.require("client_id", Value::filled);
    let client_secret = section.require("client_secret", Value::secret);
    let scope = section.read("scope", Value::filled);
    let ca = section.read("ca", Value::path);
    section.finish();
    Some(ClientCredentials {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        ca,
    })
}

fn token_url(value: Value<'_>) -> Read<String> {
    let text = value.text_where(is_http_url, || {
        value.not("the address of a token endpoint").hint("write https://…")
    })?;
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let problem = wrong("an address with a password in it is printed in logs");
        return Err(problem.hint("write `client_id` and `client_secret` beside it"));
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    if text.starts_with("http://") && !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        let problem = wrong("a client secret would cross the network in the clear");
        return Err(problem.hint("write https://…"));
    }
    Ok(text)
}

/// Nothing in it is encryption by the system's certificates.
pub(super) fn tls(value: Value<'_>) -> Option<KafkaTls> {
    let mut section = Section::of(value.context, value.node, "kafka.tls")?;
    let ca = section.read("ca", Value::path);
    let certificate = section.read("certificate", Value::path);
    let key = section.read("key", Value::path);
    let key_password = section.read("key_password", Value::secret);
    let both = section.has("certificate") == section.has("key");
    section.check("certificate", !both, || wrong("`certificate` and `key` belong together"));
    section.check("key_password", section.has("key_password") && !section.has("key"), || {
        wrong("`key_password` is for a `key`, and none is named")
    });
    section.finish();
    let identity = certificate.zip(key).map(|(certificate, key)| KafkaIdentity {
        certificate,
        key,
        key_password,
    });
    Some(KafkaTls { ca, identity })
}
