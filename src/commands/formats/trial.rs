//! Records read as a model would read them, each told as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Float64Type;
use driftline_batch::setups::load_setup;
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_capture::{CaptureBatch, Side};
use driftline_config::time::format_instant;
use driftline_config::{Config, Model, SchemaRegistry, Subject};
use driftline_formats::{
    Carried, Decoded, Decoder, Header, ModelPlan, Outcome, Record, RecordLimits, SchemaShelf,
    TopicLayout,
};
use driftline_ingest::{LoggedRecord, fetch_schema};

/// How long a schema is waited for.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(10);

/// A model's decoder, and what came out of it so far.
#[derive(Debug)]
pub(super) struct Trial {
    reader: Reader,
    columns: Vec<Column>,
    /// Whether the baseline says which columns there are.
    by_baseline: bool,
    records: usize,
    rows: usize,
    halves: usize,
    skipped: usize,
    /// How many records were rejected, by reason.
    rejections: BTreeMap<&'static str, usize>,
}

impl Trial {
    /// Takes the columns of the model's baseline; where that cannot be read, which is so while the first
    /// map is written, the columns that the records themselves have, as texts.
    pub(super) fn new(
        config: &Config,
        model: &Model,
        records: &[LoggedRecord],
    ) -> anyhow::Result<Trial> {
        let setup = load_setup(model, &config.limits).ok();
        let schema = match &setup {
            Some(setup) => setup.layout.schema().clone(),
            None => found_columns(config, model, records)?,
        };
        let columns = schema.columns.clone();
        Ok(Trial {
            reader: Reader::new(config, ModelPlan::new(model, schema)),
            columns,
            by_baseline: setup.is_some(),
            records: 0,
            rows: 0,
            halves: 0,
            skipped: 0,
            rejections: BTreeMap::new(),
        })
    }

    pub(super) fn rejected(&self) -> usize {
        self.rejections.values().sum()
    }

    /// What a record is, and the rows that come out of it.
    pub(super) fn record(&mut self, record: &LoggedRecord) -> anyhow::Result<String> {
        let outcome = self.reader.decode(record)?;
        let decoded = self.reader.decoder.take()?;
        self.records += 1;
        Ok(match outcome {
            Outcome::Row(_) => self.told("row", &decoded),
            Outcome::Half(_, Side::Request) => self.told("request", &decoded),
            Outcome::Half(_, Side::Response) => self.told("response", &decoded),
            Outcome::Heartbeat => "heartbeat".to_owned(),
            Outcome::Skipped => {
                self.skipped += 1;
                let name = decoded.skipped_names.first().map_or("another", |name| &**name);
                format!("skipped: it is of the model {name}")
            }
            Outcome::NeedsModel(name) => format!("skipped: it is of the model {name}"),
            Outcome::NeedsSchema(id) => {
                *self.rejections.entry("unknown_schema").or_default() += 1;
                format!("rejected, unknown_schema: schema {id} did not come")
            }
            Outcome::Rejected(rejection) => {
                *self.rejections.entry(rejection.reason.as_str()).or_default() += 1;
                format!("rejected, {}: {}", rejection.reason, rejection.detail)
            }
        })
    }

    fn told(&mut self, what: &str, decoded: &Decoded) -> String {
        let whole = decoded.rows.iter().map(|rows| (&rows.rows, None));
        let halves = decoded.halves.iter().map(|half| (&half.rows, Some(&half.keys)));
        let mut text = String::new();
        for (batch, keys) in whole.chain(halves) {
            self.rows += batch.rows();
            self.halves += usize::from(keys.is_some());
            let several = if batch.rows() == 1 { "" } else { "s" };
            let _ = write!(text, "{} {what}{several}", batch.rows());
            if let Some(keys) = keys {
                let key = keys.is_valid(0).then(|| keys.value(0));
                let _ = write!(text, ", paired by {}", key.unwrap_or("nothing: no key was found"));
            }
            for row in 0..batch.rows() {
                let _ = write!(text, "\n  {}", self.row(batch, row));
            }
        }
        text
    }

