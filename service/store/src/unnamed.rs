//! Baselines and settings that nothing names any more.

use std::collections::BTreeSet;

use driftline_pipeline::setup::Setup;

use crate::{Store, StoreError};

const PAGE: usize = 16;

impl Store {
    /// Forgets those of the unused baselines and settings that no kept report names either, and says which.
    /// They are few: most of the time all that is kept is in use, and nothing is read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_unnamed(
        &self,
        mut unused: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut needed = BTreeSet::new();
        for name in &unused {
            let Some(bytes) = self.named(name)? else { continue };
            let Some((model, baselines)) = Setup::describe_kept(&bytes) else { continue };
            if self.is_reported(&model, name)? {
                needed.insert(name.clone());
                needed.extend(baselines);
            }
        }
        unused.retain(|name| !needed.contains(name));
        if !unused.is_empty() {
            self.forget_named(&unused)?;
            tracing::info!(
                entries = unused.len(),
                "settings that no report names any more were dropped"
            );
        }
        Ok(unused)
    }

    /// Whether a report of the model was judged under these settings.
    fn is_reported(&self, model: &str, name: &str) -> Result<bool, StoreError> {
        let mut before_us = i64::MAX;
        loop {
            let page = self.reports(model, i64::MIN..before_us, PAGE)?;
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
}
