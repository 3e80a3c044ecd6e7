//! DataFusion: the session in which queries over files are answered.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Result as DataFusionResult, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::options::{ArrowReadOptions, JsonReadOptions};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SQLOptions, SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use super::error::FileError;
use super::paths::{Copies, FileFormat, Files, files};
use super::raw::Raw;

mod typed;

use typed::TypedCsv;

/// Rows of a batch: large enough that the work per batch does not count.
const BATCH_ROWS: usize = 8192;
/// Memory of a query's sorts, groups and joins; what needs more goes to temporary files, or fails.
const MEMORY_BYTES: usize = 1 << 30;

/// The columns of a query's result, as Arrow types them.
pub(crate) fn schema(query: &str) -> Result<SchemaRef, FileError> {
    let asked = runtime(query)?.block_on(ask(query)).map_err(|error| refused(query, &error))?;
    Ok(Arc::clone(asked.frame.schema().inner()))
}

/// Sends the rows of a query's result.
pub(crate) fn read(query: &str, outbox: &SyncSender<Raw>) -> Result<(), FileError> {
    let read = async {
        let asked = ask(query).await?;
        for note in asked.notes {
            let _ = outbox.send(Raw::Note(note));
        }
        let mut stream = asked.frame.execute_stream().await?;
        while let Some(batch) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            // A reader that has gone away has seen enough.
            if outbox.send(Raw::Batch(batch?)).is_err() {
                break;
            }
        }
        Ok::<(), DataFusionError>(())
    };
    runtime(query)?.block_on(read).map_err(|error| refused(query, &error))
}

/// A query that can be answered.
struct Asked {
    frame: DataFrame,
    /// What is unusual about the files it reads.
    notes: Vec<String>,
    /// What holds the files that are copies.
    _copies: Vec<Copies>,
}

fn runtime(query: &str) -> Result<Runtime, FileError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| FileError::Io { path: query.into(), source })
}

fn refused(query: &str, error: &DataFusionError) -> FileError {
    let detail = match error.find_root() {
        // Only the parser's sentence: its display is that of a Rust value.
        DataFusionError::SQL(parser, _) => parser.to_string(),
        DataFusionError::External(error) => error.to_string(),
        _ => error.strip_backtrace(),
    };
    // Its further lines are backtraces and hints for programmers.
    let detail = detail.lines().next().unwrap_or_default().trim();
    // A name in quotes is a table to DataFusion, and a file to whoever wrote it.
    let detail = match detail.split_once("table 'datafusion.public.") {
        Some((_, table)) => format!("no readable file '{}", table.trim_end_matches(" not found")),
        None => detail.to_owned(),
    };
    FileError::Query { query: query.to_owned(), detail }
}

async fn ask(query: &str) -> DataFusionResult<Asked> {
    let context = session()?;
    let (mut notes, mut copies) = (Vec::new(), Vec::new());
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(query, &dialect)?;
    for reference in state.resolve_table_references(&statement)? {
        match files(reference.table()) {
            Ok(files) => {
                let table = table(&context, reference.table(), &files, &mut notes).await?;
                context.register_table(TableReference::bare(reference.table()), table)?;
                copies.extend(files.copies);
            }
            // What is no file may be another part of the query.
            Err(FileError::Missing { .. }) => {}
            Err(error) => return Err(DataFusionError::External(Box::new(error))),
        }
    }
    // Reading only: a data argument never creates, inserts or copies.
    let options =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(query, options).await?;
    Ok(Asked { frame, notes, _copies: copies })
}

async fn table(
    context: &SessionContext,
    name: &str,
    files: &Files,
    notes: &mut Vec<String>,
) -> DataFusionResult<Arc<dyn TableProvider>> {
    let paths = files.paths.iter().map(|path| path.canonicalize());
    let urls: Vec<String> =
        paths.map(|path| Ok(url(&path?.to_string_lossy()))).collect::<std::io::Result<_>>()?;
    match files.format {
        FileFormat::Parquet => {
            let options =
                ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
            Ok(context.read_parquet(urls, options).await?.into_view())
        }
        FileFormat::Arrow => {
            let options = ArrowReadOptions { file_extension: "", ..ArrowReadOptions::default() };
            Ok(context.read_arrow(urls, options).await?.into_view())
        }
        FileFormat::JsonLines => {
            let options = JsonReadOptions::default().file_extension("");
            Ok(context.read_json(urls, options).await?.into_view())
        }
        FileFormat::Csv => {
            let csv = TypedCsv::open(name, &files.paths)
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            notes.extend(csv.notes());
            let schema: &Arc<Schema> = csv.schema();
            Ok(Arc::new(StreamingTable::try_new(Arc::clone(schema), vec![Arc::new(csv)])?))
        }
    }
}

/// A path as a URL, in which no sign stands for a pattern.
fn url(path: &str) -> String {
    let mut url = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
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
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .build();
    Ok(SessionContext::new_with_state(state))
}
