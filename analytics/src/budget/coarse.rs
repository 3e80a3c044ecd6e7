//! A window in coarse cells: at most 64 a column, so small that a model keeps them for months.

use crate::baseline::{Baseline, BaselineColumn, CategoricalBaseline, NumericBaseline};
use crate::cells::Cell;
use crate::encoding::{DecodeError, Reader, put_varint};
use crate::layout::Layout;
use crate::window::WindowState;

/// Most cells of a column.
pub const CELLS: usize = 64;
/// Shares of about equal mass that cells are made of; two cells more lie beyond the reference's ends.
const PARTS: u128 = CELLS as u128 - 2;

/// By which cells the columns of a baseline are counted. It follows from the baseline alone.
#[derive(Debug, Clone, PartialEq)]
pub struct CoarseGrid {
    columns: Vec<ColumnGrid>,
    features: usize,
}

/// The cells of one column, and what the baseline holds in them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnGrid {
    pub(crate) shape: CellRule,
    pub(crate) reference: CoarseColumn,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CellRule {
    Numeric {
        /// Where each cell ends: its first slot that is not in it any more.
        ends: Vec<u32>,
        /// The value that over half of the rows have, and the cells of all others.
        apart: Option<Apart>,
        /// Whether a value between cut points is one that the baseline does not have.
        gaps_are_new: bool,
    },
    Categorical {
        /// Categories with a cell of their own; the last cell pools all others.
        judged: usize,
    },
    /// Too many values.
    Unjudged,
}

/// The other part of a column with over half one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Apart {
    /// The slot of that value.
    pub(crate) slot: u32,
    pub(crate) ends: Vec<u32>,
}

/// What some rows have in one column; sums alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoarseColumn {
    pub missing: u64,
    pub wrong_type: u64,
    /// Values that the baseline does not have, of categories and of constant or discrete numbers.
    pub new_values: u64,
    /// Counts per cell; their sum are the values that are there.
    pub cells: Vec<u64>,
    /// Counts of the values beside the one that over half of the baseline's rows have, where there
    /// is one and the column is numeric.
    pub apart: Vec<u64>,
}

/// One window, or several merged: a coarse column per column of the baseline, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoarseWindow {
    pub columns: Vec<CoarseColumn>,
}

impl CoarseGrid {
    /// The cells of a baseline's columns.
    pub fn new(baseline: &Baseline) -> CoarseGrid {
        let columns: Vec<ColumnGrid> = baseline.columns.iter().map(ColumnGrid::new).collect();
        let features = baseline.columns.iter();
        let features = features.filter(|column| !column.subject().is_prediction()).count();
        CoarseGrid { columns, features }
    }

    pub(crate) fn columns(&self) -> &[ColumnGrid] {
        &self.columns
    }

    /// A window with nothing in it.
    pub fn empty(&self) -> CoarseWindow {
        let columns = self.columns.iter().map(|column| column.shape.empty()).collect();
        CoarseWindow { columns }
    }

    /// One column of several windows, of their cells.
    pub(crate) fn of_cells(&self, column: usize, cells: &[&Cell]) -> Vec<CoarseColumn> {
        let Some(grid) = self.columns.get(column) else { return Vec::new() };
        let coarse = cells.iter().map(|cell| {
            let mut column = grid.shape.empty();
            column.count(&grid.shape, cell);
            column
        });
        coarse.collect()
    }

    /// What a window counted. Predictions are those of all versions that are compared with the
    /// default baseline, together.
    pub fn coarse(&self, layout: &Layout, state: &WindowState) -> CoarseWindow {
        let mut window = self.empty();
        let (features, predictions) =
            window.columns.split_at_mut(self.features.min(self.columns.len()));
        let grids = self.columns.iter();
        for ((column, grid), cell) in features.iter_mut().zip(grids).zip(state.features()) {
            column.count(&grid.shape, cell);
        }
        let schema = &layout.schema().columns;
        let named = state.versions().into_iter().map(|(name, version)| (Some(name), version));
        let all = named.chain(state.other_versions().map(|version| (None, version)));
        for (name, version) in all {
            let cells = predictions.iter_mut().zip(self.columns.iter().skip(self.features));
            let subjects = schema.iter().skip(self.features);
            for (((column, grid), cell), of) in cells.zip(version.predictions()).zip(subjects) {
                let own = name.and_then(|name| layout.prediction_baseline(Some(name), &of.subject));
                if !own.is_some_and(|(_, own)| own) {
                    column.count(&grid.shape, cell);
                }
            }
        }
        window
    }
}

