//! `driftline score-candidate`: the process of a candidate, which the service starts for itself.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

/// Scores rows for the service, over standard input and output.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScoreCandidateArgs {
    /// What the service asks of it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs until the service has nothing more to score.
pub(crate) fn run(args: &ScoreCandidateArgs) -> anyhow::Result<ExitCode> {
    driftline_shadow::score_for_parent(&args.arguments)?;
    Ok(ExitCode::SUCCESS)
}
