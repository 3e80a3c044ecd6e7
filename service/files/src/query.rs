//! DataFusion: the session in which files are read and queries are answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result as DataFusionResult};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::json::JsonFormatFactory;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{
    CsvReadOptions, ParquetReadOptions, SQLOptions, SessionConfig, SessionContext,
};
use tokio::runtime::Runtime;

use super::error::FileError;
use super::source::Source;

/// Rows of a batch: large enough that the work per batch does not count.
const BATCH_ROWS: usize = 8192;
/// Batches that wait between the reading thread and its reader.
const QUEUE: usize = 4;
/// Memory of a query's sorts, groups and joins; what needs more goes to temporary files, or fails.
const MEMORY_BYTES: usize = 1 << 30;

/// The batches of a source, read by a thread of their own, in order.
pub(crate) type RawBatches = Receiver<Result<RecordBatch, FileError>>;

/// The columns of a source, as Arrow types them; all of them text for CSV.
pub(crate) fn schema(source: &Source) -> Result<SchemaRef, FileError> {
    let runtime = runtime(source)?;
    let frame = runtime.block_on(frame(source)).map_err(|error| refused(source, &error))?;
    Ok(Arc::clone(frame.schema().inner()))
}

pub(crate) fn batches(source: &Source) -> Result<RawBatches, FileError> {
    let runtime = runtime(source)?;
    let source = source.clone();
    let (outbox, inbox) = sync_channel(QUEUE);
    let name = source.to_string();
    let work = move || {
        let read = async {
            let mut stream = frame(&source).await?.execute_stream().await?;
            while let Some(batch) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
                // A reader that has gone away has seen enough.
                if outbox.send(Ok(batch?)).is_err() {
                    break;
                }
            }
            Ok::<(), DataFusionError>(())
        };
        if let Err(error) = runtime.block_on(read) {
            let _ = outbox.send(Err(refused(&source, &error)));
        }
    };
    std::thread::Builder::new()
        .name("files".to_owned())
        .spawn(work)
        .map_err(|source| FileError::Io { path: name.into(), source })?;
    Ok(inbox)
}

fn runtime(source: &Source) -> Result<Runtime, FileError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| FileError::Io { path: source.to_string().into(), source: error })
}

fn refused(source: &Source, error: &DataFusionError) -> FileError {
    match error.find_root() {
        // Only the parser's sentence: its display is that of a Rust value.
        DataFusionError::SQL(parser, _) => source.unreadable(parser.to_string()),
        _ => source.unreadable(error.strip_backtrace()),
    }
}

async fn frame(source: &Source) -> DataFusionResult<DataFrame> {
    let context = session()?;
    match source {
        Source::Parquet(path) => {
            let extension = path.extension().map(|text| format!(".{}", text.to_string_lossy()));
            let options = ParquetReadOptions {
                file_extension: extension.as_deref().unwrap_or_default(),
                ..ParquetReadOptions::default()
            };
            context.read_parquet(path.to_string_lossy().as_ref(), options).await
        }
        Source::Csv(path) => {
            let extension = path.extension().map(|text| format!(".{}", text.to_string_lossy()));
            let extension = extension.as_deref().unwrap_or_default();
            let path = path.to_string_lossy();
            let options = CsvReadOptions::new().file_extension(extension).newlines_in_values(true);
            let typed = context.read_csv(path.as_ref(), options.clone()).await?;
            let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
            let names: Vec<Field> = typed.schema().fields().iter().map(text).collect();
            let schema = Schema::new(names);
            context.read_csv(path.as_ref(), options.schema(&schema)).await
        }
        Source::Query(query) => {
            // Reading only: a data argument never creates, inserts or copies.
            let options = SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false);
            context.sql_with_options(query, options).await
        }
        Source::JsonLines(path) => {
            let message = format!("{} is read line by line", path.display());
            Err(DataFusionError::Internal(message))
        }
    }
}

fn session() -> DataFusionResult<SessionContext> {
    // One partition keeps the rows of a file in their order.
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_ROWS);
    // DataFusion takes a column for constant where its smallest and largest value are equal, but
    // Parquet's statistics leave NaN out.
    config = config.with_collect_statistics(false);
    let parquet = &mut config.options_mut().execution.parquet;
    // Plain strings, also where an old writer forgot to say that its bytes are text.
    parquet.schema_force_view_types = false;
    parquet.binary_as_string = true;
    let environment = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .build();
    for extension in ["jsonl", "ndjson"] {
        state.register_file_format(Arc::new(JsonLines { extension }), true)?;
    }
    Ok(SessionContext::new_with_state(state).enable_url_table())
}

/// JSON under the names that files of lines have.
#[derive(Debug)]
struct JsonLines {
    extension: &'static str,
}

impl GetExt for JsonLines {
    fn get_ext(&self) -> String {
        self.extension.to_owned()
    }
}

impl FileFormatFactory for JsonLines {
    fn create(
        &self,
        state: &dyn Session,
        options: &HashMap<String, String>,
    ) -> DataFusionResult<Arc<dyn FileFormat>> {
        JsonFormatFactory::new().create(state, options)
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        JsonFormatFactory::new().default()
    }
}
