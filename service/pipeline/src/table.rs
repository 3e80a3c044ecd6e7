//! Things by their typed index, and the one look-up that tells of an index that names nothing.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fixed list of things that are named by indices of type `I`.
#[derive(Debug)]
pub(crate) struct Table<I, T> {
    things: Vec<T>,
    missed: AtomicU64,
    index: PhantomData<fn(I)>,
}

impl<I: From<usize> + Into<usize> + Copy + Debug, T> Table<I, T> {
    /// The things in the order of their indices.
    pub(crate) fn new(things: Vec<T>) -> Table<I, T> {
        Table { things, missed: AtomicU64::new(0), index: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    /// The thing with this index. Indices come from whoever was told of this table, so that there always
    /// is one; where there is none, that is logged and counted, and the caller does nothing.
    pub(crate) fn get(&self, index: I) -> Option<&T> {
        let found = self.things.get(index.into());
        if found.is_none() {
            self.miss(index);
        }
        found
    }

    pub(crate) fn get_mut(&mut self, index: I) -> Option<&mut T> {
        if index.into() >= self.things.len() {
            self.miss(index);
        }
        self.things.get_mut(index.into())
    }

    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator + Clone {
        self.things.iter().enumerate().map(|(index, thing)| (I::from(index), thing))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (I, &mut T)> {
        self.things.iter_mut().enumerate().map(|(index, thing)| (I::from(index), thing))
    }

    /// How often an index named nothing, since the last call.
    pub(crate) fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    fn miss(&self, index: I) {
        self.missed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            ?index,
            of = self.things.len(),
            "an index names nothing, which is a defect: what came with it is lost"
        );
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::ModelId;

    use super::*;

    #[test]
    fn an_index_that_names_nothing_is_counted() {
        let mut table: Table<ModelId, char> = Table::new(vec!['a', 'b']);
        assert_eq!(table.get(ModelId(1)), Some(&'b'));
        assert_eq!(table.take_missed(), 0);
        assert_eq!(table.get(ModelId(2)), None);
        assert_eq!(table.get_mut(ModelId(7)), None);
        assert_eq!((table.take_missed(), table.take_missed()), (2, 0));
    }
}
