//! Rows that candidate and champion both answered, and what a lane asks of whatever is kept of them.

/// One row that both models answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<'a> {
    /// Champion's and candidate's label.
    pub labels: Option<(&'a str, &'a str)>,
    /// Champion's and candidate's score; finite.
    pub scores: Option<(f64, f64)>,
    pub id: Option<&'a str>,
    pub offset: i64,
}

/// What is kept of the paired rows of a window: sums, so that parts of it that are counted apart, in
/// any order, merge to the whole. One is copied per slice of rows, so it is bounded however many come.
pub trait Sums: Clone + Send + Sync + 'static {
    fn add(&mut self, pair: &Pair<'_>);

    /// Adds the time of so many rows that were scored at once.
    fn add_batch_time(&mut self, rows: u64, took_ns: u64);

    /// Adds the time of a row that was scored alone.
    fn add_single_time(&mut self, took_ns: u64);

    /// Adds another part of the same window.
    fn merge(&mut self, other: &Self);
}
