//! In which windows the categories came that a baseline knows by their hashes alone.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, AsArray};

use crate::budget::Occurrences;
use crate::cells::CategoricalReference;
use crate::names::keyed_hash;

/// A category of more windows comes everywhere: no run of neighbours holds all of it.
const EVERYWHERE: usize = 16;

/// The rare categories of one column.
#[derive(Debug, Default)]
pub(super) struct RareCategories {
    seen: HashMap<u64, Seen>,
}

#[derive(Debug)]
enum Seen {
    /// Start of each window, in microseconds, and how often there.
    In(Vec<(i64, u64)>),
    Everywhere,
}

impl RareCategories {
    /// Counts the rows of a window whose categories are not known by name.
    pub(super) fn count(
        &mut self,
        reference: &CategoricalReference,
        column: &dyn Array,
        rows: &[u32],
        start_us: i64,
    ) {
        let Some(texts) = column.as_string_opt::<i32>() else { return };
        for row in rows.iter().map(|&row| row as usize).filter(|&row| texts.is_valid(row)) {
            let text = texts.value(row);
            if reference.slot(text).is_some() {
                continue;
            }
            let seen = self.seen.entry(keyed_hash(text)).or_insert(Seen::In(Vec::new()));
            let Seen::In(windows) = seen else { continue };
            match windows.iter_mut().find(|(window_us, _)| *window_us == start_us) {
                Some((_, count)) => *count += 1,
                None => windows.push((start_us, 1)),
            }
            if windows.len() > EVERYWHERE {
                *seen = Seen::Everywhere;
            }
        }
    }

    /// Where they came, by the place of the own window whose stretch of time it was.
    pub(super) fn occurrences(&self, own_us: &[Range<i64>]) -> Vec<Occurrences> {
        let one = |seen: &Seen| {
            let Seen::In(windows) = seen else { return None };
            let mut found = Occurrences::default();
            for &(start_us, count) in windows {
                found.total += count;
                if let Some(window) = own_us.iter().position(|own| own.contains(&start_us)) {
                    found.windows.push((window, count));
                }
            }
            found.windows.sort_unstable();
            Some(found)
        };
        self.seen.values().filter_map(one).collect()
    }
}
