//! Divergences between two tables of counts over the same bins or categories.

use super::gamma::chi_square_sf;

/// How far the shares of two tables lie apart. All are zero for equal shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergences {
    /// Population stability index, with ½ added to each count of both sides. In nats.
    pub psi: f64,
    /// `psi` less what chance alone gives: (K - 1)(1/N + 1/n). May be negative.
    pub psi_debiased: f64,
    /// The part of `psi` that each bin contributes; they add up to it.
    pub contributions: Vec<f64>,
    /// Jensen-Shannon divergence (not its root) in bits: 0 to 1.
    pub jensen_shannon: f64,
    /// Hellinger distance: 0 to 1.
    pub hellinger: f64,
    /// Total variation: half the sum of the differences, 0 to 1.
    pub total_variation: f64,
    /// How many bins there are: K.
    pub bins: usize,
    /// 1/N + 1/n: the variance that chance gives to each degree of freedom.
    pub noise: f64,
}

impl Divergences {
    /// The ordinary p-value of the PSI: under equal distributions it is (1/N + 1/n) times a
    /// chi-square value with K - 1 degrees of freedom.
    pub fn psi_p_chi_square(&self) -> f64 {
        chi_square_sf(self.psi / self.noise, (self.bins - 1) as u32)
    }
}

/// Compares two tables. `None` where one is empty or they are not of one length.
pub fn divergences(reference: &[u64], window: &[u64]) -> Option<Divergences> {
    let total_reference: u64 = reference.iter().sum();
    let total_window: u64 = window.iter().sum();
    if reference.len() != window.len() || total_reference == 0 || total_window == 0 {
        return None;
    }
    let contributions = psi_contributions(reference, window);
    let psi: f64 = contributions.iter().sum();
    let degrees = (reference.len() - 1) as f64;
    let noise = 1.0 / total_reference as f64 + 1.0 / total_window as f64;
    let (mut jensen_shannon, mut hellinger, mut total_variation) = (0.0, 0.0, 0.0);
    for (&at_reference, &at_window) in reference.iter().zip(window) {
        let p = at_reference as f64 / total_reference as f64;
        let q = at_window as f64 / total_window as f64;
        let middle = 0.5 * (p + q);
        jensen_shannon += 0.5 * (entropy_term(p, middle) + entropy_term(q, middle));
        let root_difference = libm::sqrt(p) - libm::sqrt(q);
        hellinger += 0.5 * root_difference * root_difference;
        total_variation += 0.5 * (p - q).abs();
    }
    Some(Divergences {
        psi,
        psi_debiased: psi - degrees * noise,
        contributions,
        jensen_shannon: jensen_shannon.max(0.0),
        hellinger: libm::sqrt(hellinger),
        total_variation,
        bins: reference.len(),
        noise,
    })
}

/// The contribution of each bin to the PSI, ½ added to each count of both sides.
pub fn psi_contributions(reference: &[u64], window: &[u64]) -> Vec<f64> {
    let smoothed = |counts: &[u64]| {
        let total = counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
        counts.iter().map(move |&count| (count as f64 + 0.5) / total).collect::<Vec<f64>>()
    };
    smoothed(reference).iter().zip(smoothed(window)).map(|(&p, q)| psi_term(p, q)).collect()
}

/// The PSI of two lists of shares, none of them zero.
pub fn psi_of_shares(reference: &[f64], window: &[f64]) -> f64 {
    reference.iter().zip(window).map(|(&p, &q)| psi_term(p, q)).sum()
}

fn psi_term(p: f64, q: f64) -> f64 {
    (q - p) * libm::log(q / p)
}

fn entropy_term(p: f64, middle: f64) -> f64 {
    if p > 0.0 { p * libm::log2(p / middle) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(name: &str, value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-14, "{name}: {value} is not {expected}");
    }

    #[test]
    fn vector_t4() {
        let (p, q) = ([0.1, 0.2, 0.3, 0.25, 0.15], [0.12, 0.18, 0.25, 0.3, 0.15]);
        check("psi", psi_of_shares(&p, &q), 0.023985797128431074);
        for (bin, expected) in [
            0.00364643113587909,
            0.00210721031315653,
            0.009116077839697728,
            0.009116077839697728,
            0.0,
        ]
        .into_iter()
        .enumerate()
        {
            check("contribution", psi_term(p[bin], q[bin]), expected);
        }
        let found = divergences(&[200, 400, 600, 500, 300], &[120, 180, 250, 300, 150]).unwrap();
        check("js in bits", found.jensen_shannon, 0.004319892489471787);
        check("hellinger", found.hellinger, 0.05473820771360623);
        check("total variation", found.total_variation, 0.07);
        // The ½ rule moves the PSI of these tables by less than a ten-thousandth.
        assert!((found.psi_debiased - 0.017985797128431076).abs() < 1e-4);
        let half = divergences(&[500, 300, 200, 0], &[240, 160, 90, 10]).unwrap();
        check("psi with ½", half.psi, 0.08046070544929494);
    }

    #[test]
    fn empty_tables_have_no_divergence() {
        assert_eq!(divergences(&[], &[]), None);
        assert_eq!(divergences(&[0, 0], &[1, 2]), None);
        assert_eq!(divergences(&[1, 2], &[0, 0]), None);
        assert_eq!(divergences(&[1, 2], &[1, 2, 3]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn ranges_hold_and_contributions_add_up(
            tables in prop::collection::vec((0_u64..1000, 0_u64..1000), 1..30)
        ) {
            let (mut reference, mut window): (Vec<u64>, Vec<u64>) = tables.into_iter().unzip();
            reference[0] += 1;
            window[0] += 1;
            let found = divergences(&reference, &window).unwrap();
            prop_assert!(found.contributions.iter().all(|&part| part >= 0.0));
            prop_assert_eq!(found.contributions.iter().sum::<f64>(), found.psi);
            for value in [found.jensen_shannon, found.hellinger, found.total_variation] {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
            }
        }
    }
}
