//! The flights as the model sees them: read from the embedded file, month by month.

use anyhow::Context;
use arrow::array::{Array, AsArray, Float64Array, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use driftline_config::time::parse_instant_us;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::sync::Arc;

static FLIGHTS: &[u8] = include_bytes!("../../examples/flights/flights-2013.parquet");
/// The first flight of the replay: the baseline ends here.
const SINCE: &str = "2013-04-01T00:00:00Z";
/// The replay ends with the last whole week of the year: the two days after it are no week.
const BEFORE: &str = "2013-12-30T00:00:00Z";
const ROWS_PER_BATCH: usize = 2048;

/// Numeric features of a capture, in the order in which they are written.
pub(super) const NUMBERS: [&str; 9] = [
    "dep_delay",
    "distance",
    "hour",
    "day_of_week",
    "temp",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
];
/// Categorical features of a capture.
pub(super) const TEXTS: [&str; 3] = ["carrier", "origin", "dest"];

#[derive(Debug)]
pub(super) struct Departures {
    /// Identifiers.
    pub(crate) ids: StringArray,
    /// Departures, microseconds UTC.
    pub(crate) departed_us: Vec<i64>,
    /// Minutes late at arrival, where the flight arrived.
    pub(crate) arrival_delay: Float64Array,
    /// In the order of [`NUMBERS`].
    pub(crate) numbers: Vec<Float64Array>,
    /// In the order of [`TEXTS`].
    pub(crate) texts: Vec<StringArray>,
    /// The numbers under the names of capture batches, for models.
    pub(crate) features: RecordBatch,
}

pub(super) struct Flights {
    reader: ParquetRecordBatchReader,
    since_us: i64,
    before_us: i64,
}

impl Flights {
    pub(super) fn open() -> anyhow::Result<Flights> {
        let bytes = bytes::Bytes::from_static(FLIGHTS);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(|builder| builder.with_batch_size(ROWS_PER_BATCH).build())
            .context("the embedded flights cannot be read")?;
        let since_us = parse_instant_us(SINCE).map_err(anyhow::Error::msg)?;
        let before_us = parse_instant_us(BEFORE).map_err(anyhow::Error::msg)?;
        Ok(Flights { reader, since_us, before_us })
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Option<Departures>> {
        while let Some(batch) = self.reader.next() {
            let batch = batch.context("the embedded flights cannot be read")?;
            let departures = self.departures(&batch)?;
            if departures.departed_us.is_empty() {
                continue;
            }
            return Ok(Some(departures));
        }
        Ok(None)
    }

    fn departures(&self, batch: &RecordBatch) -> anyhow::Result<Departures> {
        let departed = column(batch, "departed", &DataType::Int64)?;
        let departed = departed.as_primitive::<Int64Type>();
        let replayed = self.since_us..self.before_us;
        let wanted = departed.iter().map(|time_us| time_us.map(|at| replayed.contains(&at)));
        let batch = filter_record_batch(batch, &wanted.collect())?;
        let number = |name: &str| -> anyhow::Result<Float64Array> {
            Ok(column(&batch, name, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        };
        let text = |name: &str| -> anyhow::Result<StringArray> {
            Ok(column(&batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let departed = column(&batch, "departed", &DataType::Int64)?;
        let numbers = NUMBERS.iter().map(|name| number(name)).collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<Field> = NUMBERS
            .iter()
            .map(|name| Field::new(format!("feature:{name}"), DataType::Float64, true))
            .collect();
        let columns = numbers.iter().map(|array| Arc::new(array.clone()) as Arc<dyn Array>);
        let features = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())?;
        Ok(Departures {
            ids: text("id")?,
            departed_us: departed.as_primitive::<Int64Type>().values().to_vec(),
            arrival_delay: number("arr_delay")?,
            texts: TEXTS.iter().map(|name| text(name)).collect::<Result<Vec<_>, _>>()?,
            numbers,
            features,
        })
    }
}

fn column(batch: &RecordBatch, name: &str, to: &DataType) -> anyhow::Result<Arc<dyn Array>> {
    let array = batch.column_by_name(name).with_context(|| format!("the flights lack {name}"))?;
    // A timestamp's number is its microseconds, whatever its zone.
    cast(array, to).with_context(|| format!("the flights' {name}"))
}