impl ColumnGrid {
    fn new(column: &BaselineColumn) -> ColumnGrid {
        let (shape, mut reference) = match column {
            BaselineColumn::Numeric(column) => numeric(column),
            BaselineColumn::Categorical(column) => categorical(column),
        };
        reference.missing = column.missing();
        reference.wrong_type = column.wrong_type();
        ColumnGrid { shape, reference }
    }
}

fn numeric(column: &NumericBaseline) -> (CellRule, CoarseColumn) {
    let counts = column.counts.to_vec();
    let heavy = counts
        .iter()
        .enumerate()
        .find(|&(slot, &count)| slot % 2 == 1 && count * 2 > column.n && count < column.n);
    let apart = heavy.map(|(slot, _)| {
        let mut others = counts.clone();
        if let Some(count) = others.get_mut(slot) {
            *count = 0;
        }
        Apart { slot: slot as u32, ends: ends(&others) }
    });
    let few = column.discrete || column.distinct <= 1;
    let shape = CellRule::Numeric {
        ends: ends(&counts),
        apart,
        gaps_are_new: column.exact && few && column.n > 0,
    };
    let mut reference = shape.empty();
    let used = counts.iter().enumerate().map(|(slot, &count)| (slot as u32, count));
    reference.count_slots(&shape, used);
    (shape, reference)
}

fn categorical(column: &CategoricalBaseline) -> (CellRule, CoarseColumn) {
    if column.too_many_values {
        return (CellRule::Unjudged, CoarseColumn::default());
    }
    let shape = CellRule::Categorical { judged: column.judged };
    (shape, CoarseColumn { cells: column.judged_counts(), ..CoarseColumn::default() })
}

/// Where the cells end into which slots with these counts fall: groups of about equal mass, in which
/// a slot of twice that mass stands alone, and one each for what lies beyond the ends. Few slots are
/// a cell each.
pub(super) fn ends(counts: &[u64]) -> Vec<u32> {
    if counts.len() <= CELLS {
        return (1..=counts.len() as u32).collect();
    }
    let total: u128 = counts.iter().map(|&count| u128::from(count)).sum();
    let crossed = |below: u128| below * PARTS / total.max(1);
    let (mut ends, mut below) = (Vec::with_capacity(CELLS), 0_u128);
    for (slot, &count) in (0_u32..).zip(counts) {
        let up_to = below + u128::from(count);
        let begins = below == 0 && count > 0;
        let heavy = count > 0 && u128::from(count) * PARTS >= 2 * total;
        if (begins || heavy) && slot > 0 && ends.last() != Some(&slot) {
            ends.push(slot);
        }
        if crossed(up_to) > crossed(below) && (slot as usize) + 1 < counts.len() {
            ends.push(slot + 1);
        }
        below = up_to;
    }
    ends.push(counts.len() as u32);
    ends
}

impl CellRule {
    pub(crate) fn empty(&self) -> CoarseColumn {
        let (cells, apart) = match self {
            CellRule::Numeric { ends, apart, .. } => {
                (ends.len(), apart.as_ref().map_or(0, |apart| apart.ends.len()))
            }
            CellRule::Categorical { judged } => (judged + 1, 0),
            CellRule::Unjudged => (0, 0),
        };
        CoarseColumn { cells: vec![0; cells], apart: vec![0; apart], ..CoarseColumn::default() }
    }
}

impl CoarseColumn {
    /// Adds what a cell counted.
    pub(crate) fn count(&mut self, shape: &CellRule, cell: &Cell) {
        self.missing += cell.missing();
        self.wrong_type += cell.wrong_type();
        match (shape, cell) {
            (CellRule::Numeric { .. }, Cell::Numeric(cell)) => self.count_slots(shape, cell.used()),
            (CellRule::Categorical { judged }, Cell::Categorical(cell)) => {
                self.new_values += cell.new_values();
                add(&mut self.cells, &cell.judged_counts(*judged));
            }
            _ => {}
        }
    }

    /// Adds counts by slot, ascending.
    fn count_slots(&mut self, shape: &CellRule, used: impl Iterator<Item = (u32, u64)>) {
        let CellRule::Numeric { ends, apart, gaps_are_new } = shape else { return };
        let (mut cell, mut other) = (0, 0);
        for (slot, count) in used {
            if *gaps_are_new && slot % 2 == 0 {
                self.new_values += count;
            }
            cell += place(ends.get(cell..), slot);
            if let Some(counted) = self.cells.get_mut(cell) {
                *counted += count;
            }
            let Some(apart) = apart.as_ref().filter(|apart| apart.slot != slot) else { continue };
            other += place(apart.ends.get(other..), slot);
            if let Some(counted) = self.apart.get_mut(other) {
                *counted += count;
            }
        }
    }

