//! Quality against published and computed vectors, and what must hold for any labels.

use proptest::prelude::*;

use super::binary::{BinaryLayout, BinaryPair, BinaryState};
use super::calibrator::{Calibrator, CalibratorStep};
use super::classes::{ClassPair, ClassesLayout};
use super::confusion::ClassTable;
use super::curves::{ScoreBin, ScoreBins};
use super::estimate::{ScoreCount, estimate};
use super::explain::{BinMean, LossByBin, split};
use super::fixed::Change;
use super::intervals::{MeanOf, Rate, newcombe};
use super::lists;
use super::number::{NumberPair, NumberState};
use super::*;

const Z: f64 = 1.959963984540054;
const Z_ONE_SIDED_99: f64 = 2.3263478740408408;

/// Vectors have ten decimals where nothing else is said.
#[track_caller]
fn check(name: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-10, "{name}: {found} is not {expected}");
}

fn rate(hits: f64, rows: f64) -> Rate {
    Rate { hits, rows }
}

#[test]
fn rates_and_means_are_those_of_the_vectors() {
    let of_newcombe = [
        (rate(56.0, 70.0), rate(48.0, 80.0), Z, 0.0524314724, 0.3338726540),
        (rate(812.0, 1000.0), rate(4300.0, 5000.0), Z, -0.0750570081, -0.0229571606),
        (rate(812.0, 1000.0), rate(4300.0, 5000.0), Z_ONE_SIDED_99, -0.0803325456, -0.0184996328),
        (rate(9.0, 10.0), rate(3.0, 10.0), Z, 0.1705227239, 0.8090179735),
        (rate(10.0, 10.0), rate(0.0, 20.0), Z, 0.6790860371, 1.0),
    ];
    for (one, two, z, low, high) in of_newcombe {
        let found = newcombe(one, two, z).unwrap();
        check("low", found.low, low);
        check("high", found.high, high);
    }
    for (rate, low, high) in
        [(rate(812.0, 1000.0), 0.7866068126, 0.8350052901), (rate(0.0, 20.0), 0.0, 0.1611251581)]
    {
        let found = rate.wilson(Z).unwrap();
        check("low", found.low, low);
        check("high", found.high, high);
    }
    let window = MeanOf { n: 800.0, mean: 0.31, variance: 0.36 };
    let found = window.less(MeanOf { n: 5000.0, mean: 0.22, variance: 0.25 }).unwrap();
    check("difference", found.value, 0.09);
    check("standard error", found.standard_error, 0.0223606798);
    check("lower", found.lower(Z_ONE_SIDED_99), 0.0379812801);
}

#[test]
fn the_auc_of_bins_is_that_of_the_vector() {
    let counts = [(1, 40), (2, 30), (4, 15), (8, 8), (15, 5), (20, 2)];
    let bins = counts.into_iter().zip(0..).map(|((positives, negatives), i)| ScoreBin {
        low: f64::from(i) / 6.0,
        high: f64::from(i + 1) / 6.0,
        positives: f64::from(positives),
        negatives: f64::from(negatives),
    });
    let bins = ScoreBins::of_rows(bins.collect()).unwrap();
    let found = bins.auc(Z);
    check("AUC", found.value, 0.9129);
    check("certified", found.certified.unwrap().high - found.value, 0.0339);
    check("standard error", bins.auc_standard_error(found.value).unwrap(), 0.0249305811);
    let interval = found.interval.unwrap();
    check("low", interval.low, 0.8500566022 - 0.0339);
    check("high", interval.high, (0.9509253922_f64 + 0.0339).min(1.0));
}

#[test]
fn a_table_of_classes_is_that_of_the_vector() {
    let cells = [50, 5, 2, 4, 30, 6, 1, 3, 19].map(f64::from);
    let table = ClassTable::of_cells(3, cells.to_vec(), 120.0);
    check("accuracy", table.accuracy(), 0.825);
    check("balanced", table.balanced_accuracy(), 0.8177599797);
    check("macro F1", table.macro_f1(), 0.8073626374);
    check("weighted F1", table.weighted_f1(), 0.8261840659);
    check("MCC", table.mcc(), 0.7247939153);
}

#[test]
fn numbers_are_those_of_the_vector() {
    let mut state = NumberState::default();
    let labels = [3.0, -0.5, 2.0, 7.0, 4.2];
    for (prediction, label) in [2.5, 0.0, 2.0, 8.0, 4.0].into_iter().zip(labels) {
        state.apply(NumberPair::new(prediction, label).unwrap(), SampleWeight::ONE, Change::Add);
    }
    let figures = state.figures(&Weighing::PLAIN, Z).unwrap().figures;
    for (metric, expected) in [
        (Metric::Bias, 0.16),
        (Metric::Mae, 0.44),
        (Metric::Rmse, 0.5549774770),
        (Metric::RSquared, 0.9496600418),
        (Metric::Wmape, 0.1317365269),
    ] {
        check(metric.words(), figures[&metric].value, expected);
    }
    check("pinball", state.pinball(0.9, &Weighing::PLAIN).unwrap(), 0.156);
}

