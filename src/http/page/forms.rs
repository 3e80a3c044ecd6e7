//! What people change from the page: accept an incident, silence messages.
//!
//! A form needs the token like every write: in its own field, or shown by the browser as HTTP Basic
//! where the page itself asks for it. There is no cookie, so no other page can borrow anything.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use driftline_alerting::{Acceptance, Class};
use driftline_config::links;
use driftline_config::time::{DAY_US, HOUR_US};
use maud::{Markup, html};
use serde::Deserialize;

use super::shell::{Root, refused};
use super::{alerts, incident};
use crate::clock::now_us;
use crate::http::access::Access;
use crate::http::board::{Board, Command};
use crate::http::commands::{BY_BYTES, REASON_BYTES, new_silence, signed};
use crate::http::live::Live;
use crate::http::refusal::Refusal;

/// How long an answer waits for the loop to carry a command out, so that the next view shows it.
const CARRIED_OUT: Duration = Duration::from_secs(3);

/// How long a silence may be from the page; programs choose any.
const LENGTHS: [(&str, &str, i64); 5] = [
    ("1h", "an hour", HOUR_US),
    ("4h", "4 hours", 4 * HOUR_US),
    ("1d", "a day", DAY_US),
    ("7d", "a week", 7 * DAY_US),
    ("30d", "30 days", 30 * DAY_US),
];

/// Fields of the form about an incident.
#[derive(Debug, Default, Deserialize)]
pub(in crate::http) struct AcceptForm {
    #[serde(default)]
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    token: String,
}

/// Fields of the form about silences.
#[derive(Debug, Default, Deserialize)]
pub(in crate::http) struct SilenceForm {
    #[serde(default)]
    model: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    length: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    token: String,
}

/// Who asks for a view with forms, and what became of the form that led here.
#[derive(Debug)]
pub(super) struct Asked {
    /// Whether a token is configured at all.
    possible: bool,
    /// Whether the browser shows it by itself.
    shown: bool,
    /// Why the form was refused, and what it held.
    refused: Option<(String, String, String)>,
}

impl Asked {
    /// A view that was asked for.
    pub(super) fn new(access: &Access, headers: &HeaderMap) -> Asked {
        let (possible, shown) = (access.has_token(), access.shows_token(headers));
        Asked { possible, shown, refused: None }
    }

    fn refused(mut self, sentence: String, by: &str, reason: &str) -> Asked {
        self.refused = Some((sentence, by.to_owned(), reason.to_owned()));
        self
    }

    /// What is said on top of the view.
    pub(super) fn said(&self) -> Markup {
        html! { @if let Some((sentence, _, _)) = &self.refused { p.said.alarm role="alert" { "Nothing was changed: " (sentence) } } }
    }

    fn fields(&self) -> Markup {
        let (by, reason) = match &self.refused {
            Some((_, by, reason)) => (by.as_str(), reason.as_str()),
            None => ("", ""),
        };
        html! {
            label { "Your name" input name="by" required maxlength=(BY_BYTES) autocomplete="name" value=(by); }
            label { "Reason" input name="reason" required maxlength=(REASON_BYTES) value=(reason); }
            @if !self.shown { label { "Token" input type="password" name="token" required autocomplete="current-password"; } }
        }
    }
}

/// The form on an incident's page.
pub(super) fn accept_form(id: &str, root: Root, asked: &Asked) -> Markup {
    let path = root.to(&format!("{}/accept", links::incident(id)));
    html! {
        @if asked.possible { form.act method="post" action=(path) { (asked.fields()) div { button { "Accept" } } } }
        @else { (impossible()) }
    }
}

