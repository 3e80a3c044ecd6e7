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

/// Own windows from which on the largest of them is the tolerance.
const ENOUGH: usize = 10;
/// What fewer leave open is paged on from so many floors on.
const UNKNOWN: f64 = 3.0;

/// The tolerance of a deciding statistic: what the operator set for the column, or for the model, or
/// else the largest of the baseline's own windows; `floor` where it has none for want of a time
/// column, and three times that where they are too few to tell.
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
        let from = "floor: no own windows tell how far it moves by itself";
        return Tolerated { value: floor, from: from.to_owned(), notes: Vec::new() };
    };
    let count = own.statistics.len();
    let mut notes = Vec::new();
    if count >= ENOUGH && shown > WIDE {
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
    if count < ENOUGH {
        let from = format!("unknown: own windows ({count}) are fewer than {ENOUGH}; three floors");
        return Tolerated { value: UNKNOWN * floor, from, notes };
    }
    Tolerated { value: shown.max(0.0), from: format!("own windows ({count})"), notes }
}

pub(super) fn share(model: &Tolerance, value: f64) -> Tolerated {
    let from = match model {
        Tolerance::Auto => "floor",
        Tolerance::Fixed(_) => "set for this model",
    };
    Tolerated { value, from: from.to_owned(), notes: Vec::new() }
}
