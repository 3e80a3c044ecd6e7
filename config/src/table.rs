//! Things by their typed index, and the one look-up that tells of an index that names nothing.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A list of things that are named by indices of type `I`; it may grow.
#[derive(Debug)]
pub struct Table<I, T> {
    things: Vec<T>,
    missed: AtomicU64,
    index: PhantomData<fn(I)>,
}

impl<I: From<usize> + Into<usize> + Copy + Debug, T> Table<I, T> {
    /// The things in the order of their indices.
    pub fn new(things: Vec<T>) -> Table<I, T> {
        Table { things, missed: AtomicU64::new(0), index: PhantomData }
    }

    /// Adds a thing; returns its index.
    pub fn push(&mut self, thing: T) -> I {
        self.things.push(thing);
        I::from(self.things.len() - 1)
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Whether there is no thing.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// All indices.
    pub fn indices(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.things.len()).map(I::from)
    }

    /// The thing with this index. Indices come from whoever was told of this table, so that there always
    /// is one; where there is none, that is logged and counted, and the caller does nothing.
    pub fn get(&self, index: I) -> Option<&T> {
        let found = self.things.get(index.into());
        if found.is_none() {
            self.miss(index);
        }
        found
    }

    /// As [`Table::get`], to change the thing.
    pub fn get_mut(&mut self, index: I) -> Option<&mut T> {
        if index.into() >= self.things.len() {
            self.miss(index);
        }
        self.things.get_mut(index.into())
    }

    /// Takes a thing out; the last one has its index from now on.
    pub fn swap_remove(&mut self, index: I) -> Option<T> {
        if index.into() >= self.things.len() {
            self.miss(index);
            return None;
        }
        Some(self.things.swap_remove(index.into()))
    }

    /// The things with their indices, in that order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator + Clone {
        self.things.iter().enumerate().map(|(index, thing)| (I::from(index), thing))
    }

    /// As [`Table::iter`], to change the things.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (I, &mut T)> {
        self.things.iter_mut().enumerate().map(|(index, thing)| (I::from(index), thing))
    }

    /// How often an index named nothing, since the last call.
    pub fn take_missed(&self) -> u64 {
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
    use super::*;
    use crate::ModelId;

    #[test]
    fn an_index_that_names_nothing_is_counted() {
        let mut table: Table<ModelId, char> = Table::new(vec!['a', 'b']);
        assert_eq!(table.get(ModelId(1)), Some(&'b'));
        assert_eq!(table.take_missed(), 0);
        assert_eq!(table.get(ModelId(2)), None);
        assert_eq!(table.get_mut(ModelId(7)), None);
        assert_eq!((table.take_missed(), table.take_missed()), (2, 0));
        assert_eq!((table.push('c'), table.get(ModelId(2))), (ModelId(2), Some(&'c')));
    }
}
