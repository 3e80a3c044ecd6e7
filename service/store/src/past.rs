//! What the page shows of the past: tables beside the reports, each bounded by its keys or with them.

use std::collections::BTreeMap;

use driftline_pipeline::snapshot::{IncidentDocument, PageDocuments, Pane, WindowDocument};
use redb::{
    ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle,
    WriteTransaction,
};
use serde::de::DeserializeOwned;

use super::packing::Packer;
use super::seal::{self, Definition, Seals};
use super::store::{Anew, REPORTS, each, plain};
use super::{Store, StoreError};

/// Panes kept per model: twice what the longest burn rate looks at in minutes, and about as many as
/// a plot has pixels. Further ones take the place of the oldest.
pub const PANES: u32 = 720;
/// Receipts kept, over all receivers: those of a bad night with every message tried ten times.
pub const RECEIPTS: u64 = 2000;

/// Model, window start.
type WindowOf = (&'static str, i64);
/// Incident, wall time, what tells two entries of a moment apart.
type EntryOf = (&'static str, i64, &'static str);
/// Key: model, window start.
const DIGESTS: Definition<WindowOf> = Definition::new("digests");
/// Key: model, window start.
const SHADOW: Definition<WindowOf> = Definition::new("shadow");
/// Start, requests, errors, and median and 99 % quantile of the latencies.
type PaneRow = (i64, u64, u64, Option<(u64, u64)>);
/// Key: model, number of the pane modulo [`PANES`].
const PANE_RING: TableDefinition<'_, (&str, u32), PaneRow> = TableDefinition::new("panes");
/// Key: incident, wall time, what tells two entries of a moment apart.
const ENTRIES: Definition<EntryOf> = Definition::new("incidents");
/// Key: number of the receipt modulo [`RECEIPTS`]. Value: number, document.
const RECEIPT_RING: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("receipts");

impl Store {
    /// The newest `limit` digests of windows that start before `before_us`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]: the file or a digest cannot be read.
    pub fn digests<T: DeserializeOwned>(
        &self,
        model: &str,
        before_us: i64,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        self.of_windows(DIGESTS, model, before_us, limit)
    }

    /// The newest `limit` shadow records of windows that start before `before_us`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]: the file or a record cannot be read.
    pub fn shadow_records<T: DeserializeOwned>(
        &self,
        model: &str,
        before_us: i64,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        self.of_windows(SHADOW, model, before_us, limit)
    }

    /// The last panes of a model, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn panes(&self, model: &str, every_us: i64) -> Result<Vec<Pane>, StoreError> {
        let read = |transaction: &ReadTransaction| -> Result<Vec<Pane>, redb::Error> {
            let table = transaction.open_table(PANE_RING)?;
            let mut panes = Vec::new();
            for row in table.range((model, 0)..=(model, u32::MAX))? {
                let (start_us, requests, errors, latency_us) = row?.1.value();
                let model = model.to_owned();
                panes.push(Pane { model, every_us, start_us, requests, errors, latency_us });
            }
            Ok(panes)
        };
        let mut panes = self.reading(read)?;
        panes.sort_by_key(|pane| pane.start_us);
        // What was written before a silence, or under another length, is older than the ring.
        let newest_us = panes.last().map_or(0, |pane| pane.start_us);
        let oldest_us = newest_us.saturating_sub(every_us.saturating_mul(i64::from(PANES) - 1));
        panes.retain(|pane| pane.start_us >= oldest_us);
        Ok(panes)
    }

    /// Everything that is kept about an incident, oldest first, with its wall time.
    ///
    /// # Errors
    /// [`StoreError`]: the file or an entry cannot be read.
    pub fn entries<T: DeserializeOwned>(
        &self,
        incident: &str,
    ) -> Result<Vec<(i64, T)>, StoreError> {
        let read = |transaction: &ReadTransaction| -> Result<Vec<(i64, Vec<u8>)>, redb::Error> {
            let table = transaction.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            for row in table.range((incident, i64::MIN, "")..)? {
                let (key, value) = row?;
                let (of, wall_us, _) = key.value();
                if of != incident {
                    break;
                }
                let value =
                    Seals::Checked.open::<EntryOf>("incidents", &key.value(), value.value())?;
                entries.push((wall_us, value));
            }
            Ok(entries)
        };
        let entries = self.reading(read)?;
        entries.into_iter().map(|(wall_us, packed)| Ok((wall_us, unpacked(&packed)?))).collect()
    }

    /// The kept receipts with their numbers, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]: the file or a receipt cannot be read.
    pub fn receipts<T: DeserializeOwned>(&self) -> Result<Vec<(u64, T)>, StoreError> {
        let read = |transaction: &ReadTransaction| -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let table = transaction.open_table(RECEIPT_RING)?;
            let mut receipts = Vec::new();
            for row in table.iter()? {
                let value = row?.1;
                let (number, sealed) = value.value();
                receipts.push(receipt(number, sealed)?);
            }
            Ok(receipts)
        };
        let mut receipts = self.reading(read)?;
        receipts.sort_unstable_by_key(|(number, _)| *number);
        receipts.into_iter().map(|(number, document)| Ok((number, parsed(&document)?))).collect()
    }

    fn of_windows<T: DeserializeOwned>(
        &self,
        table: Definition<WindowOf>,
        model: &str,
        before_us: i64,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let read = |transaction: &ReadTransaction| -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = transaction.open_table(table)?;
            let rows = table.range((model, i64::MIN)..(model, before_us))?.rev().take(limit);
            let opened = rows.map(|row| {
                let (key, value) = row?;
                Seals::Checked.open::<WindowOf>(table.name(), &key.value(), value.value())
            });
            opened.collect()
        };
        let packed = self.reading(read)?;
        packed.iter().rev().map(|packed| unpacked(packed)).collect()
    }

    fn reading<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from);
        transaction.and_then(|transaction| read(&transaction)).map_err(|source| self.failed(source))
    }
}

