//! The distributions behind stored reports: kept beside them, compressed, and removed with them.

use std::collections::BTreeMap;

use driftline_config::Subject;
use driftline_pipeline::snapshot::Shape;
use redb::{ReadableTable, Table};

use crate::seal::Definition;

use super::{Packer, REPORTS, Store, StoreError};

/// Key: model, window start. One line per subject: its name as JSON, a tab, its shape as JSON; so one
/// is found without reading the others.
pub(super) const SHAPES: Definition<(&str, i64)> = Definition::new("shapes");

/// Model and start of a window.
type Key = (String, i64);

impl Store {
    /// The distributions behind a subject of a window. `None` where there are none: for private
    /// columns of numbers, and for reports of releases that did not keep them.
    ///
    /// # Errors
    /// [`StoreError`]: the file or the shape cannot be read.
    pub fn shape(
        &self,
        model: &str,
        start_us: i64,
        subject: &str,
    ) -> Result<Option<Shape>, StoreError> {
        let packed = self.read(SHAPES, &(model, start_us)).map_err(|source| self.failed(source))?;
        packed.map_or(Ok(None), |packed| find(&packed, subject))
    }
}

/// Removes what `Store::prune_reports` says, from both tables.
pub(super) fn prune(
    transaction: &redb::WriteTransaction,
    now_us: i64,
    keep_us: i64,
    most_bytes: u64,
) -> Result<u64, redb::Error> {
    let mut reports = transaction.open_table(REPORTS)?;
    let mut shapes = transaction.open_table(SHAPES)?;
    let newest = newest(&reports)?;
    let is_kept = |model: &str, start_us: i64| {
        let newest_us = newest.get(model).copied().unwrap_or(now_us);
        start_us >= now_us.min(newest_us).saturating_sub(keep_us)
    };
    let mut sizes: BTreeMap<Key, u64> = BTreeMap::new();
    for table in [&mut reports, &mut shapes] {
        table.retain(|(model, start_us), _| is_kept(model, start_us))?;
        add_sizes(table, &mut sizes)?;
    }
    let mut bytes: u64 = sizes.values().sum();
    let mut ages: Vec<(Key, u64)> = sizes.into_iter().collect();
    ages.sort_by(|((model, start_us), _), ((other, other_us), _)| {
        (start_us, model).cmp(&(other_us, other))
    });
    let mut removed = 0;
    for ((model, start_us), size) in ages {
        if bytes <= most_bytes {
            break;
        }
        removed += u64::from(reports.remove((model.as_str(), start_us))?.is_some());
        shapes.remove((model.as_str(), start_us))?;
        bytes -= size;
    }
    Ok(removed)
}

/// Start of each model's newest report.
fn newest(
    reports: &Table<'_, (&'static str, i64), &'static [u8]>,
) -> Result<BTreeMap<String, i64>, redb::Error> {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for entry in reports.iter()? {
        let (key, _) = entry?;
        let (model, start_us) = key.value();
        match newest.get_mut(model) {
            Some(newest_us) => *newest_us = start_us,
            None => drop(newest.insert(model.to_owned(), start_us)),
        }
    }
    Ok(newest)
}

fn add_sizes(
    table: &Table<'_, (&'static str, i64), &'static [u8]>,
    sizes: &mut BTreeMap<Key, u64>,
) -> Result<(), redb::Error> {
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (model, start_us) = key.value();
        *sizes.entry((model.to_owned(), start_us)).or_default() += value.value().len() as u64;
    }
    Ok(())
}

pub(super) fn pack(
    shapes: &BTreeMap<Subject, Shape>,
    packer: &mut Packer,
) -> Result<Vec<u8>, redb::Error> {
    let mut lines = Vec::new();
    for (subject, shape) in shapes {
        serde_json::to_writer(&mut lines, subject).map_err(std::io::Error::other)?;
        lines.push(b'\t');
        serde_json::to_writer(&mut lines, shape).map_err(std::io::Error::other)?;
        lines.push(b'\n');
    }
    Ok(packer.pack(&lines)?)
}

fn find(packed: &[u8], subject: &str) -> Result<Option<Shape>, StoreError> {
    let document = |why: String| StoreError::Document { key: "shapes".to_owned(), why };
    let lines = zstd::decode_all(packed).map_err(|error| document(error.to_string()))?;
    let mut name = serde_json::to_vec(subject).map_err(|error| document(error.to_string()))?;
    name.push(b'\t');
    let mut found =
        lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(name.as_slice()));
    let shape = found.next().map(serde_json::from_slice).transpose();
    shape.map_err(|error| document(error.to_string()))
}
