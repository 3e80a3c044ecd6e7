//! `GET /models/{m}/windows/{id}`: one report, ranked, with its account of the log.

use driftline_alerting::links;
use maud::html;
use serde::Deserialize;

use crate::page::parts::blocks::crumbs_of_model;
use crate::page::parts::window::{Findings, account, extremeness, findings, headline, span};
use crate::page::stored::{gone, model_of, report_of};
use crate::page::visit::{Follows, Section, View, Visit};
use crate::refusal::Refusal;

#[derive(Debug, Deserialize)]
pub(crate) struct WindowPath {
    model: String,
    window: String,
}

pub(crate) async fn view(visit: Visit, path: WindowPath) -> Result<View, Refusal> {
    let WindowPath { model: name, window: id } = path;
    let Visit { board, live, root, .. } = &visit;
    model_of(live, &name)?;
    let (of, wanted) = (name.clone(), id.clone());
    let report = board.read(move |store| report_of(store, &of, &wanted)).await?;
    let report = report.ok_or_else(|| gone(&id))?;
    let body = html! {
        p.crumbs { (crumbs_of_model(root, &name)) }
        h1 { "Window of " (span(&report)) }
        (headline(&report, root))
        section aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            (findings(&Findings { report: &report, root, named: true }))
        }
        section aria-labelledby="extremeness-title" {
            h2 #extremeness-title { "False alarms" }
            (extremeness(&report))
        }
        section aria-labelledby="log-title" {
            h2 #log-title { "Rows and versions" }
            (account(&report, &board.config_path))
            @if let Some(previous) = &report.window.previous {
                p { "The window before: " a href=(root.to(&links::window(&name, previous.as_str()))) { (previous) } }
            }
            p { a href=(root.to(&format!("/api/v1/reports/{}", links::segment(&id)))) { "The report as JSON" } }
        }
    };
    let title = format!("{name}, {}", span(&report));
    Ok(View { title, section: Section::Models, follows: Follows::default(), body })
}