/// Makes the tables, so that readers find them.
pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(DIGESTS)?;
    transaction.open_table(SHADOW)?;
    transaction.open_table(PANE_RING)?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(RECEIPT_RING)?;
    Ok(())
}

/// Writes the values of a file without checksums with theirs.
pub(super) fn seal_tables(anew: &Anew<'_>) -> Result<(), redb::Error> {
    anew.seal(DIGESTS)?;
    anew.seal(SHADOW)?;
    anew.seal(ENTRIES)?;
    let mut sealed = anew.transaction.open_table(RECEIPT_RING)?;
    let stored = match anew.before.open_table(RECEIPT_RING) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        stored => stored?,
    };
    for row in stored.iter()? {
        let (slot, value) = row?;
        let (number, document) = value.value();
        let document = seal::seal(&number.to_le_bytes(), document);
        sealed.insert(slot.value(), (number, document.as_slice()))?;
    }
    Ok(())
}

/// Reads every value that is sealed here.
pub(super) fn verify(from: &ReadTransaction) -> Result<(), redb::Error> {
    each(from, DIGESTS, |_, _| {})?;
    each(from, SHADOW, |_, _| {})?;
    each(from, ENTRIES, |_, _| {})?;
    for row in from.open_table(RECEIPT_RING)?.iter()? {
        let value = row?.1;
        let (number, sealed) = value.value();
        receipt(number, sealed)?;
    }
    Ok(())
}