    pub(crate) fn add(&mut self, other: &CoarseColumn) {
        self.missing += other.missing;
        self.wrong_type += other.wrong_type;
        self.new_values += other.new_values;
        add(&mut self.cells, &other.cells);
        add(&mut self.apart, &other.apart);
    }

    /// What is left without `other`, which is part of it.
    pub(crate) fn less(&self, other: &CoarseColumn) -> CoarseColumn {
        let less = |one: &[u64], other: &[u64]| -> Vec<u64> {
            one.iter().zip(other).map(|(one, other)| one.saturating_sub(*other)).collect()
        };
        CoarseColumn {
            missing: self.missing.saturating_sub(other.missing),
            wrong_type: self.wrong_type.saturating_sub(other.wrong_type),
            new_values: self.new_values.saturating_sub(other.new_values),
            cells: less(&self.cells, &other.cells),
            apart: less(&self.apart, &other.apart),
        }
    }

    /// Values that are there.
    pub(crate) fn values(&self) -> u64 {
        self.cells.iter().sum()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.values() + self.missing + self.wrong_type
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in [self.missing, self.wrong_type, self.new_values] {
            put_varint(out, count);
        }
        for &count in self.cells.iter().chain(&self.apart) {
            put_varint(out, count);
        }
    }

    fn decode(shape: &CellRule, reader: &mut Reader<'_>) -> Result<CoarseColumn, DecodeError> {
        const WHAT: &str = "a coarse column";
        let mut column = shape.empty();
        column.missing = reader.count(WHAT)?;
        column.wrong_type = reader.count(WHAT)?;
        column.new_values = reader.count(WHAT)?;
        for count in column.cells.iter_mut().chain(&mut column.apart) {
            *count = reader.count(WHAT)?;
        }
        Ok(column)
    }
}

/// How many of the cells that end here lie wholly before a slot.
fn place(ends: Option<&[u32]>, slot: u32) -> usize {
    ends.unwrap_or_default().iter().take_while(|&&end| end <= slot).count()
}

fn add(one: &mut [u64], other: &[u64]) {
    one.iter_mut().zip(other).for_each(|(one, other)| *one += other);
}

impl CoarseWindow {
    /// Adds everything that another window counted by the same grid.
    pub fn add(&mut self, other: &CoarseWindow) {
        for (column, added) in self.columns.iter_mut().zip(&other.columns) {
            column.add(added);
        }
    }

    /// The bytes of the window: each column with its length before it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut out, mut column_bytes) = (Vec::new(), Vec::new());
        for column in &self.columns {
            column_bytes.clear();
            column.encode(&mut column_bytes);
            put_varint(&mut out, column_bytes.len() as u64);
            out.extend_from_slice(&column_bytes);
        }
        out
    }

    /// Adds an encoded window.
    ///
    /// # Errors
    /// Bytes that no window of this grid has; then what was added so far stays.
    pub(crate) fn add_encoded(
        &mut self,
        grid: &CoarseGrid,
        bytes: &[u8],
    ) -> Result<(), DecodeError> {
        const WHAT: &str = "a coarse window";
        let mut reader = Reader::new(bytes);
        for (column, grid) in self.columns.iter_mut().zip(&grid.columns) {
            reader.length(reader.left(), WHAT)?;
            column.add(&CoarseColumn::decode(&grid.shape, &mut reader)?);
        }
        reader.finish()
    }

    /// Some columns of an encoded window, given by their indices, ascending.
    pub(crate) fn decode_some(
        grid: &CoarseGrid,
        bytes: &[u8],
        wanted: &[usize],
    ) -> Result<Vec<CoarseColumn>, DecodeError> {
        const WHAT: &str = "a coarse window";
        let mut reader = Reader::new(bytes);
        let mut found = Vec::with_capacity(wanted.len());
        for (index, grid) in grid.columns.iter().enumerate() {
            if found.len() == wanted.len() {
                break;
            }
            let length = reader.length(reader.left(), WHAT)?;
            let bytes = reader.take(length, WHAT)?;
            if wanted.get(found.len()) == Some(&index) {
                found.push(CoarseColumn::decode(&grid.shape, &mut Reader::new(bytes))?);
            }
        }
        Ok(found)
    }
}
