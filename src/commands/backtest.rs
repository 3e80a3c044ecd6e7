//! `driftline backtest`: a file through windows, judgement and alert states, without Kafka.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use driftline_alerting::Transition;
use driftline_alerting::outbox::{OutboxRow, RowKind};
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::Ledger;
use driftline_batch::Audience;
use driftline_batch::backtest::{Backtest, BacktestOptions, backtest};
use driftline_config::Level;
use driftline_config::time::format_instant;

use super::configured;
use super::progress::Bar;
use super::screen::{Color, Screen};
use super::text_table::{TextTable, level_name};

#[cfg(test)]
mod tests;

/// Runs a file through a model's windows.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Run a file through windows, judgement and alert states, without Kafka",
    after_help = "Examples:\n  driftline backtest --data history.parquet --time ts\n  driftline backtest -d 'SELECT * FROM '\\''history.parquet'\\'' WHERE region = 1' -t ts --json"
)]
pub(crate) struct BacktestArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, a folder or pattern of such files, or
    /// "SELECT … FROM 'file'"
    #[arg(long, short, value_name = "FILE|SELECT")]
    pub(crate) data: String,
    /// The column that holds the event time; files of captures have their own
    #[arg(long, short, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME; or @FILE with such lines, or with them as YAML
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub(crate) rename: Vec<String>,
    /// Print everything as one JSON document on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command: 0 where no window is at alarm, 1 where one is.
pub(crate) fn run(args: &BacktestArgs, color: Color) -> anyhow::Result<ExitCode> {
    let told = Screen::of(&std::io::stderr(), color);
    let found = find(args, &mut |note| eprintln!("{}", told.wrapped(note, 2)))?;
    let mut stdout = std::io::stdout().lock();
    let text = if args.json {
        format!("{}\n", serde_json::to_string(&found)?)
    } else {
        describe(&found, Screen::of(&stdout, color))
    };
    super::write(&mut stdout, &text)?;
    let alarm = found.windows.iter().any(|report| report.level == Level::Alarm);
    Ok(if alarm { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn find(args: &BacktestArgs, note: &mut dyn FnMut(&str)) -> anyhow::Result<Backtest> {
    let config = configured::load(&args.config)?;
    let options = BacktestOptions {
        config: &config,
        model: &*configured::model(&config, args.model.as_deref())?,
        data: args.data.clone(),
        time: args.time.clone(),
        rename: args.rename.clone(),
    };
    let bar = Bar::default();
    Ok(backtest(&options, &mut Audience { note, progress: &|progress| bar.show(progress) })?)
}

fn describe(found: &Backtest, screen: Screen) -> String {
    let mut table = TextTable::new(&["level", "window", ">rows", "because"]);
    for report in &found.windows {
        let strongest = report.findings.iter().find(|f| f.judged && f.level != Level::Ok);
        let mut because = strongest.map(|f| f.because.clone()).unwrap_or_default();
        if !report.window.complete {
            because = format!("(incomplete) {because}");
        }
        table.row(vec![
            level_name(report.level).to_owned(),
            report.window.start.clone(),
            report.window.rows.to_string(),
            because,
        ]);
    }
    let mut text = table.render(screen);
    let mut section = |heading: &str, lines: Vec<String>| {
        text.push_str(&format!("\n{heading}: {}\n", lines.len()));
        for line in lines {
            text.push_str(&format!("{}\n", screen.wrapped(&format!("  {line}"), 4)));
        }
    };
    section("incidents", found.transitions.iter().map(transition).collect());
    section("messages that would have been sent", found.messages.iter().map(message).collect());
    section("retraining requests", found.requests.iter().map(|r| request(r)).collect());
    let Ledger { read, counted, late, ahead, rejected, skipped, control } = found.ledger;
    text.push_str(&format!(
        "\n{read} records read: {counted} counted, {late} late, {ahead} ahead, {rejected} rejected, {skipped} skipped, {control} control\n"
    ));
    text
}

fn transition(transition: &Transition) -> String {
    let strongest = transition.subjects.first();
    format!(
        "{} {} {} ({} of {} {}){}",
        format_instant(transition.at_us),
        transition.class.name(),
        transition.state.name(),
        transition.over,
        transition.of,
        if transition.panes { "panes" } else { "windows" },
        strongest.map(|subject| format!(": {}", subject.because)).unwrap_or_default(),
    )
}

fn message(row: &OutboxRow) -> String {
    let what = match &row.kind {
        RowKind::Mail(mail) => mail.subject.clone(),
        RowKind::Webhook { event, .. } => event.clone(),
        RowKind::Channel { .. } => "a message".to_owned(),
        RowKind::Alert(alert) => alert.annotations.get("summary").cloned().unwrap_or_default(),
    };
    format!("{} to {}: {what}", format_instant(row.at_us), row.receiver)
}

fn request(request: &RetrainRequest) -> String {
    let data = &request.data;
    let reasons: Vec<&str> = data.reason.iter().map(|reason| reason.subject.as_str()).collect();
    format!(
        "{} {} rows of {} windows since {}: {}",
        data.retrain_id,
        data.train_on.rows,
        data.windows.len(),
        format_instant(data.train_on.since),
        reasons.join(", ")
    )
}
