//! Requests and responses that are records of their own, until somebody pairs them.

use arrow::array::{Array, StringArray};

use crate::batch::CaptureBatch;

/// Which of the two records of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Request,
    Response,
}

/// Requests, or responses, of one model in one stretch. The rows have the columns of whole captures, and
/// those of the other side are missing.
#[derive(Debug, Clone)]
pub struct ModelHalves {
    /// Index in the topic's models.
    pub model: usize,
    pub side: Side,
    pub rows: CaptureBatch,
    /// What both halves of a request have in common, for each row; null where the record has none, and so
    /// will find no other half.
    pub keys: StringArray,
}

impl ModelHalves {
    /// The key of a row; `None` where the record has none.
    pub fn key(&self, row: usize) -> Option<&str> {
        let is_known = row < self.keys.len() && self.keys.is_valid(row);
        is_known.then(|| self.keys.value(row))
    }

    /// The halves at or beyond an offset.
    #[must_use]
    pub fn from_offset(&self, position: i64) -> ModelHalves {
        let rows = self.rows.from_offset(position);
        let known = (self.rows.rows() - rows.rows()).min(self.keys.len());
        let keys = self.keys.slice(known, self.keys.len() - known);
        ModelHalves { model: self.model, side: self.side, rows, keys }
    }
}
