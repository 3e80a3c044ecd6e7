//! `driftline init`: a configuration and a baseline to begin with, out of a topic or a file.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use driftline_analytics::baseline::build::CutPoints;
use driftline_batch::setups::examine;
use driftline_config::time::parse_instant_us;
use driftline_config::{Complaint, Limits, Model};

use super::screen::{Color, Screen};
use super::{baseline, configured};

mod topic;

/// Where the broker is where nothing is said.
const USUAL_BOOTSTRAP: &str = "localhost:9092";
/// What a file without an own name for its model is called.
const USUAL_MODEL: &str = "model";

/// Writes a first configuration.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Write a configuration and a baseline to begin with, out of a topic or a file",
    after_help = "Asks for what is missing where it runs on a terminal.\n\nExamples:\n  driftline init --topic flights.captures --to 2026-11-01T00:00:00Z\n  driftline init --topic flights.captures --model flight-delay --data reference.parquet --time ts"
)]
pub(crate) struct InitArgs {
    /// The broker, as host:port
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Option<String>,
    /// The topic of the captures
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// The model; where the topic holds captures of one model, that
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Rows for the baseline; the captures of the topic where it is left out
    #[arg(long, short, value_name = "FILE|SELECT")]
    pub(crate) data: Option<String>,
    /// Captures for the baseline from this instant on, RFC 3339
    #[arg(long, value_name = "T", conflicts_with = "data", value_parser = parse_instant_us)]
    pub(crate) from: Option<i64>,
    /// Captures for the baseline before this instant, RFC 3339
    #[arg(long, value_name = "T", conflicts_with = "data", value_parser = parse_instant_us)]
    pub(crate) to: Option<i64>,
    /// The column of the file that holds the event time
    #[arg(long, short, value_name = "COLUMN", requires = "data")]
    pub(crate) time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT", requires = "data")]
    pub(crate) rename: Vec<String>,
    /// Say how the predictions of the file were made
    #[arg(long, value_name = "HOW", requires = "data")]
    pub(crate) predictions: Option<baseline::Predictions>,
    /// How long a window is
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    pub(crate) every: String,
    /// Requests that a window must hold to be judged
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) at_least: u64,
    /// Where the configuration is written; baseline, mails and state go beside it
    #[arg(long, short, value_name = "FILE", default_value = configured::USUAL)]
    pub(crate) out: PathBuf,
    /// Write over a configuration that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// What the configuration says, once everything is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answers {
    bootstrap: String,
    topic: String,
    model: String,
    data: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &InitArgs, color: Color) -> anyhow::Result<ExitCode> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let mut ask = |question: &str, usual: &str| match terminal {
        true => asked(question, usual),
        false => Ok(usual.to_owned()),
    };
    let answers = answers(args, &mut ask)?;
    let told = Screen::of(&std::io::stderr(), color);
    let screen = Screen::of(&std::io::stdout(), color);
    let text = write(args, &answers, screen, &mut |note| eprintln!("{}", told.wrapped(note, 2)))?;
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts together what is said and what is asked; `ask` takes a question and the usual answer.
fn answers(
    args: &InitArgs,
    ask: &mut dyn FnMut(&str, &str) -> anyhow::Result<String>,
) -> anyhow::Result<Answers> {
    let mut one = |said: &Option<String>, question: &str, usual: &str| match said {
        Some(said) => Ok(said.clone()),
        None => ask(question, usual),
    };
    let bootstrap = one(&args.bootstrap, "Kafka broker", USUAL_BOOTSTRAP)?;
    let topic = one(&args.topic, "topic of the captures", "")?;
    if topic.is_empty() {
        bail!("write --topic TOPIC: the topic of the captures");
    }
    let data = one(&args.data, "reference rows: a file, or nothing for the topic's captures", "")?;
    let data = (!data.is_empty()).then_some(data);
    let found = match (&args.model, &data) {
        (Some(model), _) => model.clone(),
        (None, None) => topic::only_model(&bootstrap, &topic)?.unwrap_or_else(|| named(&topic)),
        // Nobody need have sent anything yet.
        (None, Some(_)) => {
            topic::only_model(&bootstrap, &topic).ok().flatten().unwrap_or_else(|| named(&topic))
        }
    };
    let model = one(&args.model, "name of the model", &found)?;
    Ok(Answers { bootstrap, topic, model, data })
}

/// The part of a topic's name that may name a model.
fn named(topic: &str) -> String {
    let name = topic.split('.').next().unwrap_or_default();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let name: String = name.chars().filter(|letter| fits(*letter)).take(64).collect();
    if name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        name
    } else {
        USUAL_MODEL.to_owned()
    }
}

fn asked(question: &str, usual: &str) -> anyhow::Result<String> {
    let hint = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
    eprint!("{question}{hint}: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { usual.to_owned() } else { answer.to_owned() })
}

/// Writes configuration and baseline, or neither; returns what is to be said.
fn write(
    args: &InitArgs,
    answers: &Answers,
    screen: Screen,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<String> {
    let out = &args.out;
    if out.exists() && !args.force {
        bail!("{}: is there already: --force writes over it, --out elsewhere", out.display());
    }
    let folder = out.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let place = || out.display().to_string();
    let before = std::fs::read(out).ok();
    std::fs::write(out, configuration(args, answers)).with_context(place)?;
    let made = baseline_of(args, answers, screen, note).and_then(|text| {
        configured::load_examined(out, &complaints)
            .map_err(|problems| anyhow::anyhow!("{problems}"))?;
        Ok(text)
    });
    match made {
        Ok(text) => Ok(format!(
            "{text}{}: valid\nnext: driftline run --config {}\n",
            out.display(),
            out.display()
        )),
        Err(error) => {
            // A configuration without its baseline could not be run.
            match before {
                Some(before) => std::fs::write(out, before).with_context(place)?,
                None => std::fs::remove_file(out).with_context(place)?,
            }
            Err(error)
        }
    }
}

fn baseline_of(
    args: &InitArgs,
    answers: &Answers,
    screen: Screen,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<String> {
    let baseline = baseline::BaselineArgs {
        except: Vec::new(),
        sagemaker: None,
        constraints: None,
        config: args.out.clone(),
        model: None,
        data: answers.data.clone(),
        captures: answers.data.is_none(),
        from: args.from,
        to: args.to,
        time: args.time.clone(),
        rename: args.rename.clone(),
        cut_points: CutPoints::default(),
        predictions: args.predictions,
        categorical: Vec::new(),
        ignore: Vec::new(),
        out: args.out.with_file_name("baseline.json"),
    };
    baseline::make(&baseline, screen, note)
}

/// The configuration as text. JSON's strings are YAML's.
fn configuration(args: &InitArgs, answers: &Answers) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let Answers { bootstrap, topic, model, .. } = answers;
    format!(
        "# Written by `driftline init`; docs/contracts.md, section 2, has every key. `driftline validate`
# names every problem, `driftline doctor` looks at what is around it.

kafka:
  bootstrap: {}

state: state

models:
  - name: {}
    captures:
      topic: {}
    baseline: baseline.json
    window: {{every: {}, at_least: {}}}

receivers:
  - name: mails
    email:
      folder: mails                    # one .eml file per mail; or server: smtp://mail.example.org:587
      from: driftline@localhost
      to: [driftline@localhost]
",
        text(bootstrap),
        text(model),
        text(topic),
        args.every,
        args.at_least
    )
}

/// What is wrong with the files of a model.
fn complaints(model: &Model, limits: &Limits) -> Vec<Complaint> {
    examine(model, limits).complaints
}

#[cfg(test)]
mod tests;
