//! Tokens by the grant `client_credentials` of OAuth 2.0 (RFC 6749 §4.4).

use std::time::{Duration, SystemTime};

use driftline_config::{ClientCredentials, Secret};
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use super::Token;
use crate::https::{self, said};

/// Bytes of one answer: a token is a header's length.
const MOST_BYTES: usize = 256 << 10;
/// The time of a token whose answer names none: what its giver would end sooner is asked for again when the
/// broker refuses it.
const UNNAMED_LIFETIME: Duration = Duration::from_secs(300);
/// Characters of the giver's own words in an error.
const QUOTED: usize = 200;

/// Asks the token endpoint.
pub(super) async fn token(settings: &ClientCredentials) -> Result<Token, String> {
    let url = &settings.token_url;
    let refused = |why: String| format!("the token endpoint {url}: {why}");
    let client = https::client(settings.ca.as_deref()).map_err(refused)?;
    let from = SystemTime::now();
    let mut response = client
        .post(Url::parse(url).map_err(|error| refused(error.to_string()))?)
        .basic_auth(&settings.client_id, Some(settings.client_secret.expose()))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(settings))
        .send()
        .await
        .map_err(|error| refused(said(error)))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| refused(said(error)))? {
        if body.len() + bytes.len() > MOST_BYTES {
            return Err(refused(format!("its answer has more than {MOST_BYTES} bytes")));
        }
        body.extend_from_slice(&bytes);
    }
    // An answer that is no JSON is told by its status.
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let why = reason(&answer).replace(settings.client_secret.expose(), "<secret>");
        return Err(refused(format!("it answered {status}{why}")));
    }
    let text = answer.get("access_token").and_then(Value::as_str);
    let text = text.ok_or_else(|| refused("its answer holds no access_token".to_owned()))?;
    let seconds = answer.get("expires_in").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
    let lifetime = seconds.map_or(UNNAMED_LIFETIME, Duration::from_secs);
    let until = from.checked_add(lifetime).unwrap_or(from + UNNAMED_LIFETIME);
    Ok(Token { value: Secret::new(text), from, until })
}

fn form(settings: &ClientCredentials) -> String {
    // Only its encoding is used: the pairs of a query are written as those of a form.
    let mut scratch = Url::parse("https://form.invalid").ok();
    if let Some(url) = &mut scratch {
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("grant_type", "client_credentials");
        pairs.extend_pairs(settings.scope.as_ref().map(|scope| ("scope", scope)));
    }
    scratch.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

/// What the answer to a refused request says, by RFC 6749 §5.2.
fn reason(answer: &Value) -> String {
    let said = ["error", "error_description"]
        .iter()
        .filter_map(|key| answer.get(key)?.as_str())
        .map(|text| text.chars().filter(|c| !c.is_control()).take(QUOTED).collect::<String>());
    said.map(|text| format!(": {text}")).collect()
}
