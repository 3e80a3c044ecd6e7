//! How many ranks of the own windows each maximum gets within the budget, and what they promise.

use crate::statistics::lower_bound;

/// Confidence of the bound on the number of false openings.
const BOUND_CONFIDENCE: f64 = 0.9;

/// What is judged together: the largest number over its columns and scales decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Maximum {
    /// Distributions of the newest 4 and 8 windows together.
    LongDrift,
    /// Missing, wrong and new values of one window.
    BrokenInput,
    /// Distributions of the newest one and two windows.
    ShortDrift,
}

impl Maximum {
    /// All of them, in the order in which ranks are dealt.
    pub const ALL: [Maximum; 3] = [Maximum::LongDrift, Maximum::BrokenInput, Maximum::ShortDrift];

    /// Its place in [`Maximum::ALL`].
    pub(crate) fn place(self) -> usize {
        self as usize
    }

    /// Places of its scales among the four of the rule.
    pub(crate) fn scales(self) -> std::ops::Range<usize> {
        match self {
            Maximum::LongDrift => 2..4,
            Maximum::BrokenInput => 0..1,
            Maximum::ShortDrift => 0..2,
        }
    }

    /// Whether it is about what broke rather than about what moved.
    pub(crate) fn is_broken_input(self) -> bool {
        self == Maximum::BrokenInput
    }
}

/// What is dealt from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Offer {
    /// Own windows for which all scales of the maximum exist; 0 where nothing is judged by it.
    pub(crate) own: usize,
}

/// Deals whole ranks one at a time, in order and round again, while the false openings to expect
/// stay within `at_most`. A maximum that cannot be afforded is passed over.
pub(crate) fn deal(offers: &[Offer], windows: f64, at_most: f64) -> Vec<usize> {
    let mut ranks = vec![0_usize; offers.len()];
    loop {
        let mut dealt = false;
        for index in 0..offers.len() {
            let Some(offer) = offers.get(index) else { continue };
            let mut more = ranks.clone();
            if let Some(rank) = more.get_mut(index) {
                *rank += 1;
            }
            let own_left = more.get(index).is_some_and(|&rank| rank <= offer.own);
            // Sums of shares such as 28/91 are a little more than they are.
            if own_left && expected(offers, &more, windows) <= at_most + 1e-9 {
                ranks = more;
                dealt = true;
            }
        }
        if !dealt {
            return ranks;
        }
    }
}

/// False openings to expect in a period, whatever depends on what: Σ W·k/(L + 1).
pub(crate) fn expected(offers: &[Offer], ranks: &[usize], windows: f64) -> f64 {
    let one = |(offer, &rank): (&Offer, &usize)| windows * rank as f64 / (offer.own as f64 + 1.0);
    offers.iter().zip(ranks).map(one).sum()
}

/// What stays above the expectation of nine baselines in ten: given one baseline, the rate of a
/// maximum is Beta(k, L + 1 − k). Independent own windows are assumed; the maxima may depend.
pub(crate) fn bound(offers: &[Offer], ranks: &[usize], windows: f64) -> f64 {
    let one = |(offer, &rank): (&Offer, &usize)| {
        if rank == 0 {
            return 0.0;
        }
        let own = offer.own as u64;
        windows * (1.0 - lower_bound(own - rank as u64 + 1, own, BOUND_CONFIDENCE))
    };
    offers.iter().zip(ranks).map(one).sum()
}

/// The shortest period, in windows, in which one false opening can be promised by this maximum alone.
pub(crate) fn windows_needed(windows: f64, at_most: f64) -> usize {
    libm::ceil(windows / at_most - 1e-9) as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(own: [usize; 3], windows: f64, at_most: f64) -> Vec<usize> {
        deal(&own.map(|own| Offer { own }), windows, at_most)
    }

    #[test]
    fn ranks_are_dealt_in_order_while_they_can_be_afforded() {
        // 90 days and periods of 28: 28 (1/85 + 1/91 + 1/90) = 0.95.
        assert_eq!(dealt([84, 90, 89], 28.0, 1.0), [1, 1, 1]);
        assert_eq!(dealt([84, 90, 89], 28.0, 0.9), [1, 1, 0]);
        assert_eq!(dealt([354, 360, 359], 28.0, 1.0), [4, 4, 4]);
        // What the first cannot afford may be enough for the next.
        assert_eq!(dealt([22, 28, 27], 28.0, 1.0), [0, 1, 0]);
        assert_eq!(dealt([4, 10, 9], 28.0, 1.0), [0, 0, 0]);
        assert_eq!(dealt([0, 90, 0], 28.0, 1.0), [0, 3, 0]);
        // There are no more ranks than own windows.
        assert_eq!(dealt([0, 3, 0], 1.0, 1e9), [0, 3, 0]);
    }

    #[test]
    fn the_bound_is_that_of_the_beta_distribution() {
        // scipy: 30 * beta.ppf(0.9, 1, 29) = 2.29; 30 * beta.ppf(0.9, 4, 117) = 1.66.
        let one = |own, rank| bound(&[Offer { own }], &[rank], 30.0);
        assert!((one(29, 1) - 2.29).abs() < 0.01, "{}", one(29, 1));
        assert!((one(120, 4) - 1.66).abs() < 0.02, "{}", one(120, 4));
        assert_eq!(one(120, 0), 0.0);
        assert_eq!(windows_needed(28.0, 1.0), 27);
        assert_eq!(windows_needed(28.0, 2.0), 13);
    }
}
