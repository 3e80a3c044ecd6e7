//! What differs between two states that were shown: what pages that are open must hear of.

use std::sync::Arc;

use serde::Serialize;

use crate::live::Live;

/// Models that one event names; beyond it, it stands for all.
const NAMED: usize = 50;

/// What differs between two states that were shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Models with a new window, record or incident; `None` stands for all.
    models: Option<Vec<String>>,
    /// Whether incidents, silences or receipts differ.
    alerts: bool,
}

impl Change {
    /// What a listener is told that could not follow.
    pub(crate) fn everything() -> Change {
        Change { models: None, alerts: true }
    }

    /// The difference, where there is one.
    pub(crate) fn between(before: &Live, after: &Live) -> Option<Change> {
        let of_model = |live: &Live, name: &str, place: usize| {
            let model = live.models.get(place).filter(|model| model.name == name)?;
            let window = model.last_window.as_ref().map(|window| window.id.clone());
            Some((window, model.shadow_records, model.open_incidents))
        };
        let mut models = Vec::new();
        for (place, model) in after.models.iter().enumerate() {
            if before.models.get(place).is_some_and(|before| Arc::ptr_eq(before, model)) {
                continue;
            }
            let name = model.name.as_str();
            if of_model(before, name, place) != of_model(after, name, place) {
                models.push(name.to_owned());
            }
        }
        let standing = |live: &Live| -> Vec<(String, &'static str)> {
            live.incidents.iter().map(|incident| (incident.id.clone(), incident.state)).collect()
        };
        let alerts = standing(before) != standing(after)
            || before.history.first().map(|step| &step.id)
                != after.history.first().map(|step| &step.id)
            || before.silences != after.silences
            || before.receipts.front() != after.receipts.front();
        if models.is_empty() && !alerts {
            return None;
        }
        let models = if models.len() > NAMED { None } else { Some(models) };
        Some(Change { models, alerts })
    }
}
