//! The `driftline` command: reads its arguments, runs one command, and says in one sentence why not.
//!
//! Everything that decides stands in packages of its own: read `service/pipeline/src/lib.rs` first. Here
//! are the commands, and the running service's threads and effects.

mod commands;
mod demo;

mod delivery;
mod illustration;
mod judge;
mod monitor;

mod faults;
mod libraries;
mod priority;
mod retention;
mod scoring;
mod signals;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use driftline_analytics::report::RULES;
use driftline_web::REVISION;
use tikv_jemallocator::Jemalloc;
use tracing_subscriber::EnvFilter;

use crate::commands::screen::Color;
use crate::commands::{
    backtest, baseline, check, completion, doctor, export, formats, health, init, produce, replay,
    run, score_candidate, sensitivity, state, validate,
};

/// What a reader allocates, the loop frees: docs/decisions/042.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The release, the commit it was built from, and the rules by which its reports are made.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (revision {REVISION}, rules {RULES})", env!("CARGO_PKG_VERSION")));

const EXAMPLES: &str = "Examples:
  driftline demo                                    the whole service on real flights, without Kafka
  driftline check reference.csv current.csv         two files compared
  driftline init --topic flights.captures           a configuration and a baseline out of a topic
  driftline run                                     the service";

/// Watches machine-learning models in production over Kafka.
#[derive(Debug, Parser)]
#[command(
    name = "driftline",
    version = VERSION.as_str(),
    about,
    max_term_width = 100,
    after_help = EXAMPLES
)]
struct Arguments {
    /// When colours are shown; NO_COLOR, FORCE_COLOR, CLICOLOR and TERM=dumb are heeded too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Baseline(baseline::BaselineArgs),
    Backtest(backtest::BacktestArgs),
    Replay(replay::ReplayArgs),
    Export(export::ExportArgs),
    Produce(produce::ProduceArgs),
    Validate(validate::ValidateArgs),
    Sensitivity(sensitivity::SensitivityArgs),
    Formats(formats::FormatsArgs),
    State(state::StateArgs),
    Doctor(doctor::DoctorArgs),
    Init(init::InitArgs),
    Health(health::HealthArgs),
    Completion(completion::CompletionArgs),
    #[command(hide = true)]
    Man(completion::ManArgs),
    #[command(name = driftline_shadow::SCORE_COMMAND, hide = true)]
    ScoreCandidate(score_candidate::ScoreCandidateArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The demo tells its own story, and validate names every problem itself; everything else logs what
    // an operator may act on. What a candidate's process has to say goes to the service.
    let default = match arguments.command {
        Command::Demo(_) | Command::Validate(_) => "error",
        Command::ScoreCandidate(_) => "off",
        _ => "info",
    };
    let filter =
        EnvFilter::try_from_env("DRIFTLINE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::env::var("DRIFTLINE_LOG_FORMAT").as_deref() {
        Ok("json") => logs.json().flatten_event(true).init(),
        _ => logs.init(),
    }
    let color = arguments.color;
    let outcome = match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Check(arguments) => check::run(arguments, color),
        Command::Baseline(arguments) => baseline::run(arguments, color),
        Command::Backtest(arguments) => backtest::run(arguments, color),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Produce(arguments) => produce::run(arguments),
        Command::Sensitivity(arguments) => sensitivity::run(arguments, color),
        Command::Formats(arguments) => formats::run(arguments, color),
        Command::Validate(arguments) => validate::run(arguments),
        Command::State(arguments) => state::run(arguments, color),
        Command::Doctor(arguments) => doctor::run(arguments, color),
        Command::Init(arguments) => init::run(arguments, color),
        Command::Health(arguments) => health::run(arguments),
        Command::Completion(arguments) => completion::run(arguments, Arguments::command()),
        Command::Man(arguments) => completion::man(arguments, Arguments::command()),
        Command::ScoreCandidate(arguments) => score_candidate::run(arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("driftline: {error:#}");
        ExitCode::from(2)
    })
}
