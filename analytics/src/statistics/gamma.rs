//! The chi-square tail, by the incomplete gamma function.

/// Probability that a chi-square value with `degrees` degrees of freedom exceeds `x`; 1 where there
/// are none. `degrees` up to some hundreds, as many as a column has judged categories.
pub fn chi_square_sf(x: f64, degrees: u32) -> f64 {
    if degrees == 0 || x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    upper_incomplete_gamma(0.5 * f64::from(degrees), 0.5 * x)
}

/// Regularised upper incomplete gamma function Q(a, x): the series below the mean, Lentz's continued
/// fraction above.
fn upper_incomplete_gamma(a: f64, x: f64) -> f64 {
    const TERMS: u32 = 10_000;
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for step in 1..TERMS {
            term *= x / (a + f64::from(step));
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..TERMS {
        let step = f64::from(step);
        let numerator = step * (a - step);
        b += 2.0;
        d = b + numerator * d;
        d = if d.abs() < TINY { 1.0 / TINY } else { 1.0 / d };
        c = b + numerator / c;
        c = if c.abs() < TINY { TINY } else { c };
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_vector_t4() {
        let table = [
            (16.011663286004058, 4, 0.003003553127898094),
            (10.243478260869582, 2, 0.005965638843937082),
            (13.866666666666667, 3, 0.0030923760714790293),
        ];
        for (x, degrees, expected) in table {
            let tail = chi_square_sf(x, degrees);
            assert!((tail / expected - 1.0).abs() < 1e-12, "{x} {degrees}: {tail}");
        }
        assert_eq!(chi_square_sf(3.0, 0), 1.0);
        assert_eq!(chi_square_sf(0.0, 4), 1.0);
    }
}