#[test]
fn lists_are_those_of_the_vectors() {
    let relevant = [false, true, false, false, true];
    let grades = relevant.map(|is_relevant| f64::from(u8::from(is_relevant)));
    let ndcg = |all: &[f64]| lists::ndcg(&grades, all, 5, lists::Gain::Linear).unwrap();
    check("NDCG of 2", ndcg(&[1.0; 2]), 0.6240505200);
    check("NDCG of 3", ndcg(&[1.0; 3]), 0.4776237035);
    check("MRR", lists::reciprocal_rank(&relevant), 0.5);
    check("AP", lists::average_precision(&relevant, 2, 5).unwrap(), 0.45);
    let grades = [3.0, 2.0, 3.0, 0.0, 1.0, 2.0];
    for (gain, expected) in
        [(lists::Gain::Exponential, 0.9488107486), (lists::Gain::Linear, 0.9608081943)]
    {
        check("NDCG of grades", lists::ndcg(&grades, &grades, 6, gain).unwrap(), expected);
    }
    let shows = [50.0, 30.0, 10.0, 5.0, 5.0];
    check("Gini", lists::gini(&shows).unwrap(), 0.46);
    check("entropy", lists::entropy_bits(&shows).unwrap(), 1.7854752973);
    let share = lists::corrected_share(&[1, 2, 1, 5], 2, |place| 1.0 / f64::from(place));
    check("share", share.unwrap(), 4.0 / 9.0);
}

fn binary_of(rows: &[(f64, bool, f64)]) -> (BinaryLayout, BinaryState) {
    let cuts: Vec<f64> = rows.iter().map(|&(score, ..)| score).collect();
    let layout = BinaryLayout::new(&cuts, &[0.5]).unwrap();
    let mut state = BinaryState::default();
    for &(score, label, weight) in rows {
        let pair = BinaryPair::new(score, label).unwrap();
        state.apply(&layout, pair, SampleWeight::new(weight).unwrap(), Change::Add);
    }
    (layout, state)
}

#[test]
fn probabilities_are_those_of_vector_t9() {
    let rows = [(0.1, false), (0.4, true), (0.8, true), (0.65, false), (0.3, false)];
    let (layout, state) = binary_of(&rows.map(|(score, label)| (score, label, 1.0)));
    let figures = state.figures(&layout, &Weighing::PLAIN, Z).unwrap().figures;
    check("Brier", figures[&Metric::Brier].value, 0.1845);
    check("log-loss", figures[&Metric::LogLoss].value, 0.5302583734567202);
    check("Z", figures[&Metric::SpiegelhalterZ].value, -0.011822115035531822);
}

#[test]
fn weights_are_those_of_the_vector() {
    let rows = [(1.0, false), (1.0, true), (10.0, true), (10.0, true), (10.0, false)];
    let (layout, state) = binary_of(&rows.map(|(weight, label)| (0.5, label, weight)));
    let found = state.figures(&layout, &Weighing::sampled(), Z).unwrap();
    check("mean", found.figures[&Metric::PositiveShare].value, 0.65625);
    check("n_eff", found.effective_rows, 3.3907284768);
}

/// Of 1000 predictions with 10 % positives, 80 of the 100 and 225 of the 900 have a label.
#[test]
fn labels_that_come_one_sided_are_weighted_right() {
    let rows: Vec<(f64, bool, f64)> = (0..305).map(|row| (0.5, row < 80, 1.0)).collect();
    let (layout, state) = binary_of(&rows);
    let share = |weighing: &Weighing| {
        state.figures(&layout, weighing, Z).unwrap().figures[&Metric::PositiveShare].value
    };
    check("raw", share(&Weighing::PLAIN), 80.0 / 305.0);
    let by_class = vec![1.0 / 0.25, 1.0 / 0.8];
    check("weighted", share(&Weighing { sampled: false, by_class }), 0.1);
}

#[test]
fn estimates_are_those_of_vector_t9() {
    let scores = [0.2, 0.3, 0.6, 0.8, 0.9];
    let step = |score| CalibratorStep { from: score, closed: true, value: score };
    let calibrator = Calibrator::new(scores.map(step).to_vec()).unwrap();
    let counts = scores.map(|score| ScoreCount { low: score, high: score, rows: 1.0 });
    let found = estimate(&counts, &calibrator, &[0.5], Z).unwrap();
    let at = &found.at_thresholds[0];
    check("TP", at.table.true_positives, 2.3);
    check("FP", at.table.false_positives, 0.7);
    check("FN", at.table.false_negatives, 0.5);
    check("TN", at.table.true_negatives, 1.5);
    check("accuracy", at.figures[&Metric::Accuracy].value, 0.76);
    check("F1", at.figures[&Metric::F1].value, 0.793103448275862);
    check("AUC", found.figures[&Metric::Auc].value, 0.8084415584415583);
}

