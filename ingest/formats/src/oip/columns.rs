//! Which columns the tensors of a model are: found once, since their names come again with every record.

use crate::layout::{Part, Target};

/// Columns that are kept of all tensors of a model: more are found anew.
const MOST_KEPT: usize = 4096;

/// The columns of the tensors of the last record.
#[derive(Debug, Default)]
pub(crate) struct TensorColumns(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    part: Part,
    name: Box<str>,
    single: bool,
    targets: Vec<Target>,
}

/// A tensor by what its columns follow from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shaped<'a> {
    pub(crate) part: Part,
    pub(crate) name: &'a str,
    pub(crate) single: bool,
    pub(crate) columns: usize,
}

impl TensorColumns {
    /// The columns of the tensor at this place, where it was there in the last record.
    pub(crate) fn of(&self, place: usize, tensor: Shaped<'_>) -> Option<&[Target]> {
        let kept = self.0.get(place)?;
        let same = kept.part == tensor.part
            && kept.single == tensor.single
            && kept.targets.len() == tensor.columns
            && *kept.name == *tensor.name;
        same.then_some(kept.targets.as_slice())
    }

    /// Keeps the columns of a tensor, all of which are known.
    pub(crate) fn keep(&mut self, place: usize, tensor: Shaped<'_>, targets: Vec<Target>) {
        self.0.truncate(place);
        let held: usize = self.0.iter().map(|kept| kept.targets.len() + 1).sum();
        if place != self.0.len() || held + targets.len() >= MOST_KEPT {
            return;
        }
        let Shaped { part, name, single, .. } = tensor;
        self.0.push(Kept { part, name: name.into(), single, targets });
    }
}
