//! `driftline sensitivity`: what the alarms of each model can find, and what number of false ones they promise.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use driftline_analytics::budget::{Budget, Maximum, Measured, Sensitivity, Smallest, UnlikeThird};
use driftline_batch::setups::load_setup;
use driftline_config::Model;
use driftline_config::time::format_instant;
use driftline_pipeline::setup::Setup;

use super::configured;
use super::screen::{Color, Screen};
use super::text_table::TextTable;

/// Says what can be found.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Say per model how many false alarms are promised, and the smallest shift that is found",
    after_help = "Examples:\n  driftline sensitivity\n  driftline sensitivity --config driftline.yaml --model flight-delay"
)]
pub(crate) struct SensitivityArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Only this model
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
}

/// Runs the command: 0, and 2 where a configuration or a baseline cannot be read or there is no such model.
pub(crate) fn run(args: &SensitivityArgs, color: Color) -> anyhow::Result<ExitCode> {
    let config = configured::load(&args.config)?;
    let models: Vec<Cow<'_, Model>> = match &args.model {
        Some(name) => vec![configured::model(&config, Some(name))?],
        None => config.models.iter().map(Cow::Borrowed).collect(),
    };
    let screen = Screen::of(&std::io::stdout(), color);
    for model in models {
        let setup = load_setup(&model, &config.limits)?;
        super::write(&mut std::io::stdout().lock(), &describe(&setup, screen))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(setup: &Setup, screen: Screen) -> String {
    let Setup { model, budget, baselines, .. } = setup;
    let sensitivity = budget.sensitivity(&baselines.default);
    let mut said = vec![format!("{}: {}", model.name, budget.promise(model))];
    said.extend(ranks(budget));
    if sensitivity.columns.iter().any(|smallest| smallest.in_one.is_some()) {
        said.push(format!(
            "The smallest shift found nine times in ten, as the share of requests that moved, by windows of {} rows:",
            sensitivity.rows
        ));
    }
    let wrapped = |line: &String| screen.wrapped(line, 2);
    let said: Vec<String> = said.iter().map(wrapped).collect();
    let unlike: Vec<String> =
        sensitivity.unlike.iter().map(says_unlike).map(|line| screen.wrapped(&line, 2)).collect();
    format!("{}\n{}{}\n", said.join("\n"), table(&sensitivity, screen), lines(&unlike))
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// One line for each maximum: its rank, or that none could be dealt.
fn ranks(budget: &Budget) -> Vec<String> {
    let own = budget.own_windows();
    let line = |maximum: Maximum| match (budget.rank(maximum), budget.own_of(maximum)) {
        (_, 0) => format!(
            "  {}: not reachable, the baseline's {own} own windows have nothing of it",
            maximum.text()
        ),
        (0, of) => format!(
            "  {}: not reachable within the budget with {of} own windows; judged by tolerances",
            maximum.text()
        ),
        (rank, of) => format!("  {}: rank {rank} of {of} own windows", maximum.text()),
    };
    Maximum::ALL.into_iter().map(line).collect()
}

fn table(sensitivity: &Sensitivity, screen: Screen) -> String {
    let found = |smallest: &&Smallest| smallest.in_one.is_some() || smallest.in_eight.is_some();
    let shown: Vec<&Smallest> = sensitivity.columns.iter().filter(found).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut table = TextTable::new(&["column", "of", ">in 1 window", ">in 8 windows"]);
    for smallest in shown {
        let share = |share: Option<f64>| {
            share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
        };
        table.row(vec![
            smallest.subject.to_string(),
            what(smallest.measured),
            share(smallest.in_one),
            share(smallest.in_eight),
        ]);
    }
    table.render(screen)
}

fn what(measured: Measured) -> String {
    String::from(measured).replace('_', " ")
}

fn says_unlike(third: &UnlikeThird) -> String {
    format!(
        "{} ({}) of the baseline from {} to {} is unlike the other two thirds: the {} windows that differ most lie in it. \
         Alarms for it come late; leave that time out (--except), or let the reference move",
        third.subject,
        what(third.measured),
        format_instant(third.first_us),
        format_instant(third.last_us),
        third.largest,
    )
}

#[cfg(test)]
mod tests {
    use driftline_config::{Config, Tolerance};

    use super::*;

    /// Of the model of the demo.
    fn described(at_most: f64) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/driftline.yaml");
        let environment = |name: &str| {
            let value = match name {
                "DEMO_LISTEN" => "127.0.0.1:9464".to_owned(),
                "DEMO_WEBHOOK" => "http://127.0.0.1:1/".to_owned(),
                "DEMO_RECENT_UNTIL" => "2013-05-01T00:00:00Z".to_owned(),
                name if name.ends_with("SHA256") => "0".repeat(64),
                _ => "localhost:9092".to_owned(),
            };
            Some(value)
        };
        let config = Config::load(path.as_ref(), &environment);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let mut model = config.models[0].clone();
        model.false_alarms.at_most = at_most;
        model.tolerance = Tolerance::Auto;
        describe(&load_setup(&model, &config.limits).unwrap(), Screen::PLAIN)
    }

    #[test]
    fn what_is_promised_and_what_can_be_found_is_told() {
        let strict = described(0.1);
        assert!(
            strict.contains("cannot be promised") && !strict.contains("in 1 window"),
            "{strict}"
        );
        let lax = described(1.0);
        assert!(lax.contains("rank 1 of 12 own windows"), "{lax}");
        assert!(lax.contains("drift within one or two windows: not reachable"), "{lax}");
        let found = |column: &&str| column.starts_with("feature:carrier") && column.contains(" %");
        let carrier = lax.lines().filter(found).map(|line| line.contains("–"));
        assert_eq!(carrier.collect::<Vec<_>>(), [true, false, false, false], "{lax}");
    }
}
