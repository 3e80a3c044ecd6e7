//! The configuration, as the commands need it.

use std::borrow::Cow;
use std::path::Path;

use anyhow::anyhow;
use driftline_config::{Config, Examine, Model, Problems};

/// Names the configuration where no option does.
pub(crate) const VARIABLE: &str = "DRIFTLINE_CONFIG";
/// Where it is where nothing names it.
pub(crate) const USUAL: &str = "driftline.yaml";

/// Reads a configuration; secrets come from the environment.
pub(crate) fn load(path: &Path) -> Result<Config, Problems> {
    Config::load(path, &|name| std::env::var(name).ok())
}

/// The same, with every problem that is found in the files of each model.
pub(crate) fn load_examined(path: &Path, examine: &Examine<'_>) -> Result<Config, Problems> {
    Config::load_examined(path, &|name| std::env::var(name).ok(), examine)
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
