//! Kolmogorov-Smirnov, Kuiper and Mann-Whitney from counters at cut points: exact integers, divided
//! once.

use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

/// Which values the two shares at a cut point count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    #[serde(rename = ">")]
    Above,
    #[serde(rename = ">=")]
    AtOrAbove,
}

/// Where two distributions differ most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Index into the cut points.
    pub cut: usize,
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
    pub reference: u64,
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

/// A count of the reference and one of the window.
#[derive(Clone, Copy, Default)]
struct Both<W> {
    reference: W,
    window: W,
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
    totals: Both<W>,
    below_reference: W,
    difference: W,
}

impl<W> Sweep<W>
where
    W: Copy + Default + Ord + AddAssign + Add<Output = W> + Mul<Output = W> + Sub<Output = W>,
{
    /// `wide` widens counts so that twice the product of both totals fits.
    fn over<N: Copy + Into<u64>>(
        reference: &[N],
        window: &[u64],
        totals: Both<u64>,
        wide: impl Fn(u64) -> W,
    ) -> Sweep<W> {
        let both = |reference, window| Both { reference: wide(reference), window: wide(window) };
        let mut sweep: Sweep<W> = Sweep::default();
        let mut pass = Pass {
            totals: both(totals.reference, totals.window),
            below_reference: W::default(),
            difference: W::default(),
        };
        let (Some((first, reference)), Some((first_window, window))) =
            (reference.split_first(), window.split_first())
        else {
            return sweep;
        };
        // The gap below all cut points, as if behind one that counts nothing.
        sweep.pair(&mut pass, 0, Both::default(), both((*first).into(), *first_window));
        let pairs = reference.as_chunks::<2>().0.iter().zip(window.as_chunks::<2>().0);
        for (index, (&[at, between], &[at_window, between_window])) in pairs.enumerate() {
            let (at, between) = (both(at.into(), at_window), both(between.into(), between_window));
            sweep.pair(&mut pass, 2 * (index + 1), at, between);
        }
        sweep
    }

    /// Passes a cut point and the gap above it, which is `slot`; both with the counts of the
    /// reference and of the window.
    #[inline]
    fn pair(&mut self, pass: &mut Pass<W>, slot: usize, at: Both<W>, between: Both<W>) {
        let totals = pass.totals;
        let mass = totals.window * between.reference;
        let mass_window = totals.reference * between.window;
        self.overlap = self.overlap.max(mass.min(mass_window));
        let above_cut = pass.below_reference + at.reference;
        let above_gap = above_cut + between.reference;
        self.twice_exceeded += at.window * (pass.below_reference + above_cut)
            + between.window * (above_cut + above_gap);
        pass.below_reference = above_gap;
        let with_cut =
            pass.difference + totals.window * at.reference - totals.reference * at.window;
        let with_gap = with_cut + mass - mass_window;
        pass.difference = with_gap;
        let highest = with_cut.max(with_gap);
        if highest > self.plus.numerator {
            let slot = if with_cut >= with_gap { slot - 1 } else { slot };
            self.plus = Extreme { numerator: highest, slot };
        }
        let lowest = W::default() - with_cut.min(with_gap);
        if lowest > self.minus.numerator {
            let slot = if with_cut <= with_gap { slot - 1 } else { slot };
            self.minus = Extreme { numerator: lowest, slot };
        }
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
    pub fn of<N: Copy + Into<u64>>(reference: &[N], window: &[u64]) -> Option<KolmogorovSmirnov> {
        let total_reference: u64 = reference.iter().map(|&count| count.into()).sum();
        let total_window: u64 = window.iter().sum();
        let shaped = reference.len() == window.len() && reference.len() % 2 == 1;
        if !shaped || total_reference == 0 || total_window == 0 {
            return None;
        }
        let (wide_reference, wide_window) = (i128::from(total_reference), i128::from(total_window));
        let totals = Both { reference: total_reference, window: total_window };
        // Nearly always 64 bits are enough, in a quarter of the time.
        let is_narrow = wide_reference * wide_window < 1 << 61;
        let Sweep { plus, minus, overlap, twice_exceeded } = if is_narrow {
            Sweep::over(reference, window, totals, |count| count as i64).widen()
        } else {
            Sweep::over(reference, window, totals, i128::from)
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
            at: extreme.location(reference, window, totals),
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
    fn location<N: Copy + Into<u64>>(
        &self,
        reference: &[N],
        window: &[u64],
        totals: Both<u64>,
    ) -> Option<Location> {
        let above: u64 = reference.iter().skip(self.slot + 1).map(|&count| count.into()).sum();
        let above_window: u64 = window.iter().skip(self.slot + 1).sum();
        // The border above the last slot has no cut point, and no difference either.
        (self.numerator > 0).then(|| Location {
            cut: self.slot / 2,
            comparison: if self.slot % 2 == 1 { Comparison::Above } else { Comparison::AtOrAbove },
            share_reference: above as f64 / totals.reference as f64,
            share_window: above_window as f64 / totals.window as f64,
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
