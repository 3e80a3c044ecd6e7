//! Tests of the baseline file.

use proptest::prelude::*;

use super::build::{CutPoints, OwnWindowRule};
use super::*;
use crate::window::fixtures::{Row, baseline, build, ordinary_rows};

fn text(baseline: &Baseline) -> String {
    String::from_utf8(baseline.to_json()).unwrap()
}

fn built_with_everything() -> Baseline {
    let mut rows = ordinary_rows();
    rows[3].delay = Some(f64::INFINITY);
    rows[4].delay = Some(f64::NEG_INFINITY);
    rows[5].delay = Some(9_007_199_254_740_994.0);
    rows[6].delay = Some(-1e300);
    rows[7].delay = Some(f64::NAN);
    rows[8].delay = Some(0.1 + 0.2);
    rows[9].delay_text = Some("late".into());
    rows[10].carrier = None;
    rows[11].score = Some(-0.0);
    let rule = OwnWindowRule { grid: WindowGrid::every(3_600_000_000), at_least: 50 };
    build(&rows, CutPoints::default(), Some(rule)).baseline
}

#[test]
fn a_file_is_read_as_it_was_written() {
    for baseline in [(*baseline()).clone(), built_with_everything()] {
        let bytes = baseline.to_json();
        let read = Baseline::parse(&bytes).unwrap();
        assert_eq!(read, baseline);
        assert_eq!(read.to_json(), bytes);
        assert_eq!(read.sha256.len(), 64);
    }
}

#[test]
fn infinities_and_large_whole_numbers_are_strings() {
    let text = text(&built_with_everything());
    for expected in
        ["\"-inf\"", "\"inf\"", "\"9007199254740994\"", "\"-1e300\"", "0.30000000000000004"]
    {
        assert!(text.contains(expected), "{expected}");
    }
    assert!(!["-0.0,", "-0.0]", "-0.0}"].iter().any(|zero| text.contains(zero)));
}

#[test]
fn a_column_may_say_last_what_it_is() {
    let good = text(&baseline());
    let first = "\"kind\":\"numeric\",\"subject\":\"feature:delay\"";
    let check = |instead: &str, expected: Result<(), &str>| {
        assert!(good.contains(first));
        match (Baseline::parse(good.replacen(first, instead, 1).as_bytes()), expected) {
            (Ok(read), Ok(())) => assert_eq!(read.columns, baseline().columns),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{instead}: {error}");
            }
            (read, _) => panic!("{instead}: {read:?}"),
        }
    };
    check(first, Ok(()));
    let subject = "\"subject\":\"feature:delay\"";
    check(&format!("{subject},\"kind\":\"numeric\""), Ok(()));
    check(subject, Err("missing field `kind`"));
    check(&format!("{first},\"kind\":\"numeric\""), Err("unknown field `kind`"));
    check(&format!("{subject},{first}"), Err("duplicate field `subject`"));
    check(&format!("{subject},\"kind\":\"text\""), Err("unknown variant `text`"));
    check(&format!("{subject},\"kind\":\"categorical\""), Err("unknown field `cut_points`"));
}

#[test]
fn what_contradicts_itself_is_refused_in_a_sentence() {
    let good = text(&baseline());
    let check = |from: &str, to: &str, expected: &str| {
        assert!(good.contains(from), "{from} is not in the file");
        let error = Baseline::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{from} → {to}: {error}");
    };
    check("\"driftline_baseline\":1", "\"driftline_baseline\":3", "format 3 is newer");
    check("\"driftline_baseline\":1", "\"driftline\":1", "not a baseline file");
    check("\"rows\":1000", "\"rows\":0", "rows must lie between");
    check("\"rows\":1000", "\"rows\":999", "must add up to the 999 rows");
    check("\"cut_points\":[-20.0,-19.0", "\"cut_points\":[-19.0,-20.0", "ascending");
    check("\"cut_points\":[-20.0,-19.0", "\"cut_points\":[-19.0", "need 199 counts, there are 201");
    check("\"cut_points\":[-20.0", "\"cut_points\":[\"NaN\"", "must not hold NaN");
    check("\"cut_points\":[-20.0", "\"cut_points\":[\"far\"", "expected a number, \"inf\"");
    check("\"counts\":[0,10", "\"counts\":[0,11", "counts must add up to n");
    check("\"counts\":[0,10", "\"counts\":[10,0", "values lie between cut_points");
    check("\"counts\":[0,10", "\"counts\":[0,-1", "a count");
    check("\"psi_bins\":[{\"to\":-11.0", "\"psi_bins\":[{\"to\":-11.5", "must be cut_points");
    check("\"psi_bins\":[{\"to\":-11.0", "\"psi_bins\":[{\"to\":-12.0", "up to -12 holds 100");
    check(
        "subject\":\"feature:delay",
        "subject\":\"prediction:delay",
        "features must stand before",
    );
    check("\"judged\":3", "\"judged\":4", "judged must be at most 3");
    check("[\"AA\",", "[\"UA\",", "categories must be");
    check(
        "subject\":\"feature:delay",
        "subject\":\"features.delay",
        "feature:NAME or prediction:NAME",
    );
    check("subject\":\"feature:carrier", "subject\":\"feature:delay", "stands there twice");
    check(
        "subject\":\"feature:carrier",
        "x\":\"y\",\"subject\":\"feature:carrier",
        "unknown field",
    );
}

#[test]
fn own_windows_justify_the_largest() {
    let tolerance = |statistics: &[f64]| {
        OwnWindows { every_us: 1, timezone: None, statistics: statistics.to_vec() }.tolerance()
    };
    assert_eq!(tolerance(&[]), None);
    assert_eq!(tolerance(&[0.1, 0.3, -0.2]), Some(0.3));
}

#[test]
fn psi_bins_hold_a_tenth_each() {
    let baseline = baseline();
    let Some(BaselineColumn::Numeric(column)) = baseline.column("feature:delay") else {
        panic!("delay is numeric")
    };
    let bins: Vec<_> = column.psi_bins.iter().map(|bin| (bin.to, bin.count)).collect();
    assert_eq!(bins.len(), 10);
    assert_eq!((bins[0], bins[9]), ((Some(-11.0), 100), (None, 100)));
    let counts = column.counts.to_vec();
    let slots: u64 =
        column.psi_slots().into_iter().map(|range| counts[range].iter().sum::<u64>()).sum();
    assert_eq!(slots, 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_floats_come_back(
        delays in prop::collection::vec(prop::option::of(any::<f64>()), 1..60),
    ) {
        let rows: Vec<Row> =
            delays.into_iter().map(|delay| Row { delay, ..Row::default() }).collect();
        let baseline = build(&rows, CutPoints::All, None).baseline;
        let read = Baseline::parse(&baseline.to_json());
        prop_assert_eq!(read, Ok(baseline));
    }

    #[test]
    fn no_bytes_do_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 32_u8..127), 1..4),
    ) {
        let mut bytes = baseline().to_json();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(accepted) = Baseline::parse(&bytes) {
            accepted.columns.iter().for_each(|column| {
                if let BaselineColumn::Categorical(column) = column {
                    column.judged_counts();
                }
            });
        }
    }
}
