//! The HTTP interface of CONTRACTS §6: probes, metrics, the API and the page.
//!
//! ```text
//! driver ─► Board::publish(Live) ─► handlers ─► JSON, text, HTML
//!    ▲                                │  reports: Store, on threads that may block
//!    └──────── Command (bounded) ◄────┘  accept, silence: 202, or 503 when too many wait
//! ```
//!
//! Handlers hold nothing that the pipeline waits for. Nothing here decides: what is shown was
//! decided elsewhere, and what is asked for is carried out by the driver.

mod access;
mod board;
mod commands;
mod connections;
mod events;
mod live;
mod page;
mod refusal;
mod reports;
mod status;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;

use access::Access;
use connections::Bounds;
use refusal::Refusal;

pub use board::{Board, Command};
pub use live::{
    AcceptanceStatus, CandidateStatus, CheckState, DEAD_LETTERS, DeadLetter, IncidentStatus, Live,
    ModelStatus, PaneStatus, PartitionStatus, ReadyCheck, RecentWindow, Step, TopicStatus,
};
pub use tls::{Tls, TlsError};

/// Longest body of a request: a name and a reason.
const BODY_BYTES: usize = 16 << 10;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Answers on `listener` until `shutdown` ends, and a few seconds longer for answers in progress.
/// With `tls` only encrypted connections are answered.
///
/// # Errors
/// The listener cannot be used. A taken port is met earlier, by whoever binds it.
pub async fn serve(
    (listener, tls): (std::net::TcpListener, Option<Tls>),
    board: Arc<Board>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let beyond_loopback = !listener.local_addr()?.ip().to_canonical().is_loopback();
    let router = router(Arc::clone(&board), beyond_loopback);
    let shutdown = async move {
        shutdown.await;
        board.end_events();
    };
    let tls = tls.map(|tls| tls.0);
    connections::serve((listener, tls), router, Bounds::default(), shutdown).await;
    Ok(())
}

/// Every route with its rule of access; `beyond_loopback` where others than this machine can ask.
pub fn router(board: Arc<Board>, beyond_loopback: bool) -> Router {
    let access = Access::new(&board.http, beyond_loopback);
    let open = Router::new()
        .route("/livez", get(status::live))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics));
    let reads = Router::new()
        .route("/", get(page::models))
        .route("/models/{model}", get(page::model))
        .route("/models/{model}/windows/{window}", get(page::window))
        .route("/models/{model}/findings/{subject}", get(page::finding))
        .route("/models/{model}/candidates/{candidate}", get(page::candidate))
        .route("/alerts", get(page::alerts))
        .route("/alerts/{incident}", get(page::incident))
        .route("/service", get(page::service))
        .route("/icon.svg", get(page::icon))
        .route("/events", get(events::listen))
        .route("/api/v1/models", get(status::models))
        .route("/api/v1/models/{model}/reports", get(reports::list))
        .route("/api/v1/models/{model}/series", get(reports::series))
        .route("/api/v1/models/{model}/{part}", get(part_of_model))
        .route("/api/v1/reports/{id}", get(reports::one))
        .route("/api/v1/alerts", get(status::alerts))
        .route("/api/v1/ledger", get(status::ledger))
        .route("/api/v1/dead-letters", get(status::dead_letters))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(access.clone(), access::read))
        .layer(Extension(access.clone()));
    let writes = Router::new()
        .route("/api/v1/alerts/{id}/accept", post(commands::accept))
        .route("/api/v1/silences", post(commands::silence))
        .route_layer(middleware::from_fn_with_state(access.clone(), access::write));
    let forms = Router::new()
        .route("/alerts/{incident}/accept", post(page::accept))
        .route("/alerts/silences", post(page::silence))
        .route_layer(middleware::from_fn_with_state(access.clone(), access::form))
        .layer(Extension(access));
    open.merge(reads)
        .merge(writes)
        .merge(forms)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(within_time))
        .layer(middleware::from_fn(with_headers))
        .with_state(board)
}

async fn nowhere(request: Request) -> Refusal {
    Refusal::not_found(format!("there is nothing at {}", request.uri().path()))
}

/// What CONTRACTS names for later is told apart from what never was.
async fn part_of_model(Path((_, part)): Path<(String, String)>) -> Refusal {
    match part.as_str() {
        "verdict" => Refusal::not_found("verdict is not built yet"),
        _ => Refusal::not_found("a model has reports and series"),
    }
}

async fn wrong_method(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"))
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = ANSWER_WITHIN.as_secs();
            let sentence = format!("this took longer than {seconds} s: ask for less, or later");
            Refusal::unavailable(sentence).into_response()
        }
    }
}

/// Headers that keep a browser from doing more with an answer than showing it.
async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Under `no-referrer` browsers hide the origin of our own forms from us.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    response
}

/// # Errors
/// No model has this name.
fn known_model(live: &Live, model: &str) -> Result<(), Refusal> {
    if live.models.iter().any(|known| known.name == model) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("no model is called {model}; see /api/v1/models")))
}
