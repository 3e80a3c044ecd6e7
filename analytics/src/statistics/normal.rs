//! The standard normal distribution.

/// Probability that a standard normal value exceeds `z`; accurate far into the tail.
pub fn normal_sf(z: f64) -> f64 {
    0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// The value that a standard normal value exceeds with probability `upper_tail`: infinite at 0 and
/// 1, NaN outside.
///
/// Found by bisection of [`normal_sf`]: it is called a few times per window, and so it is as
/// accurate as that, in both tails.
pub fn normal_quantile(upper_tail: f64) -> f64 {
    if !(0.0..=1.0).contains(&upper_tail) {
        return f64::NAN;
    }
    if upper_tail == 0.0 {
        return f64::INFINITY;
    }
    if upper_tail == 1.0 {
        return f64::NEG_INFINITY;
    }
    // Beyond 40 standard deviations the tail is below the smallest number.
    let (mut low, mut high) = (-40.0_f64, 40.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if normal_sf(middle) > upper_tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [
            (0.5, 0.0),
            (0.01, 2.3263478740408408),
            (0.025, 1.9599639845400545),
            (1e-6, 4.753424308822899),
            (0.99, -2.3263478740408408),
        ];
        for (tail, expected) in table {
            assert!((normal_quantile(tail) - expected).abs() < 1e-12, "{tail}");
        }
        assert_eq!(normal_quantile(0.0), f64::INFINITY);
        assert_eq!(normal_quantile(1.0), f64::NEG_INFINITY);
        assert!(normal_quantile(1.5).is_nan());
    }

    #[test]
    fn the_tail_does_not_underflow_early() {
        assert!((normal_sf(10.0) / 7.619853024160525e-24 - 1.0).abs() < 1e-12);
        assert_eq!(normal_sf(f64::INFINITY), 0.0);
        assert_eq!(normal_sf(f64::NEG_INFINITY), 1.0);
    }
}
