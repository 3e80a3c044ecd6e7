//! The forms of the page, and what became of the one that led here.

use axum::http::StatusCode;
use driftline_alerting::{Class, links};
use driftline_config::time::{DAY_US, HOUR_US};
use maud::{Markup, html};

use crate::api::commands::{BY_BYTES, REASON_BYTES};
use crate::live::Live;
use crate::page::root::Root;
use crate::refusal::Refusal;

/// How long a silence may be from the page; programs choose any.
const LENGTHS: [Length; 5] = [
    Length { value: "1h", name: "an hour", us: HOUR_US },
    Length { value: "4h", name: "4 hours", us: 4 * HOUR_US },
    Length { value: "1d", name: "a day", us: DAY_US },
    Length { value: "7d", name: "a week", us: 7 * DAY_US },
    Length { value: "30d", name: "30 days", us: 30 * DAY_US },
];

struct Length {
    value: &'static str,
    name: &'static str,
    us: i64,
}

/// What the forms of a view must ask for, and why the last one was refused.
#[derive(Debug, Clone)]
pub(in crate::page) struct Forms {
    /// Whether a token is configured at all.
    possible: bool,
    /// Whether the browser shows the token by itself.
    shown: bool,
    refused: Option<RefusedForm>,
}

/// Why a form was refused, and what it held.
#[derive(Debug, Clone)]
struct RefusedForm {
    status: StatusCode,
    sentence: String,
    by: String,
    reason: String,
}

impl Forms {
    pub(in crate::page) fn new(possible: bool, shown: bool) -> Forms {
        Forms { possible, shown, refused: None }
    }

    /// Remembers that a form was refused: the view is then its answer.
    pub(in crate::page) fn refuse(&mut self, refusal: Refusal, by: &str, reason: &str) {
        let (status, sentence) = refusal.parts();
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.refused = Some(RefusedForm { status, sentence, by, reason });
    }

    /// The status of the view that answers a refused form.
    pub(in crate::page) fn refused_with(&self) -> Option<StatusCode> {
        self.refused.as_ref().map(|form| form.status)
    }

    /// What is said on top of the view.
    pub(in crate::page) fn said(&self) -> Markup {
        html! { @if let Some(form) = &self.refused { p.said.alarm role="alert" { "Nothing was changed: " (form.sentence) } } }
    }

    pub(in crate::page) fn accept(&self, id: &str, root: &Root) -> Markup {
        let path = root.to(&format!("{}/accept", links::incident(id)));
        html! {
            @if self.possible { form.act method="post" action=(path) { (self.fields()) div { button { "Accept" } } } }
            @else { (impossible()) }
        }
    }

    /// The form that takes an acceptance back.
    pub(in crate::page) fn take_back(&self, id: &str, root: &Root) -> Markup {
        let path = root.to(&format!("{}/take-back", links::incident(id)));
        html! {
            @if self.possible { form.act method="post" action=(path) { (self.fields()) div { button { "Take back" } } } }
            @else { (impossible()) }
        }
    }

    /// The form that ends a silence, where forms are possible at all.
    pub(in crate::page) fn end_silence(&self, id: &str, root: &Root) -> Markup {
        let path = root.to(&format!("/alerts/silences/{}/end", links::segment(id)));
        html! {
            @if self.possible {
                details { summary { "End it" } form.act method="post" action=(path) { (self.fields()) div { button { "End" } } } }
            }
        }
    }

    /// The form on the page of all alerts.
    pub(in crate::page) fn silence(&self, live: &Live, root: &Root) -> Markup {
        html! {
            @if self.possible {
                form.act method="post" action=(root.to("/alerts/silences")) {
                    label { "Model" select name="model" { option value="" { "every model" } @for model in &live.models { option { (model.name) } } } }
                    label { "Class" select name="class" { option value="" { "every class" } @for class in Class::ALL { option { (class.name()) } } } }
                    label { "For" select name="length" { @for length in &LENGTHS { option value=(length.value) { (length.name) } } } }
                    (self.fields())
                    div { button { "Silence" } }
                }
            } @else { (impossible()) }
        }
    }

    fn fields(&self) -> Markup {
        let (by, reason) = match &self.refused {
            Some(form) => (form.by.as_str(), form.reason.as_str()),
            None => ("", ""),
        };
        html! {
            label { "Your name" input name="by" required maxlength=(BY_BYTES) autocomplete="name" value=(by); }
            label { "Reason" input name="reason" required maxlength=(REASON_BYTES) value=(reason); }
            @if !self.shown { label { "Token" input type="password" name="token" required autocomplete="current-password"; } }
        }
    }
}

/// The length of a silence that a form chose, in microseconds.
pub(in crate::page) fn length_us(value: &str) -> Option<i64> {
    LENGTHS.iter().find(|length| length.value == value).map(|length| length.us)
}

fn impossible() -> Markup {
    html! { p { "Accepting and silencing need a token, and none is configured: set " code { "http.token" } " and start again." } }
}
