//! The envelope columns of a capture batch, from the columns of a file.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray, new_null_array,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use driftline_formats::coerce_number;

use super::error::FileError;
use super::instant::{EventTime, milliseconds, text_time};
use super::mapping::Target;
use super::values::{instants_us, is_instant, is_text, numbers, plain, texts};

/// Bytes that an `id` or a `version` may have: longer ones count as absent, as in the stream.
const IDENTIFIER_BYTES: usize = 256;

/// The rows of a batch that are not values: where they stand, and which columns hold what.
#[derive(Debug)]
pub(crate) struct EnvelopeRows<'a> {
    /// File name or query, for errors.
    pub(crate) name: &'a str,
    pub(crate) first: i64,
    pub(crate) rows: usize,
    /// Name, target and values of each column.
    pub(crate) columns: Vec<(&'a str, &'a Target, &'a ArrayRef)>,
}

/// The envelope of some rows.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// In the order of `driftline_capture::columns`.
    pub(crate) columns: Vec<ArrayRef>,
    /// The column of event times that say nothing about their zone, where there are any.
    pub(crate) local: Option<String>,
}

impl EnvelopeRows<'_> {
    pub(crate) fn read(&self) -> Result<Envelope, FileError> {
        let end = self.first + i64::try_from(self.rows).unwrap_or(0);
        let offset: ArrayRef = Arc::new(Int64Array::from_iter_values(self.first..end));
        let times = self.times()?;
        let local = times.iter().flatten().any(|time| time.local);
        let time: ArrayRef = match &times {
            Some(times) => Arc::new(times.iter().map(|time| time.us).collect::<Int64Array>()),
            None => Arc::new(Int64Array::from(vec![0; self.rows])),
        };
        let columns = vec![
            offset,
            Arc::clone(&time),
            time,
            self.identifier(&Target::Id)?,
            self.identifier(&Target::Version)?,
            self.latency_us()?,
            self.status()?,
            self.sample_rate()?,
        ];
        let column = self.column(&Target::Time).filter(|_| local);
        Ok(Envelope { columns, local: column.map(|(name, _)| name.to_owned()) })
    }

    fn column(&self, wanted: &Target) -> Option<(&str, &ArrayRef)> {
        let found = self.columns.iter().find(|(_, target, _)| *target == wanted);
        found.map(|(name, _, array)| (*name, *array))
    }

    fn arrow<T>(&self, result: Result<T, ArrowError>) -> Result<T, FileError> {
        result.map_err(|source| FileError::Arrow { name: self.name.to_owned(), source })
    }

    /// The event times, where the rows have any.
    fn times(&self) -> Result<Option<Vec<EventTime>>, FileError> {
        let Some((column, array)) = self.column(&Target::Time) else { return Ok(None) };
        let local = matches!(
            array.data_type(),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None)
        );
        let array = self.arrow(plain(array))?;
        // Driftline's own files hold microseconds under this name.
        let own = column == driftline_capture::columns::TIME_US;
        let whole =
            |us: Option<i64>, local: bool| us.map(|us| EventTime { us, local }).ok_or("no value");
        let times: Vec<Result<EventTime, &str>> = if is_instant(&array) {
            let instants = self.arrow(instants_us(&array))?;
            instants.iter().map(|time_us| whole(time_us, local)).collect()
        } else if own && array.data_type() == &DataType::Int64 {
            let instants = array.as_primitive::<arrow::datatypes::Int64Type>();
            instants.iter().map(|time_us| whole(time_us, false)).collect()
        } else if is_text(&array) {
            let own_us = |text: &str| if own { text.parse().ok() } else { None };
            let read = |text: &str| {
                own_us(text)
                    .map_or_else(|| text_time(text), |us| Ok(EventTime { us, local: false }))
            };
            let instants = array.as_string::<i32>();
            instants.iter().map(|text| text.ok_or("no value").and_then(read)).collect()
        } else if let Some(numbers) = self.arrow(numbers(&array))? {
            numbers.iter().map(|time| time.ok_or("no value").and_then(milliseconds)).collect()
        } else {
            vec![Err("not of a type that holds instants"); self.rows]
        };
        let read = |(row, time): (usize, Result<EventTime, &str>)| {
            time.map_err(|why| self.bad_time(column, &array, row, why))
        };
        times.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    fn bad_time(&self, column: &str, array: &ArrayRef, row: usize, why: &str) -> FileError {
        let value = texts(array).ok().filter(|texts| texts.is_valid(row));
        FileError::Value {
            name: self.name.to_owned(),
            row: self.first.unsigned_abs() + row as u64 + 1,
            column: column.to_owned(),
            value: value.map(|texts| texts.value(row).to_owned()).unwrap_or_default(),
            detail: format!("{why}; every row needs an event time"),
        }
    }

    fn identifier(&self, target: &Target) -> Result<ArrayRef, FileError> {
        let Some((_, array)) = self.column(target) else {
            return Ok(new_null_array(&DataType::Utf8, self.rows));
        };
        let texts = self.arrow(plain(array).and_then(|array| texts(&array)))?;
        let short = |text: &&str| text.len() <= IDENTIFIER_BYTES;
        let texts: StringArray = texts.iter().map(|text| text.filter(short)).collect();
        Ok(Arc::new(texts))
    }

    /// Numbers of an envelope column; text that holds a number is one.
    fn numbers(&self, target: &Target) -> Result<Option<Float64Array>, FileError> {
        let Some((_, array)) = self.column(target) else { return Ok(None) };
        let array = self.arrow(plain(array))?;
        if let Some(numbers) = self.arrow(numbers(&array))? {
            return Ok(Some(numbers));
        }
        let texts = self.arrow(texts(&array))?;
        Ok(Some(texts.iter().map(|text| text.and_then(coerce_number)).collect()))
    }

    fn latency_us(&self) -> Result<ArrayRef, FileError> {
        let Some(numbers) = self.numbers(&Target::LatencyUs)? else {
            return Ok(new_null_array(&DataType::Int64, self.rows));
        };
        let usable = |number: &f64| (0.0..=9e15).contains(&number.round());
        let latency: Int64Array =
            numbers.iter().map(|n| n.filter(usable).map(|n| n.round() as i64)).collect();
        Ok(Arc::new(latency))
    }

    fn status(&self) -> Result<ArrayRef, FileError> {
        let Some(numbers) = self.numbers(&Target::Status)? else {
            return Ok(new_null_array(&DataType::Int32, self.rows));
        };
        let usable = |number: &f64| {
            number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(number)
        };
        let status: Int32Array =
            numbers.iter().map(|n| n.filter(usable).map(|n| n as i32)).collect();
        Ok(Arc::new(status))
    }

    fn sample_rate(&self) -> Result<ArrayRef, FileError> {
        let numbers = self.numbers(&Target::SampleRate)?;
        let usable = |number: &f64| (0.0..=1.0).contains(number);
        let rates: Float64Array = match numbers {
            Some(numbers) => {
                numbers.iter().map(|n| Some(n.filter(usable).unwrap_or(1.0))).collect()
            }
            None => Float64Array::from(vec![1.0; self.rows]),
        };
        Ok(Arc::new(rates))
    }
}
