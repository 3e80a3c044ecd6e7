//! The distributions behind findings: which columns have one, and what private ones leave out.

use driftline_config::Feature;

use super::{Case, CaseRow};
use crate::report::Check;
use crate::shape::{CategoryPoint, Shape};

fn private() -> Feature {
    Feature { private: true, ..Feature::default() }
}

#[test]
fn features_and_the_predictions_of_each_version_have_shapes() {
    let mut case = Case::new();
    let (report, shapes) = case.judge_with_shapes(1000, |index| CaseRow {
        delay: CaseRow::usual(index).delay.map(|delay| delay + 20.0),
        version: Some(if index % 2 == 0 { "3" } else { "4" }),
        ..CaseRow::usual(index)
    });
    let subjects: Vec<&str> = shapes.keys().map(driftline_config::Subject::as_str).collect();
    let expected = ["feature:carrier", "feature:delay", "prediction:score@3", "prediction:score@4"];
    assert_eq!(subjects, expected);
    let ks =
        report.finding("feature:delay", Check::Distribution).and_then(|found| found.ks.clone());
    let Some(Shape::Numeric { points }) = shapes.get("feature:delay") else {
        panic!("delays are numbers")
    };
    let ks = ks.expect("delays are compared");
    let at = points.iter().find(|point| Some(point.x) == ks.at).expect("the KS point is kept");
    assert_eq!((at.reference, at.window), (0.2, 0.0));
}

#[test]
fn categories_are_the_judged_ones_and_the_rest() {
    let (_, shapes) = Case::new().judge_with_shapes(1000, CaseRow::usual);
    let point = |category: Option<&str>, share| CategoryPoint {
        category: category.map(str::to_owned),
        reference: share,
        window: share,
    };
    let categories = vec![
        point(Some("AA"), 0.5),
        point(Some("BB"), 0.3),
        point(Some("CC"), 0.19),
        point(None, 0.01),
    ];
    assert_eq!(shapes.get("feature:carrier"), Some(&Shape::Categorical { categories }));
}

#[test]
fn private_columns_show_neither_values_nor_names() {
    let case = Case::new().feature("delay", private());
    let (_, shapes) = case.feature("carrier", private()).judge_with_shapes(1000, CaseRow::usual);
    assert!(!shapes.contains_key("feature:delay"));
    let Some(Shape::Categorical { categories }) = shapes.get("feature:carrier") else {
        panic!("carriers are categories")
    };
    assert_eq!(categories.len(), 4);
    assert!(categories.iter().all(|point| point.category.is_none()));
}

#[test]
fn a_window_without_values_has_no_shape() {
    let (_, shapes) =
        Case::new().judge_with_shapes(10, |index| CaseRow { delay: None, ..CaseRow::usual(index) });
    assert!(!shapes.contains_key("feature:delay"));
}
