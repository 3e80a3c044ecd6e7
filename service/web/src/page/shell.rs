//! The document around every view, its style sheet and script, and the policy that allows no other.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_alerting::links;
use driftline_plots as plots;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::visit::{Section, View, Visit};
use crate::live::CheckState;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

static LOOK: LazyLock<Look> = LazyLock::new(Look::new);

/// The style sheet, and the policy that allows it and our own script by their hashes.
#[derive(Debug)]
struct Look {
    sheet: String,
    policy: HeaderValue,
}

impl Look {
    fn new() -> Look {
        let sheet = format!("{}{STYLE}", plots::style_sheet());
        let policy = format!(
            "default-src 'none'; img-src 'self'; style-src '{}'; script-src '{}'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            source_of(&sheet),
            source_of(SCRIPT)
        );
        // Base64 and the words above are plain ASCII.
        let policy = HeaderValue::from_str(&policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Look { sheet, policy }
    }
}

pub(super) fn style_sheet() -> &'static str {
    &LOOK.sheet
}

/// A text of ours as a policy names it.
pub(super) fn source_of(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// `GET /icon.svg`
pub(crate) async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON).into_response()
}

pub(super) fn document(visit: &Visit, view: View) -> impl IntoResponse + use<> {
    let View { title, section, follows, body } = view;
    let root = &visit.root;
    let firing = visit.live.firing();
    let current = |of: Section| (section == of).then_some("page");
    let page = html! {
        (DOCTYPE)
        html lang="en" data-root=(root.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Driftline" }
                link rel="icon" type="image/svg+xml" href=(root.to("/icon.svg"));
                style { (PreEscaped(style_sheet())) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top #top {
                    a.brand href=(root.to(links::MODELS)) { "Driftline" }
                    nav aria-label="Main" {
                        a href=(root.to(links::MODELS)) aria-current=[current(Section::Models)] { "Models" }
                        a href=(root.to(links::ALERTS)) aria-current=[current(Section::Alerts)] {
                            "Alerts"
                            @if firing > 0 { span.count { (firing) span.hidden { " firing" } } }
                        }
                        a href=(root.to("/service")) aria-current=[current(Section::Service)] { "Service" }
                    }
                }
                div #trouble { (trouble(visit)) }
                main #main tabindex="-1" data-model=[follows.model] data-alerts=[follows.alerts.then_some("yes")] { (body) }
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
    ([(header::CONTENT_SECURITY_POLICY, LOOK.policy.clone())], Html(page.into_string()))
}

/// What is not well with Driftline itself, on top of every view.
fn trouble(visit: &Visit) -> Markup {
    let live = &visit.live;
    let class = match live.state(visit.board.age()) {
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
            " · " a href=(visit.root.to("/service")) { "all checks" }
        }
    }
}
