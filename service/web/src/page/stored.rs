//! Reports and digests as views read them from the store.

use driftline_analytics::report::Report;
use driftline_config::WindowId;
use driftline_pipeline::digest::WindowDigest;
use driftline_store::Store;

use crate::board::ReadError;
use crate::live::{Live, ModelStatus};
use crate::refusal::Refusal;

/// Windows that a view looks back on: a quarter of days.
pub(super) const WINDOWS: usize = 90;

pub(super) fn model_of<'a>(live: &'a Live, name: &str) -> Result<&'a ModelStatus, Refusal> {
    live.model(name).ok_or_else(|| {
        Refusal::not_found(format!(
            "No model is called {name}. The list of all has it, if it was renamed."
        ))
    })
}

pub(super) fn gone(id: &str) -> Refusal {
    Refusal::not_found(format!("No window has the id {id}, or its report is no longer kept."))
}

/// What is kept of the last windows of a model, oldest first.
pub(super) fn digests(store: &Store, model: &str) -> Result<Vec<WindowDigest>, ReadError> {
    Ok(store.digests(model, i64::MAX, WINDOWS)?)
}

pub(super) fn report_of(store: &Store, model: &str, id: &str) -> Result<Option<Report>, ReadError> {
    let Some((of, start_us)) = WindowId::parse(id) else { return Ok(None) };
    if of != model {
        return Ok(None);
    }
    // Windows of another length may start there too.
    Ok(report_at(store, model, start_us)?.filter(|report| report.window.id == *id))
}

pub(super) fn report_at(
    store: &Store,
    model: &str,
    start_us: i64,
) -> Result<Option<Report>, ReadError> {
    let Some(stored) = store.report(model, start_us)? else { return Ok(None) };
    Ok(Some(Report::from_json(&stored.report).map_err(|_| Refusal::damaged_report())?))
}

pub(super) fn report_of_last(
    store: &Store,
    model: &str,
    windows: &[WindowDigest],
) -> Result<Option<Report>, ReadError> {
    windows.last().map_or(Ok(None), |last| report_at(store, model, last.start_us))
}
