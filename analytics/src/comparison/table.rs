//! Labels of champion and candidate, counted against each other.

use crate::report::rounded;

/// Classes told apart; further ones are counted together. A table grows with their square.
const MAX_CLASSES: usize = 32;
/// Name of the class of all further ones.
const OTHER: &str = "other";

/// Counts per pair of labels. Which classes are told apart follows a bottom-k rule over their
/// hashes, which no order or merge can change; configured classes always stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelTable {
    /// Configured classes, in their order.
    fixed: Vec<String>,
    found: Vec<String>,
    /// Whether a class was counted as `other`.
    overflowed: bool,
    /// Square: fixed, found, other. Champion outside, candidate inside.
    cells: Vec<Vec<u64>>,
    agreed: u64,
    total: u64,
}

impl LabelTable {
    pub(super) fn new(fixed: &[String]) -> LabelTable {
        let mut unique: Vec<String> = Vec::new();
        for class in fixed.iter().take(MAX_CLASSES) {
            if !unique.contains(class) {
                unique.push(class.clone());
            }
        }
        let size = unique.len() + 1;
        LabelTable {
            fixed: unique,
            found: Vec::new(),
            overflowed: false,
            cells: vec![vec![0; size]; size],
            agreed: 0,
            total: 0,
        }
    }

    pub(super) fn add(&mut self, champion: &str, candidate: &str) {
        self.admit(champion);
        self.admit(candidate);
        self.add_cell(champion, candidate, 1);
        self.agreed += u64::from(champion == candidate);
        self.total += 1;
    }

    /// Adds the counts of a table with the same configured classes.
    pub(super) fn merge(&mut self, other: &LabelTable) {
        other.found.iter().for_each(|class| self.admit(class));
        self.overflowed |= other.overflowed;
        let names: Vec<&str> = other.names().collect();
        for (row, champion) in other.cells.iter().zip(&names) {
            for (count, candidate) in row.iter().zip(&names) {
                self.add_cell(champion, candidate, *count);
            }
        }
        self.agreed += other.agreed;
        self.total += other.total;
    }

    /// Share of rows with equal labels.
    pub(super) fn agreement(&self) -> Option<f64> {
        (self.total > 0).then(|| rounded(self.agreed as f64 / self.total as f64))
    }

    /// Cohen's kappa: (agreement − chance) / (1 − chance), chance from the margins.
    pub(super) fn kappa(&self) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let total = self.total as f64;
        let chance: f64 = (0..self.cells.len())
            .map(|class| {
                let champion: u64 = self.cells.get(class).into_iter().flatten().sum();
                let candidate: u64 = self.cells.iter().filter_map(|row| row.get(class)).sum();
                champion as f64 / total * (candidate as f64 / total)
            })
            .sum();
        (chance < 1.0).then(|| rounded((self.agreed as f64 / total - chance) / (1.0 - chance)))
    }

    /// Names and counts for a report; `other` only where something was counted there.
    pub(super) fn report(&self) -> (Vec<String>, Vec<Vec<u64>>) {
        let size = self.cells.len() - usize::from(!self.overflowed);
        let names = self.fixed.iter().chain(&self.found).cloned().chain([OTHER.to_owned()]);
        let cells = self.cells.iter().take(size);
        (
            names.take(size).collect(),
            cells.map(|row| row.iter().take(size).copied().collect()).collect(),
        )
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        // The last name stands for no class, so its cells land in `other` again.
        self.fixed.iter().chain(&self.found).map(String::as_str).chain(["\u{0}other"])
    }

    fn position(&self, class: &str) -> usize {
        self.fixed
            .iter()
            .position(|name| name == class)
            .or_else(|| {
                let found = self.found.binary_search_by(|name| name.as_str().cmp(class)).ok()?;
                Some(self.fixed.len() + found)
            })
            .unwrap_or(self.cells.len() - 1)
    }

    fn add_cell(&mut self, champion: &str, candidate: &str, count: u64) {
        let (row, column) = (self.position(champion), self.position(candidate));
        if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell += count;
        }
    }

    /// Gives the class a row and a column, and takes them from the class with the largest hash when
    /// there are too many.
    fn admit(&mut self, class: &str) {
        if self.fixed.iter().any(|name| name == class) {
            return;
        }
        let Err(place) = self.found.binary_search_by(|name| name.as_str().cmp(class)) else {
            return;
        };
        let index = self.fixed.len() + place;
        self.found.insert(place, class.to_owned());
        self.cells.iter_mut().for_each(|row| row.insert(index, 0));
        self.cells.insert(index, vec![0; self.cells.len() + 1]);
        if self.fixed.len() + self.found.len() > MAX_CLASSES {
            self.fold_largest();
        }
    }

    fn fold_largest(&mut self) {
        let key = |name: &String| (hash_of(name), name.clone());
        let largest = (0..self.found.len()).max_by_key(|place| self.found.get(*place).map(key));
        let Some(place) = largest else { return };
        self.found.remove(place);
        let index = self.fixed.len() + place;
        let row = self.cells.remove(index);
        if let Some(other) = self.cells.last_mut() {
            other.iter_mut().zip(row).for_each(|(total, count)| *total += count);
        }
        for row in &mut self.cells {
            let count = row.remove(index);
            if let Some(other) = row.last_mut() {
                *other += count;
            }
        }
        self.overflowed = true;
    }
}

/// Which classes go first, the same on every machine: FNV-1a with the finaliser of SplitMix64, since FNV
/// alone mixes short texts poorly in its upper bits.
pub(super) fn hash_of(class: &str) -> u64 {
    let fold = |state: u64, byte| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = class.bytes().fold(0xcbf2_9ce4_8422_2325_u64, fold);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
