//! Everything that handlers may read, and the way of their commands to the pipeline's driver.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use driftline_alerting::Acceptance;
use driftline_alerting::outbox::Silence;
use driftline_config::Http;
use tokio::sync::Semaphore;

use super::live::Live;
use super::refusal::Refusal;
use crate::checkpoint::{Store, StoreError};
use crate::metrics::Metrics;

/// Store reads at the same time: each may hold a few reports in memory, and the writer needs the disk.
const READERS: usize = 4;

/// What somebody asks of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// No more messages about an incident until it grows.
    Accept {
        /// Id of the incident.
        incident: String,
        /// Who and why.
        acceptance: Acceptance,
    },
    /// No messages about a model, a class, or both for a while.
    Silence(Silence),
}

/// Shared between the driver, which writes it, and the handlers, which read it.
#[derive(Debug)]
pub struct Board {
    pub(super) metrics: Arc<Metrics>,
    pub(super) http: Http,
    store: Arc<Store>,
    live: RwLock<(Arc<Live>, Instant)>,
    commands: SyncSender<Command>,
    readers: Arc<Semaphore>,
}

impl Board {
    /// A board that shows nothing yet. `commands` is bounded; its reader is the driver.
    pub fn new(
        http: Http,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        commands: SyncSender<Command>,
    ) -> Board {
        Board {
            metrics,
            http,
            store,
            live: RwLock::new((Arc::default(), Instant::now())),
            commands,
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Replaces what is shown. Cheap: readers go on with what they have.
    pub fn publish(&self, live: Live) {
        let mut shown = self.live.write().unwrap_or_else(PoisonError::into_inner);
        *shown = (Arc::new(live), Instant::now());
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// How long ago the driver last showed anything.
    pub(super) fn age(&self) -> Duration {
        self.live.read().unwrap_or_else(PoisonError::into_inner).1.elapsed()
    }

    /// Reads the store on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let readers = Arc::clone(&self.readers);
        let stopping = || Refusal::unavailable("driftline is stopping");
        let permit = readers.acquire_owned().await.map_err(|_| stopping())?;
        let store = Arc::clone(&self.store);
        let reading = tokio::task::spawn_blocking(move || {
            // Held to the end of the read, even where nobody waits for it any more.
            let _permit = permit;
            read(&store)
        });
        match reading.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ReadError::Refused(refusal))) => Err(refusal),
            Ok(Err(ReadError::Store(error))) => {
                tracing::error!(%error, "reports cannot be read");
                let sentence = "the stored reports cannot be read; the log says why";
                Err(Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, sentence))
            }
            Err(_) => Err(stopping()),
        }
    }

    /// Hands a command to the driver without waiting for it.
    pub(super) fn command(&self, command: Command) -> Result<(), Refusal> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::unavailable("too many requests wait already: try again in a second")
            }
            TrySendError::Disconnected(_) => Refusal::unavailable("driftline is stopping"),
        })
    }
}

/// Why a read of the store gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The request was wrong.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store was.
    #[error(transparent)]
    Store(#[from] StoreError),
}
