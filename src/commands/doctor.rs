//! `driftline doctor`: everything that the service needs, looked at before it needs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use driftline_alerting::deliver::{Deliverer, DeliverySettings};
use driftline_batch::setups::load_setup;
use driftline_config::Config;

use super::configured;
use super::progress::RowsBar;
use super::screen::{Color, Screen};
use super::text_table::TextTable;

mod clocks;
mod kafka;
mod machine;
mod receivers;
mod refused;
#[cfg(test)]
mod tests;

/// How long a mail server or a webhook may take to answer.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

/// Looks at everything around the service.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Check the broker, topics, retention, clocks, ONNX Runtime, mail servers, webhooks and Alertmanager",
    after_help = "Examples:\n  driftline doctor --config driftline.yaml\n  driftline doctor --send-test on-call"
)]
pub(crate) struct DoctorArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// The ONNX Runtime library, or a folder that holds it
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Instead: send this receiver a message that says it is a test
    #[arg(long, value_name = "RECEIVER")]
    pub(crate) send_test: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing to do.
    Ok,
    /// It works, and something may surprise later.
    Warn,
    /// It does not work.
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) state: State,
    /// One sentence: what was found, and what to do.
    pub(crate) says: String,
}

impl Finding {
    fn ok(check: impl Into<String>, says: impl Into<String>) -> Finding {
        Finding { check: check.into(), state: State::Ok, says: says.into() }
    }

    fn warn(check: impl Into<String>, says: impl Into<String>) -> Finding {
        Finding { check: check.into(), state: State::Warn, says: says.into() }
    }

    fn fail(check: impl Into<String>, says: impl Into<String>) -> Finding {
        Finding { check: check.into(), state: State::Fail, says: says.into() }
    }
}

/// Runs the command: 0 where nothing fails, 2 where something does.
pub(crate) fn run(args: &DoctorArgs, color: Color) -> anyhow::Result<ExitCode> {
    let findings = match &args.send_test {
        Some(receiver) => vec![receivers::send_test(&args.config, receiver)?],
        None => examine(args),
    };
    let text = describe(&findings, Screen::of(&std::io::stdout(), color));
    super::write(&mut std::io::stdout().lock(), &text)?;
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    Ok(if failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

/// Every check, in the order in which a service would need what it looks at.
pub(crate) fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let config = match configured::load(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            let fail = |problem: &driftline_config::Problem| {
                Finding::fail("configuration", problem.to_string())
            };
            return problems.0.iter().map(fail).collect();
        }
    };
    let progress = RowsBar::new("looking", None);
    let mut findings = vec![Finding::ok(
        "configuration",
        format!("{}: {} models", config.path.display(), config.models.len()),
    )];
    findings.extend(config.models.iter().map(|model| baseline(model, &config)));
    findings.extend(kafka::examine(&config));
    findings.extend(machine::examine(&config, args.onnxruntime.as_deref()));
    findings.extend(receivers(&config));
    drop(progress);
    findings
}

fn baseline(model: &driftline_config::Model, config: &Config) -> Finding {
    let check = format!("baseline of {}", model.name);
    match load_setup(model, &config.limits) {
        Ok(setup) => {
            let columns = setup.layout.schema().columns.len();
            let rows = setup.baselines.default.rows;
            let says = format!("{rows} rows, {columns} monitored columns");
            let warnings: Vec<String> =
                setup.other_days().into_iter().chain(setup.trend()).collect();
            match warnings.as_slice() {
                [] => Finding::ok(check, says),
                warnings => Finding::warn(check, format!("{says}; {}", warnings.join("; "))),
            }
        }
        Err(error) => Finding::fail(check, format!("{error}: build it with driftline baseline")),
    }
}

/// Goes towards every receiver, without sending anything.
fn receivers(config: &Config) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::fail("receivers", format!("no threads: {error}"))],
    };
    let settings = DeliverySettings {
        webhook_timeout: ANSWER,
        mail_timeout: ANSWER,
        ..DeliverySettings::default()
    };
    let mut findings = Vec::new();
    for receiver in &config.receivers {
        let check = format!("receiver {}", receiver.name);
        let reached = Deliverer::new(std::slice::from_ref(receiver), &settings)
            .map_err(|error| error.problem.to_string())
            .and_then(|deliverer| runtime.block_on(deliverer.reach(&receiver.name)));
        findings.push(match reached {
            Ok(says) => Finding::ok(check, says),
            Err(why) => {
                Finding::fail(check, format!("{why}: messages will wait and be tried again"))
            }
        });
    }
    findings
}

fn describe(findings: &[Finding], screen: Screen) -> String {
    let mut table = TextTable::new(&["", "check", "finding"]);
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        table.row(vec![state.to_owned(), finding.check.clone(), finding.says.clone()]);
    }
    let at = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    format!(
        "{}\n{} ok, {} warnings, {} failed\n",
        table.render(screen),
        at(State::Ok),
        at(State::Warn),
        at(State::Fail)
    )
}
