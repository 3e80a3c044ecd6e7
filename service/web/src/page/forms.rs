//! What people change from the page: accept an incident, silence messages, take either back.
//!
//! A form needs the token like every write: in its own field, or shown by the browser as HTTP Basic
//! where the page itself asks for it. There is no cookie, so no other page can borrow anything.

use std::time::Duration;

use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Form, Path};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use driftline_alerting::clock::now_us;
use driftline_alerting::{Class, links};
use serde::Deserialize;

use super::parts::form::length_us;
use super::respond::respond;
use super::views;
use super::visit::Visit;
use crate::access::Caller;
use crate::api::commands::{
    Scope, Signature, ask_to_end_silence, ask_to_take_back, has_silence, new_silence, noted_command,
};
use crate::board::{Board, Command};
use crate::live::Live;
use crate::refusal::Refusal;

/// How long an answer waits for the loop to carry a command out, so that the next view shows it.
const CARRIED_OUT: Duration = Duration::from_secs(3);

/// Fields of the form about an incident.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AcceptForm {
    by: String,
    reason: String,
    token: String,
}

/// Fields of the form about silences.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SilenceForm {
    model: String,
    class: String,
    length: String,
    by: String,
    reason: String,
    token: String,
}

/// `POST /alerts/{id}/accept`
pub(crate) async fn accept(
    mut visit: Visit,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<AcceptForm>, FormRejection>,
) -> Response {
    let (id, form) = match received(id, form) {
        Ok(received) => received,
        Err(refusal) => return respond(&visit, Err(refusal)),
    };
    // A form may take its time to arrive.
    visit.live = visit.board.live();
    if let Err(refusal) = ask_to_accept(&visit, &id, &form) {
        visit.forms.refuse(refusal, &form.by, &form.reason);
        let answer = views::incident(visit.clone(), id).await;
        return respond(&visit, answer);
    }
    let accepted = |live: &Live| live.incident(&id).is_none_or(|open| open.accepted.is_some());
    visit.board.wait_until(CARRIED_OUT, accepted).await;
    see_other(format!("../{}", links::segment(&id)))
}

fn ask_to_accept(visit: &Visit, id: &str, form: &AcceptForm) -> Result<(), Refusal> {
    let caller = visit.check_form(&form.token)?;
    let by = caller.who(Some(form.by.clone()));
    let signature = Signature::new(&by, &form.reason)?;
    let line = caller.audit("accept", id, signature.by());
    if visit.live.incident(id).is_none() {
        return Err(Refusal::not_found("this incident is no longer open"));
    }
    let acceptance = signature.acceptance();
    let command = Command::Accept { incident: id.to_owned(), acceptance };
    noted_command(&visit.board, command, line)
}

/// `POST /alerts/silences`
pub(crate) async fn silence(
    mut visit: Visit,
    form: Result<Form<SilenceForm>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => return respond(&visit, Err(rejection.into())),
    };
    visit.live = visit.board.live();
    match ask_to_silence(&visit, &form) {
        Err(refusal) => {
            visit.forms.refuse(refusal, &form.by, &form.reason);
            let answer = views::alerts(visit.clone(), ()).await;
            respond(&visit, answer)
        }
        Ok(id) => {
            let there = |live: &Live| has_silence(live, &id);
            visit.board.wait_until(CARRIED_OUT, there).await;
            see_other("../alerts".to_owned())
        }
    }
}

fn ask_to_silence(visit: &Visit, form: &SilenceForm) -> Result<String, Refusal> {
    let caller = visit.check_form(&form.token)?;
    let by = caller.who(Some(form.by.clone()));
    let chosen = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let class = chosen(&form.class).map(|name| {
        let mut all = Class::ALL.into_iter();
        all.find(|class| class.name() == name).ok_or_else(|| Refusal::bad("no such class"))
    });
    let length_us = length_us(&form.length).ok_or_else(|| Refusal::bad("choose how long"))?;
    let signature = Signature::new(&by, &form.reason)?;
    let scope = Scope { model: chosen(&form.model), class: class.transpose()? };
    let silence = new_silence(&visit.live, scope, now_us() + length_us, signature)?;
    let id = silence.id.clone();
    let line = caller.audit("silence", &id, &silence.by);
    noted_command(&visit.board, Command::Silence(silence), line)?;
    Ok(id)
}

/// `POST /alerts/{id}/take-back`
pub(crate) async fn take_back(
    mut visit: Visit,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<AcceptForm>, FormRejection>,
) -> Response {
    let (id, form) = match received(id, form) {
        Ok(received) => received,
        Err(refusal) => return respond(&visit, Err(refusal)),
    };
    visit.live = visit.board.live();
    if let Err(refusal) = ask(&visit, &id, &form, ask_to_take_back) {
        visit.forms.refuse(refusal, &form.by, &form.reason);
        let answer = views::incident(visit.clone(), id).await;
        return respond(&visit, answer);
    }
    let done = |live: &Live| live.incident(&id).is_none_or(|open| open.accepted.is_none());
    visit.board.wait_until(CARRIED_OUT, done).await;
    see_other(format!("../{}", links::segment(&id)))
}

/// `POST /alerts/silences/{id}/end`
pub(crate) async fn end_silence(
    mut visit: Visit,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<AcceptForm>, FormRejection>,
) -> Response {
    let (id, form) = match received(id, form) {
        Ok(received) => received,
        Err(refusal) => return respond(&visit, Err(refusal)),
    };
    visit.live = visit.board.live();
    if let Err(refusal) = ask(&visit, &id, &form, ask_to_end_silence) {
        visit.forms.refuse(refusal, &form.by, &form.reason);
        let answer = views::alerts(visit.clone(), ()).await;
        return respond(&visit, answer);
    }
    let gone = |live: &Live| !has_silence(live, &id);
    visit.board.wait_until(CARRIED_OUT, gone).await;
    see_other("../../../alerts".to_owned())
}

/// What was asked of whom, where both arrived.
fn received(
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<AcceptForm>, FormRejection>,
) -> Result<(String, AcceptForm), Refusal> {
    let Path(id) = id?;
    let Form(form) = form?;
    Ok((id, form))
}

/// Asks as the API does, in the name of whoever signed the form.
fn ask(
    visit: &Visit,
    id: &str,
    form: &AcceptForm,
    of_api: fn(&Board, &Caller, &str, Signature) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let caller = visit.check_form(&form.token)?;
    let signature = Signature::new(&caller.who(Some(form.by.clone())), &form.reason)?;
    of_api(&visit.board, &caller, id, signature)
}

fn see_other(path: String) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}
