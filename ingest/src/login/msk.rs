//! The token of AWS MSK IAM: a signed address in base64, as the signers of AWS make it.
//!
//! It is `GET https://kafka.REGION.amazonaws.com/?Action=kafka-cluster:Connect` signed by Signature Version 4 in its
//! query for 900 s, with the name of the client behind it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use driftline_config::Secret;
use reqwest::Url;

use super::Token;

const LIFETIME: Duration = Duration::from_secs(900);
const SERVICE: &str = "kafka-cluster";
const USER_AGENT: &str = concat!("driftline/", env!("CARGO_PKG_VERSION"));

/// The token that these credentials sign at `now`.
pub(super) fn token(
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<Token, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("cannot sign a token: {error}");
    let address = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let mut url = Url::parse(&address).map_err(|error| unusable(&error))?;
    let ends_with_us = credentials.expiry();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| unusable(&error))?;
    let request =
        SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]));
    let request = request.map_err(|error| unusable(&error))?;
    let signed = sign(request, &parameters.into()).map_err(|error| unusable(&error))?;
    let (instructions, _) = signed.into_parts();
    let mut query = url.query_pairs_mut();
    for (name, value) in instructions.params() {
        query.append_pair(name, value);
    }
    query.append_pair("User-Agent", USER_AGENT);
    drop(query);
    // A token outlives no credentials: a session that ends takes it along.
    let until = ends_with_us.map_or(now + LIFETIME, |end| end.min(now + LIFETIME));
    Ok(Token { value: Secret::new(URL_SAFE_NO_PAD.encode(url.as_str())), from: now, until })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 2026-01-05T12:30:45Z.
    const AT: Duration = Duration::from_secs(1_767_616_245);
    const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// The addresses are those of AWS's own signer for Python (1.0.2) with its clock held at that instant.
    #[test]
    fn tokens_are_those_of_the_signer_of_aws() {
        for (id, session, region, golden) in [
            (
                "AKIDEXAMPLE",
                None,
                "us-east-1",
                "https://kafka.us-east-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260105%2Fus-east-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20260105T123045Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=24bc07b27f25a7a69104b2593c1775790e548c539091cf4bec9bf63430a8b676",
            ),
            (
                "ASIAEXAMPLE",
                Some("FwoGZXIvYXdzE/+session=="),
                "eu-west-1",
                "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLE%2F20260105%2Feu-west-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20260105T123045Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=FwoGZXIvYXdzE%2F%2Bsession%3D%3D&X-Amz-Signature=f73bca74a680b05b6d65d30ffb95182a306a2ede4f10ad69c15538920027b175",
            ),
        ] {
            let session = session.map(str::to_owned);
            let credentials = Credentials::new(id, KEY, session, None, "test");
            let token = token(region, credentials, UNIX_EPOCH + AT).unwrap();
            let address = URL_SAFE_NO_PAD.decode(token.value.expose()).unwrap();
            let found = Url::parse(std::str::from_utf8(&address).unwrap()).unwrap();
            let mut golden = Url::parse(golden).unwrap();
            golden.query_pairs_mut().append_pair("User-Agent", USER_AGENT);
            assert_eq!((found.host_str(), found.path()), (golden.host_str(), golden.path()));
            let pairs = |url: &Url| url.query_pairs().into_owned().collect::<BTreeMap<_, _>>();
            assert_eq!(pairs(&found), pairs(&golden));
            assert_eq!(token.until, UNIX_EPOCH + AT + LIFETIME);
        }
    }

    #[test]
    fn a_token_ends_with_the_session_that_signed_it() {
        let end = UNIX_EPOCH + AT + Duration::from_secs(100);
        let credentials = Credentials::new("id", KEY, None, Some(end), "test");
        assert_eq!(token("r", credentials, UNIX_EPOCH + AT).unwrap().until, end);
    }
}
