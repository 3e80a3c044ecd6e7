//! One row taken out of its batch, and batches of such rows: for rows that have to wait.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use arrow::array::{
    ArrayRef, AsArray, Float64Builder, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use crate::batch::CaptureBatch;
use crate::columns::{CaptureSchema, Kind, UNKNOWN_COLUMNS, WRONG_TYPE_PREFIX, batch_schema};

/// A row of a [`CaptureBatch`] that shares no memory with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptureRow {
    #[serde(rename = "o")]
    pub offset: i64,
    #[serde(rename = "t")]
    pub time_us: i64,
    #[serde(rename = "r")]
    pub record_time_us: i64,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<i64>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    #[serde(rename = "w")]
    pub sample_rate: f64,
    /// In the order of the schema's columns.
    #[serde(rename = "c")]
    pub cells: Box<[Cell]>,
    /// Columns of values of the wrong type, by index, with their texts.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<(u32, Box<str>)>,
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Box<str>>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Missing,
    Number(#[serde(serialize_with = "bits_of", deserialize_with = "number_of")] f64),
    Text(Box<str>),
}

/// Numbers are kept by their bits: JSON has neither NaN nor infinities.
fn bits_of<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(number.to_bits())
}

fn number_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    u64::deserialize(deserializer).map(f64::from_bits)
}

impl CaptureRow {
    /// A row of a batch of this schema; `None` where the batch has no such row.
    pub fn of(batch: &CaptureBatch, schema: &CaptureSchema, row: usize) -> Option<CaptureRow> {
        if row >= batch.rows() {
            return None;
        }
        let cells = batch.values().iter().map(|column| cell_of(column, row)).collect();
        let wrong_of = |(index, column): (u32, &crate::columns::Column)| {
            // Most batches have none, and most rows of the others.
            let texts = batch.wrong_type(column.subject.as_str())?;
            texts.is_valid(row).then(|| (index, texts.value(row).into()))
        };
        let wrong = match batch.has_sparse_columns() {
            true => (0..).zip(&schema.columns).filter_map(wrong_of).collect(),
            false => Vec::new(),
        };
        let unknown = batch.unknown_columns().filter(|names| names.is_valid(row));
        let names_of = |names: &arrow::array::ListArray| -> Vec<Box<str>> {
            let names = names.value(row);
            let names = names.as_string_opt::<i32>();
            names.into_iter().flatten().flatten().map(Box::from).collect()
        };
        Some(CaptureRow {
            offset: *batch.offsets().get(row)?,
            time_us: *batch.times_us().get(row)?,
            record_time_us: *batch.record_times_us().get(row)?,
            id: batch.id(row).map(Box::from),
            version: batch.version(row).map(Box::from),
            latency_us: batch.latency_us(row),
            status: batch.status(row),
            sample_rate: *batch.sample_rates().get(row)?,
            cells,
            wrong,
            unknown: unknown.map(names_of).unwrap_or_default(),
        })
    }

    /// Bytes that it occupies, about.
    pub fn bytes(&self) -> usize {
        let text = |cell: &Cell| if let Cell::Text(text) = cell { text.len() } else { 0 };
        let texts: usize = self.cells.iter().map(text).sum();
        let sparse: usize = self.wrong.iter().map(|(_, text)| text.len() + 24).sum();
        let unknown: usize = self.unknown.iter().map(|name| name.len() + 16).sum();
        let envelope = self.id.as_ref().map_or(0, |id| id.len());
        size_of::<CaptureRow>()
            + self.cells.len() * size_of::<Cell>()
            + texts
            + sparse
            + unknown
            + envelope
    }
}

fn cell_of(column: &ArrayRef, row: usize) -> Cell {
    if row >= column.len() || column.is_null(row) {
        return Cell::Missing;
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return Cell::Number(numbers.value(row));
    }
    column.as_string_opt::<i32>().map_or(Cell::Missing, |texts| Cell::Text(texts.value(row).into()))
}

