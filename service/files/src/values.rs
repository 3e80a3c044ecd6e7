//! Values of a file as values of a capture: the rules of CONTRACTS §3, as the stream's decoder
//! applies them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::{cast, is_not_null};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float16Type, Float32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use driftline_capture::columns::WRONG_TYPE_CHARACTERS;
use driftline_capture::{Column, Kind};
use driftline_formats::{
    InstantText, category_of_bool, category_of_date, category_of_f64, category_of_i64,
    category_of_instant, coerce_number, cut_text, read_instant,
};

/// One value column of a capture batch.
#[derive(Debug)]
pub(crate) struct Converted {
    /// Float64 or Utf8, by the column's kind.
    pub(crate) values: ArrayRef,
    /// The values that do not fit, where there are any.
    pub(crate) wrong: Option<StringArray>,
    /// Texts that were read as no number at all ([`says_missing`]).
    pub(crate) marked: u64,
}

impl Converted {
    pub(crate) fn new(values: ArrayRef, wrong: Option<StringArray>) -> Converted {
        Converted { values, wrong, marked: 0 }
    }
}

/// How the values of a file are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Whether every value is text without a type, as in CSV.
    pub(crate) untyped: bool,
    pub(crate) string_bytes: usize,
}

impl Reading {
    pub(crate) fn convert(
        self,
        column: &Column,
        array: &ArrayRef,
    ) -> Result<Converted, ArrowError> {
        let array = plain(array)?;
        match column.kind {
            Kind::Numeric => self.numeric(&array, column.coerce),
            Kind::Categorical => self.categorical(&array),
        }
    }

    /// Which rows have a value: in CSV an empty field is none.
    pub(crate) fn present(self, array: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        let array = plain(array)?;
        if self.untyped && is_text(&array) {
            let texts = array.as_string::<i32>().iter();
            return Ok(texts.map(|text| Some(text.is_some_and(|text| !text.is_empty()))).collect());
        }
        is_not_null(&array)
    }

    /// Numbers, null where there is none; what is no number is wrong.
    fn numeric(self, array: &ArrayRef, coerce: bool) -> Result<Converted, ArrowError> {
        if let Some(numbers) = numbers(array)? {
            return Ok(Converted::new(Arc::new(numbers), None));
        }
        let texts = texts(array)?;
        let read = is_text(array) && (coerce || self.untyped);
        let mut numbers = Float64Builder::with_capacity(texts.len());
        let mut wrong = StringBuilder::new();
        let (mut any, mut marked) = (false, 0);
        for text in &texts {
            let number = text.filter(|_| read).and_then(coerce_number);
            numbers.append_option(number);
            let mut misfit = text.filter(|_| number.is_none());
            if self.untyped && misfit.is_some_and(says_missing) {
                marked += 1;
                misfit = None;
            }
            any |= misfit.is_some();
            match misfit {
                Some(text) if self.untyped => {
                    wrong.append_value(first_characters(&category_of_untyped(text)));
                }
                misfit => wrong.append_option(misfit.map(first_characters)),
            }
        }
        let wrong = any.then(|| wrong.finish());
        Ok(Converted { values: Arc::new(numbers.finish()), wrong, marked })
    }

    /// Category texts, null where there is none; lists and objects are wrong.
    fn categorical(self, array: &ArrayRef) -> Result<Converted, ArrowError> {
        let texts = texts(array)?;
        if array.data_type().is_nested() {
            let wrong: StringArray = texts.iter().map(|text| text.map(first_characters)).collect();
            let values = new_null_array(&DataType::Utf8, texts.len());
            return Ok(Converted::new(values, (wrong.null_count() < wrong.len()).then_some(wrong)));
        }
        let untyped = self.untyped && is_text(array);
        let mut values = StringBuilder::with_capacity(texts.len(), texts.values().len());
        for text in &texts {
            match text {
                Some(text) if untyped => {
                    let text = category_of_untyped(text);
                    values.append_value(cut_text(&text, self.string_bytes));
                }
                text => values.append_option(text.map(|text| cut_text(text, self.string_bytes))),
            }
        }
        Ok(Converted::new(Arc::new(values.finish()), None))
    }
}

