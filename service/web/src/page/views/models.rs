//! `GET /`: every model in a line, those in trouble first.

use std::cmp::Reverse;

use driftline_alerting::links;
use driftline_config::Level;
use driftline_plots::{self as plots, Timeline, TimelinePoint};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use crate::live::{Live, ModelStatus};
use crate::page::root::Root;
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

/// Models of one page of the view: with thirty windows each it has less than 200 KB.
const PER_PAGE: usize = 100;
/// Letters of a sentence in the list; the whole of it stands in the model's own view.
const BECAUSE: usize = 160;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelsQuery {
    find: String,
    page: usize,
}

pub(crate) async fn view(visit: Visit, (): ()) -> Result<View, Refusal> {
    Ok(View {
        title: "Models".to_owned(),
        section: Section::Models,
        follows: Follows { model: Some("*".to_owned()), alerts: true },
        body: body(&visit, &visit.query()?),
    })
}

fn body(visit: &Visit, query: &ModelsQuery) -> Markup {
    let Visit { live, root, .. } = visit;
    let wanted = query.find.trim().to_lowercase();
    let matches = |model: &&ModelStatus| {
        let owner = model.owner.as_deref().unwrap_or_default();
        model.name.to_lowercase().contains(&wanted) || owner.to_lowercase().contains(&wanted)
    };
    let models = live.models.iter().map(AsRef::as_ref);
    let mut models: Vec<&ModelStatus> = models.filter(matches).collect();
    models.sort_by_key(|model| (Reverse(model.open_incidents), place(model)));
    let pages = models.len().div_ceil(PER_PAGE).max(1);
    let page = query.page.min(pages - 1);
    let shown = models.iter().skip(page * PER_PAGE).take(PER_PAGE);
    html! {
        h1 { "Models" }
        div #summary data-live { (summary(live, root)) }
        @if live.models.len() > 12 {
            form.find method="get" role="search" {
                label { "Name or owner" input type="search" name="find" value=(query.find); }
                button { "Find" }
            }
        }
        div #models data-live {
            @if live.models.is_empty() {
                p { "The first state is not there yet. It comes within a second." }
            } @else if models.is_empty() {
                p { "No model has “" (query.find) "” in its name or its owner." }
            } @else {
                table.fleet role="table" {
                    caption.hidden { "Models, those with open incidents first" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "Model" }
                        th role="columnheader" scope="col" { "Last window" }
                        th role="columnheader" scope="col" { "Strongest finding" }
                        th role="columnheader" scope="col" { "Effect / tolerance" }
                        th.n role="columnheader" scope="col" { "Requests" }
                        th.n role="columnheader" scope="col" { "Errors" }
                        th.n role="columnheader" scope="col" { "p99" }
                        th.n role="columnheader" scope="col" { "Lag" }
                    } }
                    tbody role="rowgroup" { @for model in shown { (row(model, root)) } }
                }
            }
            @if pages > 1 { (paging(query, page, pages)) }
        }
    }
}

/// Alarms first, then warnings, then the rest in the order of the configuration.
fn place(model: &ModelStatus) -> u8 {
    model.last_window.as_ref().map_or(3, |window| window.level.place())
}

fn summary(live: &Live, root: &Root) -> Markup {
    let at = |level: Level| {
        let windows = live.models.iter().filter_map(|model| model.last_window.as_ref());
        windows.filter(|window| window.level == level).count() as u64
    };
    let firing = live.firing();
    html! {
        p.lead {
            (words::many(live.models.len() as u64, "model")) ": "
            (words::count(at(Level::Alarm))) " at alarm, " (words::count(at(Level::Warn))) " at warning in the last window; "
            @if firing == 0 { "no incident is firing." }
            @else { a href=(root.to(links::ALERTS)) { (words::many(firing, "incident")) } @if firing == 1 { " is firing." } @else { " are firing." } }
        }
    }
}

fn row(model: &ModelStatus, root: &Root) -> Markup {
    let link = root.to(&links::model(&model.name));
    let pane = model.last_pane;
    html! {
        tr role="row" {
            th.wide role="rowheader" scope="row" {
                a href=(link) { (model.name) }
                @if let Some(owner) = &model.owner { " " small { (owner) } }
            }
            @match &model.last_window {
                None => { td.wide role="cell" { small { "no window yet" } } td role="cell" {} td role="cell" {} }
                Some(window) => {
                    td.wide role="cell" { (words::badge(window.level)) " " small.day { (window.start.get(..10).unwrap_or_default()) } }
                    td.wide.why role="cell" { @if let Some(because) = &window.because { (shortened(because)) } }
                    td.wide role="cell" { (spark(model)) }
                }
            }
            td.n role="cell" data-l="requests" { @if let Some(pane) = pane { (words::rate(pane.requests_per_second)) } }
            td.n role="cell" data-l="errors" { @if let Some(errors) = pane.and_then(|pane| pane.error_ratio) { (words::percent(errors)) } }
            td.n role="cell" data-l="p99" { @if let Some(p99_us) = pane.and_then(|pane| pane.p99_us) { (words::latency(p99_us)) } }
            td.n role="cell" data-l="lag" { @if let Some(lag) = model.lag { (words::count(lag)) } }
        }
    }
}

/// The largest effect of the last windows, in multiples of what is tolerated.
fn spark(model: &ModelStatus) -> Markup {
    let points: Vec<TimelinePoint> = model
        .recent
        .iter()
        .map(|window| TimelinePoint {
            time_us: window.start_us.unwrap_or(0),
            value: window.strength,
            bound: None,
            tolerance: Some(1.0),
            level: window.level,
        })
        .collect();
    if points.is_empty() {
        return html! {};
    }
    let series = Timeline { name: &model.name, statistic: "effect / tolerance", points: &points };
    html! { (PreEscaped(plots::sparkline(&series))) }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(BECAUSE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

fn paging(query: &ModelsQuery, page: usize, pages: usize) -> Markup {
    let to = |page: usize| format!("?find={}&page={page}", links::segment(&query.find));
    html! {
        nav.pages aria-label="Pages" {
            @if page > 0 { a rel="prev" href=(to(page - 1)) { "Before" } }
            span { "Page " (page + 1) " of " (pages) }
            @if page + 1 < pages { a rel="next" href=(to(page + 1)) { "Next" } }
        }
    }
}
