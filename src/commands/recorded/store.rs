//! The checkpoint, read beside a service that may be running.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::budget::{KeptWindow, ScaleHistory};
use driftline_config::time::format_instant;
use driftline_config::{Limits, Partition};
use driftline_pipeline::judge::ToldWindows;
use driftline_pipeline::setup::{BaselineFiles, Setup};
use driftline_pipeline::snapshot::{DocumentKey, StoredReport};
use driftline_pipeline::{DecidingFacts, KeptModel};
use driftline_store::{Contents, Store, StoreError};
use serde::Deserialize;
use tempfile::TempDir;

/// How often a copy is tried while the service keeps committing.
const TRIES: u32 = 20;
/// How long to wait between two copies.
const PAUSE: Duration = Duration::from_millis(250);
/// The first bytes of the database: which of its two roots is in force is written in them.
const HEADER_BYTES: u64 = 4096;

#[derive(Debug)]
pub(crate) struct StoredState {
    store: Store,
    /// Where the store is a copy, its folder.
    copy: Option<TempDir>,
}

/// The part of a model's document that is needed here.
#[derive(Debug, Deserialize)]
struct ModelDocument {
    facts: DecidingFacts,
}

impl StoredState {
    /// Opens the checkpoint of a state folder, or a copy of it where a running service holds it.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<StoredState> {
        let file = Store::file_in(folder);
        if !file.is_file() {
            return Err(none_yet(folder));
        }
        match Store::open_as_it_is(folder) {
            Ok(store) => Ok(StoredState { store, copy: None }),
            // In use, or of another user who lets us read it, or of a release that may go on with it.
            Err(
                StoreError::Locked { .. } | StoreError::Folder { .. } | StoreError::Older { .. },
            ) => copied(&file),
            Err(error) => Err(error.into()),
        }
    }

    /// A folder with a checkpoint of its own that holds the same, verified, and that nobody has open: also beside
    /// a running service.
    pub(crate) fn copy(folder: &Path) -> anyhow::Result<TempDir> {
        let file = Store::file_in(folder);
        if !file.is_file() {
            return Err(none_yet(folder));
        }
        let StoredState { store, copy } = copied(&file)?;
        store.contents()?;
        drop(store);
        copy.ok_or_else(|| anyhow!("checkpoint {}: it was not copied", file.display()))
    }

    /// What it holds, every value verified.
    pub(crate) fn contents(&self) -> anyhow::Result<Contents> {
        Ok(self.store.contents()?)
    }

    /// The models that it has something of.
    pub(crate) fn models(&self) -> anyhow::Result<Vec<KeptModel>> {
        Ok(self.store.load(&|_| true)?.models())
    }

    pub(crate) fn report(
        &self,
        model: &str,
        start_us: i64,
    ) -> anyhow::Result<Option<StoredReport>> {
        Ok(self.store.report(model, start_us)?)
    }

    /// The windows that a judgement merged with its own, from their own reports.
    pub(crate) fn newest(&self, model: &str, told: &ToldWindows) -> anyhow::Result<ScaleHistory> {
        let kept = |&start_us: &i64| {
            let stored = self.report(model, start_us)?;
            let bytes = stored.and_then(|stored| stored.coarse_bytes()).ok_or_else(|| {
                anyhow!(
                    "it was judged together with the window of {}, whose report is not kept any more (reports.keep)",
                    format_instant(start_us)
                )
            })?;
            Ok(KeptWindow { start_us, bytes: bytes.into() })
        };
        let windows: anyhow::Result<Vec<KeptWindow>> = told.starts_us.iter().map(kept).collect();
        Ok(ScaleHistory::of(&told.baseline_sha256, windows?))
    }

    /// The settings and baselines that are kept under this sha256.
    pub(crate) fn setup(&self, sha256: &str, limits: &Limits) -> anyhow::Result<Setup> {
        let named = |sha256: &str| self.store.named(sha256).ok().flatten();
        Ok(Setup::restore(sha256, &named, &mut BaselineFiles::default(), limits)?)
    }

    /// Late rows of a model with these event times, by partition and offset.
    pub(crate) fn late_rows(
        &self,
        model: &str,
        times_us: &Range<i64>,
    ) -> anyhow::Result<BTreeSet<(Partition, i64)>> {
        let Some(document) = self.store.document(&DocumentKey::Model(model.to_owned()))? else {
            return Ok(BTreeSet::new());
        };
        let document: ModelDocument = serde_json::from_slice(&document)
            .with_context(|| format!("the checkpoint of model {model} cannot be read"))?;
        let late = document.facts.late_rows.iter().filter(|row| times_us.contains(&row.time_us));
        Ok(late.map(|row| (row.partition, row.offset)).collect())
    }

    pub(crate) fn request(&self, id: &str) -> anyhow::Result<RetrainRequest> {
        let document = self.store.document(&DocumentKey::Retrain(id.to_owned()))?;
        let document =
            document.ok_or_else(|| anyhow!("--retrain {id}: no such request was ever made"))?;
        serde_json::from_slice(&document)
            .with_context(|| format!("the retraining request {id} cannot be read"))
    }
}

fn none_yet(folder: &Path) -> anyhow::Error {
    anyhow!("state folder {}: no checkpoint: the service has not run with it", folder.display())
}

/// Opens a copy of the file of a running service.
///
/// redb never writes over pages that its last commit can reach, and makes a commit by writing the
/// file's head. So a copy is whole where the head is the same before and after copying; where the
/// service committed meanwhile, it is taken again.
fn copied(file: &Path) -> anyhow::Result<StoredState> {
    let failed = || format!("checkpoint {}: it cannot be copied", file.display());
    let mut refused = None;
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let folder = tempfile::tempdir().with_context(failed)?;
        let head = head(file).with_context(failed)?;
        std::fs::copy(file, Store::file_in(folder.path())).with_context(failed)?;
        if self::head(file).with_context(failed)? != head {
            continue;
        }
        match Store::open(folder.path(), Duration::ZERO, false) {
            Ok(store) => return Ok(StoredState { store, copy: Some(folder) }),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => Err(error).with_context(failed),
        None => bail!(
            "checkpoint {}: the running service commits faster than it can be copied: try again when it is caught up, or stop it",
            file.display()
        ),
    }
}

fn head(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(HEADER_BYTES).read_to_end(&mut head)?;
    Ok(head)
}
