//! Pages of predictions that wait for their labels, as `driftline-join` packs them.

#[cfg(test)]
mod tests;

use driftline_join::{Changes, Page, PageKey, PageRange, Pages};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use super::{Store, StoreError};
use crate::seal::{self, Definition};

type WaitingRow = &'static [u8; 21];

pub(super) const WAITING: Definition<WaitingRow> = Definition::new("waiting");

impl Pages for Store {
    type Error = StoreError;

    fn read(&self, keys: &[PageKey]) -> Result<Vec<Page>, StoreError> {
        let read =
            || -> Result<Vec<Page>, redb::Error> { read_pages(&self.database.begin_read()?, keys) };
        read().map_err(|source| self.failed(source))
    }

    fn resident(&self, room: u32) -> Result<Vec<Page>, StoreError> {
        let read = || -> Result<Vec<Page>, redb::Error> {
            resident_pages(&self.database.begin_read()?, room)
        };
        read().map_err(|source| self.failed(source))
    }
}

/// Makes a join's changes: what it removes, then what it writes.
pub(super) fn write(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(WAITING)?;
    for PageRange { first, last } in &changes.removed {
        let (first, last) = (first.to_bytes(), last.to_bytes());
        table.retain_in::<&[u8; 21], _>(&first..=&last, |_, _| false)?;
    }
    for (key, bytes) in &changes.written {
        seal::put(&mut table, &&key.to_bytes(), bytes)?;
    }
    Ok(())
}

/// Reads every page, and says how many there are.
pub(super) fn verify(from: &ReadTransaction) -> Result<u64, redb::Error> {
    let table = match from.open_table(WAITING) {
        // A file that was written before predictions waited.
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    let mut pages = 0;
    for entry in table.iter()? {
        let (key, value) = entry?;
        seal::opened::<WaitingRow>("waiting", &key.value(), value.value())?;
        pages += 1;
    }
    Ok(pages)
}

fn read_pages(from: &ReadTransaction, keys: &[PageKey]) -> Result<Vec<Page>, redb::Error> {
    let table = from.open_table(WAITING)?;
    let mut pages = Vec::with_capacity(keys.len());
    for key in keys {
        let row = key.to_bytes();
        // Whoever asks tells a page that is not there.
        let Some(stored) = table.get(&row)? else { continue };
        let bytes = seal::opened::<WaitingRow>("waiting", &&row, stored.value())?;
        pages.push(Page { key: *key, bytes: bytes.into() });
    }
    Ok(pages)
}

fn resident_pages(from: &ReadTransaction, room: u32) -> Result<Vec<Page>, redb::Error> {
    let table = from.open_table(WAITING)?;
    let PageRange { first, last } = PageRange::resident(room);
    let (first, last) = (first.to_bytes(), last.to_bytes());
    let mut pages = Vec::new();
    for entry in table.range::<&[u8; 21]>(&first..=&last)? {
        let (row, stored) = entry?;
        let row = row.value();
        let key = PageKey::from_bytes(row).ok_or_else(|| {
            redb::Error::Corrupted(format!("waiting {row:?} is a place that nothing has"))
        })?;
        let bytes = seal::opened::<WaitingRow>("waiting", &row, stored.value())?;
        pages.push(Page { key, bytes: bytes.into() });
    }
    Ok(pages)
}
