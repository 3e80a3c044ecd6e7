//! Figures of ranked lists, as plain formulas over one request or over shares of shows.

/// What a relevant item counts for in the discounted gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// 2^grade - 1.
    Exponential,
    /// The grade itself.
    Linear,
}

/// Normalised discounted cumulative gain of the first `k` places. `shown` are the grades of the items in
/// their order, `all` those of every relevant item, shown or not; `None` where nothing is relevant.
pub fn ndcg(shown: &[f64], all: &[f64], k: usize, gain: Gain) -> Option<f64> {
    let value = |grade: f64| match gain {
        Gain::Exponential => libm::exp2(grade) - 1.0,
        Gain::Linear => grade,
    };
    let discounted = |grades: &[f64]| {
        let places = grades.iter().take(k).zip(2..);
        places.map(|(&grade, place)| value(grade) / libm::log2(f64::from(place))).sum::<f64>()
    };
    let mut best = all.to_vec();
    best.sort_by(|one, two| two.total_cmp(one));
    let ideal = discounted(&best);
    (ideal > 0.0).then(|| discounted(shown) / ideal)
}

/// Whether a relevant item stands among the first `k`.
pub fn hit(relevant: &[bool], k: usize) -> bool {
    relevant.iter().take(k).any(|&is_relevant| is_relevant)
}

/// Share of the `total` relevant items that stand among the first `k`; `None` where nothing is relevant.
pub fn recall(relevant: &[bool], total: usize, k: usize) -> Option<f64> {
    let found = relevant.iter().take(k).filter(|&&is_relevant| is_relevant).count();
    (total > 0).then(|| found as f64 / total as f64)
}

/// 1/place of the first relevant item; 0 where none is shown.
pub fn reciprocal_rank(relevant: &[bool]) -> f64 {
    let first = relevant.iter().position(|&is_relevant| is_relevant);
    first.map_or(0.0, |at| 1.0 / (at + 1) as f64)
}

/// Mean of the precision at each relevant item among the first `k`, over all `total` relevant ones but `k`
/// at most; `None` where nothing is relevant.
pub fn average_precision(relevant: &[bool], total: usize, k: usize) -> Option<f64> {
    let (mut found, mut sum) = (0, 0.0);
    for (place, _) in (1..).zip(relevant.iter().take(k)).filter(|(_, is_relevant)| **is_relevant) {
        found += 1;
        sum += f64::from(found) / f64::from(place);
    }
    (total > 0).then(|| sum / total.min(k) as f64)
}

/// Gini's coefficient of how shows are spread over items: 0 where all are shown alike; `None` without
/// shows.
pub fn gini(shows: &[f64]) -> Option<f64> {
    let mut sorted = shows.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (total, items) = (sorted.iter().sum::<f64>(), sorted.len() as f64);
    let ranked: f64 = sorted.iter().zip(1..).map(|(shows, rank)| f64::from(rank) * shows).sum();
    (total > 0.0).then(|| 2.0 * ranked / (items * total) - (items + 1.0) / items)
}

/// Entropy of the shares of shows, in bits; `None` without shows.
pub fn entropy_bits(shows: &[f64]) -> Option<f64> {
    let total: f64 = shows.iter().sum();
    let shares = shows.iter().map(|shows| shows / total).filter(|&share| share > 0.0);
    (total > 0.0).then(|| shares.map(|share| -share * libm::log2(share)).sum())
}

/// Share of the clicks at one of the first `k` places if all places were looked at alike: each click by the
/// inverse of its place's propensity, normalised by their sum (SNIPS). `places` count from 1; `None`
/// without clicks.
pub fn corrected_share(places: &[u32], k: u32, propensity: impl Fn(u32) -> f64) -> Option<f64> {
    let weight = |&place: &u32| 1.0 / propensity(place);
    let all: f64 = places.iter().map(weight).sum();
    let within: f64 = places.iter().filter(|&&place| place <= k).map(weight).sum();
    (all > 0.0).then(|| within / all)
}
