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

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;
use tracing_subscriber::EnvFilter;

use crate::commands::{
    backtest, baseline, check, doctor, export, produce, replay, run, score_candidate, state,
    validate,
};

/// What a reader allocates, the loop frees: docs/decisions/042.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Watches machine-learning models in production over Kafka.
#[derive(Debug, Parser)]
#[command(name = "driftline", version, about, max_term_width = 100)]
struct Arguments {
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
    State(state::StateArgs),
    Doctor(doctor::DoctorArgs),
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
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Baseline(arguments) => baseline::run(arguments),
        Command::Backtest(arguments) => backtest::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Produce(arguments) => produce::run(arguments),
        Command::Validate(arguments) => validate::run(arguments),
        Command::State(arguments) => state::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::ScoreCandidate(arguments) => score_candidate::run(arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("driftline: {error:#}");
        ExitCode::from(2)
    })
}
