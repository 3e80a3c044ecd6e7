//! The thread that asks the registry: readers say what they want and read on, and look later.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use driftline_formats::{KnownSchema, SchemaId, SchemaShelf};

use super::{ABSENT_ANSWERS, Asked, Source, wait_after};
use crate::error::IngestError;

/// How long a schema that the registry does not have counts as absent before it is asked for again.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// How long the thread sleeps with nothing to do before it looks whether anybody is left.
const IDLE: Duration = Duration::from_millis(500);

/// Gets schemas for whoever reads. The thread ends when the last of its handles is gone.
#[derive(Clone)]
pub(crate) struct Librarian {
    shared: Arc<SharedSchemas>,
}

#[derive(Default)]
struct SharedSchemas {
    wants: Mutex<Wants>,
    changed: Condvar,
}

/// What is wanted: as many as partitions wait, each for one, and what was absent in the last minute.
#[derive(Default)]
struct Wants {
    open: BTreeMap<SchemaId, Want>,
    absent: BTreeMap<SchemaId, Instant>,
}

#[derive(Clone)]
struct Want {
    attempts: u32,
    absent: u32,
    due: Instant,
    /// What went wrong last.
    trouble: Option<String>,
}

impl Librarian {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left, or no sockets to wait for.
    pub(crate) fn start(source: Source, shelf: Arc<SchemaShelf>) -> Result<Librarian, IngestError> {
        let shared = Arc::new(SharedSchemas::default());
        let librarian = Librarian { shared: Arc::clone(&shared) };
        let runtime = runtime()?;
        let name = "ingest-registry".to_owned();
        let work = move || {
            // This thread holds one of them itself.
            while Arc::strong_count(&shared) > 1 {
                forget_absent(&shared, &shelf);
                let Some(id) = next_due(&shared) else { continue };
                let asked = runtime.block_on(source.ask(id));
                answered(&shared, &shelf, id, asked);
            }
        };
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(work)
            .map_err(|source| IngestError::Thread { name, source })?;
        Ok(librarian)
    }

    /// Asks for a schema; it is not waited for.
    pub(crate) fn want(&self, id: SchemaId) {
        let mut wants = self.shared.wants();
        let new = Want { attempts: 0, absent: 0, due: Instant::now(), trouble: None };
        wants.open.entry(id).or_insert(new);
        self.shared.changed.notify_all();
    }

    /// What is wrong with getting a schema, as long as it is.
    pub(crate) fn trouble(&self, id: SchemaId) -> Option<String> {
        self.shared.wants().open.get(&id)?.trouble.clone()
    }
}

impl SharedSchemas {
    fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the next schema to ask for; nothing where there is none for a while.
fn next_due(shared: &SharedSchemas) -> Option<SchemaId> {
    let wants = shared.wants();
    let now = Instant::now();
    let next = wants.open.iter().min_by_key(|(_, want)| want.due);
    match next {
        Some((id, want)) if want.due <= now => Some(*id),
        next => {
            let wait = next.map_or(IDLE, |(_, want)| (want.due - now).min(IDLE));
            drop(shared.changed.wait_timeout(wants, wait));
            None
        }
    }
}

/// What was absent may be there by now: the next record that names it asks again.
fn forget_absent(shared: &SharedSchemas, shelf: &SchemaShelf) {
    shared.wants().absent.retain(|id, since| {
        let holds = since.elapsed() < ABSENT_FOR;
        if !holds {
            shelf.forget(*id);
        }
        holds
    });
}

fn answered(shared: &SharedSchemas, shelf: &SchemaShelf, id: SchemaId, asked: Asked) {
    // Reading a schema takes a while, and nobody shall wait for the lock meanwhile.
    let known = match &asked {
        Asked::Found(schema) => Some(Arc::new(KnownSchema::new(schema))),
        _ => None,
    };
    let mut wants = shared.wants();
    let now = Instant::now();
    match (asked, known) {
        (Asked::Found(_), Some(known)) => {
            shelf.put(id, known);
            wants.open.remove(&id);
            tracing::info!(%id, "a schema is known");
        }
        (Asked::Failed(why), _) => {
            if let Some(want) = wants.open.get_mut(&id) {
                tracing::warn!(%id, why, "the registry gives no schema: it is asked again");
                want.attempts += 1;
                want.due = now + wait_after(want.attempts);
                want.trouble = Some(why);
            }
        }
        _ => {
            let Some(want) = wants.open.get_mut(&id) else { return };
            (want.attempts, want.absent) = (want.attempts + 1, want.absent + 1);
            want.due = now + wait_after(want.attempts);
            if want.absent >= ABSENT_ANSWERS {
                tracing::warn!(%id, "the registry does not know a schema: its records are dead letters");
                wants.open.remove(&id);
                wants.absent.insert(id, now);
                shelf.put(id, Arc::new(KnownSchema::absent()));
            }
        }
    }
}

/// What waits for answers on one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, IngestError> {
    let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
    builder.map_err(|source| IngestError::Thread { name: "ingest-registry".to_owned(), source })
}
