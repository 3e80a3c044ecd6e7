//! The configuration, as the commands need it.

use std::path::Path;

use anyhow::anyhow;
use driftline_config::{Config, Examine, Model, Problem, Problems};

/// Reads a configuration; secrets come from the environment.
pub(crate) fn load(path: &Path) -> Result<Config, Problems> {
    built(load_any_format(path)?)
}

/// The same, also where a format is described and not read from topics yet.
pub(crate) fn load_any_format(path: &Path) -> Result<Config, Problems> {
    Config::load(path, &|name| std::env::var(name).ok())
}

/// The same, with every problem that is found in the files of each model.
pub(crate) fn load_examined(path: &Path, examine: &Examine<'_>) -> Result<Config, Problems> {
    built(Config::load_examined(path, &|name| std::env::var(name).ok(), examine)?)
}

/// A configuration, none of whose models has a format that only `driftline formats try` reads.
fn built(config: Config) -> Result<Config, Problems> {
    let missing = config.models.iter().filter_map(|model| {
        let format = &model.captures.format;
        let missing = format.not_built_yet()?;
        Some(Problem {
            file: config.path.clone(),
            line: 0,
            column: 0,
            message: format!("model {}: format {}: {missing}", model.name, format.name()),
            hint: Some("`driftline formats try` reads its records all the same".to_owned()),
        })
    });
    let problems: Vec<Problem> = missing.collect();
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

/// The model of this name, or the only one.
pub(crate) fn model<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<&'a Model> {
    let names = || config.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.models.as_slice()) {
        (Some(name), models) => models.iter().find(|model| model.name == name).ok_or_else(|| {
            anyhow!("{}: no model {name}; it has {}", config.path.display(), names())
        }),
        (None, [model]) => Ok(model),
        (None, _) => Err(anyhow!("{}: write --model, one of {}", config.path.display(), names())),
    }
}
