//! From what was written to what is true: reads every section, fills in the defaults, and compares
//! the sections with one another.

use std::path::Path;

use crate::model::Model;
use crate::problem::{Complaint, Problems};
use crate::reader::{Context, Secrets, Section, check_unique, names_of, wrong};
use crate::service::{Config, Limits, ReportStore};
use crate::template::Template;
use crate::time::{DAY_US, MINUTE_US};
use crate::tree::{Node, Written, merge};

mod files;
mod format;
mod login;
mod model;
mod receivers;
mod service;
mod shadow;

/// Looks at the files that a model names.
pub type Examine<'a> = dyn Fn(&Model, &Limits) -> Vec<Complaint> + 'a;

impl Config {
    /// Reads the file at `path` and the files it includes. `environment` answers for `${VAR}`.
    ///
    /// # Errors
    /// Every problem of all the files at once.
    pub fn load(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        Config::load_examined(path, environment, &|_, _| Vec::new())
    }

    /// The same, and asks `examine` about each model, also where something else is wrong.
    ///
    /// # Errors
    /// Every problem of all the files at once, and each complaint at its place.
    pub fn load_examined(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        examine: &Examine<'_>,
    ) -> Result<Config, Problems> {
        let context = Context::new(environment);
        let root = files::read(&context, path);
        resolve(context, path, root, examine)
    }

    /// The same, for whoever needs only these secrets: a reading of others that fails is no problem.
    ///
    /// # Errors
    /// As [`Config::load_examined`].
    pub fn load_with(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        secrets: Secrets,
        examine: &Examine<'_>,
    ) -> Result<Config, Problems> {
        let context = Context::new(environment).with_secrets(secrets);
        let root = files::read(&context, path);
        resolve(context, path, root, examine)
    }

    /// Reads `text` as if it stood in a file at `path`: relative paths and `include` start there.
    ///
    /// # Errors
    /// Every problem of all the files at once.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        let context = Context::new(environment);
        let root = files::parse(&context, path, text);
        resolve(context, path, root, &|_, _| Vec::new())
    }
}

fn resolve(
    context: Context<'_>,
    path: &Path,
    root: Option<Node>,
    examine: &Examine<'_>,
) -> Result<Config, Problems> {
    let config = root.as_ref().and_then(|root| config(&context, path, root, examine));
    context.finish(config)
}

/// Reads each part before it gives up on any, so that no problem hides another.
fn config(
    context: &Context<'_>,
    path: &Path,
    root: &Node,
    examine: &Examine<'_>,
) -> Option<Config> {
    let mut section = Section::of(context, root, "the configuration")?;
    let included = files::included(context, path, &section.list("include"));
    let folder = path.parent().unwrap_or(Path::new(""));
    let state = section.read("state", |value| value.path());
    let state = state.unwrap_or_else(|| folder.join("state"));
    let kafka = section.part("kafka", "kafka");
    let kafka = kafka.and_then(|part| context.of_kafka(|| service::kafka(part, &state)));
    let http = section.part("http", "http").and_then(service::http);
    let alerts = section.part("alerts", "alerts").and_then(service::alerts);
    let reports = section.part("reports", "reports").and_then(report_store);
    let limits = section.part("limits", "limits").map(service::limits);
    let sandbox = section.part("shadow", "shadow").map(shadow::sandbox);
    let onnxruntime = section.read("onnxruntime", |value| value.path());

    let receiver_nodes = section.list("receivers");
    let receiver_names = names_of(receiver_nodes.iter().map(|value| value.node));
    check_unique(context, "receiver", &receiver_names);
    let receivers: Vec<_> =
        receiver_nodes.iter().filter_map(|value| receivers::receiver(*value)).collect();

    let defaults = section.value("defaults").map(|value| value.node);
    let own: Vec<&Node> = section.list("models").iter().map(|value| value.node).collect();
    let scope = model::Scope {
        receivers: receiver_names.iter().map(|(name, _)| (*name).to_owned()).collect(),
        reports: kafka.as_ref().and_then(|kafka| kafka.reports.clone()),
        limits: limits.clone().unwrap_or_default(),
        examine,
    };
    if let Some(defaults) = defaults {
        model::check_defaults(context, defaults, &scope);
    }
    let nodes = with_defaults(defaults, own.into_iter().chain(files::models(context, &included)));
    check_unique(context, "model", &names_of(&nodes));
    let (mut models, mut templates) = (Vec::new(), Vec::new());
    for node in &nodes {
        match model::declared(context, node, &scope) {
            Some(model::Declared::Model(model)) => models.push(*model),
            Some(model::Declared::Template(template)) => templates.push(*template),
            // What is wrong was reported.
            None => {}
        }
    }
    format::check_topics(context, &nodes, &models, &templates);
    if let Some(kafka) = &kafka {
        let each = models.iter().chain(templates.iter().map(Template::common));
        format::check_schemas(context, &nodes, each, kafka);
    }
    if nodes.is_empty() {
        section.report(wrong("no model is declared").hint("list at least one under `models`"));
    }
    if let Some(limits) = &limits {
        section.check("models", nodes.len() > limits.models, || {
            wrong(format!("{} models are more than limits.models ({})", nodes.len(), limits.models))
        });
    }
    section.finish();
    Some(Config {
        path: path.to_owned(),
        kafka: kafka?,
        state,
        http: http?,
        models,
        templates,
        alerts: alerts?,
        receivers,
        reports: reports?,
        limits: limits?,
        shadow: sandbox?,
        onnxruntime,
    })
}

/// Each model with the defaults filled in, but for the name; something that is no map stays as it is,
/// to be reported.
fn with_defaults<'n>(defaults: Option<&Node>, models: impl Iterator<Item = &'n Node>) -> Vec<Node> {
    let Some(defaults) = defaults else { return models.cloned().collect() };
    let mut defaults = defaults.clone();
    if let Written::Map(entries) = &mut defaults.value {
        entries.retain(|entry| entry.key != "name" && entry.key != "match");
    }
    models.map(|model| merge(model, &defaults)).collect()
}

fn report_store(mut section: Section<'_>) -> Option<ReportStore> {
    let keep_us = section.read("keep", |value| value.duration(MINUTE_US, "1m"));
    section.finish();
    Some(ReportStore { keep_us: keep_us.unwrap_or(90 * DAY_US) })
}

#[cfg(test)]
mod tests;
