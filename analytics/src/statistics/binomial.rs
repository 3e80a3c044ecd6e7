//! The exact binomial: how surprising a share is, and what it is at least.

/// Probability of `successes` or more in `trials` of probability `share` each.
///
/// By the regularised incomplete beta function I_share(successes, trials - successes + 1), which is
/// exact; its front factor is Loader's saddle-point form of the binomial density, so that nothing
/// cancels for large counts.
pub fn at_least(successes: u64, trials: u64, share: f64) -> f64 {
    if successes == 0 || share >= 1.0 {
        return 1.0;
    }
    if successes > trials || share.is_nan() || share <= 0.0 {
        return 0.0;
    }
    incomplete_beta(successes as f64, (trials - successes) as f64 + 1.0, share)
}

/// Clopper and Pearson's one-sided lower bound of a share: the largest share that would have shown
/// `successes` or more with a probability of at most `1 - confidence`. 0 without trials.
pub fn lower_bound(successes: u64, trials: u64, confidence: f64) -> f64 {
    if successes == 0 || trials == 0 {
        return 0.0;
    }
    let alpha = 1.0 - confidence;
    let (near_low, near_high) = near(successes, trials, alpha);
    halve(successes, trials, |middle| {
        if middle <= near_low {
            false
        } else if middle >= near_high {
            true
        } else {
            at_least(successes, trials, middle) > alpha
        }
    })
}

/// The end of the shares from 0 on for which `is_beyond` is false: the interval is halved until its
/// ends are neighbours or agree to beyond the 12 digits shown.
fn halve(successes: u64, trials: u64, is_beyond: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0_f64, successes.min(trials) as f64 / trials as f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if high - low <= high * 1e-15 || middle <= low || middle >= high {
            break;
        }
        if is_beyond(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

/// Shares between which `at_least` passes `alpha`, close together: Newton's method in logarithms
/// finds where, and a look at either side makes sure. What lies outside need not be computed.
fn near(successes: u64, trials: u64, alpha: f64) -> (f64, f64) {
    const STEPS: usize = 6;
    const MARGIN: f64 = 1e-11;
    const NOTHING: (f64, f64) = (0.0, f64::INFINITY);
    if successes >= trials {
        return NOTHING;
    }
    let (a, b) = (successes as f64, (trials - successes) as f64 + 1.0);
    let found = a / (a + b);
    let mut share = found - 2.0 * libm::sqrt(found * (1.0 - found) / (a + b));
    if share <= 0.0 {
        share = 0.1 * found;
    }
    for _ in 0..STEPS {
        let value = at_least(successes, trials, share);
        let density = binomial_density(a, b, share) * a * b / ((a + b) * share * (1.0 - share));
        let next = share - (libm::log(value) - libm::log(alpha)) * value / density;
        // Far out the step may leave the interval; then halving does all the work.
        if !(next > 0.0 && next < 1.0) {
            return NOTHING;
        }
        share = next;
    }
    let (low, high) = (share * (1.0 - MARGIN), share * (1.0 + MARGIN));
    let is_low = at_least(successes, trials, low) <= alpha;
    let is_high = at_least(successes, trials, high) > alpha;
    (if is_low { low } else { NOTHING.0 }, if is_high { high } else { NOTHING.1 })
}

/// I_x(a, b) for 0 < x < 1, a ≥ 1, b ≥ 1.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    let density = binomial_density(a, b, x);
    // The continued fraction converges fast on its own side of the mean only.
    let value = if x <= a / (a + b) {
        density * b / (a + b) * beta_fraction(a, b, x)
    } else {
        1.0 - density * a / (a + b) * beta_fraction(b, a, 1.0 - x)
    };
    value.clamp(0.0, 1.0)
}

/// Γ(a+b+1) / (Γ(a+1) Γ(b+1)) x^a (1-x)^b, after Catherine Loader, "Fast and Accurate Computation of
/// Binomial Probabilities" (2000).
fn binomial_density(a: f64, b: f64, x: f64) -> f64 {
    let total = a + b;
    let exponent = stirling_error(total)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, total * x)
        - deviance(b, total * (1.0 - x));
    libm::exp(exponent) * libm::sqrt(total / (2.0 * std::f64::consts::PI * a * b))
}