/// The same values without encodings: dictionaries and runs unfolded, one type of string.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => plain(&cast(array, values)?),
        DataType::RunEndEncoded(_, values) => plain(&cast(array, values.data_type())?),
        DataType::LargeUtf8 | DataType::Utf8View => cast(array, &DataType::Utf8),
        // An old writer forgot to say that its bytes are text.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let texts = cast(array, &DataType::Utf8)?;
            Ok(if texts.null_count() == array.null_count() { texts } else { Arc::clone(array) })
        }
        _ => Ok(Arc::clone(array)),
    }
}

pub(crate) fn is_text(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::Utf8)
}

pub(crate) fn is_instant(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// The values of a column of numbers, or of one without any values; `None` for other types.
pub(crate) fn numbers(array: &ArrayRef) -> Result<Option<Float64Array>, ArrowError> {
    let data_type = array.data_type();
    match data_type {
        DataType::Float32 => {
            let floats = array.as_primitive::<Float32Type>();
            return Ok(Some(floats.unary(shortest_of_f32)));
        }
        DataType::Float16 => {
            let floats = array.as_primitive::<Float16Type>();
            return Ok(Some(floats.unary(shortest_of_f16)));
        }
        _ => {}
    }
    if data_type.is_decimal() {
        // Text and back rounds once; a division by a power of ten would round twice.
        let text = formatted(array)?;
        return Ok(Some(text.iter().map(|text| text.and_then(coerce_number)).collect()));
    }
    if data_type.is_numeric() || data_type.is_null() {
        let numbers = cast(array, &DataType::Float64)?;
        return Ok(Some(numbers.as_primitive().clone()));
    }
    Ok(None)
}

/// The number that is written for a single-precision float: its shortest decimal, which is what every
/// text format holds for it. Its exact value is another number: that of 0.1 is 0.10000000149….
fn shortest_of_f32(value: f32) -> f64 {
    /// Whole numbers below are exact, and their own shortest decimal.
    const EXACT: f32 = 16_777_216.0;
    if !value.is_finite() || (value.fract() == 0.0 && value.abs() < EXACT) {
        return f64::from(value);
    }
    format!("{value:e}").parse().unwrap_or_else(|_| f64::from(value))
}

fn shortest_of_f16(value: <Float16Type as ArrowPrimitiveType>::Native) -> f64 {
    // Five digits tell any two half-precision floats apart.
    let written = |digits: usize| format!("{:.digits$e}", value.to_f32()).parse::<f64>().ok();
    let back =
        |number: &f64| <Float16Type as ArrowPrimitiveType>::Native::from_f64(*number) == value;
    (0..5).filter_map(written).find(back).unwrap_or_else(|| value.to_f64())
}

/// Event times of a column of dates or timestamps, in microseconds; those without a zone are UTC.
pub(crate) fn instants_us(array: &ArrayRef) -> Result<arrow::array::Int64Array, ArrowError> {
    let instants = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    Ok(instants.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>())
}

/// The category text of each value of a plain column, null for missing ones and NaN.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8 => array.as_string().clone(),
        DataType::Boolean => array.as_boolean().iter().map(|b| b.map(category_of_bool)).collect(),
        DataType::Date32 | DataType::Date64 => {
            let days = cast(array, &DataType::Date32)?;
            let days = days.as_primitive::<Date32Type>();
            days.iter().map(|days| days.map(category_of_date)).collect()
        }
        DataType::Timestamp(..) => {
            let instants = instants_us(array)?;
            instants.iter().map(|time_us| time_us.map(category_of_instant)).collect()
        }
        DataType::UInt64 => formatted(array)?,
        decimal if decimal.is_decimal() => {
            let texts = formatted(array)?;
            texts.iter().map(|text| text.and_then(category_of_decimal)).collect()
        }
        whole if whole.is_integer() => {
            let numbers = cast(array, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            numbers.iter().map(|number| number.map(category_of_i64)).collect()
        }
        _ => match numbers(array)? {
            Some(numbers) => {
                numbers.iter().map(|number| number.and_then(category_of_f64)).collect()
            }
            None => formatted(array)?,
        },
    })
}

