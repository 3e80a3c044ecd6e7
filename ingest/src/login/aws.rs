//! The credentials that AWS's own libraries would find: environment, profile, web identity, container, machine;
//! over the HTTP client that everything here uses.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use driftline_config::AwsMskIam;
use reqwest::Method;

use crate::https::{self, with_causes};

/// What the session of a role is called in AWS's own records.
const SESSION: &str = "driftline";

/// The credentials to sign with: those of the role, where one is named.
pub(super) async fn credentials(settings: &AwsMskIam) -> Result<Credentials, String> {
    let client = https::client(None)?;
    let region = Region::new(settings.region.clone());
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .http_client(http_client_fn(move |settings, _| {
            let timeout = settings.read_timeout();
            SharedHttpConnector::new(Connector { client: client.clone(), timeout })
        }))
        .load()
        .await;
    let found = match &settings.role {
        Some(role) => {
            let provider = AssumeRoleProvider::builder(role)
                .configure(&config)
                .region(region)
                .session_name(SESSION)
                .build()
                .await;
            provider.provide_credentials().await
        }
        None => match config.credentials_provider() {
            Some(provider) => provider.provide_credentials().await,
            None => return Err("no AWS credentials are configured".to_owned()),
        },
    };
    found.map_err(|error| format!("no AWS credentials: {}", with_causes(&error)))
}

/// Their requests by our client.
#[derive(Debug)]
struct Connector {
    client: reqwest::Client,
    timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, timeout) = (self.client.clone(), self.timeout);
        HttpConnectorFuture::new(async move {
            let user =
                |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
            let method = Method::from_bytes(request.method().as_bytes());
            let method = method.map_err(|error| user(error.into()))?;
            let mut asked = client.request(method, request.uri());
            for (name, value) in request.headers() {
                asked = asked.header(name, value);
            }
            if let Some(timeout) = timeout {
                asked = asked.timeout(timeout);
            }
            // What is asked for credentials is a form at most, in memory.
            let body = request.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
            let answer = asked.body(body).send().await.map_err(failed)?;
            let status = answer.status().as_u16().try_into();
            let status = status.map_err(|error| ConnectorError::other(Box::new(error), None))?;
            let headers = answer.headers().clone();
            let body = answer.bytes().await.map_err(failed)?;
            let mut response = HttpResponse::new(status, SdkBody::from(body.to_vec()));
            for (name, value) in &headers {
                // A header that is no text is none that an answer about credentials is read by.
                if let Ok(value) = value.to_str() {
                    response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(response)
        })
    }
}

fn failed(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() {
        ConnectorError::timeout(Box::new(error))
    } else {
        ConnectorError::io(Box::new(error))
    }
}
