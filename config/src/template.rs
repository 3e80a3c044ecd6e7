//! Models without a section each: every name of a pattern that is seen on a topic is one.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use crate::model::Model;
use crate::reader::is_name;
use crate::service::Config;

/// What stands for the name of a model in the path of a baseline.
pub const NAME_PLACE: &str = "{model}";
/// Bytes of a compiled pattern: names are short, and so is what they are matched with.
const PATTERN_BYTES: usize = 1 << 20;

/// A section of `models` with `match` instead of `name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pattern: NamePattern,
    /// The model that it makes; its name is the pattern, and its baselines may hold [`NAME_PLACE`].
    model: Model,
}

/// A regular expression that a whole name must match.
#[derive(Clone)]
pub struct NamePattern {
    text: String,
    regex: Regex,
}

impl NamePattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the compiler.
    pub fn new(text: &str) -> Result<NamePattern, String> {
        let whole = format!("^(?:{text})$");
        let regex = RegexBuilder::new(&whole).size_limit(PATTERN_BYTES).build();
        let regex = regex.map_err(|error| error.to_string())?;
        Ok(NamePattern { text: text.to_owned(), regex })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a name is one of a model, and matches.
    pub fn matches(&self, name: &str) -> bool {
        is_name(name) && self.regex.is_match(name)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.text)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &NamePattern) -> bool {
        self.text == other.text
    }
}

impl Template {
    /// A template of what was declared beside the pattern.
    pub(crate) fn new(pattern: NamePattern, model: Model) -> Template {
        Template { pattern, model }
    }

    /// As it was written.
    pub fn pattern(&self) -> &NamePattern {
        &self.pattern
    }

    /// What all its models have in common; its name is the pattern.
    pub fn common(&self) -> &Model {
        &self.model
    }

    /// The model of this name, which follows from the name alone; `None` where the pattern does not match.
    pub fn model(&self, name: &str) -> Option<Model> {
        if !self.pattern.matches(name) {
            return None;
        }
        let mut model = self.model.clone();
        model.name = name.to_owned();
        for path in model.baseline.values_mut() {
            // A path that is not UTF-8 was not written in YAML, and holds no place.
            if let Some(text) = path.to_str() {
                *path = text.replace(NAME_PLACE, name).into();
            }
        }
        Some(model)
    }
}

impl Config {
    /// The model that a name stands for: one with a section of its own, or one that the first template that
    /// matches makes.
    pub fn model(&self, name: &str) -> Option<Cow<'_, Model>> {
        let mut own = self.models.iter();
        let own = own.find(|model| model.name == name).map(Cow::Borrowed);
        own.or_else(|| self.templates.iter().find_map(|of| of.model(name)).map(Cow::Owned))
    }

    /// The model that a template makes of a name that was seen on a topic; `None` where the name has a section
    /// of its own, or is that of a model on another topic.
    pub fn model_of_template(&self, topic: &str, name: &str) -> Option<Model> {
        let model = self.model(name)?;
        match model {
            Cow::Owned(model) if model.captures.topic == topic => Some(model),
            Cow::Owned(_) | Cow::Borrowed(_) => None,
        }
    }

    /// The topics of all models, those of templates too.
    pub fn topics(&self) -> BTreeSet<&str> {
        self.declared().map(|model| model.captures.topic.as_str()).collect()
    }

    /// Every model with a section, and what the models of each template have in common.
    pub fn declared(&self) -> impl Iterator<Item = &Model> + Clone {
        self.models.iter().chain(self.templates.iter().map(Template::common))
    }
}
