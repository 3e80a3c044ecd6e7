//! The page: what each model's last window said, and what is open. Plain HTML, no scripts.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::Html;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_analytics::report::Level;
use driftline_config::time::format_instant;
use sha2::{Digest, Sha256};

use super::board::Board;
use super::live::{CheckState, IncidentStatus, Live, ModelStatus, ReadyCheck};
use super::status::readiness;

const STYLE: &str = "
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #d8dee4}
.ok{color:#1a7f37}.warn{color:#9a6700}.alarm{color:#cf222e;font-weight:600}.not_computable{color:#57606a}
small{color:#57606a}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#79c0ff}th,td{border-color:#30363d}
.ok{color:#3fb950}.warn{color:#d29922}.alarm{color:#ff7b72}.not_computable,small{color:#8b949e}}
";

/// `GET /`
pub(super) async fn show(
    State(board): State<Arc<Board>>,
) -> ([(HeaderName, String); 1], Html<String>) {
    let live = board.live();
    let (state, _) = readiness(&live, board.age());
    let policy = [(header::CONTENT_SECURITY_POLICY, policy())];
    (policy, Html(page(&live, state)))
}

/// Allows our own style sheet by its hash, and nothing else.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn page(live: &Live, state: CheckState) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Driftline</title><style>",
    );
    html.push_str(STYLE);
    html.push_str("</style></head><body><h1>Driftline</h1>\n");
    checks(&mut html, &live.checks, state);
    html.push_str("<h2>Models</h2>\n<table><tr><th>model</th><th>last window</th><th>what it said</th><th>rows</th></tr>\n");
    for model in &live.models {
        row(&mut html, model);
    }
    html.push_str("</table>\n<h2>Incidents</h2>\n");
    if live.incidents.is_empty() {
        html.push_str("<p>None is open.</p>\n");
    }
    for incident in &live.incidents {
        self::incident(&mut html, incident);
    }
    html.push_str("<h2>For programs</h2>\n<p>");
    for path in ["models", "alerts", "ledger", "dead-letters"] {
        let _ = write!(html, "<a href=\"api/v1/{path}\">/api/v1/{path}</a> · ");
    }
    html.push_str(
        "<a href=\"metrics\">/metrics</a> · <a href=\"readyz\">/readyz</a></p>\n</body></html>\n",
    );
    html
}

fn checks(html: &mut String, checks: &[ReadyCheck], state: CheckState) {
    if state == CheckState::Ok {
        return;
    }
    html.push_str("<ul>\n");
    for check in checks.iter().filter(|check| check.state != CheckState::Ok) {
        let class = if check.state == CheckState::Failed { "alarm" } else { "warn" };
        let (name, says) = (escaped(&check.name), escaped(&check.says));
        let _ = writeln!(html, "<li class=\"{class}\">{name}: {says}</li>");
    }
    if checks.iter().all(|check| check.state == CheckState::Ok) {
        html.push_str("<li class=\"alarm\">not ready; see <a href=\"readyz\">/readyz</a></li>\n");
    }
    html.push_str("</ul>\n");
}

fn row(html: &mut String, model: &ModelStatus) {
    let name = escaped(&model.name);
    let reports = format!("api/v1/models/{}/reports", path_segment(&model.name));
    let owner = model.owner.as_deref().map(escaped).unwrap_or_default();
    let _ = write!(html, "<tr><td><a href=\"{reports}\">{name}</a><br><small>{owner}</small></td>");
    match &model.last_window {
        None => html.push_str("<td><small>none yet</small></td><td></td>"),
        Some(window) => {
            let level = level_name(window.level);
            let report = format!("api/v1/reports/{}", path_segment(&window.id));
            let (start, end) = (escaped(&window.start), escaped(&window.end));
            let because = window.because.as_deref().map(escaped).unwrap_or_default();
            let _ = write!(
                html,
                "<td><a href=\"{report}\">{start}</a><br><small>to {end}</small></td><td><span class=\"{level}\">{}</span> {because}</td>",
                level.replace('_', " "),
            );
        }
    }
    let _ =
        writeln!(html, "<td>{} <small>and {} late</small></td></tr>", model.counted, model.late);
}

fn incident(html: &mut String, incident: &IncidentStatus) {
    let since = incident.since_us.map(format_instant).unwrap_or_default();
    let _ = write!(
        html,
        "<p><b>{}: {}</b> since {} ({})<br><small>{}</small></p>\n<ul>\n",
        escaped(&incident.model),
        incident.class,
        escaped(&since),
        incident.state,
        escaped(&incident.id),
    );
    for subject in incident.subjects.iter().take(3) {
        let _ =
            writeln!(html, "<li>{}: {}</li>", escaped(&subject.subject), escaped(&subject.because));
    }
    html.push_str("</ul>\n");
    if let Some(accepted) = &incident.accepted {
        let (by, reason) = (escaped(&accepted.by), escaped(&accepted.reason));
        let _ = writeln!(html, "<p>Accepted by {by}: {reason}</p>");
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Alarm => "alarm",
        Level::NotComputable => "not_computable",
    }
}

/// Text for the inside of an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A name as one segment of a path: everything but unreserved letters percent-encoded.
fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@') {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}
