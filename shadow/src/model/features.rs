//! The feature columns of a capture batch, as a model's inputs read them.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use driftline_capture::columns::WRONG_TYPE_PREFIX;

use crate::error::ShadowError;

/// The columns that a model takes, in the order of its configured inputs.
#[derive(Debug)]
pub(crate) struct Features<'a> {
    columns: Vec<FeatureColumn<'a>>,
}

#[derive(Debug)]
struct FeatureColumn<'a> {
    values: ArrayRef,
    /// Rows whose value was of the wrong type; the value column holds null there.
    wrong_type: Option<&'a StringArray>,
}

impl<'a> Features<'a> {
    pub(crate) fn of(
        batch: &'a RecordBatch,
        names: &[String],
    ) -> Result<Features<'a>, ShadowError> {
        let columns =
            names.iter().map(|name| FeatureColumn::of(batch, name)).collect::<Result<_, _>>()?;
        Ok(Features { columns })
    }

    /// The number of a row: NaN where missing, `None` where it is no number.
    pub(crate) fn number(&self, feature: usize, row: usize) -> Option<f64> {
        let column = self.columns.get(feature)?;
        if column.is_wrong_type(row) {
            return None;
        }
        if column.values.is_null(row) {
            return Some(f64::NAN);
        }
        match column.values.as_string_opt::<i32>() {
            Some(texts) => match texts.value(row) {
                "true" => Some(1.0),
                "false" => Some(0.0),
                text => text.parse().ok(),
            },
            None => column.values.as_primitive_opt::<Float64Type>().map(|values| values.value(row)),
        }
    }

    /// The text of a row: empty where missing, `None` where its value was of the wrong type.
    pub(crate) fn text(&self, feature: usize, row: usize) -> Option<Cow<'_, str>> {
        let column = self.columns.get(feature)?;
        if column.is_wrong_type(row) {
            return None;
        }
        Some(text_at(&column.values, row).unwrap_or_default())
    }
}

impl<'a> FeatureColumn<'a> {
    fn of(batch: &'a RecordBatch, name: &str) -> Result<FeatureColumn<'a>, ShadowError> {
        let subject = format!("feature:{name}");
        let missing = || ShadowError::Feature { feature: name.to_owned() };
        let values = values_of(batch, &subject).ok_or_else(missing)?;
        let wrong_type = batch
            .column_by_name(&format!("{WRONG_TYPE_PREFIX}{subject}"))
            .and_then(|column| column.as_string_opt::<i32>());
        Ok(FeatureColumn { values, wrong_type })
    }

    fn is_wrong_type(&self, row: usize) -> bool {
        self.wrong_type.is_some_and(|texts| texts.is_valid(row))
    }
}

/// A column as Utf8 or Float64; `None` when the batch has none that can be read so.
pub(crate) fn values_of(batch: &RecordBatch, subject: &str) -> Option<ArrayRef> {
    let column = batch.column_by_name(subject)?;
    match column.data_type() {
        DataType::Utf8 | DataType::Float64 => Some(ArrayRef::clone(column)),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            cast(column, &DataType::Utf8).ok()
        }
        _ => cast(column, &DataType::Float64).ok(),
    }
}

/// The category text of a value: whole numbers as integers, others in shortest form.
pub(crate) fn text_at(values: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    if values.is_null(row) {
        return None;
    }
    match values.as_string_opt::<i32>() {
        Some(texts) => Some(Cow::Borrowed(texts.value(row))),
        // Rust writes whole floats without a fraction and others in shortest form.
        None => Some(Cow::Owned(values.as_primitive_opt::<Float64Type>()?.value(row).to_string())),
    }
}