/// ln Γ(z+1) - (z + ½) ln z + z - ½ ln 2π.
fn stirling_error(z: f64) -> f64 {
    if z < 16.0 {
        const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
        return libm::lgamma(z + 1.0) - (z + 0.5) * libm::log(z) + z - HALF_LN_TWO_PI;
    }
    let square = z * z;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / z
}

/// x ln(x/mean) + mean - x, without cancellation near the mean.
fn deviance(x: f64, mean: f64) -> f64 {
    if (x - mean).abs() >= 0.1 * (x + mean) {
        return x * libm::log(x / mean) + mean - x;
    }
    let ratio = (x - mean) / (x + mean);
    let mut sum = (x - mean) * ratio;
    let mut term = 2.0 * x * ratio;
    for step in 1..1000 {
        term *= ratio * ratio;
        let next = sum + term / f64::from(2 * step + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The continued fraction of I_x(a, b) by Lentz's method, without its front factor.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    // It takes about the square root of the larger of a and b: enough for 1e11 rows.
    const STEPS: u32 = 1_000_000;
    let bounded = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / bounded(1.0 + even * d);
        c = bounded(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / bounded(1.0 + odd * d);
        c = bounded(1.0 + odd / c);
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_to_a_bound_ends_where_the_long_one_does(
            trials in prop_oneof![1_u64..50, 1_u64..100_000, 1_u64..1_000_000_000],
            part in 0.0..=1.0_f64,
            confidence in prop::sample::select(vec![0.5, 0.9, 0.99, 0.999_999]),
        ) {
            let successes = ((trials as f64 * part * part) as u64).clamp(1, trials);
            let long = halve(successes, trials, |middle| {
                at_least(successes, trials, middle) > 1.0 - confidence
            });
            prop_assert_eq!(lower_bound(successes, trials, confidence).to_bits(), long.to_bits());
        }
    }

    /// The sum of the densities, term by term: slow, and only for small counts.
    fn summed(successes: u64, trials: u64, share: f64) -> f64 {
        let mut coefficient = 1.0;
        let mut sum = 0.0;
        for k in 0..=trials {
            if k > 0 {
                coefficient *= (trials - k + 1) as f64 / k as f64;
            }
            if k >= successes {
                sum += coefficient * share.powi(k as i32) * (1.0 - share).powi((trials - k) as i32);
            }
        }
        sum
    }

    #[test]
    fn edges_are_certain() {
        assert_eq!(at_least(0, 10, 0.2), 1.0);
        assert_eq!(at_least(0, 0, 0.2), 1.0);
        assert_eq!(at_least(11, 10, 0.2), 0.0);
        assert_eq!(at_least(1, 10, 0.0), 0.0);
        assert_eq!(at_least(10, 10, 1.0), 1.0);
        assert_eq!(lower_bound(0, 10, 0.99), 0.0);
        assert_eq!(lower_bound(0, 0, 0.99), 0.0);
    }

    #[test]
    fn all_of_n_is_bounded_by_the_nth_root() {
        for trials in [1_u64, 2, 10, 1000, 1_000_000] {
            let expected = libm::pow(0.01, 1.0 / trials as f64);
            let bound = lower_bound(trials, trials, 0.99);
            assert!((bound - expected).abs() < 1e-12, "{trials}: {bound}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn equals_the_sum_of_the_densities(
            (trials, successes) in (1_u64..60).prop_flat_map(|n| (Just(n), 0..=n)),
            share in 0.001_f64..0.999,
        ) {
            let expected = summed(successes, trials, share);
            let tail = at_least(successes, trials, share);
            prop_assert!((tail - expected).abs() <= 1e-12 * expected.max(1e-3), "{tail} {expected}");
        }

        #[test]
        fn the_bound_is_where_the_test_turns(
            (trials, successes) in (1_u64..100_000).prop_flat_map(|n| (Just(n), 1..=n)),
        ) {
            let bound = lower_bound(successes, trials, 0.99);
            prop_assert!((at_least(successes, trials, bound) - 0.01).abs() < 1e-9);
        }
    }
}
