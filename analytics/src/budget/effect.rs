//! The share of requests that moved, in millionths: whole numbers, divided once.

/// A share of one.
pub(crate) const MILLION: u32 = 1_000_000;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) of: u64,
}

/// Where two distributions over ordered cells differ most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Border {
    /// Cells before the cut; the others lie above it.
    pub(crate) cells: usize,
    /// Whether the window has more above it than the reference.
    pub(crate) above: bool,
}

/// The Kolmogorov-Smirnov distance over cells in order; `None` where one side has nothing.
pub(crate) fn kolmogorov_smirnov(window: &[u64], reference: &[u64]) -> Option<(u32, Border)> {
    let totals = Sides::of(window, reference)?;
    let (mut below, mut most) = (0_i128, 0_i128);
    let mut cut = Border { cells: 0, above: true };
    for (index, (&counted, &known)) in window.iter().zip(reference).enumerate() {
        below += totals.difference(counted, known);
        if below.abs() > most {
            most = below.abs();
            cut = Border { cells: index + 1, above: below < 0 };
        }
    }
    Some((totals.millionths(most), cut))
}

/// Half the sum of all differences of shares; `None` where one side has nothing.
pub(crate) fn total_variation(window: &[u64], reference: &[u64]) -> Option<u32> {
    let totals = Sides::of(window, reference)?;
    let pairs = window.iter().zip(reference);
    // What the cells gained is what the others lost.
    let gained = pairs.map(|(&counted, &known)| totals.difference(counted, known).max(0)).sum();
    Some(totals.millionths(gained))
}

/// By how much a share lies above the reference's.
pub(crate) fn excess(window: Tally, reference: Tally) -> Option<u32> {
    let totals = Sides::new(window.of, reference.of)?;
    Some(totals.millionths(totals.difference(window.count, reference.count).max(0)))
}

/// By how much a share differs from the reference's.
pub(crate) fn difference(window: Tally, reference: Tally) -> Option<u32> {
    let totals = Sides::new(window.of, reference.of)?;
    Some(totals.millionths(totals.difference(window.count, reference.count).abs()))
}

/// Rows of both sides: differences of shares have the product as their denominator.
struct Sides {
    window: i128,
    reference: i128,
}

impl Sides {
    fn new(window: u64, reference: u64) -> Option<Sides> {
        let both = window > 0 && reference > 0;
        both.then(|| Sides { window: window.into(), reference: reference.into() })
    }

    fn of(window: &[u64], reference: &[u64]) -> Option<Sides> {
        Sides::new(window.iter().sum(), reference.iter().sum())
    }

    fn difference(&self, window: u64, reference: u64) -> i128 {
        i128::from(window) * self.reference - i128::from(reference) * self.window
    }

    /// Rounded half up. Counts stay below 2^53, so that nothing here leaves 127 bits.
    fn millionths(&self, numerator: i128) -> u32 {
        let denominator = self.window * self.reference;
        ((numerator * i128::from(MILLION) + denominator / 2) / denominator) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_shares_of_requests_that_moved() {
        let ks = |window: &[u64], reference: &[u64]| {
            kolmogorov_smirnov(window, reference)
                .map(|(effect, cut)| (effect, cut.cells, cut.above))
        };
        assert_eq!(ks(&[0, 10], &[50, 50]), Some((500_000, 1, true)));
        assert_eq!(ks(&[10, 0], &[50, 50]), Some((500_000, 1, false)));
        assert_eq!(ks(&[1, 1, 1], &[5, 5, 5]), Some((0, 0, true)));
        assert_eq!(ks(&[0, 0], &[5, 5]), None);
        assert_eq!(total_variation(&[3, 1, 0], &[1, 1, 2]), Some(500_000));
        assert_eq!(total_variation(&[1, 2], &[1, 2]), Some(0));
        let of = |count, of| Tally { count, of };
        assert_eq!(excess(of(3, 100), of(1, 100)), Some(20_000));
        assert_eq!(excess(of(1, 100), of(3, 100)), Some(0));
        assert_eq!(difference(of(1, 100), of(3, 100)), Some(20_000));
        assert_eq!(excess(of(0, 0), of(3, 100)), None);
        let large = 1 << 53;
        assert_eq!(excess(of(large, large), of(0, large)), Some(MILLION));
    }
}
