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
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::board::{Board, LISTENERS};
use crate::changes::Change;
use crate::refusal::Refusal;

/// How long one answer lasts: less than a connection may live, so that it ends in good order and
/// the browser asks again.
const LISTEN: Duration = Duration::from_secs(240);
/// Proxies cut a stream that says nothing for a minute or so.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

struct Listener {
    changes: Receiver<Arc<Change>>,
    until: Instant,
    /// Given back when the stream is dropped, be it at its end or because the browser left.
    _place: OwnedSemaphorePermit,
}

/// `GET /events`
pub(crate) async fn listen(State(board): State<Arc<Board>>) -> Response {
    let Some((place, changes)) = board.listen() else {
        board.metrics.limit_reached("event_listeners", 1);
        let sentence = format!("{LISTENERS} pages listen already: this one shows what it has");
        return Refusal::unavailable(sentence).into_response();
    };
    let until = Instant::now() + LISTEN;
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
        // What it missed is gone. One event that stands for all is cheaper than a queue that grows with
        // the slowest reader; asking anew skips what is left of the old ones.
        Ok(Err(RecvError::Lagged(_))) => {
            listener.changes = listener.changes.resubscribe();
            Some(Arc::new(Change::everything()))
        }
        Ok(Err(RecvError::Closed)) | Err(_) => None,
    }
}