/// Copies the values without their checksums.
pub(super) fn write_plain(
    from: &ReadTransaction,
    into: &WriteTransaction,
) -> Result<(), redb::Error> {
    plain(from, into, DIGESTS)?;
    plain(from, into, SHADOW)?;
    plain(from, into, ENTRIES)?;
    let mut receipts = into.open_table(RECEIPT_RING)?;
    for row in from.open_table(RECEIPT_RING)?.iter()? {
        let (slot, value) = row?;
        let (number, sealed) = value.value();
        let (number, document) = receipt(number, sealed)?;
        receipts.insert(slot.value(), (number, document.as_slice()))?;
    }
    let mut panes = into.open_table(PANE_RING)?;
    for row in from.open_table(PANE_RING)?.iter()? {
        let (key, value) = row?;
        panes.insert(key.value(), value.value())?;
    }
    Ok(())
}

fn receipt(number: u64, sealed: &[u8]) -> Result<(u64, Vec<u8>), redb::Error> {
    let document = seal::unseal(&number.to_le_bytes(), sealed);
    let document = document.ok_or_else(|| {
        redb::Error::Corrupted(format!("receipt {number} does not agree with its checksum"))
    })?;
    Ok((number, document.to_vec()))
}

pub(super) fn write(
    transaction: &WriteTransaction,
    shown: &PageDocuments,
    packer: &mut Packer,
) -> Result<(), redb::Error> {
    if shown.is_empty() {
        return Ok(());
    }
    for (definition, documents) in [(DIGESTS, &shown.digests), (SHADOW, &shown.shadow)] {
        let mut table = transaction.open_table(definition)?;
        for WindowDocument { model, start_us, document } in documents {
            seal::put(&mut table, &(model.as_str(), *start_us), &packer.pack(document)?)?;
        }
    }
    let mut panes = transaction.open_table(PANE_RING)?;
    for pane in &shown.panes {
        let number = pane.start_us.div_euclid(pane.every_us.max(1));
        let slot = u32::try_from(number.rem_euclid(i64::from(PANES))).unwrap_or(0);
        let row = (pane.start_us, pane.requests, pane.errors, pane.latency_us);
        panes.insert((pane.model.as_str(), slot), row)?;
    }
    let mut entries = transaction.open_table(ENTRIES)?;
    for IncidentDocument { incident, wall_us, id, document } in &shown.entries {
        let key = (incident.as_str(), *wall_us, id.as_str());
        seal::put(&mut entries, &key, &packer.pack(document)?)?;
    }
    let mut receipts = transaction.open_table(RECEIPT_RING)?;
    for (number, document) in &shown.receipts {
        let sealed = seal::seal(&number.to_le_bytes(), document);
        receipts.insert(number % RECEIPTS, (*number, sealed.as_slice()))?;
    }
    Ok(())
}

/// Removes what belongs to reports that are gone, and entries that were decided before `before_us`.
/// Reports go oldest first, so whatever lies before a model's oldest belongs to none.
pub(super) fn prune(transaction: &WriteTransaction, before_us: i64) -> Result<(), redb::Error> {
    let mut oldest: BTreeMap<String, i64> = BTreeMap::new();
    for row in transaction.open_table(REPORTS)?.iter()? {
        let key = row?.0;
        let (model, start_us) = key.value();
        // The first of a model's keys is its oldest.
        if !oldest.contains_key(model) {
            oldest.insert(model.to_owned(), start_us);
        }
    }
    for definition in [DIGESTS, SHADOW] {
        let mut table = transaction.open_table(definition)?;
        table.retain(|(model, start_us), _| {
            oldest.get(model).is_some_and(|oldest_us| start_us >= *oldest_us)
        })?;
    }
    let mut entries = transaction.open_table(ENTRIES)?;
    entries.retain(|(_, wall_us, _), _| wall_us >= before_us)?;
    Ok(())
}

fn unpacked<T: DeserializeOwned>(packed: &[u8]) -> Result<T, StoreError> {
    let document = zstd::decode_all(packed).map_err(|error| damaged(error.to_string()))?;
    parsed(&document)
}

fn parsed<T: DeserializeOwned>(document: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(document).map_err(|error| damaged(error.to_string()))
}

fn damaged(why: String) -> StoreError {
    StoreError::Document { key: "shown on the page".to_owned(), why }
}
