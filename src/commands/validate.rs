//! `driftline validate`: every problem of a configuration at once, and of the files it names.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::Args;
use driftline_alerting::deliver::{DeliverError, Deliverer, DeliverySettings};
use driftline_batch::setups::{Examined, examine};
use driftline_config::{Config, Limits, Model};
use driftline_ingest::{Connection, IngestError, describe_topic};

use super::configured;
use crate::retention::warnings;
use driftline_web::Tls;

/// How long the broker may take to tell of a topic: a configuration can be checked without one.
const ANSWER: Duration = Duration::from_secs(3);

/// Checks a configuration.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Report every problem of a configuration at once, with line and column",
    after_help = "Examples:\n  driftline validate\n  driftline validate --config driftline.yaml"
)]
pub(crate) struct ValidateArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
}

/// Runs the command: 0 where all is well, 2 where anything is not. Topics that keep their records for
/// too short a time are warned of on stderr, where the broker answers, and so are baselines by other days than
/// the windows'.
pub(crate) fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let days = RefCell::new(Vec::new());
    let examined = |model: &Model, limits: &Limits| {
        let Examined { complaints, warnings } = examine(model, limits);
        days.borrow_mut().extend(warnings);
        complaints
    };
    match configured::load_examined(&args.config, &examined) {
        Ok(config) => {
            for warning in days.into_inner() {
                eprintln!("{}: warning: {warning}", args.config.display());
            }
            if let Err(error) = config.http.tls.as_ref().map(Tls::load).transpose() {
                eprintln!("{}: {error}", args.config.display());
                return Ok(ExitCode::from(2));
            }
            let refused = refused_receivers(&config);
            if !refused.is_empty() {
                refused.iter().for_each(|error| eprintln!("{}: {error}", args.config.display()));
                return Ok(ExitCode::from(2));
            }
            let models = match config.models.len() {
                1 => "1 model".to_owned(),
                models => format!("{models} models"),
            };
            let models = match config.templates.len() {
                0 => models,
                1 => format!("{models} and 1 template"),
                templates => format!("{models} and {templates} templates"),
            };
            for warning in retention_warnings(config) {
                eprintln!("{warning}");
            }
            let text = format!("{}: valid, {models}\n", args.config.display());
            super::write(&mut std::io::stdout().lock(), &text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            eprintln!("{problems}");
            Ok(ExitCode::from(2))
        }
    }
}

/// The receivers that `run` would refuse to start with.
fn refused_receivers(config: &Config) -> Vec<DeliverError> {
    let settings = DeliverySettings::default();
    let refused = |receiver| Deliverer::new(std::slice::from_ref(receiver), &settings).err();
    config.receivers.iter().filter_map(refused).collect()
}

/// What each topic's retention means for its models; nothing where the broker does not answer in time.
fn retention_warnings(config: Config) -> Vec<String> {
    let path = config.path.clone();
    let (answers, inbox) = channel();
    // Left behind where the broker takes its time: the process is about to end.
    std::thread::spawn(move || {
        let connection = Connection::from(&config.kafka);
        let mut topics: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
        for model in config.declared() {
            topics.entry(&model.captures.topic).or_default().push(model);
        }
        for (topic, models) in topics {
            let warnings = match describe_topic(&connection, topic) {
                Ok(facts) => warnings(&facts, models.into_iter()),
                // It may be made later; doctor says so.
                Err(IngestError::NoTopic { .. }) => Vec::new(),
                Err(_) => return,
            };
            if answers.send((topic.to_owned(), warnings)).is_err() {
                return;
            }
        }
    });
    let mut found = Vec::new();
    while let Ok((topic, warnings)) = inbox.recv_timeout(ANSWER) {
        let line = |says| format!("{}: warning: topic {topic}: {says}", path.display());
        found.extend(warnings.into_iter().map(line));
    }
    found
}
