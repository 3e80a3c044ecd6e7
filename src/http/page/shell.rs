//! What all views share: the document around them, its policy, and how a view that is not there looks.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_config::links;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::http::board::Board;
use crate::http::live::{CheckState, Live};
use crate::http::refusal::Refusal;
use crate::http::status::readiness;
use crate::plots;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// The style sheet, and the policy that allows it and our own script by their hashes.
#[derive(Debug)]
pub(in crate::http) struct Look {
    sheet: String,
    policy: HeaderValue,
}

/// Which entry of the navigation a view belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Models,
    Alerts,
    Service,
}

/// One view.
pub(super) struct View<'a> {
    pub(super) title: String,
    pub(super) root: Root,
    pub(super) section: Section,
    /// Updates with this model; `*` with any.
    pub(super) model: Option<&'a str>,
    /// Updates with incidents, silences and receipts.
    pub(super) alerts: bool,
    pub(super) body: Markup,
}

/// The way from a view back to the page's root, relative, so that it holds behind a proxy's path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root(&'static str);

impl Root {
    /// Of `/` and of views one segment long.
    pub(super) const TOP: Root = Root(".");
    /// Of views of two segments: a model, an incident.
    pub(super) const SECOND: Root = Root("..");
    /// Of the answer to a form about an incident.
    pub(super) const THIRD: Root = Root("../..");
    /// Of views of four segments: what belongs to a model.
    pub(super) const OF_MODEL: Root = Root("../../..");

    /// A link to a path of [`links`].
    pub(super) fn to(self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl Look {
    pub(in crate::http) fn new() -> Look {
        let sheet = format!("{}{STYLE}", plots::style_sheet());
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let policy = format!(
            "default-src 'none'; img-src 'self'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash(&sheet),
            hash(SCRIPT)
        );
        // Base64 and the words above are plain ASCII.
        let policy = HeaderValue::from_str(&policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Look { sheet, policy }
    }
}

/// `GET /icon.svg`
pub(in crate::http) async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON).into_response()
}

/// A whole document.
pub(super) fn document(board: &Board, live: &Live, view: View<'_>) -> Response {
    let View { title, root, section, model, alerts, body } = view;
    let open = live.incidents.iter().filter(|incident| incident.state == "firing").count();
    let entry = |name: &str, path: &str, of: Section| {
        html! { a href=(root.to(path)) aria-current=[(section == of).then_some("page")] { (name) } }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" data-root=(root.0) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Driftline" }
                link rel="icon" type="image/svg+xml" href=(root.to("/icon.svg"));
                style { (PreEscaped(&board.look.sheet)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top #top {
                    a.brand href=(root.to(links::MODELS)) { "Driftline" }
                    nav aria-label="Main" {
                        (entry("Models", links::MODELS, Section::Models))
                        a href=(root.to(links::ALERTS)) aria-current=[(section == Section::Alerts).then_some("page")] {
                            "Alerts"
                            @if open > 0 { span.count { (open) span.hidden { " firing" } } }
                        }
                        (entry("Service", "/service", Section::Service))
                    }
                }
                div #trouble { (trouble(board, live, root)) }
                main #main tabindex="-1" data-model=[model] data-alerts=[alerts.then_some("yes")] { (body) }
                p #updated.hidden role="status" {}
                footer {
                    "Driftline " (env!("CARGO_PKG_VERSION")) " · times are UTC · for programs: "
                    a href=(root.to("/api/v1/models")) { "models" } ", "
                    a href=(root.to("/api/v1/alerts")) { "alerts" } ", "
                    a href=(root.to("/api/v1/ledger")) { "ledger" } ", "
                    a href=(root.to("/metrics")) { "metrics" } ", "
                    a href=(root.to("/readyz")) { "readiness" }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let policy = [(header::CONTENT_SECURITY_POLICY, board.look.policy.clone())];
    (policy, Html(page.into_string())).into_response()
}

/// What is not well with Driftline itself, on top of every view.
fn trouble(board: &Board, live: &Live, root: Root) -> Markup {
    let (state, _) = readiness(live, board.age());
    let class = match state {
        CheckState::Ok => return html! {},
        CheckState::Degraded => "trouble",
        CheckState::Failed => "trouble alarm",
    };
    let first = live.checks.iter().max_by_key(|check| check.state);
    let first = first.filter(|check| check.state != CheckState::Ok);
    html! {
        p class=(class) {
            @match first {
                Some(check) => { b { (check.name) } ": " (check.says) }
                None => { "Driftline is not ready: it starts, or its pipeline does not move" }
            }
            " · " a href=(root.to("/service")) { "all checks" }
        }
    }
}

/// A view that cannot be shown, as a page for people.
pub(super) fn refused(board: &Board, root: Root, refusal: Refusal) -> Response {
    let (status, sentence) = refusal.parts();
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Not allowed",
        StatusCode::BAD_REQUEST => "Not understood",
        _ => "Not now",
    };
    let body = html! {
        h1 { (title) }
        p.lead { (sentence) }
        p { a href=(root.to(links::MODELS)) { "All models" } " · " a href=(root.to(links::ALERTS)) { "Alerts" } }
    };
    let view = View {
        title: title.to_owned(),
        root,
        section: Section::Models,
        model: None,
        alerts: false,
        body,
    };
    let mut response = document(board, &board.live(), view);
    // A browser's own question for a password would hide the sentence.
    *response.status_mut() =
        if status == StatusCode::UNAUTHORIZED { StatusCode::FORBIDDEN } else { status };
    response
}
