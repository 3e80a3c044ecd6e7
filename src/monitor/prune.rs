//! What the store need not keep any longer: old reports, and settings that nothing names.

use std::collections::BTreeSet;

use crate::checkpoint::{Store, StoreError};
use crate::pipeline::Pipeline;
use crate::setup::Setup;

/// Reports that are unpacked at once.
const PAGE: usize = 16;

/// Forgets baselines and settings that no open window, no model and no kept report names. They are few:
/// most of the time all that is kept is in use, and nothing is read.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn settings(store: &Store, pipeline: &mut Pipeline) -> Result<(), StoreError> {
    let mut unused = pipeline.unused_names();
    let mut needed = BTreeSet::new();
    for name in &unused {
        let Some(bytes) = store.named(name)? else { continue };
        let Some((model, baselines)) = Setup::describe_kept(&bytes) else { continue };
        if is_reported(store, &model, name)? {
            needed.insert(name.clone());
            needed.extend(baselines);
        }
    }
    unused.retain(|name| !needed.contains(name));
    if unused.is_empty() {
        return Ok(());
    }
    store.forget_named(&unused)?;
    tracing::info!(entries = unused.len(), "settings that no report names any more were dropped");
    pipeline.forget_names(&unused);
    Ok(())
}

/// Whether a report of the model was judged under these settings.
fn is_reported(store: &Store, model: &str, name: &str) -> Result<bool, StoreError> {
    let mut before_us = i64::MAX;
    loop {
        let page = store.reports(model, (i64::MIN, before_us), PAGE)?;
        let Some(oldest) = page.first() else { return Ok(false) };
        if page.iter().any(|report| report.config_sha256 == name) {
            return Ok(true);
        }
        before_us = oldest.start_us;
        if before_us == i64::MIN {
            return Ok(false);
        }
    }
}
