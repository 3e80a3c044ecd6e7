//! Every picture of Driftline as SVG text, for the page, mail and `check --html` alike.
//!
//! Pure functions: data in, text out. A picture says in `<title>` and `<desc>` what it shows, takes
//! whatever came from captures escaped, is told apart without colour by shape, and has no colour of
//! its own: [`style_sheet`] goes into a document, [`baked`] puts one theme into a picture that stands
//! alone. Coordinates are for a width of 360, so that text can be read where 320 pixels are left.

mod axis;
mod bars;
mod distribution;
mod flips;
mod heat;
mod latency;
mod raster;
mod svg;
mod theme;
mod time;

pub use bars::{Bars, contributions, histogram};
pub use distribution::{Gap, ecdf};
pub use flips::flip_table;
pub use heat::{HeatRow, heat_map};
pub use latency::{PercentilePoint, percentiles};
pub use raster::{RasterError, png};
pub use svg::escaped;
pub use theme::{Theme, baked, style_sheet, variables};
pub use time::{Timeline, TimelinePoint, sparkline, timeline};

#[cfg(test)]
mod tests;
