//! `driftline completion` and `driftline man`: what shells and manuals are told of the options.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

/// Prints completions.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Print the completions of a shell",
    after_help = "Examples:\n  driftline completion bash > /etc/bash_completion.d/driftline\n  driftline completion zsh > ~/.zfunc/_driftline\n  driftline completion fish > ~/.config/fish/completions/driftline.fish"
)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Writes the pages of the manual.
#[derive(Debug, Clone, Args)]
#[command(about = "Write the pages of the manual")]
pub(crate) struct ManArgs {
    /// The folder they are written to
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Runs `completion`.
pub(crate) fn run(args: &CompletionArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "driftline", &mut script);
    super::write(&mut std::io::stdout().lock(), &String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `man`: one page for the program, and one per command.
pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    let place = || args.out.display().to_string();
    std::fs::create_dir_all(&args.out).with_context(place)?;
    // The date of a page would be that of the build, and no build like another.
    clap_mangen::generate_to(command, &args.out).with_context(place)?;
    Ok(ExitCode::SUCCESS)
}
