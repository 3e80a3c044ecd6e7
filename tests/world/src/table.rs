//! The table of a model whose baseline is made from a file: its configuration, and what stands in each row.

use driftline_config::time::DAY_US;

use crate::T0;

/// Rows of the table.
pub const TABLE_ROWS: usize = 4000;

/// The configuration of the one model, `m`, whose baseline is `baseline.json` beside it.
pub const TABLE_CONFIG: &str = "kafka: {bootstrap: \"localhost:9092\"}
models:
  - name: m
    captures: {topic: m.captures}
    baseline: baseline.json
    window: {every: 1d, at_least: 50}
";

/// A row of the table, by its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableRow {
    /// Evenly over ten days from [`T0`] on.
    pub time_us: i64,
    /// 0 to 100, of a thousand values.
    pub x: f64,
    /// Twelve values.
    pub hour: i64,
    /// Three values.
    pub colour: &'static str,
    /// The prediction, 0 to 1.
    pub p: f64,
}

/// The row at a place.
pub fn table_row(place: usize) -> TableRow {
    let x = ((place * 7919) % 1000) as f64 / 10.0;
    TableRow {
        time_us: T0 + place as i64 * (10 * DAY_US / TABLE_ROWS as i64),
        x,
        hour: (place % 12) as i64,
        colour: ["red", "green", "blue"][(place * 31) % 3],
        p: x / 100.0,
    }
}
