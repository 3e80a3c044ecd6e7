//! Benjamini-Hochberg: p-values adjusted for the share of false discoveries.

/// Adjusted p-values in the order of the given ones: the smallest level at which each would be
/// rejected by Benjamini and Hochberg's step-up rule. Never depends on the order.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len() as f64;
    let mut descending: Vec<(usize, f64)> = p_values.iter().copied().enumerate().collect();
    descending.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (place, (index, p_value)) in descending.into_iter().enumerate() {
        let rank = count - place as f64;
        // In this order the largest p-value stays exactly as it is.
        smallest = smallest.min(p_value * (count / rank));
        if let Some(slot) = adjusted.get_mut(index) {
            *slot = smallest;
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vector_t7_of_online_fdr() {
        let p_values = [
            2.90e-8, 0.06743, 0.01514, 0.08174, 0.00171, 3.60e-5, 0.79149, 0.27201, 0.28295,
            7.59e-8, 0.69274, 0.30443, 0.00136, 0.72342, 0.54757,
        ];
        let adjusted = benjamini_hochberg(&p_values);
        let rejected: Vec<usize> =
            (1..=adjusted.len()).filter(|&index| adjusted[index - 1] <= 0.05).collect();
        assert_eq!(rejected, [1, 3, 5, 6, 10, 13]);
        assert!((adjusted[2] - 0.03785).abs() < 1e-15);
    }

    #[test]
    fn nothing_adjusts_to_nothing() {
        assert!(benjamini_hochberg(&[]).is_empty());
        assert_eq!(benjamini_hochberg(&[0.3]), [0.3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn order_does_not_matter(
            p_values in prop::collection::vec(
                prop_oneof![0.0..=1.0, Just(0.01), Just(0.0), Just(1.0)], 1..40),
            turn in 0_usize..40,
        ) {
            let adjusted = benjamini_hochberg(&p_values);
            let turn = turn % p_values.len();
            let mut turned = p_values.clone();
            turned.rotate_left(turn);
            turned.reverse();
            let mut back = benjamini_hochberg(&turned);
            back.reverse();
            back.rotate_right(turn);
            prop_assert_eq!(&adjusted, &back);
            for (p_value, adjusted) in p_values.iter().zip(&adjusted) {
                prop_assert!(p_value <= adjusted && *adjusted <= 1.0);
            }
        }
    }
}
