//! Mails about windows in a store get the pictures that matter, and none where nothing is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use driftline_analytics::report::Ordered;
use driftline_analytics::shape::NumericPoint;
use driftline_config::WindowGrid;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use serde_json::json;

use super::*;
use driftline_pipeline::snapshot::{Snapshot, StoredReport, StoredShapes};

const MODEL: &str = "flight-delay";

/// The report of a day: a column of numbers, one of many categories, and a share.
fn stored(day: i64) -> StoredReport {
    let start_us = ALIGNMENT_US + day * DAY_US;
    let share = 0.02;
    let category = |at: usize| {
        json!({"category": format!("<{at}>"), "reference": share, "window": share,
               "contribution": 0.001 * at as f64})
    };
    let categories: Vec<_> = (0..51).map(category).collect();
    let effect = |value: f64| {
        json!({"value": value, "bound": value - 0.05, "confidence": 0.99, "tolerance": 0.05,
               "tolerance_from": "floor"})
    };
    let mut ks = effect(0.05 + 0.01 * day as f64);
    let more = json!({"certified": [0.2, 0.2], "baseline_error": 0.0, "detectable": 0.1, "at": 3.0,
                      "share_reference": 0.4, "share_window": 0.6, "p": 0.0, "p_method": "",
                      "p_tolerance": 0.0, "p_adjusted": 0.0});
    let mut psi = effect(0.3);
    let of_psi = json!({"debiased": 0.3, "categories": categories});
    for (into, from) in [(&mut ks, more), (&mut psi, of_psi)] {
        if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
            into.extend(from.clone());
        }
    }
    let mut missing = effect(0.2);
    if let Some(missing) = missing.as_object_mut() {
        missing.extend([("reference".to_owned(), json!(0.0)), ("count".to_owned(), json!(9))]);
        missing.extend(
            [("detectable", json!(0.1)), ("p_tolerance", json!(0.0)), ("p_adjusted", json!(0.0))]
                .map(|(key, value)| (key.to_owned(), value)),
        );
    }
    let finding = |subject: &str, check: &str, statistic: &str, numbers: serde_json::Value| {
        json!({"subject": subject, "check": check, "n": 900, "m": 9000, "level": "alarm",
               "because": format!("{subject} moved, by <much>"), "first_over": null, statistic: numbers})
    };
    let report = json!({
        "window": {"start": driftline_config::time::format_instant(start_us)},
        "findings": [
            finding("feature:dep_delay", "distribution", "ks", ks),
            finding("feature:dest", "distribution", "psi", psi),
            finding("feature:wind", "missing", "share", missing),
        ],
    });
    StoredReport {
        model: MODEL.to_owned(),
        start_us,
        end_us: start_us + DAY_US,
        report: report.to_string(),
        history: String::new(),
        config_sha256: String::new(),
        coarse: String::new(),
    }
}

fn shapes(day: i64) -> StoredShapes {
    let point = |x: f64| NumericPoint { x: Ordered(x), reference: x / 9.0, window: x * x / 81.0 };
    let points = (0..10).map(|x| point(f64::from(x))).collect();
    StoredShapes {
        model: MODEL.to_owned(),
        start_us: ALIGNMENT_US + day * DAY_US,
        shapes: BTreeMap::from([("feature:dep_delay".into(), Shape::Numeric { points })]),
    }
}

fn mail(day: i64, subjects: &[(&str, &str)]) -> Mail {
    let window = WindowId::new(MODEL, ALIGNMENT_US + day * DAY_US, &WindowGrid::every(DAY_US));
    let pictured = subjects.iter().map(|(subject, check)| Pictured {
        window: window.clone(),
        subject: (*subject).into(),
        check: (*check).to_owned(),
    });
    Mail {
        subject: String::new(),
        text: String::new(),
        html: String::new(),
        message_id: "<id@driftline>".to_owned(),
        in_reply_to: None,
        pictured: pictured.collect(),
    }
}

/// What the pictures of a mail about `day` say, where ten days are stored.
fn alts(day: i64, subjects: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
    let snapshot = Snapshot {
        reports: (0..10).map(stored).collect(),
        shapes: (5..10).map(shapes).collect(),
        ..Snapshot::default()
    };
    store.commit(&snapshot).unwrap();
    let images: Vec<Image> =
        pictures(&store, &mail(day, subjects)).unwrap().into_iter().filter_map(image).collect();
    for image in &images {
        assert!(image.png.starts_with(b"\x89PNG"), "{}", image.alt);
        assert!(image.png.len() <= IMAGE_BYTES, "{}: {} bytes", image.alt, image.png.len());
    }
    images.into_iter().map(|image| image.alt).collect()
}

#[test]
fn a_mail_shows_the_strongest_distributions_and_the_strongest_over_time() {
    let (delay, dest, wind) = (
        ("feature:dep_delay", "distribution"),
        ("feature:dest", "distribution"),
        ("feature:wind", "missing"),
    );
    let (of_delay, of_dest) =
        ("dep_delay: feature:dep_delay moved, by <much>", "dest: feature:dest moved, by <much>");
    for (day, subjects, expected) in [
        (
            9,
            vec![delay, dest, wind],
            vec![of_delay, of_dest, "dep_delay: KS in the last 10 windows"],
        ),
        (9, vec![dest], vec![of_dest, "dest: PSI in the last 10 windows"]),
        (3, vec![wind, delay], vec!["wind: missing in the last 4 windows"]),
        // The first window has none before it, and its report is of a release without shapes.
        (0, vec![delay], vec![]),
        (11, vec![delay], vec![]),
        (9, vec![("feature:gone", "distribution")], vec![]),
        (9, vec![], vec![]),
    ] {
        assert_eq!(alts(day, &subjects), expected, "day {day}, {subjects:?}");
    }
}

#[test]
fn a_histogram_in_a_mail_has_few_bars_that_add_up() {
    let category = |at: usize| CategoryShare {
        category: (at < 50).then(|| at.to_string()),
        reference: 0.01,
        window: 0.02,
        contribution: if at.is_multiple_of(5) { 0.5 } else { 0.1 },
    };
    let all: Vec<CategoryShare> = (0..51).map(category).collect();
    let few = largest(&all);
    assert_eq!(few.len(), CATEGORIES + 1);
    let names: Vec<_> = few.iter().map(|one| one.category.as_deref()).collect();
    assert_eq!(names.first().copied().flatten(), Some("0"));
    assert_eq!(names.get(1).copied().flatten(), Some("5"));
    assert_eq!(names.last().copied().flatten(), None);
    let sums = |list: &[CategoryShare]| {
        let add = |sums: (f64, f64, f64), one: &CategoryShare| {
            (sums.0 + one.reference, sums.1 + one.window, sums.2 + one.contribution)
        };
        list.iter().fold((0.0, 0.0, 0.0), add)
    };
    let (before, after) = (sums(&all), sums(&few));
    for (before, after) in [(before.0, after.0), (before.1, after.1), (before.2, after.2)] {
        assert!((before - after).abs() < 1e-9, "{before} is not {after}");
    }
    assert_eq!(largest(&all[..5]).len(), 5);
}
