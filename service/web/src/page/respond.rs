//! Around every view: the document that answers, whatever becomes of the view.

use std::future::Future;
use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use driftline_alerting::links;
use maud::html;
use serde::de::DeserializeOwned;

use super::shell::document;
use super::visit::{Follows, Section, View, Visit};
use crate::board::Board;
use crate::refusal::Refusal;

pub(crate) fn show<P, F>(view: fn(Visit, P) -> F) -> MethodRouter<Arc<Board>>
where
    P: DeserializeOwned + Send + 'static,
    F: Future<Output = Result<View, Refusal>> + Send + 'static,
{
    get(move |visit: Visit, path: Result<Path<P>, PathRejection>| async move {
        let answer = match path {
            Ok(Path(path)) => view(visit.clone(), path).await,
            Err(rejection) => Err(rejection.into()),
        };
        respond(&visit, answer)
    })
}

/// The document of a view, or of why there is none.
pub(super) fn respond(visit: &Visit, answer: Result<View, Refusal>) -> Response {
    let (status, view) = match answer {
        Ok(view) => (StatusCode::OK, view),
        Err(refusal) => refused(visit, refusal),
    };
    let status = visit.forms.refused_with().unwrap_or(status);
    // A browser's own question for a password would hide the sentence.
    let status = if status == StatusCode::UNAUTHORIZED { StatusCode::FORBIDDEN } else { status };
    (status, document(visit, view)).into_response()
}

/// A view that cannot be shown, as a page for people.
fn refused(visit: &Visit, refusal: Refusal) -> (StatusCode, View) {
    let (status, sentence) = refusal.parts();
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Not allowed",
        StatusCode::BAD_REQUEST => "Not understood",
        _ => "Not now",
    };
    let root = &visit.root;
    let body = html! {
        h1 { (title) }
        p.lead { (sentence) }
        p { a href=(root.to(links::MODELS)) { "All models" } " · " a href=(root.to(links::ALERTS)) { "Alerts" } }
    };
    let (title, section) = (title.to_owned(), Section::Models);
    (status, View { title, section, follows: Follows::default(), body })
}
