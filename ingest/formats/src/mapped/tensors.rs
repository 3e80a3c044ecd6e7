//! Tensors of the Open Inference Protocol in JSON, and of Seldon: flat or nested values with a shape.

use super::body::{ColumnOf, Table};
use super::members::Members;
use super::walk::{Halt, wrong_shape};
use crate::json::{MAX_DEPTH, Scanner, Value, unescape};

/// Rows and columns that a shape stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    /// Whether a row is one value, which has the tensor's name.
    pub(crate) single: bool,
}

impl Extent {
    /// The first dimension counts rows, all others together the values of one.
    pub(crate) fn of(shape: &[u64]) -> Option<Extent> {
        let (rows, inner) = shape.split_first().map_or((1, shape), |(rows, inner)| (*rows, inner));
        let columns = inner.iter().try_fold(1_u64, |product, size| product.checked_mul(*size))?;
        rows.checked_mul(columns)?;
        Some(Extent { rows, columns, single: matches!(inner, [] | [1]) })
    }

    pub(crate) fn values(self) -> u64 {
        self.rows.saturating_mul(self.columns)
    }
}

impl Table<'_> {
    /// A list of tensors, each of which is columns of the same rows; how many rows.
    pub(crate) fn tensors(&mut self, scanner: &mut Scanner<'_>) -> Result<u32, Halt> {
        let mut rows: Option<u32> = None;
        let mut columns_before = 0;
        let mut more = scanner.enter_array();
        while more {
            if scanner.peek() != Some(b'{') {
                return Err(wrong_shape("a tensor is no object"));
            }
            let tensor = Members::of(scanner)?;
            let (count, columns) = self.tensor(&tensor, columns_before)?;
            if rows.is_some_and(|rows| rows != count) {
                return Err(wrong_shape("tensors have different numbers of rows"));
            }
            rows = Some(count);
            columns_before += columns;
            more = scanner.more_elements()?;
        }
        if self.has_names() && rows.unwrap_or(0) > 0 {
            self.all_there(columns_before)?;
        }
        Ok(rows.unwrap_or(0))
    }

    /// Rows and columns of one tensor, before which others had some.
    fn tensor(&mut self, tensor: &Members<'_>, before: usize) -> Result<(u32, usize), Halt> {
        let name = tensor.at("name").map(|mut name| name.value()).transpose()?;
        let Some(Value::Text(raw)) = name else {
            return Err(wrong_shape("a tensor without a name"));
        };
        let mut name = String::new();
        unescape(raw, &mut name);
        let Some(extent) = tensor.at("shape").map(|shape| extent(shape)).transpose()? else {
            return Err(wrong_shape("a tensor without a shape"));
        };
        let Some(data) = tensor.at("data") else {
            return Err(wrong_shape("a tensor without data: binary contents have no JSON"));
        };
        self.tensor_values(&name, extent, before, data)
    }

    /// Seldon's `{shape, values}`: the columns have names of their own.
    pub(crate) fn plain_tensor(&mut self, tensor: &Members<'_>) -> Result<u32, Halt> {
        let extent = tensor.at("shape").map(|shape| extent(shape)).transpose()?;
        let (Some(extent), Some(values)) = (extent, tensor.at("values")) else {
            return Err(wrong_shape("a tensor without shape or values"));
        };
        let (rows, columns) = self.tensor_values("", extent, 0, values)?;
        if self.has_names() && rows > 0 {
            self.all_there(columns)?;
        }
        Ok(rows)
    }

    fn tensor_values(
        &mut self,
        name: &str,
        extent: Extent,
        before: usize,
        mut data: Scanner<'_>,
    ) -> Result<(u32, usize), Halt> {
        let mut columns: Vec<ColumnOf> = Vec::new();
        let mut count = 0_u64;
        let mut depth = 0_u32;
        // Flat or nested, the values stand in the order of rows.
        loop {
            match data.peek() {
                Some(b'[') if depth < MAX_DEPTH => {
                    if data.enter_array() {
                        depth += 1;
                        continue;
                    }
                }
                _ => {
                    if count >= extent.values() {
                        return Err(disagrees(extent));
                    }
                    let row = u32::try_from(count / extent.columns).unwrap_or(u32::MAX);
                    let index = usize::try_from(count % extent.columns).unwrap_or(usize::MAX);
                    if index >= columns.len() {
                        columns.push(self.tensor_column(name, extent, before, index)?);
                    }
                    self.begin_row(row)?;
                    if let Some(column) = columns.get(index) {
                        self.put(*column, &mut data)?;
                    }
                    count += 1;
                }
            }
            while depth > 0 && !data.more_elements()? {
                depth -= 1;
            }
            if depth == 0 {
                break;
            }
        }
        if count != extent.values() {
            return Err(disagrees(extent));
        }
        let rows = u32::try_from(extent.rows).unwrap_or(u32::MAX);
        Ok((rows, usize::try_from(extent.columns).unwrap_or(usize::MAX)))
    }

    pub(crate) fn tensor_column(
        &mut self,
        name: &str,
        extent: Extent,
        before: usize,
        index: usize,
    ) -> Result<ColumnOf, Halt> {
        if self.has_names() || name.is_empty() {
            return self.position(before.saturating_add(index), extent.single);
        }
        let name = match extent.single {
            true => self.keep(name),
            false => self.keep(&format!("{name}[{index}]")),
        };
        Ok(self.named(name))
    }
}

pub(crate) fn disagrees(extent: Extent) -> Halt {
    wrong_shape(format!("a tensor whose shape means {} values has another number", extent.values()))
}

fn extent(mut shape: Scanner<'_>) -> Result<Extent, Halt> {
    let mut sizes = Vec::new();
    if shape.peek() != Some(b'[') {
        return Err(wrong_shape("the shape of a tensor is no list"));
    }
    let mut more = shape.enter_array();
    while more {
        let size = match shape.value()? {
            Value::Number(number) => {
                std::str::from_utf8(number.raw).ok().and_then(|raw| raw.parse().ok())
            }
            _ => None,
        };
        sizes.push(size.ok_or_else(|| wrong_shape("the shape of a tensor is no list of sizes"))?);
        more = shape.more_elements()?;
    }
    Extent::of(&sizes).ok_or_else(|| wrong_shape("the shape of a tensor means too many values"))
}