fn formatted(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
    (0..array.len())
        .map(|row| match array.is_null(row) {
            true => Ok(None),
            false => formatter.value(row).try_to_string().map(Some),
        })
        .collect()
}

fn first_characters(text: &str) -> String {
    text.chars().take(WRONG_TYPE_CHARACTERS).collect()
}

/// The texts by which programs write that a number is missing.
const MISSING: [&str; 12] =
    ["NA", "N/A", "#N/A", "<NA>", "NULL", "None", "nan", "NaT", r"\N", "?", "-", "--"];

/// Whether a text of CSV says, among numbers, that there is none.
pub(crate) fn says_missing(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 4 && MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing))
}

/// The category text of a value of CSV. CSV has no types, so a value is read as what a program
/// would have written for it: `True` and `False` in any case are booleans, numbers with a point or an
/// exponent (`1.0`, `1.50`, `1e-07`) are numbers, a date with a time is an instant, and everything
/// else is text as it stands. Leading zeros and a plus (`007`, `+1`) are text: no program writes a
/// number like this, and a postal code must stay what it is.
fn category_of_untyped(text: &str) -> std::borrow::Cow<'_, str> {
    for value in [true, false] {
        let written = category_of_bool(value);
        if text.eq_ignore_ascii_case(written) {
            return written.into();
        }
    }
    if text == "-0" {
        return "0".into();
    }
    if looks_like_a_float(text) {
        let exponent = text.contains(['e', 'E']);
        let number = if exponent {
            coerce_number(text).and_then(category_of_f64)
        } else {
            category_of_decimal(text)
        };
        return number.map_or(text.into(), Into::into);
    }
    /// Bytes of a date: what is longer has a time.
    const DATE: usize = 10;
    match read_instant(text.as_bytes()) {
        Some(InstantText::At(us) | InstantText::Local(us)) if text.len() > DATE => {
            category_of_instant(us).into()
        }
        _ => text.into(),
    }
}

/// The category text of a decimal, `1.5` for `1.50`; of a whole one every digit.
fn category_of_decimal(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit == b'0') {
        return coerce_number(text).and_then(category_of_f64);
    }
    Some(if whole == "-0" { "0".to_owned() } else { whole.to_owned() })
}

fn looks_like_a_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
        && (fraction.is_some() || exponent.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untyped_text_is_read_as_what_was_written() {
        let table = [
            ("True", "true"),
            ("FALSE", "false"),
            ("1", "1"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("0.5", "0.5"),
            ("1e-07", "0.0000001"),
            ("1e+20", "100000000000000000000"),
            ("1.10", "1.1"),
            ("1.50", "1.5"),
            ("12345678901234567890.00", "12345678901234567890"),
            ("-0", "0"),
            ("2013-01-01", "2013-01-01"),
            ("2013-01-01 05:15:00+01:00", "2013-01-01T04:15:00Z"),
            ("2013-01-01 05:15:00[Europe/Berlin]", "2013-01-01 05:15:00[Europe/Berlin]"),
            ("007", "007"),
            ("00.5", "00.5"),
            ("+1", "+1"),
            ("1.", "1."),
            (".5", ".5"),
            ("1e", "1e"),
            ("1.2.3", "1.2.3"),
            ("UA", "UA"),
            ("-", "-"),
            ("e5", "e5"),
        ];
        for (text, expected) in table {
            assert_eq!(category_of_untyped(text), expected, "{text}");
        }
    }
}
