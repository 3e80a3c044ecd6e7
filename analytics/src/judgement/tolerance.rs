//! How far a column may move, and where that figure comes from.

use driftline_config::{Tolerance, WindowGrid};

use crate::baseline::OwnWindows;

/// What is said of a column whose own windows justify a tolerance over 0.3.
pub const VARIES_TOO_MUCH: &str =
    "varies too much from window to window: longer windows or a seasonal baseline";

/// A tolerance above this says little: the column moves by itself.
const WIDE: f64 = 0.3;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tolerated {
    /// In units of the deciding statistic, or a share.
    pub(super) value: f64,
    /// Where it comes from.
    pub(super) from: String,
    /// What else one must know about it.
    pub(super) notes: Vec<String>,
}

/// The tolerance of a deciding statistic: what the operator set for the column, or for the model,
/// or else the larger of `floor` and what the baseline's own windows show.
pub(super) fn deciding(
    set: Option<f64>,
    model: &Tolerance,
    floor: f64,
    own: Option<&OwnWindows>,
    grid: &WindowGrid,
) -> Tolerated {
    if let Some(value) = set {
        return Tolerated { value, from: "set for this column".to_owned(), notes: Vec::new() };
    }
    if let Tolerance::Fixed(_) = model {
        return Tolerated {
            value: floor,
            from: "set for this model".to_owned(),
            notes: Vec::new(),
        };
    }
    let Some((own, shown)) = own.and_then(|own| Some((own, own.tolerance()?))) else {
        let from = "floor: the baseline has no windows of its own, for want of a time column";
        return Tolerated { value: floor, from: from.to_owned(), notes: Vec::new() };
    };
    let count = own.statistics.len();
    let mut notes = Vec::new();
    if shown > WIDE {
        notes.push(VARIES_TOO_MUCH.to_owned());
    }
    let own_grid = own.grid();
    if own_grid != *grid {
        notes.push(format!(
            "its tolerance comes from own windows of {}, not of {}",
            own_grid.told_from(grid),
            grid.told_from(&own_grid)
        ));
    }
    let from = if shown > floor {
        format!("own windows ({count})")
    } else {
        format!("floor: own windows ({count}) stay below it")
    };
    Tolerated { value: shown.max(floor), from, notes }
}

pub(super) fn share(model: &Tolerance, value: f64) -> Tolerated {
    let from = match model {
        Tolerance::Auto => "floor",
        Tolerance::Fixed(_) => "set for this model",
    };
    Tolerated { value, from: from.to_owned(), notes: Vec::new() }
}
