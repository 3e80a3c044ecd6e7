//! Kolmogorov-Smirnov, Kuiper and Mann-Whitney from counters at cut points: exact integers, divided
//! once.

use std::ops::{Add, AddAssign, Mul, Sub};

/// How a share relates to its cut point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Values strictly above the cut point.
    Above,
    /// Values at the cut point or above it.
    AtOrAbove,
}

/// Where two distributions differ most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Index into the cut points.
    pub cut: usize,
    /// Which values the two shares count.
    pub comparison: Comparison,
    /// Share of the reference above, between 0 and 1.
    pub share_reference: f64,
    /// Share of the window above, between 0 and 1.
    pub share_window: f64,
}

/// What the counters of two samples at the same cut points say.
///
/// With cut points `r_1 < … < r_k` a sample is `2k + 1` counters: slot `2j - 1` counts the values
/// equal to `r_j`, slot `2j` those between `r_j` and `r_(j+1)`, slot `0` those below `r_1`.
/// F is the reference's distribution function, G the window's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// Values of the reference.
    pub reference: u64,
    /// Values of the window.
    pub window: u64,
    /// sup |F - G| over all slot borders: the distance itself, or its certified lower end.
    pub distance: f64,
    /// The certified upper end of sup |F - G|; equal to `distance` where that is exact.
    pub distance_upper: f64,
    /// sup (F - G): the window lies higher.
    pub plus: f64,
    /// sup (G - F): the window lies lower.
    pub minus: f64,
    /// Kuiper's V: `plus + minus`.
    pub kuiper: f64,
    /// Mann-Whitney: probability that a window value exceeds a reference value, ties counting half.
    /// 0.5 is no shift. Values of both samples in one gap count as ties.
    pub exceedance: f64,
    /// The first slot border at which `distance` is attained; `None` where it is zero.
    pub at: Option<Location>,
}

/// The extreme slot border of one direction: slots `0..=slot` against the rest.
#[derive(Clone, Copy, Default)]
struct Extreme<W> {
    numerator: W,
    slot: usize,
}

/// What one pass over the slots finds; its numerators are of shares with the denominator
/// reference · window.
#[derive(Default)]
struct Sweep<W> {
    plus: Extreme<W>,
    minus: Extreme<W>,
    /// The largest of the gaps' smaller masses.
    overlap: W,
    twice_exceeded: W,
}

/// Where a pass over the slots is.
struct Pass<W> {
    totals: (W, W),
    below_reference: W,
    difference: W,
}

impl<W> Sweep<W>
where
    W: Copy + Default + Ord + AddAssign + Add<Output = W> + Mul<Output = W> + Sub<Output = W>,
{
    /// `wide` widens counts so that twice the product of both totals fits.
    fn over(counts: (&[u64], &[u64]), totals: (u64, u64), wide: impl Fn(u64) -> W) -> Sweep<W> {
        let mut sweep: Sweep<W> = Sweep::default();
        let mut pass = Pass {
            totals: (wide(totals.0), wide(totals.1)),
            below_reference: W::default(),
            difference: W::default(),
        };
        let slots = counts.0.iter().zip(counts.1);
        let slots = slots.map(|(&reference, &window)| (wide(reference), wide(window)));
        for (slot, counts) in slots.enumerate() {
            let (mass_reference, mass_window) = sweep.step(&mut pass, slot, counts);
            // Even slots are the gaps.
            let smaller = mass_reference.min(mass_window);
            if slot % 2 == 0 && smaller > sweep.overlap {
                sweep.overlap = smaller;
            }
        }
        sweep
    }

    /// Passes one slot; its masses.
    #[inline]
    fn step(&mut self, pass: &mut Pass<W>, slot: usize, (reference, window): (W, W)) -> (W, W) {
        let masses = (pass.totals.1 * reference, pass.totals.0 * window);
        let above = pass.below_reference + reference;
        self.twice_exceeded += window * (pass.below_reference + above);
        pass.below_reference = above;
        pass.difference = pass.difference + masses.0 - masses.1;
        if pass.difference > self.plus.numerator {
            self.plus = Extreme { numerator: pass.difference, slot };
        }
        let other_way = W::default() - pass.difference;
        if other_way > self.minus.numerator {
            self.minus = Extreme { numerator: other_way, slot };
        }
        masses
    }

    fn widen(self) -> Sweep<i128>
    where
        i128: From<W>,
    {
        let widen = |extreme: Extreme<W>| Extreme {
            numerator: i128::from(extreme.numerator),
            slot: extreme.slot,
        };
        Sweep {
            plus: widen(self.plus),
            minus: widen(self.minus),
            overlap: i128::from(self.overlap),
            twice_exceeded: i128::from(self.twice_exceeded),
        }
    }
}

