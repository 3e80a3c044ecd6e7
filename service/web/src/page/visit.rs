//! What a view is given, and what it gives.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use maud::Markup;
use serde::de::DeserializeOwned;

use super::parts::form::Forms;
use super::root::Root;
use crate::access::{Access, Caller, Peer};
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
    peer: Option<Peer>,
}

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
    pub(super) alerts: bool,
}

/// Which entry of the navigation a view belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Models,
    Alerts,
    Service,
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
            peer: parts.extensions.get::<Peer>().copied(),
        })
    }
}

impl Visit {
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let Query(query) = Query::try_from_uri(&self.uri)?;
        Ok(query)
    }

    /// Who sends a form, where that may be.
    pub(super) fn check_form(&self, token: &str) -> Result<Caller, Refusal> {
        let token = self.access.check_form(&self.headers, token)?;
        Ok(self.access.caller(token, self.peer, &self.headers))
    }
}
