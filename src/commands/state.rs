//! `driftline state`: a checkpoint moved to another place, put back, and looked through.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use driftline_config::time::format_instant;
use driftline_store::{Contents, ModelContents, Restored, Store, write_backup};

use super::configured;
use super::recorded::StoredState;
use super::screen::{Color, Screen};
use super::text_table::TextTable;

/// Backs up, restores, shows.
#[derive(Debug, Clone, Args)]
#[command(about = "Back up the state of a service, put it back, or say what it holds")]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StateCommand {
    /// Write the state to one compressed file, also while the service runs
    Backup(BackupArgs),
    /// Make a backup the state of a service that does not run
    Restore(RestoreArgs),
    /// Verify the whole state, and say what it holds of each model
    Show(ShowArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Write what releases before format 2 read, to go back to one of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=2), default_value_t = 2)]
    pub(crate) format: u64,
    /// The file to write; one that is there is not replaced
    #[arg(value_name = "BACKUP")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RestoreArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Move the checkpoint aside that is there
    #[arg(long)]
    pub(crate) replace: bool,
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &StateArgs, color: Color) -> anyhow::Result<ExitCode> {
    let screen = Screen::of(&std::io::stdout(), color);
    let text = match &args.command {
        StateCommand::Backup(args) => {
            let config = configured::load(&args.config)?;
            back_up(&config.state, &args.out, args.format)?
        }
        StateCommand::Restore(args) => {
            let config = configured::load(&args.config)?;
            restore(&config.state, &args.backup, args.replace, screen)?
        }
        StateCommand::Show(args) => {
            let config = configured::load(&args.config)?;
            table(&StoredState::open(&config.state)?.contents()?, screen)
        }
    };
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the backup under another name first: what has its name is whole.
fn back_up(state: &Path, out: &Path, format: u64) -> anyhow::Result<String> {
    let failed = || format!("{}: cannot be written", out.display());
    if out.exists() {
        bail!("{}: there is a file already; name another one", out.display());
    }
    let copy = StoredState::copy(state)?;
    let mut file = Store::file_in(copy.path());
    if format == 1 {
        let older = copy.path().join("format-1");
        Store::open_as_it_is(copy.path())?.write_format_1(&older)?;
        file = older;
    }
    let mut unfinished = out.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(failed)?;
    let made = write_backup(&file, BufWriter::new(&written)).with_context(failed)?;
    written.sync_all().with_context(failed)?;
    std::fs::rename(&unfinished, out).with_context(failed)?;
    let packed = out.metadata().with_context(failed)?.len();
    Ok(format!(
        "{}: {packed} bytes, of a checkpoint of {} bytes in format {format}, sha256 {}\n",
        out.display(),
        made.bytes,
        made.sha256
    ))
}

fn restore(state: &Path, backup: &Path, replace: bool, screen: Screen) -> anyhow::Result<String> {
    let file =
        File::open(backup).with_context(|| format!("{}: cannot be read", backup.display()))?;
    let restored = Store::restore(state, BufReader::new(file), replace)
        .with_context(|| backup.display().to_string())?;
    let Restored { backup: made, contents, aside } = restored;
    let mut text = format!(
        "{}: a checkpoint of {} bytes, sha256 {}\n",
        state.display(),
        made.bytes,
        made.sha256
    );
    if let Some(aside) = aside {
        text.push_str(&format!("the checkpoint before it is now {}\n", aside.display()));
    }
    match contents {
        Some(contents) => text.push_str(&table(&contents, screen)),
        None => text.push_str("it is of format 1: the next start brings it up to date\n"),
    }
    Ok(text)
}

fn table(contents: &Contents, screen: Screen) -> String {
    let mut table = TextTable::new(&[
        "model",
        ">windows",
        ">panes",
        ">open bytes",
        ">reports",
        ">report bytes",
        "of windows from",
        "to",
    ]);
    for (name, model) in &contents.models {
        table.row(row(name, model));
    }
    let Contents { format, topics, requests, named, named_bytes, messages, .. } = contents;
    format!(
        "format {format}; topics: {}; {named} baselines and settings, {named_bytes} bytes; {requests} requests for \
         retraining; {messages} messages not delivered yet\n{}",
        if topics.is_empty() { "none".to_owned() } else { topics.join(", ") },
        table.render(screen)
    )
}

fn row(name: &str, model: &ModelContents) -> Vec<String> {
    let ModelContents { windows, panes, window_bytes, reports, report_bytes, reported_us } = model;
    let instant = |us: Option<i64>| us.map_or_else(|| "–".to_owned(), format_instant);
    let numbers = [windows, panes, window_bytes, reports, report_bytes].map(ToString::to_string);
    let mut row = vec![name.to_owned()];
    row.extend(numbers);
    row.push(instant(reported_us.map(|(first, _)| first)));
    row.push(instant(reported_us.map(|(_, last)| last)));
    row
}
