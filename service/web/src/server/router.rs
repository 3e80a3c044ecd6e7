//! Every path with its handler and its rule of access.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Router};

use crate::access::{self, Access};
use crate::api::{commands, reports, series, status};
use crate::board::Board;
use crate::page::{self, show, views};
use crate::refusal::Refusal;

/// Longest body of a request: a name and a reason.
pub(crate) const BODY_BYTES: usize = 16 << 10;
/// How long a client may take to send it.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Every route with its rule of access; `beyond_loopback` where others than this machine can ask.
pub fn router(board: Arc<Board>, beyond_loopback: bool) -> Router {
    let access = Access::new(&board.http, beyond_loopback);
    let open = Router::new()
        .route("/livez", get(status::live))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics));
    let reads = Router::new()
        .route("/", show(views::models))
        .route("/models/{model}", show(views::model))
        .route("/models/{model}/windows/{window}", show(views::window))
        .route("/models/{model}/findings/{subject}", show(views::finding))
        .route("/models/{model}/candidates/{candidate}", show(views::candidate))
        .route("/alerts", show(views::alerts))
        .route("/alerts/{incident}", show(views::incident))
        .route("/service", show(views::service))
        .route("/icon.svg", get(page::icon))
        .route("/events", get(page::listen))
        .route("/api/v1/models", get(status::models))
        .route("/api/v1/models/{model}/reports", get(reports::list))
        .route("/api/v1/models/{model}/series", get(series::series))
        .route("/api/v1/models/{model}/{part}", get(part_of_model))
        .route("/api/v1/reports/{id}", get(reports::one))
        .route("/api/v1/reports/{id}/constraint_violations", get(reports::violations))
        .route("/api/v1/alerts", get(status::alerts))
        .route("/api/v1/audit", get(commands::audit))
        .route("/api/v1/ledger", get(status::ledger))
        .route("/api/v1/dead-letters", get(status::dead_letters))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(access.clone(), access::read))
        .layer(Extension(access.clone()));
    let writes = Router::new()
        .route("/api/v1/alerts/{id}/accept", post(commands::accept).delete(commands::take_back))
        .route("/api/v1/silences", post(commands::silence))
        .route("/api/v1/silences/{id}", delete(commands::end_silence))
        .route_layer(middleware::from_fn(with_whole_body))
        .route_layer(middleware::from_fn_with_state(access.clone(), access::write));
    let forms = Router::new()
        .route("/alerts/{incident}/accept", post(page::accept))
        .route("/alerts/{incident}/take-back", post(page::take_back))
        .route("/alerts/silences", post(page::silence))
        .route("/alerts/silences/{id}/end", post(page::end_silence))
        .route_layer(middleware::from_fn(with_whole_body))
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

/// Hands a request on once its body is here, which those who may not write are not asked for.
async fn with_whole_body(request: Request, next: Next) -> Response {
    match whole(request, BODY_WITHIN).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

pub(crate) async fn whole(request: Request, within: Duration) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    match tokio::time::timeout(within, body).await {
        Ok(whole) => Ok(Request::from_parts(parts, whole?.into())),
        Err(_) => {
            let sentence = format!("the body was not here after {} s", within.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence))
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