impl KolmogorovSmirnov {
    /// Compares two samples. The distance is exact where every gap that holds reference values
    /// holds no window values or the other way round; otherwise it lies within
    /// `distance ..= distance_upper`, whose width is at most the largest of the gaps' smaller mass
    /// (reference/statistics.md §1.6).
    ///
    /// `None` where one of the samples is empty, or the slices are not of one odd length.
    pub fn of(reference: &[u64], window: &[u64]) -> Option<KolmogorovSmirnov> {
        let total_reference: u64 = reference.iter().sum();
        let total_window: u64 = window.iter().sum();
        let shaped = reference.len() == window.len() && reference.len() % 2 == 1;
        if !shaped || total_reference == 0 || total_window == 0 {
            return None;
        }
        let (wide_reference, wide_window) = (i128::from(total_reference), i128::from(total_window));
        let (counts, totals) = ((reference, window), (total_reference, total_window));
        // Nearly always 64 bits are enough, in a quarter of the time.
        let is_narrow = wide_reference * wide_window < 1 << 61;
        let Sweep { plus, minus, overlap, twice_exceeded } = if is_narrow {
            Sweep::over(counts, totals, |count| count as i64).widen()
        } else {
            Sweep::over(counts, totals, i128::from)
        };
        let scale = (wide_reference * wide_window) as f64;
        let share = |numerator: i128| numerator as f64 / scale;
        let extreme = if plus.numerator >= minus.numerator { plus } else { minus };
        let upper = (extreme.numerator + overlap).min(wide_reference * wide_window);
        Some(KolmogorovSmirnov {
            reference: total_reference,
            window: total_window,
            distance: share(extreme.numerator),
            distance_upper: share(upper),
            plus: share(plus.numerator),
            minus: share(minus.numerator),
            kuiper: share(plus.numerator + minus.numerator),
            exceedance: twice_exceeded as f64 / (2.0 * scale),
            at: extreme.location(counts, totals),
        })
    }

    /// The ordinary two-sample p-value of the distance in the Kolmogorov limit; conservative for
    /// small samples and for ties.
    pub fn p_kolmogorov_limit(&self) -> f64 {
        let (reference, window) = (self.reference as f64, self.window as f64);
        kolmogorov_sf(libm::sqrt(reference * window / (reference + window)) * self.distance)
    }
}

impl Extreme<i128> {
    fn location(&self, counts: (&[u64], &[u64]), totals: (u64, u64)) -> Option<Location> {
        let share_above = |counts: &[u64], total: u64| {
            let above: u64 = counts.iter().skip(self.slot + 1).sum();
            above as f64 / total as f64
        };
        // The border above the last slot has no cut point, and no difference either.
        (self.numerator > 0).then(|| Location {
            cut: self.slot / 2,
            comparison: if self.slot % 2 == 1 { Comparison::Above } else { Comparison::AtOrAbove },
            share_reference: share_above(counts.0, totals.0),
            share_window: share_above(counts.1, totals.1),
        })
    }
}

/// Survival function of the Kolmogorov distribution, without cancellation: the theta series below
/// 1.18, the alternating series above (reference/statistics.md §1.5).
pub fn kolmogorov_sf(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    if x < 1.18 {
        let unit = -std::f64::consts::PI * std::f64::consts::PI / (8.0 * x * x);
        let sum: f64 = [1.0, 9.0, 25.0, 49.0].iter().map(|odd| libm::exp(odd * unit)).sum();
        let cdf = libm::sqrt(2.0 * std::f64::consts::PI) / x * sum;
        return (1.0 - cdf).clamp(0.0, 1.0);
    }
    let unit = -2.0 * x * x;
    let sum =
        libm::exp(unit) - libm::exp(4.0 * unit) + libm::exp(9.0 * unit) - libm::exp(16.0 * unit);
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
