//! Finding a value among cut points: an index of buckets in front of a short scan.

use std::sync::Arc;

use super::cut_list::{CutList, PADDING};

/// Cut points looked at together, without a branch between them.
const STRIDE: usize = PADDING;
/// Buckets per cut point, so that few strides are not enough.
const BUCKETS: usize = 2;

/// About how many cut points are looked at to compare two grids, and how many neighbours together.
const SAMPLE: usize = 1024;
const PART: usize = 64;

/// Ascending cut points. How many lie below a value is looked up in a few steps however many there
/// are.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    points: CutList,
    grid: Grid,
    before: Before,
}

/// Per bucket of the grid: how many cut points lie in earlier buckets.
#[derive(Debug, Clone)]
enum Before {
    Few(Arc<[u16]>),
    Many(Arc<[u32]>),
}

/// A map from values to buckets that never falls: what lies in an earlier bucket is smaller.
#[derive(Debug, Clone, Copy)]
struct Grid {
    ends: Ends,
    steps: Steps,
}

/// Values beyond these share the buckets at the ends; both are finite.
#[derive(Debug, Clone, Copy)]
struct Ends {
    first: f64,
    last: f64,
}

#[derive(Debug, Clone, Copy)]
enum Steps {
    /// Buckets of equal width; so many in a unit.
    Even(f64),
    /// Buckets of equal width in the order of the bits, of which so many are dropped: each power of
    /// two has as many buckets.
    Bits(u32),
}

impl Cuts {
    /// Cut points must be ascending and distinct, without NaN.
    pub(super) fn new(points: CutList) -> Cuts {
        let cut_points = &*points;
        let buckets = BUCKETS * cut_points.len().next_power_of_two();
        let [even, bits] = Grid::candidates(cut_points, buckets);
        let grid = if even.crowding(cut_points) <= bits.crowding(cut_points) { even } else { bits };
        let before = match u16::try_from(cut_points.len()) {
            Ok(_) => Before::Few(grid.before(cut_points, buckets, |count| count as u16)),
            Err(_) => Before::Many(grid.before(cut_points, buckets, |count| count as u32)),
        };
        Cuts { points, grid, before }
    }

    pub(super) fn points(&self) -> &[f64] {
        &self.points
    }

    /// lower_bound + upper_bound of each value: odd at a cut point, even between two (statistics.md
    /// §1.1). No value may be NaN.
    #[inline(always)]
    pub(super) fn slots(&self, values: &[f64], slots: &mut Vec<u32>) {
        // One loop for each kind of grid and index, so that nothing is asked per value.
        let Grid { ends, steps } = self.grid;
        match (&self.before, steps) {
            (Before::Few(before), Steps::Even(per_unit)) => {
                self.fill(values, before, |value| even(value, ends, per_unit), slots);
            }
            (Before::Few(before), Steps::Bits(dropped)) => {
                self.fill(values, before, |value| bits(value, ends, dropped), slots);
            }
            (Before::Many(before), _) => {
                self.fill(values, before, |value| self.grid.bucket(value), slots);
            }
        }
    }

    #[inline(always)]
    fn fill<N: Copy + Into<u32>>(
        &self,
        values: &[f64],
        before: &[N],
        bucket: impl Fn(f64) -> u32,
        slots: &mut Vec<u32>,
    ) {
        let padded = self.points.padded();
        slots.clear();
        slots.extend(values.iter().map(|&value| bucket(value)));
        for (slot, &value) in slots.iter_mut().zip(values) {
            // There is one for each bucket.
            let Some(&before) = before.get(*slot as usize) else { continue };
            let before: u32 = before.into();
            *slot = slot_from(padded, before as usize, value);
        }
    }
}

