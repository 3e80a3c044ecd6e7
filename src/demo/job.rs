//! The training job's end of the retraining webhook: a real HTTP server that checks signatures.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::webhook::sign;

/// The secret that both ends know: this server lives as long as the demo, on loopback.
const SECRET: &str = "whsec_ZHJpZnRsaW5lLWRlbW8tdHJhaW5pbmctam9iLTAx";
/// Requests that the demo has not looked at; there are at most two a day of event time.
const WAITING: usize = 1024;

/// The running server.
#[derive(Debug)]
pub(super) struct TrainingJob {
    url: String,
    requests: Receiver<RetrainRequest>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Inbox {
    requests: SyncSender<RetrainRequest>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TrainingJob {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// The operating system refuses a port or a thread.
    pub(super) fn start() -> anyhow::Result<TrainingJob> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("the operating system refuses a thread")?;
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .context("no port for the training job")?;
        let url = format!("http://{}/retrain", listener.local_addr()?);
        let (sender, requests) = sync_channel(WAITING);
        let inbox = Inbox { requests: sender, seen: Arc::default() };
        let router = Router::new().route("/retrain", post(receive)).with_state(inbox);
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the training job's server ended");
            }
        });
        Ok(TrainingJob { url, requests, _runtime: runtime })
    }

    /// Where requests go.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What signs them.
    pub(super) fn secret(&self) -> &str {
        SECRET
    }

    /// Requests that arrived since the last call, each once.
    pub(super) fn take_requests(&self) -> Vec<RetrainRequest> {
        self.requests.try_iter().collect()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signature)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return StatusCode::BAD_REQUEST;
    };
    let expected = timestamp.parse().ok().and_then(|at| sign(id, at, &body, SECRET).ok());
    if expected.as_deref() != Some(signature) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(request) = serde_json::from_slice::<RetrainRequest>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut seen = inbox.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if !seen.iter().any(|known| known == id) {
        seen.push(id.to_owned());
        // A demo that has ended does not look any more.
        let _ = inbox.requests.try_send(request);
    }
    StatusCode::NO_CONTENT
}
