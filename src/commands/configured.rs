//! The configuration, as the commands need it.

use std::borrow::Cow;
use std::path::Path;

use anyhow::anyhow;
use driftline_config::{Config, Examine, Model, Problems, Secrets};

/// Names the configuration where no option does.
pub(crate) const VARIABLE: &str = "DRIFTLINE_CONFIG";
/// Where it is where nothing names it.
pub(crate) const USUAL: &str = "driftline.yaml";

/// Reads a configuration; secrets come from the environment.
pub(crate) fn load(path: &Path) -> Result<Config, Problems> {
    Config::load(path, &|name| std::env::var(name).ok())
}

/// The same, for a command that reads the log and tells nobody: secrets of receivers and of the page may be
/// elsewhere.
pub(crate) fn load_to_read(path: &Path) -> Result<Config, Problems> {
    let environment = |name: &str| std::env::var(name).ok();
    Config::load_with(path, &environment, Secrets::OfKafka, &|_, _| Vec::new())
}

/// The same, with every problem that is found in the files of each model.
pub(crate) fn load_examined(path: &Path, examine: &Examine<'_>) -> Result<Config, Problems> {
    load_examined_with(path, Secrets::All, examine)
}

/// The same, for whoever needs only these secrets.
pub(crate) fn load_examined_with(
    path: &Path,
    secrets: Secrets,
    examine: &Examine<'_>,
) -> Result<Config, Problems> {
    Config::load_with(path, &|name| std::env::var(name).ok(), secrets, examine)
}

/// The model of this name, or the only one.
pub(crate) fn model<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<Cow<'a, Model>> {
    let names = || {
        let own = config.models.iter().map(|model| model.name.clone());
        let templates = config.templates.iter();
        let patterns = templates.map(|of| format!("those that match {:?}", of.pattern()));
        own.chain(patterns).collect::<Vec<_>>().join(", ")
    };
    match (name, config.models.as_slice()) {
        (Some(name), _) => config.model(name).ok_or_else(|| {
            anyhow!("{}: no model {name}; it has {}", config.path.display(), names())
        }),
        (None, [model]) if config.templates.is_empty() => Ok(Cow::Borrowed(model)),
        (None, _) => Err(anyhow!("{}: write --model, one of {}", config.path.display(), names())),
    }
}
