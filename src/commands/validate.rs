//! `driftline validate`: every problem of a configuration at once, and of the files it names.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::configured;
use crate::setup::Setup;

/// Checks a configuration.
#[derive(Debug, Clone, Args)]
#[command(about = "Report every problem of a configuration at once, with line and column")]
pub struct ValidateArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Runs the command: 0 where all is well, 2 where anything is not.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    match problems(args) {
        Ok(models) => {
            let models =
                if models == 1 { "1 model".to_owned() } else { format!("{models} models") };
            let text = format!("{}: valid, {models}\n", args.config.display());
            super::write(&mut std::io::stdout().lock(), &text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            Ok(ExitCode::from(2))
        }
    }
}

/// How many models there are, or everything that is wrong.
fn problems(args: &ValidateArgs) -> Result<usize, Vec<String>> {
    let config = configured::load(&args.config)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let mut problems = Vec::new();
    for model in &config.models {
        if let Err(error) = Setup::load(model, &config.limits) {
            problems.push(format!("{}: {error}", args.config.display()));
        }
    }
    if problems.is_empty() { Ok(config.models.len()) } else { Err(problems) }
}
