//! What the store need not keep any longer: old reports, and settings that nothing names. Looking through all
//! that is kept takes seconds, so it is done beside the loop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::thread_ended;
use driftline_store::{Store, StoreError};

/// What is kept of reports, and the thread that looks what is too old, while there is one.
#[derive(Debug)]
pub(super) struct Pruner {
    store: Arc<Store>,
    keep_us: i64,
    /// How large they may be together, with their shapes.
    most_bytes: u64,
    running: Option<JoinHandle<Result<Pruned, StoreError>>>,
}

#[derive(Debug)]
pub(super) struct Pruned {
    /// Reports that were too many.
    pub(super) reports: u64,
    pub(super) names: BTreeSet<String>,
}

impl Pruner {
    pub(super) fn new(store: Arc<Store>, keep_us: i64, most_bytes: u64) -> Pruner {
        Pruner { store, keep_us, most_bytes, running: None }
    }

    /// Looks through the store beside the loop, unless that is being done. `unused` are the names that
    /// nothing but kept reports can need, which nothing begins to use again.
    pub(super) fn begin(&mut self, now_us: i64, unused: BTreeSet<String>) -> std::io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let (store, keep_us, most_bytes) = (Arc::clone(&self.store), self.keep_us, self.most_bytes);
        let prune = move || {
            let reports = store.prune_reports(now_us, keep_us, most_bytes)?;
            Ok(Pruned { reports, names: store.forget_unnamed(unused)? })
        };
        self.running = Some(std::thread::Builder::new().name("prune".to_owned()).spawn(prune)?);
        Ok(())
    }

    /// What was found to be too old, once that is done.
    pub(super) fn take(&mut self) -> anyhow::Result<Option<Pruned>> {
        let Some(done) = self.running.take_if(|thread| thread.is_finished()) else {
            return Ok(None);
        };
        let pruned = done.join().map_err(|_| anyhow::anyhow!(thread_ended("prune")))?;
        Ok(Some(pruned?))
    }
}

impl Drop for Pruner {
    fn drop(&mut self) {
        if let Some(thread) = self.running.take() {
            // Whoever opens the store next must find it closed.
            let _ = thread.join();
        }
    }
}
