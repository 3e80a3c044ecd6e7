//! For programs: what stands now, stored reports and series, and what people may change.

pub(crate) mod commands;
pub(crate) mod reports;
pub(crate) mod series;
pub(crate) mod status;

use crate::live::Live;
use crate::refusal::Refusal;

fn known_model(live: &Live, model: &str) -> Result<(), Refusal> {
    if live.model(model).is_some() {
        return Ok(());
    }
    Err(Refusal::not_found(format!("no model is called {model}; see /api/v1/models")))
}
