//! `GET /events`: tells pages that are open what has changed, so that they ask again.
//!
//! An event names models and whether incidents changed, never what they are: the page fetches its
//! own view, which has the rules of access and the escaping of every other request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::board::Board;
use super::live::Live;
use super::refusal::Refusal;

/// Pages that listen at the same time: each holds one of the connections, and the others must stay
/// free for those who ask.
pub(super) const LISTENERS: usize = 128;
/// Changes that a slow listener may be behind; beyond it, it is told that everything changed.
pub(super) const BEHIND: usize = 64;
/// Models that one event names; beyond it, it stands for all.
const NAMED: usize = 50;
/// How long one answer lasts: less than a connection may live, so that it ends in good order and
/// the browser asks again.
const LISTEN: Duration = Duration::from_secs(240);
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What differs between two states that were shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// Models with a new window, record or incident; `None` stands for all.
    models: Option<Vec<String>>,
    /// Whether incidents, silences or receipts differ.
    alerts: bool,
}

impl Change {
    /// What a listener is told that could not follow.
    fn everything() -> Change {
        Change { models: None, alerts: true }
    }

    /// The difference, where there is one.
    pub(super) fn between(before: &Live, after: &Live) -> Option<Change> {
        let of_model = |live: &Live, name: &str, place: usize| {
            let model = live.models.get(place).filter(|model| model.name == name)?;
            let window = model.last_window.as_ref().map(|window| window.id.clone());
            Some((window, model.shadow_records, model.open_incidents))
        };
        let mut models = Vec::new();
        for (place, model) in after.models.iter().enumerate() {
            if before.models.get(place).is_some_and(|before| Arc::ptr_eq(before, model)) {
                continue;
            }
            let name = model.name.as_str();
            if of_model(before, name, place) != of_model(after, name, place) {
                models.push(name.to_owned());
            }
        }
        let standing = |live: &Live| -> Vec<(String, &'static str)> {
            live.incidents.iter().map(|incident| (incident.id.clone(), incident.state)).collect()
        };
        let alerts = standing(before) != standing(after)
            || before.history.first().map(|step| &step.id)
                != after.history.first().map(|step| &step.id)
            || before.silences != after.silences
            || before.receipts.front() != after.receipts.front();
        if models.is_empty() && !alerts {
            return None;
        }
        let models = if models.len() > NAMED { None } else { Some(models) };
        Some(Change { models, alerts })
    }
}

struct Listener {
    changes: Receiver<Arc<Change>>,
    until: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

/// `GET /events`
pub(super) async fn listen(State(board): State<Arc<Board>>) -> Response {
    let Some((place, changes)) = board.listen() else {
        board.metrics.limit_reached("event_listeners", 1);
        let sentence = format!("{LISTENERS} pages listen already: this one shows what it has");
        return Refusal::unavailable(sentence).into_response();
    };
    let until = tokio::time::Instant::now() + LISTEN;
    let listener = Listener { changes, until, _place: place };
    let events = stream::unfold(listener, |mut listener| async move {
        let change = next(&mut listener).await?;
        let event = Event::default().event("change").json_data(&*change).ok()?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    Sse::new(events).keep_alive(alive).into_response()
}

/// The next change; `None` when the listener's time is over or the service stops.
async fn next(listener: &mut Listener) -> Option<Arc<Change>> {
    match tokio::time::timeout_at(listener.until, listener.changes.recv()).await {
        Ok(Ok(change)) => Some(change),
        Ok(Err(RecvError::Lagged(_))) => {
            listener.changes = listener.changes.resubscribe();
            Some(Arc::new(Change::everything()))
        }
        Ok(Err(RecvError::Closed)) | Err(_) => None,
    }
}