impl CaptureBatch {
    /// A batch of rows of this schema. Cells of another kind than their column count as missing.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a mistake of this function.
    pub fn of_rows(
        schema: &CaptureSchema,
        rows: &[CaptureRow],
    ) -> Result<CaptureBatch, ArrowError> {
        let numbers = |of: fn(&CaptureRow) -> i64| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(of(row))).collect::<Int64Array>())
        };
        let texts = |of: fn(&CaptureRow) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        };
        let mut fields = batch_schema(schema).fields().to_vec();
        let mut columns: Vec<ArrayRef> = vec![
            numbers(|row| row.offset),
            numbers(|row| row.time_us),
            numbers(|row| row.record_time_us),
            texts(|row| row.id.as_deref()),
            texts(|row| row.version.as_deref()),
            Arc::new(rows.iter().map(|row| row.latency_us).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.status).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| Some(row.sample_rate)).collect::<Float64Array>()),
        ];
        for (index, column) in schema.columns.iter().enumerate() {
            columns.push(values_of(column.kind, index, rows));
        }
        for (index, column) in (0..).zip(&schema.columns) {
            let wrong = |row: &CaptureRow| row.wrong.iter().any(|(place, _)| *place == index);
            if rows.iter().any(wrong) {
                let text = |row: &CaptureRow| {
                    let mut wrong = row.wrong.iter();
                    wrong.find(|(place, _)| *place == index).map(|(_, text)| text.to_string())
                };
                let name = format!("{WRONG_TYPE_PREFIX}{}", column.subject.as_str());
                fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
                columns.push(Arc::new(rows.iter().map(text).collect::<StringArray>()));
            }
        }
        if rows.iter().any(|row| !row.unknown.is_empty()) {
            let mut names = ListBuilder::new(StringBuilder::new());
            for row in rows {
                row.unknown.iter().for_each(|name| names.values().append_value(name));
                names.append(!row.unknown.is_empty());
            }
            let names = names.finish();
            fields.push(Arc::new(Field::new(UNKNOWN_COLUMNS, names.data_type().clone(), true)));
            columns.push(Arc::new(names));
        }
        Ok(CaptureBatch::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)?)
    }
}

fn values_of(kind: Kind, index: usize, rows: &[CaptureRow]) -> ArrayRef {
    match kind {
        Kind::Numeric => {
            let mut values = Float64Builder::with_capacity(rows.len());
            for row in rows {
                match row.cells.get(index) {
                    Some(Cell::Number(number)) => values.append_value(*number),
                    _ => values.append_null(),
                }
            }
            Arc::new(values.finish())
        }
        Kind::Categorical => {
            let text = |row: &CaptureRow| match row.cells.get(index) {
                Some(Cell::Text(text)) => Some(text.to_string()),
                _ => None,
            };
            Arc::new(rows.iter().map(text).collect::<StringArray>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Column;

    #[test]
    fn rows_that_were_taken_out_make_the_same_batch() {
        let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
        let columns =
            vec![column("feature:x", Kind::Numeric), column("prediction:y", Kind::Categorical)];
        let schema = CaptureSchema { columns, ignored: Vec::new() };
        let row = |offset: i64, cells: [Cell; 2]| CaptureRow {
            offset,
            time_us: 10 * offset,
            record_time_us: 10 * offset + 1,
            id: (offset != 2).then(|| format!("id {offset}").into()),
            version: (offset == 2).then(|| "7".into()),
            latency_us: (offset != 1).then_some(900),
            status: (offset == 1).then_some(503),
            sample_rate: 0.5,
            cells: Box::new(cells),
            wrong: if offset == 3 { vec![(0, "many".into())] } else { Vec::new() },
            unknown: if offset == 1 { vec!["feature:new".into()] } else { Vec::new() },
        };
        let rows = [
            row(1, [Cell::Number(1.5), Cell::Text("yes".into())]),
            row(2, [Cell::Number(f64::INFINITY), Cell::Missing]),
            row(3, [Cell::Missing, Cell::Text("".into())]),
        ];
        let batch = CaptureBatch::of_rows(&schema, &rows).unwrap();
        let taken: Vec<CaptureRow> =
            (0..3).map(|row| CaptureRow::of(&batch, &schema, row).unwrap()).collect();
        assert_eq!(taken, rows);
        assert!(CaptureRow::of(&batch, &schema, 3).is_none());
        let plain = CaptureBatch::of_rows(&schema, &rows[1..2]).unwrap();
        assert!(!plain.has_sparse_columns());
    }
}
