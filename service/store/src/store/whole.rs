//! Everything in a store at once: verified and counted, or written for a release of before.

use std::path::Path;

use redb::{Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::shapes::SHAPES;
use super::waiting;
use super::windows::{WINDOWS, WindowRow, lane_of};
use super::{DOCUMENTS, META, NAMED, OUTBOX, REPORTS, Store, StoreError, begin_write};
use crate::backup::Contents;
use crate::past;
use crate::seal::{Definition, Seals};
use driftline_pipeline::snapshot::LaneKind;

impl Store {
    /// Reads every value, and says what there is.
    ///
    /// # Errors
    /// [`StoreError`]: a value is not what was written.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        self.try_contents().map_err(|source| self.failed(source))
    }

    /// Writes everything in format 1, which releases before format 2 read, to a new file.
    ///
    /// # Errors
    /// [`StoreError`]: a value is not what was written, or the file cannot be written.
    pub fn write_format_1(&self, file: &Path) -> Result<(), StoreError> {
        self.try_write_format_1(file).map_err(|source| StoreError::database(file, source))
    }

    fn try_contents(&self) -> Result<Contents, redb::Error> {
        let from = self.database.begin_read()?;
        let mut contents = Contents { format: super::FORMAT, ..Contents::default() };
        each(&from, DOCUMENTS, |key, _| {
            if let Some(topic) = key.strip_prefix("topic/") {
                contents.topics.push(topic.to_owned());
            } else if let Some(model) = key.strip_prefix("model/") {
                contents.models.entry(model.to_owned()).or_default();
            } else if key.starts_with("retrain/") {
                contents.requests += 1;
            }
        })?;
        each(&from, NAMED, |_, value| {
            contents.named += 1;
            contents.named_bytes += value.len() as u64;
        })?;
        each::<WindowRow>(&from, WINDOWS, |(name, lane, _, increment, piece), value| {
            let model = contents.models.entry((*name).to_owned()).or_default();
            model.window_bytes += value.len() as u64;
            // The first row of a window stands for it.
            if (*increment, *piece) == (0, 0) {
                match lane_of(*lane) {
                    Some(LaneKind::Operations) => model.panes += 1,
                    _ => model.windows += 1,
                }
            }
        })?;
        each::<(&str, i64)>(&from, REPORTS, |(name, start_us), value| {
            let model = contents.models.entry((*name).to_owned()).or_default();
            model.reports += 1;
            model.report_bytes += value.len() as u64;
            let first = model.reported_us.map_or(*start_us, |(first, _)| first);
            model.reported_us = Some((first, *start_us));
        })?;
        each(&from, SHAPES, |_, _| {})?;
        each(&from, OUTBOX, |_, _| contents.messages += 1)?;
        waiting::verify(&from)?;
        past::verify(&from)?;
        Ok(contents)
    }

    fn try_write_format_1(&self, file: &Path) -> Result<(), redb::Error> {
        let database = Database::create(file)?;
        let (from, into) = (self.database.begin_read()?, begin_write(&database)?);
        plain(&from, &into, DOCUMENTS)?;
        plain(&from, &into, NAMED)?;
        plain(&from, &into, WINDOWS)?;
        plain(&from, &into, REPORTS)?;
        plain(&from, &into, SHAPES)?;
        plain(&from, &into, OUTBOX)?;
        past::write_plain(&from, &into)?;
        into.open_table(META)?.insert("format", 1)?;
        Ok(into.commit()?)
    }
}

/// Calls `see` with every key and value of a table.
pub(crate) fn each<K: Key + 'static>(
    from: &ReadTransaction,
    table: Definition<K>,
    mut see: impl FnMut(&K::SelfType<'_>, &[u8]),
) -> Result<(), redb::Error> {
    use redb::TableHandle;
    let stored = from.open_table(table)?;
    for entry in stored.iter()? {
        let (key, value) = entry?;
        let opened = Seals::Checked.open::<K>(stored.name(), &key.value(), value.value())?;
        see(&key.value(), &opened);
    }
    Ok(())
}

/// Copies the values of a table without their checksums.
pub(crate) fn plain<K: Key + 'static>(
    from: &ReadTransaction,
    into: &WriteTransaction,
    table: Definition<K>,
) -> Result<(), redb::Error> {
    use redb::TableHandle;
    let stored = from.open_table(table)?;
    let mut written = into.open_table(table)?;
    for entry in stored.iter()? {
        let (key, value) = entry?;
        let opened = Seals::Checked.open::<K>(stored.name(), &key.value(), value.value())?;
        written.insert(&key.value(), opened.as_slice())?;
    }
    Ok(())
}
