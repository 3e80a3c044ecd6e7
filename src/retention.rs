//! How long a topic keeps its records, against what windows, replay and retraining read again.

use std::collections::BTreeMap;

use driftline_config::Model;
use driftline_config::time::{HOUR_US, format_duration};
use driftline_ingest::TopicDescription;

/// What compaction means for those who read a log again.
pub(crate) const COMPACTED: &str = "the topic is compacted (cleanup.policy): records go once a later one of their key is \
     there, so replay, export and retraining do not find what was counted; set cleanup.policy to delete";
/// Models that one warning names; a topic may have thousands.
const NAMED: usize = 5;

/// What a topic's retention means for a model: a sentence, and what to do where something is amiss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Retention {
    /// Everything that may be read again is there.
    Enough(String),
    /// Something may be gone when it is wanted.
    Short(String),
    /// The records of a window are gone before it ends.
    TooShort(String),
}

impl Retention {
    /// Compares the broker's answer with a model's windows and history.
    pub(crate) fn of(facts: &TopicDescription, model: &Model) -> Retention {
        let window = &model.window;
        // Where clocks are put back, days of a zone have an hour more.
        let more_us = if window.timezone.is_some() { HOUR_US } else { 0 };
        let least_us = window.every_us.saturating_add(window.lateness_us + more_us);
        let most_us = window.every_us.max(window.at_most_us);
        let longest_us = most_us.saturating_add(window.lateness_us + more_us);
        let wanted_us = longest_us.saturating_add(model.retrain.history_us);
        let Some(kept_us) = facts.retention_ms.map(|ms| ms.saturating_mul(1000)) else {
            return match facts.retention_bytes {
                None => Retention::Enough("records are kept for ever".to_owned()),
                Some(bytes) => Retention::Short(format!(
                    "records are kept up to {bytes} bytes per partition: whether that is {} cannot be known",
                    format_duration(longest_us)
                )),
            };
        };
        let bytes = facts.retention_bytes.map_or_else(String::new, |bytes| {
            format!(" (and {bytes} bytes per partition, whichever comes first)")
        });
        let kept = format!("records are kept for {}{bytes}", format_duration(kept_us));
        if kept_us < least_us {
            let needed = format_duration(least_us);
            return Retention::TooShort(format!(
                "{kept}, a window needs {needed}: raise retention.ms, or shorten window.every"
            ));
        }
        if kept_us < longest_us {
            let needed = format_duration(longest_us);
            return Retention::Short(format!(
                "{kept}, a window of few rows may grow to {needed}: raise retention.ms, or lower window.at_most"
            ));
        }
        if kept_us < wanted_us {
            let needed = format_duration(wanted_us);
            return Retention::Short(format!(
                "{kept}, retraining with its history wants {needed}: requests will not reach back as far; raise retention.ms, or lower retrain.history"
            ));
        }
        Retention::Enough(kept)
    }

    fn warning(self) -> Option<String> {
        match self {
            Retention::Enough(_) => None,
            Retention::Short(says) | Retention::TooShort(says) => Some(says),
        }
    }
}

/// What is amiss for the models of a topic, one sentence for all that share it. Where the broker does
/// not tell the topic's settings, nothing is known.
pub(crate) fn warnings<'a>(
    facts: &TopicDescription,
    models: impl Iterator<Item = &'a Model>,
) -> Vec<String> {
    if facts.settings_unknown.is_some() {
        return Vec::new();
    }
    let mut sentences: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for model in models {
        if facts.compacted == Some(true) {
            sentences.entry(COMPACTED.to_owned()).or_default().push(&model.name);
        }
        if let Some(says) = Retention::of(facts, model).warning() {
            sentences.entry(says).or_default().push(&model.name);
        }
    }
    let named = |(says, models): (String, Vec<&str>)| {
        let first: Vec<&str> = models.iter().take(NAMED).copied().collect();
        let more = match models.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}: {says}", first.join(", "))
    };
    sentences.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driftline_config::Config;
    use driftline_config::time::DAY_US;

    use super::*;

    fn facts(retention_ms: i64) -> TopicDescription {
        TopicDescription {
            partitions: vec![(0, 10)],
            retention_ms: Some(retention_ms),
            retention_bytes: None,
            broker_timestamps: None,
            timestamp_after_max_ms: None,
            max_message_bytes: None,
            compacted: None,
            settings_unknown: None,
        }
    }

    #[test]
    fn models_that_share_a_warning_share_a_sentence() {
        let mut text = "kafka: {bootstrap: b}\nmodels:\n".to_owned();
        for model in 0..7 {
            let every = if model == 0 { "3d" } else { "1d" };
            text += &format!(
                "  - {{name: m{model}, captures: {{topic: t}}, baseline: b, window: {{every: {every}}}}}\n"
            );
        }
        let config = Config::parse(&text, Path::new("driftline.yaml"), &|_| None).unwrap();
        let found = warnings(&facts(2 * DAY_US / 1000), config.models.iter());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].starts_with(
            "m1, m2, m3, m4, m5 and 1 more: records are kept for 2d, a window of few"
        ));
        assert!(found[0].starts_with("m0: records are kept for 2d, a window needs 73h"));
        assert!(warnings(&facts(365 * DAY_US / 1000), config.models.iter()).is_empty());
        let compacted = TopicDescription { compacted: Some(true), ..facts(365 * DAY_US / 1000) };
        assert!(warnings(&compacted, config.models.iter())[0].contains("is compacted"));
        let unknown = TopicDescription { settings_unknown: Some("no".to_owned()), ..facts(1) };
        assert!(warnings(&unknown, config.models.iter()).is_empty());
    }
}
