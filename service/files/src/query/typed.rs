//! A CSV in a query: columns of which all values are of one type have that type.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use driftline_formats::{InstantText, coerce_number, read_instant};

use crate::csv::{self, CsvFile};
use crate::error::FileError;
use crate::profile::{ColumnProfile, Profile};
use crate::raw::{self, Raw};
use crate::values::says_missing;

/// Files of CSV as one table.
#[derive(Debug)]
pub(super) struct TypedCsv {
    name: String,
    files: Vec<CsvFile>,
    names: Vec<String>,
    schema: SchemaRef,
    profile: Profile,
}

impl TypedCsv {
    /// Reads the files through, since nothing else says of which types they are.
    pub(super) fn open(name: &str, paths: &[PathBuf]) -> Result<TypedCsv, FileError> {
        let files = paths.iter().map(|path| CsvFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        let names = csv::union(&files);
        let columns = names.iter().map(|name| ColumnProfile::new(name)).collect();
        let mut profile = Profile { rows: 0, columns };
        let (of_thread, names_of_thread) = (files.clone(), names.clone());
        let read = move |outbox: &_| csv::read(&of_thread, &names_of_thread, outbox);
        for raw in raw::read(name, read)? {
            match raw {
                Raw::Batch(batch) => profile.look(name, &batch, true)?,
                Raw::Note(_) => {}
                Raw::Failed(error) => return Err(error),
            }
        }
        let fields: Vec<Field> = profile
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.sql_type(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(TypedCsv { name: name.to_owned(), files, names, schema, profile })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What is unusual about the files, and which texts are read as missing numbers.
    pub(super) fn notes(&self) -> Vec<String> {
        let remarks = self.files.iter().flat_map(CsvFile::remarks);
        let remarks = remarks.map(|remark| format!("{}: {remark}", self.name));
        let marked = self.profile.columns.iter().zip(self.schema.fields());
        let marked = marked.filter(|(_, field)| field.data_type().is_numeric());
        remarks.chain(marked.filter_map(|(column, _)| column.marked_note(&self.name))).collect()
    }
}

impl PartitionStream for TypedCsv {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (files, names) = (self.files.clone(), self.names.clone());
        let inbox = raw::read(&self.name, move |outbox| csv::read(&files, &names, outbox));
        let schema = Arc::clone(&self.schema);
        let (inbox, failed) = match inbox {
            Ok(inbox) => (Some(inbox), None),
            Err(error) => (None, Some(Raw::Failed(error))),
        };
        let batches = inbox.into_iter().flatten().chain(failed);
        let typed = batches.filter_map(move |raw| match raw {
            Raw::Batch(batch) => Some(typed(&schema, &batch).map_err(DataFusionError::from)),
            Raw::Note(_) => None,
            Raw::Failed(error) => Some(Err(DataFusionError::External(Box::new(error)))),
        });
        let stream = futures_util::stream::iter(typed);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

fn typed(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, array)| of_type(field.data_type(), array));
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn of_type(data_type: &DataType, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = || array.as_string::<i32>().iter();
    let instant = |text: &str| match read_instant(text.as_bytes()) {
        Some(InstantText::At(us) | InstantText::Local(us)) => Some(us),
        _ => None,
    };
    let number = |text: &str| coerce_number(text).filter(|_| !says_missing(text));
    Ok(match data_type {
        DataType::Int64 => {
            let whole = |text: &str| text.trim().parse().ok();
            Arc::new(texts().map(|text| text.and_then(whole)).collect::<Int64Array>())
        }
        DataType::Float64 => {
            Arc::new(texts().map(|text| text.and_then(number)).collect::<Float64Array>())
        }
        DataType::Boolean => {
            let is_true = |text: &str| text.eq_ignore_ascii_case("true");
            Arc::new(texts().map(|text| text.map(is_true)).collect::<BooleanArray>())
        }
        DataType::Date32 | DataType::Timestamp(..) => {
            let instants: TimestampMicrosecondArray =
                texts().map(|text| text.and_then(instant)).collect();
            cast(&instants, data_type)?
        }
        _ => Arc::clone(array),
    })
}