    fn row(&self, batch: &CaptureBatch, row: usize) -> String {
        let time_us = batch.times_us().get(row).copied().unwrap_or_default();
        let mut parts = vec![format!("ts={}", format_instant(time_us))];
        let mut put = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name}={value}")));
        };
        put("id", batch.id(row).map(str::to_owned));
        put("version", batch.version(row).map(str::to_owned));
        put("latency_us", batch.latency_us(row).map(|latency| latency.to_string()));
        put("status", batch.status(row).map(|status| status.to_string()));
        for (column, values) in self.columns.iter().zip(batch.values()) {
            let subject = column.subject.as_str();
            let wrong = batch.wrong_type(subject).filter(|texts| texts.is_valid(row));
            let value = match (wrong, column.kind) {
                (Some(texts), _) => format!("{:?} (wrong type)", texts.value(row)),
                (None, _) if values.is_null(row) => "missing".to_owned(),
                (None, Kind::Numeric) => values
                    .as_primitive_opt::<Float64Type>()
                    .map_or_else(String::new, |values| values.value(row).to_string()),
                (None, Kind::Categorical) => values
                    .as_string_opt::<i32>()
                    .map_or_else(String::new, |values| format!("{:?}", values.value(row))),
            };
            put(subject, Some(value));
        }
        let unknown: Vec<String> = unknown_of(batch, row).iter().map(ToString::to_string).collect();
        if !unknown.is_empty() {
            put("not in the baseline", Some(unknown.join(", ")));
        }
        parts.join("  ")
    }

    /// How many records there were, and what they came to.
    pub(super) fn summary(&self) -> String {
        let rejected: Vec<String> =
            self.rejections.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let rejected = match rejected.as_slice() {
            [] => String::new(),
            reasons => format!(" ({})", reasons.join(", ")),
        };
        let columns = match self.by_baseline {
            true => "columns are the baseline's",
            false => "there is no baseline yet, so columns are those of the records, as texts",
        };
        format!(
            "{} records: {} rows, {} halves of requests, {} skipped, {} rejected{rejected}; {columns}\n",
            self.records,
            self.rows,
            self.halves,
            self.skipped,
            self.rejected(),
        )
    }
}

/// A decoder that gets its schemas itself.
#[derive(Debug)]
struct Reader {
    decoder: Decoder,
    schemas: Arc<SchemaShelf>,
    registry: Option<SchemaRegistry>,
}

impl Reader {
    fn new(config: &Config, plan: ModelPlan) -> Reader {
        let schemas: Arc<SchemaShelf> = Arc::default();
        let layout = TopicLayout::with_schemas(&[plan], Arc::clone(&schemas));
        let decoder = Decoder::with_layout(Arc::new(layout), &RecordLimits::from(&config.limits));
        Reader { decoder, schemas, registry: config.kafka.schema_registry.clone() }
    }

    fn decode(&mut self, record: &LoggedRecord) -> anyhow::Result<Outcome> {
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|header| Header { name: &header.name, value: &header.value })
            .collect();
        let carried = Carried { key: record.key.as_deref(), headers: &headers };
        let time_us = record.timestamp_us;
        let value = record.value.as_deref();
        loop {
            let record = Record { value, offset: record.offset, time_us };
            match (self.decoder.decode_carried(&record, &carried), &self.registry) {
                (Outcome::NeedsSchema(id), Some(registry)) => {
                    fetch_schema(registry, id, &self.schemas, SCHEMA_PATIENCE)?;
                }
                (outcome, _) => return Ok(outcome),
            }
        }
    }
}

/// Every column that the records have, as a text.
fn found_columns(
    config: &Config,
    model: &Model,
    records: &[LoggedRecord],
) -> anyhow::Result<CaptureSchema> {
    let mut reader = Reader::new(config, ModelPlan::new(model, CaptureSchema::default()));
    let mut found: Vec<Subject> = Vec::new();
    for record in records {
        reader.decode(record)?;
        let decoded = reader.decoder.take()?;
        let whole = decoded.rows.iter().map(|rows| &rows.rows);
        for batch in whole.chain(decoded.halves.iter().map(|half| &half.rows)) {
            for subject in (0..batch.rows()).flat_map(|row| unknown_of(batch, row)) {
                if !found.contains(&subject) {
                    found.push(subject);
                }
            }
        }
    }
    // Features first, as in every schema.
    found.sort_by_key(Subject::is_prediction);
    let column = |subject| Column { subject, kind: Kind::Categorical, coerce: false };
    Ok(CaptureSchema { columns: found.into_iter().map(column).collect(), ignored: Vec::new() })
}

/// The columns of a row that the model does not know.
fn unknown_of(batch: &CaptureBatch, row: usize) -> Vec<Subject> {
    let Some(lists) = batch.unknown_columns().filter(|lists| lists.is_valid(row)) else {
        return Vec::new();
    };
    let names = lists.value(row);
    let names = names.as_string_opt::<i32>().into_iter().flatten().flatten();
    names.map(Subject::from).collect()
}
