//! The three routes of a registry: a schema by its number, by its GUID, and by subject and version, which is
//! how one schema refers to another.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftline_config::{RegistryLogin, SchemaRegistry, Secret};
use driftline_formats::{SchemaId, SchemaKind, SchemaReference, SchemaText};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::error::IngestError;
use crate::https::{self, said};

/// Bytes of one answer. Registries refuse larger schemas.
const MOST_BYTES: usize = 8 << 20;
/// Schemas that one may refer to, directly or not.
const MOST_REFERENCES: usize = 1000;

/// Why no schema came.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry answers, and has no such schema.
    Absent,
    Other(String),
}

/// A registry that is asked.
pub(super) struct Client {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

/// An answer that is a schema.
struct Answer {
    kind: SchemaKind,
    text: String,
    references: Vec<Reference>,
}

/// A schema that an answer refers to.
struct Reference {
    name: String,
    subject: String,
    version: u64,
}

impl Client {
    pub(super) fn new(settings: &SchemaRegistry) -> Result<Client, IngestError> {
        let refused =
            |why: String| IngestError::RegistrySettings { url: settings.url.clone(), why };
        let url = Url::parse(&settings.url).map_err(|_| refused("it is no address".to_owned()))?;
        let client = https::client(settings.ca.as_deref()).map_err(refused)?;
        let headers = headers(&settings.login).map_err(refused)?;
        Ok(Client { client, url, headers })
    }

    /// The schema with all that it refers to.
    pub(super) async fn fetch(&self, id: SchemaId) -> Result<SchemaText, Failure> {
        let id_text = id.to_string();
        let route = match id {
            SchemaId::Number(_) => ["schemas", "ids", &id_text],
            SchemaId::Guid(_) => ["schemas", "guids", &id_text],
        };
        let main = self.answer(&route).await?;
        let mut references = Vec::new();
        let mut seen = BTreeSet::new();
        // Each stands behind those that it refers to: last come the first.
        let mut waiting: Vec<Reference> = main.references;
        while let Some(reference) = waiting.pop() {
            if !seen.insert(reference.name.clone()) {
                // Two refer to it: it must stand before both.
                let at = references
                    .iter()
                    .position(|known: &SchemaReference| known.name == reference.name);
                if let Some(at) = at {
                    let known = references.remove(at);
                    references.push(known);
                }
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                let why = format!("schema {id} refers to more than {MOST_REFERENCES} others");
                return Err(Failure::Other(why));
            }
            let version = reference.version.to_string();
            let route = ["subjects", &reference.subject, "versions", &version];
            let answer = self.answer(&route).await.map_err(|failure| match failure {
                Failure::Absent => Failure::Other(format!(
                    "schema {id} refers to version {version} of {}, which it does not have",
                    reference.subject
                )),
                other => other,
            })?;
            waiting.extend(answer.references);
            references.push(SchemaReference { name: reference.name, text: answer.text });
        }
        references.reverse();
        Ok(SchemaText { kind: main.kind, text: main.text, references })
    }

    async fn answer(&self, route: &[&str]) -> Result<Answer, Failure> {
        let other = |why: String| Failure::Other(why);
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| other("its address takes no path".to_owned()))?
            .pop_if_empty()
            .extend(route);
        let request = self.client.get(url).headers(self.headers.clone());
        let mut response = request.send().await.map_err(|error| other(said(error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| other(said(error)))? {
            if body.len() + bytes.len() > MOST_BYTES {
                return Err(other(format!("its answer has more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&bytes);
        }
        if status == StatusCode::NOT_FOUND && is_absent(&body) {
            return Err(Failure::Absent);
        }
        if !status.is_success() {
            return Err(other(format!("it answered {status} to {}", route.join("/"))));
        }
        Answer::read(&body)
            .ok_or_else(|| other(format!("its answer to {} is no schema", route.join("/"))))
    }
}

/// Whether it is the registry that knows no such schema, and not a server that knows no such address.
fn is_absent(body: &[u8]) -> bool {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let code = answer.as_ref().and_then(|answer| answer.get("error_code"));
    matches!(code.and_then(Value::as_u64), Some(404 | 40401..=40499))
}

impl Answer {
    fn read(body: &[u8]) -> Option<Answer> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let text = answer.get("schema")?.as_str()?.to_owned();
        let kind = match answer.get("schemaType") {
            // Registries leave out what all schemas once were.
            None | Some(Value::Null) => SchemaKind::Avro,
            Some(kind) => SchemaKind::of_name(kind.as_str()?)?,
        };
        let references = match answer.get("references") {
            None | Some(Value::Null) => Vec::new(),
            Some(references) => {
                let read = |reference: &Value| {
                    let text = |key: &str| Some(reference.get(key)?.as_str()?.to_owned());
                    let version = reference.get("version")?.as_u64()?;
                    Some(Reference { name: text("name")?, subject: text("subject")?, version })
                };
                references.as_array()?.iter().map(read).collect::<Option<Vec<Reference>>>()?
            }
        };
        Some(Answer { kind, text, references })
    }
}

fn headers(login: &RegistryLogin) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let accept = "application/vnd.schemaregistry.v1+json, application/json";
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let value = match login {
        RegistryLogin::None => return Ok(headers),
        RegistryLogin::Password { user, password } => {
            let both = format!("{}:{}", user.expose(), password.expose());
            Secret::new(format!("Basic {}", STANDARD.encode(both)))
        }
        RegistryLogin::Token(token) => Secret::new(format!("Bearer {}", token.expose())),
    };
    let mut value = HeaderValue::from_str(value.expose())
        .map_err(|_| "its token holds what no header can".to_owned())?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(headers)
}
