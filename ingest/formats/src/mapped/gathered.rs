//! What is gathered of a record that is read by a map, beside the values of its columns.

use driftline_capture::Reason;

use super::found::{Found, FoundValue};
use super::plan::MapPlan;
use crate::record::Rejection;

/// Rows for which there is room between two records: a poisoned one may have a million.
const KEPT_ROWS: usize = 1024;

/// Sources, identifiers of rows, and how many rows each list has.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) found: Vec<Found>,
    row_ids: Vec<RowId>,
    /// Rows of each axis, `None` where the record has not that list.
    lengths: Vec<Option<u32>>,
    /// Rows of each body.
    bodies: Vec<Option<u32>>,
    /// For each node, in which object it was met last: twice in one is told by that.
    visits: Vec<u32>,
    objects: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct RowId {
    /// Which source it is of, counted from 1; 0 is none.
    rank: u8,
    found: Found,
}

impl Gathered {
    /// Forgets the record.
    pub(crate) fn begin(&mut self, map: &MapPlan) {
        self.found.clear();
        self.found.resize(map.origins.len(), Found::default());
        self.row_ids.clear();
        self.lengths.clear();
        self.lengths.resize(map.axes.len(), None);
        self.bodies.clear();
        self.bodies.resize(map.bodies.len(), None);
        if self.visits.len() != map.nodes.len() || self.objects > u32::MAX / 2 {
            self.visits.clear();
            self.visits.resize(map.nodes.len(), 0);
            self.objects = 0;
        }
    }

    /// Gives back what one record needed and others do not.
    pub(crate) fn shrink(&mut self) {
        self.row_ids.clear();
        self.row_ids.shrink_to(KEPT_ROWS);
    }

    /// Another object; its number tells keys that stand twice in it.
    pub(crate) fn enter(&mut self) -> u32 {
        self.objects += 1;
        self.objects
    }

    /// Whether the node was met in this object before.
    pub(crate) fn met_before(&mut self, node: u32, object: u32) -> bool {
        let Some(visit) = self.visits.get_mut(node as usize) else { return false };
        std::mem::replace(visit, object) == object
    }

    pub(crate) fn set(&mut self, source: u32, found: Found) {
        if let Some(place) = self.found.get_mut(source as usize) {
            *place = found;
        }
    }

    /// The identifier of a row, counted from 1.
    pub(crate) fn set_row_id(&mut self, row: u32, rank: u8, found: Found) {
        let Some(index) = row.checked_sub(1) else { return };
        let index = index as usize;
        if matches!(found.value, FoundValue::Absent) {
            return;
        }
        if self.row_ids.len() <= index {
            self.row_ids.resize(index + 1, RowId::default());
        }
        let rank = rank.saturating_add(1);
        if let Some(id) = self.row_ids.get_mut(index)
            && (id.rank == 0 || rank <= id.rank)
        {
            *id = RowId { rank, found };
        }
    }

    pub(crate) fn row_id(&self, row: u32) -> Option<FoundValue> {
        let id = self.row_ids.get(row.checked_sub(1)? as usize)?;
        (id.rank > 0).then_some(id.found.value)
    }

    pub(crate) fn set_length(&mut self, axis: u32, rows: u32) {
        if let Some(length) = self.lengths.get_mut(axis as usize) {
            *length = Some(rows);
        }
    }

    pub(crate) fn set_body(&mut self, body: usize, rows: u32) {
        if let Some(length) = self.bodies.get_mut(body) {
            *length = Some(rows);
        }
    }

    /// How many rows the record has, which every list and body of it must have.
    ///
    /// # Errors
    /// `wrong_shape` where they disagree, or where there is none.
    pub(crate) fn rows(&self, map: &MapPlan) -> Result<u32, Rejection> {
        let axes = self.lengths.iter().zip(map.axes.iter().map(AsRef::as_ref));
        let bodies = self.bodies.iter().zip(map.bodies.iter().map(|body| -> &str { body.name() }));
        let mut known: Option<(u32, &str)> = None;
        for (length, place) in axes.chain(bodies) {
            let Some(length) = length else { continue };
            match known {
                None => known = Some((*length, place)),
                Some((rows, _)) if rows == *length => {}
                Some((rows, other)) => {
                    let detail = format!("{rows} rows at {other}, and {length} at {place}");
                    return Err(Rejection::new(Reason::WrongShape, detail));
                }
            }
        }
        match known {
            Some((0, place)) => {
                Err(Rejection::new(Reason::WrongShape, format!("no rows at {place}")))
            }
            Some((rows, _)) => Ok(rows),
            None => {
                let place = map.axes.first().map_or("the places of the map", |place| &**place);
                Err(Rejection::new(Reason::WrongShape, format!("no list of rows at {place}")))
            }
        }
    }
}
