//! `driftline run`: the service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use driftline_config::Config;

use super::configured;
use crate::faults::Faults;
use crate::libraries;
use crate::monitor::{Monitor, Notice, Options};
use crate::signals::stop_on_signal;

/// Runs the service.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Watch the models of a configuration until told to stop",
    after_help = "Examples:\n  driftline run\n  driftline run --config /etc/driftline/driftline.yaml\n  DRIFTLINE_LOG_FORMAT=json driftline run"
)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// The ONNX Runtime library, where it is not found by itself
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Begin with an empty state folder: the old checkpoint is moved aside
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// Runs the command until SIGTERM or Ctrl-C.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = match configured::load(&args.config) {
        Ok(config) => config,
        Err(problems) => bail!("{problems}"),
    };
    // What mails print is run elsewhere than where the service was started.
    let path = std::path::absolute(&config.path).unwrap_or_else(|_| config.path.clone());
    let config = Config { path, ..config };
    let named = args.onnxruntime.as_deref().or(config.onnxruntime.as_deref());
    let candidates = config.models.iter().any(|model| !model.shadow.is_empty());
    let onnxruntime = if candidates { libraries::paths(named) } else { Vec::new() };
    let faults = Faults::from_environment();
    let options = Options { rebuild: args.rebuild, onnxruntime, faults, ..Options::default() };
    let stop = stop_on_signal()?;
    let monitor = Monitor::build(&config, options)?;
    tracing::info!(http = %monitor.address(), models = config.models.len(), "driftline runs");
    monitor.run(&stop, &mut |notice| log(notice))?;
    tracing::info!("driftline has stopped, everything read is in the checkpoint");
    Ok(ExitCode::SUCCESS)
}

fn log(notice: &Notice) {
    match notice {
        Notice::Report(report) => tracing::info!(
            window = report.window.id.as_str(),
            rows = report.window.rows,
            level = ?report.level,
            "window judged"
        ),
        Notice::Request(request) => tracing::info!(
            id = request.data.retrain_id,
            model = request.data.model,
            rows = request.data.train_on.rows,
            "retraining requested"
        ),
        Notice::Attempt(attempt) => tracing::info!(
            receiver = attempt.receipt.receiver,
            id = attempt.receipt.row_id,
            outcome = attempt.receipt.outcome.name(),
            "message attempted"
        ),
        Notice::Shadow(record) => tracing::info!(
            window = record.window.id.as_str(),
            candidates = record.shadow.len(),
            "candidates compared"
        ),
    }
}
