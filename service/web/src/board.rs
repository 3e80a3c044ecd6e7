//! Everything that handlers may read, and the way of their commands to the pipeline's driver.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use driftline_alerting::Acceptance;
use driftline_alerting::outbox::Silence;
use driftline_config::{Config, Http};
use driftline_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use crate::audit::Audit;
use crate::changes::Change;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::refusal::Refusal;

/// Store reads at the same time: each may hold a few reports in memory, and the writer needs the disk.
const READERS: usize = 4;
/// Pages that listen at the same time: each holds one of the connections, and the others must stay
/// free for those who ask.
pub(crate) const LISTENERS: usize = 128;
/// Changes that a slow listener may be behind; beyond it, it is told that everything changed.
const BEHIND: usize = 64;

/// What somebody asks of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// No more messages about an incident until it grows.
    Accept { incident: String, acceptance: Acceptance },
    /// An acceptance no longer holds.
    TakeBack { incident: String, by: Acceptance },
    /// No messages about a model, a class, or both for a while.
    Silence(Silence),
    /// A silence ends before its time.
    EndSilence { id: String, by: Acceptance },
}

/// Shared between the driver, which writes it, and the handlers, which read it.
#[derive(Debug)]
pub struct Board {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Audit,
    pub(crate) http: Http,
    /// The configuration file as commands name it.
    pub(crate) config_path: String,
    store: Arc<Store>,
    live: RwLock<(Arc<Live>, Instant)>,
    commands: SyncSender<Command>,
    readers: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    /// What changed, for pages that are open; gone when the service stops.
    changes: Mutex<Option<broadcast::Sender<Arc<Change>>>>,
    /// Counts states that were shown.
    shown: watch::Sender<u64>,
}

impl Board {
    /// A board that shows nothing yet. `commands` is bounded; its reader is the driver.
    pub fn new(
        config: &Config,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        commands: SyncSender<Command>,
    ) -> Board {
        Board {
            metrics,
            audit: Audit::default(),
            http: config.http.clone(),
            config_path: config.path.display().to_string(),
            store,
            live: RwLock::new((Arc::default(), Instant::now())),
            commands,
            readers: Arc::new(Semaphore::new(READERS)),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            changes: Mutex::new(Some(broadcast::Sender::new(BEHIND))),
            shown: watch::Sender::new(0),
        }
    }

    /// Replaces what is shown, and tells pages that are open what differs. Cheap: readers go on with
    /// what they have, nobody is waited for.
    pub fn publish(&self, live: Live) {
        let live = Arc::new(live);
        let before = {
            let mut shown = self.live.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *shown, (Arc::clone(&live), Instant::now())).0
        };
        self.shown.send_modify(|number| *number += 1);
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = changes.as_ref()
            && let Some(change) = Change::between(&before, &live)
        {
            // Without listeners it goes nowhere.
            let _ = changes.send(Arc::new(change));
        }
    }

    /// A place for a page that wants to hear of changes, where one is free.
    pub(crate) fn listen(
        &self,
    ) -> Option<(OwnedSemaphorePermit, broadcast::Receiver<Arc<Change>>)> {
        let place = Arc::clone(&self.listeners).try_acquire_owned().ok()?;
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Some((place, changes.as_ref()?.subscribe()))
    }

    /// Lets every listening page go: their connections would hold up the end.
    pub(crate) fn end_events(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until what is shown fulfils a condition, at most `within`; tells whether it does.
    pub(crate) async fn wait_until(
        &self,
        within: Duration,
        mut holds: impl FnMut(&Live) -> bool,
    ) -> bool {
        let mut shown = self.shown.subscribe();
        let waiting = async {
            while !holds(&self.live()) {
                if shown.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, waiting).await.is_ok()
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// How long ago the driver last showed anything.
    pub(crate) fn age(&self) -> Duration {
        self.live.read().unwrap_or_else(PoisonError::into_inner).1.elapsed()
    }

    /// Reads the store on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
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
    pub(crate) fn command(&self, command: Command) -> Result<(), Refusal> {
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
pub(crate) enum ReadError {
    /// The request was wrong.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}