/// The form on the page of all alerts.
pub(super) fn silence_form(live: &Live, root: Root, asked: &Asked) -> Markup {
    html! {
        @if asked.possible {
            form.act method="post" action=(root.to("/alerts/silences")) {
                label { "Model" select name="model" { option value="" { "every model" } @for model in &live.models { option { (model.name) } } } }
                label { "Class" select name="class" { option value="" { "every class" } @for class in Class::ALL { option { (class.name()) } } } }
                label { "For" select name="length" { @for (value, name, _) in LENGTHS { option value=(value) { (name) } } } }
                (asked.fields())
                div { button { "Silence" } }
            }
        } @else { (impossible()) }
    }
}

fn impossible() -> Markup {
    html! { p { "Accepting and silencing need a token, and none is configured: set " code { "http.token" } " and start again." } }
}

/// `POST /alerts/{id}/accept`
pub(in crate::http) async fn accept(
    State(board): State<Arc<Board>>,
    Extension(access): Extension<Access>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Result<Form<AcceptForm>, FormRejection>,
) -> Response {
    let (id, form) = match (id, form) {
        (Ok(Path(id)), Ok(Form(form))) => (id, form),
        (Err(error), _) => return refused(&board, Root::SECOND, Refusal::bad(error.body_text())),
        (_, Err(error)) => return refused(&board, Root::SECOND, Refusal::bad(error.body_text())),
    };
    let command = || -> Result<(), Refusal> {
        access.check_form(&headers, &form.token)?;
        let (by, reason) = signed(&form.by, &form.reason)?;
        if !board.live().incidents.iter().any(|open| open.id == id) {
            return Err(Refusal::not_found("this incident is no longer open"));
        }
        let acceptance = Acceptance { by, reason, at_us: now_us() };
        board.command(Command::Accept { incident: id.clone(), acceptance })
    };
    if let Err(refusal) = command() {
        let (status, sentence) = refusal.parts();
        let asked = Asked::new(&access, &headers).refused(sentence, &form.by, &form.reason);
        return with_status(incident::answer_form(&board, &id, &asked).await, status);
    }
    let accepted =
        |live: &Live| !live.incidents.iter().any(|open| open.id == id && open.accepted.is_none());
    board.wait_until(CARRIED_OUT, accepted).await;
    see_other(&format!("../{}", links::segment(&id)))
}

/// `POST /alerts/silences`
pub(in crate::http) async fn silence(
    State(board): State<Arc<Board>>,
    Extension(access): Extension<Access>,
    headers: HeaderMap,
    form: Result<Form<SilenceForm>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return refused(&board, Root::SECOND, Refusal::bad(error.body_text())),
    };
    let command = || -> Result<String, Refusal> {
        access.check_form(&headers, &form.token)?;
        let chosen = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let class = chosen(&form.class).map(|name| {
            let mut all = Class::ALL.into_iter();
            all.find(|class| class.name() == name).ok_or_else(|| Refusal::bad("no such class"))
        });
        let length = LENGTHS.iter().find(|(value, _, _)| *value == form.length);
        let (_, _, length_us) = length.ok_or_else(|| Refusal::bad("choose how long"))?;
        let signed = signed(&form.by, &form.reason)?;
        let about = (chosen(&form.model), class.transpose()?);
        let silence = new_silence(&board.live(), about, now_us() + length_us, signed)?;
        let id = silence.id.clone();
        board.command(Command::Silence(silence))?;
        Ok(id)
    };
    match command() {
        Err(refusal) => {
            let (status, sentence) = refusal.parts();
            let asked = Asked::new(&access, &headers).refused(sentence, &form.by, &form.reason);
            with_status(alerts::answer_form(&board, &asked), status)
        }
        Ok(id) => {
            let there = |live: &Live| live.silences.iter().any(|silence| silence.id == id);
            board.wait_until(CARRIED_OUT, there).await;
            see_other("../alerts")
        }
    }
}

/// A browser's own question for a password would hide the sentence.
fn with_status(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() =
        if status == StatusCode::UNAUTHORIZED { StatusCode::FORBIDDEN } else { status };
    response
}

fn see_other(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}
