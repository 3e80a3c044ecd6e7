//! Whether probabilities mean what they say, from bins of them.

/// Rows with like probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CalibrationBin {
    pub rows: f64,
    pub positives: f64,
    /// Sum of their probabilities.
    pub probability_sum: f64,
}

impl CalibrationBin {
    /// Mean probability; `None` without rows.
    pub fn predicted(&self) -> Option<f64> {
        (self.rows > 0.0).then(|| self.probability_sum / self.rows)
    }

    /// Share of the positives; `None` without rows.
    pub fn observed(&self) -> Option<f64> {
        (self.rows > 0.0).then(|| self.positives / self.rows)
    }

    fn gap(&self) -> f64 {
        if self.rows > 0.0 { (self.probability_sum - self.positives) / self.rows } else { 0.0 }
    }
}

/// Σ n_b/n |gap_b|. It is biased upwards: a perfect model of 500 rows shows 0.03.
pub fn expected_error(bins: &[CalibrationBin]) -> f64 {
    let rows: f64 = bins.iter().map(|bin| bin.rows).sum();
    bins.iter().map(|bin| bin.rows * bin.gap().abs()).sum::<f64>() / rows
}

/// Σ n_b/n [gap_b² - a_b(1 - a_b)/(n_b - 1)] with the share a_b of positives: without bias, so that chance
/// takes it below zero as often as above.
pub fn debiased_square(bins: &[CalibrationBin]) -> f64 {
    let rows: f64 = bins.iter().map(|bin| bin.rows).sum();
    let term = |bin: &CalibrationBin| {
        let observed = bin.positives / bin.rows;
        let chance =
            if bin.rows > 1.0 { observed * (1.0 - observed) / (bin.rows - 1.0) } else { 0.0 };
        bin.rows * (bin.gap() * bin.gap() - chance)
    };
    bins.iter().filter(|bin| bin.rows > 0.0).map(term).sum::<f64>() / rows
}

/// The root of [`debiased_square`], 0 where that is below zero.
pub fn debiased_error(bins: &[CalibrationBin]) -> f64 {
    libm::sqrt(debiased_square(bins).max(0.0))
}
