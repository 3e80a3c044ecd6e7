//! Around every view: who asks and from where, and the document that answers, whatever becomes of it.

use std::future::Future;
use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::{ExtensionRejection, PathRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use driftline_alerting::links;
use maud::{Markup, html};
use serde::de::DeserializeOwned;

use super::parts::form::Forms;
use super::shell::document;
use crate::access::Access;
use crate::board::Board;
use crate::live::Live;
use crate::refusal::Refusal;

/// One request for a view: what the view may look at.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(super) board: Arc<Board>,
    pub(super) live: Arc<Live>,
    pub(super) root: Root,
    pub(super) forms: Forms,
    uri: Uri,
    access: Access,
    headers: HeaderMap,
}

/// What a view gives.
pub(crate) struct View {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) follows: Follows,
    pub(super) body: Markup,
}

/// Of which changes a page that is open wants to hear.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// Those of this model; `*` stands for any.
    pub(super) model: Option<String>,
    /// Those of incidents, silences and receipts.
    pub(super) alerts: bool,
}

/// Which entry of the navigation a view belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Models,
    Alerts,
    Service,
}

/// The way from a view back to the page's root, relative, so that it holds behind a proxy's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root(String);

impl Root {
    /// As many steps up as the path has segments behind its first.
    fn of(path: &str) -> Root {
        let above = path.matches('/').count().saturating_sub(1);
        Root(if above == 0 { ".".to_owned() } else { vec![".."; above].join("/") })
    }

    /// A link to a path of [`links`].
    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromRequestParts<Arc<Board>> for Visit {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        board: &Arc<Board>,
    ) -> Result<Visit, ExtensionRejection> {
        let Extension(access) = Extension::<Access>::from_request_parts(parts, board).await?;
        Ok(Visit {
            board: Arc::clone(board),
            live: board.live(),
            root: Root::of(parts.uri.path()),
            forms: Forms::new(access.has_token(), access.shows_token(&parts.headers)),
            uri: parts.uri.clone(),
            access,
            headers: parts.headers.clone(),
        })
    }
}

impl Visit {
    /// What stands behind the question mark.
    ///
    /// # Errors
    /// It cannot be understood.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let Query(query) = Query::try_from_uri(&self.uri)?;
        Ok(query)
    }

    /// # Errors
    /// The token is neither shown by the browser nor in the form's field.
    pub(super) fn check_form(&self, token: &str) -> Result<(), Refusal> {
        self.access.check_form(&self.headers, token)
    }
}

/// The handler of a view.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_lies_as_far_up_as_the_path_is_long() {
        let table = [
            ("/", "."),
            ("/alerts", "."),
            ("/models/flight-delay", ".."),
            ("/alerts/abc/accept", "../.."),
            ("/models/a%2Fb/windows/x", "../../.."),
        ];
        for (path, root) in table {
            assert_eq!(Root::of(path).as_str(), root, "{path}");
        }
    }
}
