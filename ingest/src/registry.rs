//! The schema registry: who asks it for schemas, keeps them on disk for ever, and asks again while it is away.
//!
//! ```text
//! reader ─► want(id) ─► the registry's thread ─► disk, else three routes over HTTP ─► SchemaShelf
//!                                                                 └─► trouble, asked again later
//! ```
//!
//! A schema never changes under its number, so what was fetched once is never asked for again.

mod client;
mod disk;
mod thread;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use driftline_formats::{KnownSchema, SchemaId, SchemaShelf, SchemaText};

use crate::error::IngestError;
use client::{Client, Failure};
use disk::Disk;
pub(crate) use thread::Librarian;

/// How often a registry must say that it has no such schema before that is believed: followers of a registry
/// hear of a new one a moment later.
const ABSENT_ANSWERS: u32 = 3;
/// The first wait before asking again; each is twice as long as the one before, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Where schemas come from: the disk, or the registry.
pub(crate) struct Source {
    client: Client,
    disk: Disk,
}

/// What asking once came to.
enum Asked {
    Found(SchemaText),
    /// The registry answers that it has no such schema.
    Absent,
    Failed(String),
}

impl Source {
    /// # Errors
    /// A certificate that cannot be read, or a login that no header can carry.
    pub(crate) fn new(settings: &driftline_config::SchemaRegistry) -> Result<Source, IngestError> {
        Ok(Source { client: Client::new(settings)?, disk: Disk::new(settings) })
    }

    async fn ask(&self, id: SchemaId) -> Asked {
        if let Some(schema) = self.disk.read(id) {
            return Asked::Found(schema);
        }
        match self.client.fetch(id).await {
            Ok(schema) => {
                self.disk.write(id, &schema);
                Asked::Found(schema)
            }
            Err(Failure::Absent) => Asked::Absent,
            Err(Failure::Other(why)) => Asked::Failed(why),
        }
    }
}

/// How long to wait after so many attempts.
fn wait_after(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LAST_WAIT)
}

/// Puts a schema on the shelf, waiting for the registry: for those who read a log once. Gives up after
/// `patience`.
///
/// # Errors
/// [`IngestError::Registry`] with what the registry said last.
pub fn fetch_schema(
    settings: &driftline_config::SchemaRegistry,
    id: SchemaId,
    shelf: &SchemaShelf,
    patience: Duration,
) -> Result<(), IngestError> {
    let source = Source::new(settings)?;
    let runtime = thread::runtime()?;
    let deadline = Instant::now() + patience;
    let (mut attempts, mut absent) = (0, 0);
    loop {
        attempts += 1;
        let why = match runtime.block_on(source.ask(id)) {
            Asked::Found(schema) => {
                shelf.put(id, Arc::new(KnownSchema::new(&schema)));
                return Ok(());
            }
            Asked::Absent => {
                absent += 1;
                if absent >= ABSENT_ANSWERS {
                    shelf.put(id, Arc::new(KnownSchema::absent()));
                    return Ok(());
                }
                String::new()
            }
            Asked::Failed(why) => why,
        };
        let wait = wait_after(attempts);
        if Instant::now() + wait > deadline {
            return Err(IngestError::Registry { url: settings.url.clone(), id, why });
        }
        std::thread::sleep(wait);
    }
}
