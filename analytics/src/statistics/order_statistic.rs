//! Quantiles of a histogram with distribution-free confidence bounds.

use hdrhistogram::Histogram;

use super::binomial::at_least;

/// A quantile and the bounds that its order statistics give, in the histogram's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantileEstimate {
    /// The quantile, rounded up to the end of its bucket.
    pub value: u64,
    /// What it is at least: the lower end of its bucket.
    pub low: u64,
    /// What it is at most: the upper end of its bucket; `None` where there are too few values.
    pub high: Option<u64>,
}

/// Ranks (from 1) of the order statistics that hold the `quantile` between them with at least the
/// `confidence`. A lower rank of 0 or an upper rank above `count` means that there is no such bound.
pub fn quantile_ranks(count: u64, quantile: f64, confidence: f64) -> (u64, u64) {
    let tail = 0.5 * (1.0 - confidence);
    let lower = binomial_quantile(count, quantile, tail);
    let upper = binomial_quantile(count, quantile, 1.0 - tail) + 1;
    (lower, upper)
}

/// The quantile of a histogram with its bounds; `None` where it is empty.
pub fn quantile_estimate(
    histogram: &Histogram<u64>,
    quantile: f64,
    confidence: f64,
) -> Option<QuantileEstimate> {
    let count = histogram.len();
    if count == 0 {
        return None;
    }
    let (lower, upper) = quantile_ranks(count, quantile, confidence);
    let rank = (libm::ceil(quantile * count as f64) as u64).clamp(1, count);
    let value = histogram.highest_equivalent(value_at_rank(histogram, rank));
    let low = histogram.lowest_equivalent(value_at_rank(histogram, lower.max(1)));
    let high =
        (upper <= count).then(|| histogram.highest_equivalent(value_at_rank(histogram, upper)));
    Some(QuantileEstimate { value, low, high })
}

/// The smallest number of successes with a cumulative probability of at least `level`.
fn binomial_quantile(trials: u64, share: f64, level: f64) -> u64 {
    let (mut low, mut high) = (0, trials);
    while low < high {
        let middle = low + (high - low) / 2;
        if 1.0 - at_least(middle + 1, trials, share) >= level {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn value_at_rank(histogram: &Histogram<u64>, rank: u64) -> u64 {
    let mut below = 0;
    for step in histogram.iter_recorded() {
        below += step.count_at_value();
        if below >= rank {
            return step.value_iterated_to();
        }
    }
    histogram.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_t8_ranks() {
        let table = [
            (1000, 0.5, (469, 532)),
            (1000, 0.99, (983, 997)),
            (10_000, 0.99, (9880, 9920)),
            (10_000, 0.999, (9983, 9997)),
            (100_000, 0.99, (98_938, 99_062)),
            (100, 0.99, (97, 101)),
        ];
        for (count, quantile, expected) in table {
            assert_eq!(quantile_ranks(count, quantile, 0.95), expected, "{count} {quantile}");
        }
    }

    #[test]
    fn bounds_enclose_the_quantile_and_say_when_there_are_too_few() {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        assert_eq!(quantile_estimate(&histogram, 0.5, 0.95), None);
        for value in 1..=100_u64 {
            histogram.record(value).unwrap();
        }
        let median = quantile_estimate(&histogram, 0.5, 0.95).unwrap();
        assert_eq!(median, QuantileEstimate { value: 50, low: 40, high: Some(61) });
        let last = quantile_estimate(&histogram, 0.99, 0.95).unwrap();
        assert_eq!(last, QuantileEstimate { value: 99, low: 97, high: None });
    }
}