/// The slot of a value below which at least `below` cut points lie.
#[inline(always)]
fn slot_from(padded: &[f64], mut below: usize, value: f64) -> u32 {
    // The padding is as long as a stride, so there always is one.
    while let Some(stride) = padded.get(below..).and_then(<[f64]>::first_chunk::<STRIDE>) {
        let passed: i64 = stride.iter().map(|&cut| i64::from(cut < value)).sum();
        below += passed as usize;
        if passed < STRIDE as i64 {
            let at = stride.iter().fold(0, |at, &cut| at | u32::from(cut == value));
            return (2 * below) as u32 + at;
        }
    }
    (2 * below) as u32
}

impl PartialEq for Cuts {
    fn eq(&self, other: &Cuts) -> bool {
        self.points() == other.points()
    }
}

impl Grid {
    /// Buckets of equal width, where floats can tell them apart, and by bits.
    fn candidates(cut_points: &[f64], buckets: usize) -> [Grid; 2] {
        let mut finite = cut_points.iter().copied().filter(|cut| cut.is_finite());
        let first = finite.next().unwrap_or(0.0);
        let ends = Ends { first, last: finite.next_back().unwrap_or(first) };
        let width = ordered(ends.last).abs_diff(ordered(ends.first)) / buckets as u64;
        let dropped = (u64::BITS - width.leading_zeros()).min(u64::BITS - 1);
        let by_bits = Grid { ends, steps: Steps::Bits(dropped) };
        let range = ends.last - ends.first;
        let per_unit = (buckets - 1) as f64 / range;
        let is_even = range.is_finite() && per_unit.is_normal();
        let evenly = if is_even { Steps::Even(per_unit) } else { by_bits.steps };
        [Grid { ends, steps: evenly }, by_bits]
    }

    fn bucket(self, value: f64) -> u32 {
        match self.steps {
            Steps::Even(per_unit) => even(value, self.ends, per_unit),
            Steps::Bits(dropped) => bits(value, self.ends, dropped),
        }
    }

    /// Values fall where cut points are dense, so buckets count by the square of what is in them. Of many
    /// cut points a sample is enough to choose between two grids, either of which gives the same slots.
    fn crowding(self, cut_points: &[f64]) -> u64 {
        let mut crowding = 0;
        let parts = cut_points.chunks(PART).step_by(cut_points.len().div_ceil(SAMPLE).max(1));
        for part in parts {
            let (mut last, mut shared) = (None, 0);
            for &cut in part {
                let bucket = Some(self.bucket(cut));
                shared = if bucket == last { shared + 1 } else { 1 };
                last = bucket;
                // The sum of the first odd numbers is a square.
                crowding += 2 * shared - 1;
            }
        }
        crowding
    }

    /// Per bucket how many cut points lie in earlier ones.
    fn before<N: Copy + Default + PartialEq>(
        self,
        cut_points: &[f64],
        buckets: usize,
        narrow: impl Fn(usize) -> N,
    ) -> Arc<[N]> {
        // First how many lie up to and with each bucket that has any.
        let mut before = vec![N::default(); buckets];
        for (index, &cut) in cut_points.iter().enumerate() {
            before[self.bucket(cut) as usize] = narrow(index + 1);
        }
        let mut below = N::default();
        for before in &mut before {
            let with = std::mem::replace(before, below);
            if with != N::default() {
                below = with;
            }
        }
        before.into()
    }
}

/// Every operation rounds without changing an order. Beyond 2^52 floats are whole numbers, and those
/// below 2^53 have them in their lowest bits.
#[inline(always)]
fn even(value: f64, ends: Ends, per_unit: f64) -> u32 {
    const WHOLE: f64 = (1_u64 << 52) as f64;
    ((within(value, ends) - ends.first) * per_unit + WHOLE).to_bits() as u32
}

#[inline(always)]
fn bits(value: f64, ends: Ends, dropped: u32) -> u32 {
    (ordered(within(value, ends)).wrapping_sub(ordered(ends.first)) as u64 >> dropped) as u32
}

#[inline(always)]
fn within(value: f64, ends: Ends) -> f64 {
    let Ends { first, last } = ends;
    let value = if value > first { value } else { first };
    if value < last { value } else { last }
}

/// The bits of a float as a number that is ordered as floats are.
#[inline(always)]
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}