#[test]
fn a_fall_is_split_as_in_vector_t10() {
    let means = |shares: [f64; 3], losses: [f64; 3]| -> Vec<BinMean> {
        let both = shares.into_iter().zip(losses).zip(1..);
        both.map(|((share, loss), bin)| BinMean { bin, share, loss }).collect()
    };
    let reference = means([0.5, 0.3, 0.2], [0.02, 0.05, 0.1]);
    let found = split(&reference, &means([0.4, 0.3, 0.3], [0.02, 0.08, 0.1])).unwrap();
    check("total", found.total, 0.017);
    let expected = [(0.00335, 0.0), (0.0, 0.009), (0.00465, 0.0)];
    for (bin, (mix, rate)) in found.bins.iter().zip(expected) {
        check("mix", bin.mix, mix);
        check("rate", bin.rate, rate);
    }
    check("sum", found.mix + found.rate, found.total);
}

/// One of each layout.
fn layouts() -> [QualityLayout; 3] {
    let cuts: Vec<f64> = (0..=10).map(|part| f64::from(part) / 10.0).collect();
    [
        QualityLayout::Binary(BinaryLayout::new(&cuts, &[0.5]).unwrap()),
        QualityLayout::Classes(ClassesLayout::new(["a", "b", "c"], true).unwrap()),
        QualityLayout::Number,
    ]
}

/// What `value` and `label`, both in [0, 1], are as a row of this layout.
fn graded(layout: &QualityLayout, value: f64, label: f64) -> Graded {
    match layout {
        QualityLayout::Binary(_) => Graded::Binary(BinaryPair::new(value, label > 0.5).unwrap()),
        QualityLayout::Classes(layout) => {
            let class = |share: f64| ((share * 4.0) as u32).min(3);
            let pair = ClassPair::new(layout, class(label), class(value)).unwrap();
            let pair = pair.with_rank((value * 13.0) as u32 + 1);
            // Some rows have no probability.
            Graded::Classes(if label < 0.9 { pair.with_probability(value).unwrap() } else { pair })
        }
        QualityLayout::Number => {
            let far = |share: f64| (share - 0.5) * libm::exp2(80.0 * share - 40.0);
            Graded::Number(NumberPair::new(far(value), far(label)).unwrap())
        }
    }
}

proptest! {
    /// Corrections and retractions leave nothing behind, and neither order nor split shows.
    #[test]
    fn order_split_and_retraction_never_show_in_the_bytes(
        rows in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64, 0.01..=1.0_f64, 0..3_usize), 1..40),
    ) {
        for layout in layouts() {
            let mut whole = layout.zero();
            let mut parts = [layout.zero(), layout.zero(), layout.zero()];
            let row = |&(value, label, rate, _): &(f64, f64, f64, usize)| {
                (graded(&layout, value, label), SampleWeight::of_rate(rate))
            };
            for it in &rows {
                let (pair, weight) = row(it);
                whole.add(&layout, pair, weight).unwrap();
            }
            // Each is said wrongly first, in another part, and corrected.
            for it in rows.iter().rev() {
                let (pair, weight) = row(it);
                let wrong = graded(&layout, it.0, 1.0 - it.1);
                parts[(it.3 + 1) % 3].subtract(&layout, wrong, weight).unwrap();
                parts[it.3].add(&layout, wrong, weight).unwrap();
                parts[(it.3 + 2) % 3].add(&layout, pair, weight).unwrap();
            }
            let mut merged = layout.zero();
            for part in &parts {
                let read = QualityState::from_bytes(&layout, &part.to_bytes()).unwrap();
                merged.merge(&read).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
            prop_assert_eq!(merged.rows(), rows.len() as i64);
            for it in &rows {
                let (pair, weight) = row(it);
                merged.subtract(&layout, pair, weight).unwrap();
            }
            prop_assert_eq!(merged.to_bytes(), layout.zero().to_bytes());
        }
    }

    #[test]
    fn losses_by_bin_come_back_and_to_zero(
        rows in prop::collection::vec((0..5_u8, 0.0..40.0_f64, 0.01..=1.0_f64), 1..40),
    ) {
        let mut sums = LossByBin::default();
        for &(bin, loss, rate) in &rows {
            sums.add(bin, loss, SampleWeight::of_rate(rate));
        }
        let mut bytes = Vec::new();
        sums.encode(&mut bytes);
        let mut read = LossByBin::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &sums);
        for &(bin, loss, rate) in rows.iter().rev() {
            read.subtract(bin, loss, SampleWeight::of_rate(rate));
        }
        prop_assert_eq!(read, LossByBin::default());
    }

    #[test]
    fn bytes_that_are_cut_off_or_changed_are_refused_or_read(
        rows in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 1..10),
        at in 0..2000_usize,
        byte in any::<u8>(),
    ) {
        for layout in layouts() {
            let mut state = layout.zero();
            for &(value, label) in &rows {
                state.add(&layout, graded(&layout, value, label), SampleWeight::ONE).unwrap();
            }
            let mut bytes = state.to_bytes();
            prop_assert!(QualityState::from_bytes(&layout, &bytes[..bytes.len() - 1]).is_err());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(read) = QualityState::from_bytes(&layout, &bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }
}
