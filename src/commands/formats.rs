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
use clap::{Args, Subcommand};
use driftline_config::presets::{PRESETS, named};

use super::configured;
use super::screen::{Color, Screen};
use super::text_table::TextTable;
use trial::{GivenBeside, Trial};

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
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// The whole file is one record
    #[arg(long)]
    pub(crate) whole: bool,
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
    let model = configured::model(&config, args.model.as_deref())?;
    let records = records(args)?;
    if records.is_empty() {
        bail!("{}: no record in it", args.file.display());
    }
    let beside =
        GivenBeside { headers: &args.headers, key: args.key.as_deref(), time_us: args.time };
    let mut attempt = Trial::new(&config, model, &records, beside)?;
    let mut text = String::new();
    for (number, record) in (1_usize..).zip(&records) {
        // Writing into memory does not fail.
        let _ = writeln!(text, "record {number}: {}", attempt.record(record)?);
    }
    text.push_str(&attempt.summary());
    Ok((text, attempt.rejected() > 0))
}

/// The records of the file: its lines that are not blank, or all of it.
fn records(args: &TryArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut content = Vec::new();
    let is_stdin = args.file == Path::new("-");
    let mut read = |reader: &mut dyn Read| reader.read_to_end(&mut content);
    let name = args.file.display();
    match is_stdin {
        true => read(&mut stdin().lock()),
        false => {
            let file = File::open(&args.file).with_context(|| format!("cannot open {name}"))?;
            read(&mut BufReader::new(file))
        }
    }
    .with_context(|| format!("cannot read {name}"))?;
    if args.whole {
        return Ok(vec![content]);
    }
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(args.most);
    Ok(lines.map(<[u8]>::to_vec).collect())
}
