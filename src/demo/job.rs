//! The training job's end of the retraining webhook: a real HTTP server that checks signatures.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::webhook::sign;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

/// The secret that both ends know: this server lives as long as the demo, on loopback.
const SECRET: &str = "whsec_ZHJpZnRsaW5lLWRlbW8tdHJhaW5pbmctam9iLTAx";
/// Requests that the demo has not looked at; there are at most two a day of event time.
const WAITING: usize = 1024;
/// Longest body that is read: a request names offsets, not rows.
const BODY_BYTES: usize = 1 << 20;

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
        runtime.spawn(serve(listener, inbox));
        Ok(TrainingJob { url, requests, _runtime: runtime })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn secret(&self) -> &str {
        SECRET
    }

    pub(super) fn take_requests(&self) -> Vec<RetrainRequest> {
        self.requests.try_iter().collect()
    }
}

async fn serve(listener: tokio::net::TcpListener, inbox: Inbox) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(inbox.clone(), request));
            // Whoever breaks off sends again.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    inbox: Inbox,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let (head, body) = request.into_parts();
    *response.status_mut() = if head.uri.path() != "/retrain" || head.method != Method::POST {
        StatusCode::NOT_FOUND
    } else {
        match Limited::new(body, BODY_BYTES).collect().await {
            Ok(body) => inbox.receive(&head.headers, &body.to_bytes()),
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    };
    Ok(response)
}

impl Inbox {
    /// Takes a request whose signature is right, once.
    fn receive(&self, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signature)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return StatusCode::BAD_REQUEST;
        };
        let expected = timestamp.parse().ok().and_then(|at| sign(id, at, body, SECRET).ok());
        if expected.as_deref() != Some(signature) {
            return StatusCode::UNAUTHORIZED;
        }
        let Ok(request) = serde_json::from_slice::<RetrainRequest>(body) else {
            return StatusCode::BAD_REQUEST;
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.iter().any(|known| known == id) {
            seen.push(id.to_owned());
            // A demo that has ended does not look any more.
            let _ = self.requests.try_send(request);
        }
        StatusCode::NO_CONTENT
    }
}
