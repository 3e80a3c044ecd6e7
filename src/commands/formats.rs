//! `driftline formats`: the maps that ship, and a map tried on records before anything is read from a topic.

#[cfg(test)]
mod tests;
mod trial;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use driftline_config::Partition;
use driftline_config::presets::{PRESETS, named};
use driftline_ingest::{Connection, LoggedHeader, LoggedRecord, last_records};

use super::configured;
use super::screen::{Color, Screen};
use super::text_table::TextTable;
use trial::Trial;

/// A header of every record that is tried.
#[derive(Debug, Clone)]
pub(crate) struct GivenHeader {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Lists formats, shows one, or tries one.
#[derive(Debug, Clone, Args)]
#[command(about = "List the formats of captures, show one as configuration to copy, or try one")]
pub(crate) struct FormatsArgs {
    #[command(subcommand)]
    command: Option<FormatsCommand>,
}

#[derive(Debug, Clone, Subcommand)]
enum FormatsCommand {
    /// Print a format as a piece of configuration to copy
    Show {
        /// One of those that `driftline formats` lists
        name: String,
    },
    Try(TryArgs),
}

/// Reads records as a model would.
#[derive(Debug, Clone, Args)]
#[command(about = "Show record by record which rows come out, and why one does not")]
pub(crate) struct TryArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The model; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Each line is a record; `-` reads stdin
    #[arg(value_name = "FILE|-", required_unless_present = "topic")]
    pub(crate) file: Option<PathBuf>,
    /// The last N records of the model's topic instead of a file
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "whole", "base64", "headers", "key", "time"])]
    pub(crate) topic: Option<usize>,
    /// The whole file is one record
    #[arg(long)]
    pub(crate) whole: bool,
    /// Each line is a record in Base64, as Avro and Protobuf need
    #[arg(long, conflicts_with = "whole")]
    pub(crate) base64: bool,
    /// A header of every record, as it would stand on the topic
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = given_header)]
    pub(crate) headers: Vec<GivenHeader>,
    /// The key of every record
    #[arg(long, value_name = "TEXT")]
    pub(crate) key: Option<String>,
    /// The timestamp of every record, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) time: Option<i64>,
    /// Read no more records than this
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) most: usize,
}

fn given_header(text: &str) -> Result<GivenHeader, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok(GivenHeader { name: name.to_owned(), value: value.to_owned() })
}

fn instant(text: &str) -> Result<i64, String> {
    driftline_config::time::parse_instant_us(text)
        .map_err(|_| "write an instant such as 2026-11-02T00:00:00Z".to_owned())
}

/// Runs the command: 1 where a record was rejected.
pub(crate) fn run(args: &FormatsArgs, color: Color) -> anyhow::Result<ExitCode> {
    let (text, code) = match &args.command {
        None => (list(Screen::of(&std::io::stdout(), color)), ExitCode::SUCCESS),
        Some(FormatsCommand::Show { name }) => (show(name)?.to_owned(), ExitCode::SUCCESS),
        Some(FormatsCommand::Try(args)) => {
            let (text, rejected) = attempt(args)?;
            (text, if rejected { ExitCode::from(1) } else { ExitCode::SUCCESS })
        }
    };
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(code)
}

fn list(screen: Screen) -> String {
    let mut table = TextTable::new(&["format", "reads"]);
    let own = "One JSON object a record, as docs/contracts.md §3 has it: the default";
    table.row(vec!["driftline-json".to_owned(), own.to_owned()]);
    for preset in &PRESETS {
        table.row(vec![preset.name.to_owned(), preset.summary().to_owned()]);
    }
    table.render(screen)
}

fn show(name: &str) -> anyhow::Result<&'static str> {
    if name == "driftline-json" {
        return Ok("# One JSON object a record\ncaptures:\n  format: driftline-json\n");
    }
    let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    let preset = named(name).ok_or_else(|| anyhow!("no format {name}: known are {}", names()))?;
    Ok(preset.text)
}

/// What the records of the file come to, and whether one was rejected.
fn attempt(args: &TryArgs) -> anyhow::Result<(String, bool)> {
    let config = configured::load(&args.config)?;
    let model = &*configured::model(&config, args.model.as_deref())?;
    let records = match args.topic {
        Some(most) => {
            let connection = Connection::from(&config.kafka);
            last_records(&connection, &model.captures.topic, most)?
        }
        None => given_records(args)?,
    };
    if records.is_empty() {
        bail!("{}: no record in it", name_of(args, &model.captures.topic));
    }
    let mut attempt = Trial::new(&config, model, &records)?;
    let mut text = String::new();
    for (number, record) in (1_usize..).zip(&records) {
        // Writing into memory does not fail.
        let _ = writeln!(text, "record {number}: {}", attempt.record(record)?);
    }
    text.push_str(&attempt.summary());
    Ok((text, attempt.rejected() > 0))
}

fn name_of(args: &TryArgs, topic: &str) -> String {
    args.file.as_ref().map_or_else(|| format!("topic {topic}"), |file| file.display().to_string())
}

/// The records of the file, each with the key, the headers and the time that were given.
fn given_records(args: &TryArgs) -> anyhow::Result<Vec<LoggedRecord>> {
    let headers = args.headers.iter().map(|header| LoggedHeader {
        name: header.name.clone(),
        value: header.value.clone().into_bytes(),
    });
    let headers: Vec<LoggedHeader> = headers.collect();
    let record = |value: Vec<u8>| LoggedRecord {
        partition: Partition(0),
        offset: 0,
        timestamp_us: args.time,
        key: args.key.clone().map(String::into_bytes),
        value: Some(value),
        headers: headers.clone(),
    };
    Ok(values(args)?.into_iter().map(record).collect())
}

/// The values of the file: its lines that are not blank, or all of it.
fn values(args: &TryArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let mut content = Vec::new();
    let mut read = |reader: &mut dyn Read| reader.read_to_end(&mut content);
    let name = path.display();
    match path == Path::new("-") {
        true => read(&mut stdin().lock()),
        false => {
            let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
            read(&mut BufReader::new(file))
        }
    }
    .with_context(|| format!("cannot read {name}"))?;
    if args.whole {
        return Ok(vec![content]);
    }
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(args.most);
    if !args.base64 {
        return Ok(lines.map(<[u8]>::to_vec).collect());
    }
    let decoded = (1_usize..).zip(lines).map(|(number, line)| {
        STANDARD.decode(line).with_context(|| format!("{name}: line {number} is not Base64"))
    });
    decoded.collect()
}
