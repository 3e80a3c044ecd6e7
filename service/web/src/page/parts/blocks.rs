//! The smallest blocks: the way here, figures with their numbers, heads of tables, facts.

use driftline_alerting::links;
use driftline_analytics::report::Ledger;
use maud::{Markup, PreEscaped, html};

use crate::page::root::Root;
use crate::page::words;

/// The way to a view of a model.
pub(in crate::page) fn crumbs_of_model(root: &Root, model: &str) -> Markup {
    html! { a href=(root.to(links::MODELS)) { "Models" } " / " a href=(root.to(&links::model(model))) { (model) } }
}

/// A number with its name; `more` may be empty.
pub(in crate::page) fn fact(name: &str, value: &str, more: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) @if !more.is_empty() { small { (more) } } } } }
}

/// The head of a table that narrow screens show as a stack of cards: there its rows lose their
/// display as a table, so every element says its role.
pub(in crate::page) fn stack_head(names: &[&str]) -> Markup {
    html! {
        thead role="rowgroup" { tr role="row" { @for name in names { th role="columnheader" scope="col" { (name) } } } }
    }
}

pub(in crate::page) fn figure(picture: &str) -> Markup {
    html! { figure { (PreEscaped(picture)) } }
}

/// The same with what its points are.
pub(in crate::page) fn figure_per(picture: &str, per: &str) -> Markup {
    html! { figure { (PreEscaped(picture)) figcaption { small { "per " (per) } } } }
}

/// A table that may be wider than its place.
pub(in crate::page) fn scrolled(label: &str, rows: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { table { (rows) } } }
}

/// What became of the records read, as facts.
pub(in crate::page) fn outcomes(ledger: &Ledger) -> Markup {
    let Ledger { read, counted, late, ahead, rejected, skipped, control } = *ledger;
    let named = [
        ("read", read),
        ("counted", counted),
        ("late", late),
        ("ahead", ahead),
        ("rejected", rejected),
        ("skipped", skipped),
        ("heartbeats", control),
    ];
    html! { @for (name, records) in named { (fact(name, &words::count(records), "")) } }
}
