//! The files of SageMaker's documentation and those that a sketch of known rows gives, beside the rows themselves.

use std::fmt::Write;
use std::path::PathBuf;

use driftline_analytics::baseline::BaselineColumn;
use driftline_analytics::report::Violations;
use driftline_config::Limits;
use tempfile::TempDir;

use super::*;
use crate::Audience;
use crate::check::{Against, CheckOptions, check};

const ROWS: u64 = 20_000;
const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// Values of no order, of which a twentieth is 42.
fn value(row: u64) -> f64 {
    if row.is_multiple_of(20) { 42.0 } else { (row * 7919 % 10_007) as f64 / 100.0 }
}

/// The compactors of a KLL sketch: one that is full keeps every second of its values on the next level.
fn compactors(values: impl Iterator<Item = f64>, room: usize) -> Vec<Vec<f64>> {
    let mut levels: Vec<Vec<f64>> = vec![Vec::new()];
    for (number, value) in values.enumerate() {
        levels[0].push(value);
        let mut level = 0;
        while levels[level].len() >= room {
            let mut full = std::mem::take(&mut levels[level]);
            full.sort_by(f64::total_cmp);
            if levels.len() == level + 1 {
                levels.push(Vec::new());
            }
            let kept = full.into_iter().skip(number % 2).step_by(2);
            levels[level + 1].extend(kept);
            level += 1;
        }
    }
    levels
}

/// What the monitor would have written about a thousandth missing `x` and a `colour`.
fn statistics(with_sketch: bool) -> String {
    let present = ROWS - ROWS / 1000;
    let values: Vec<f64> = (0..present).map(value).collect();
    let mean = values.iter().sum::<f64>() / present as f64;
    let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / present as f64).sqrt();
    let buckets: Vec<String> = (0..10)
        .map(|bucket| {
            let (from, to) = (f64::from(bucket) * 10.1, f64::from(bucket + 1) * 10.1);
            let inside = |x: &&f64| **x > from && **x <= to || (bucket == 0 && **x == 0.0);
            let count = values.iter().filter(inside).count();
            format!(r#"{{"lower_bound":{from},"upper_bound":{to},"count":{count}.0}}"#)
        })
        .collect();
    let sketch = match with_sketch {
        true => {
            let data = compactors(values.iter().copied(), 512);
            format!(r#","sketch":{{"parameters":{{"c":0.64,"k":512.0}},"data":{data:?}}}"#)
        }
        false => String::new(),
    };
    let colours: Vec<String> = (0..3)
        .map(|place| {
            let count = (0..ROWS).filter(|row| row % 3 == place).count();
            format!(r#"{{"value":"{}","count":{count}}}"#, COLOURS[place as usize])
        })
        .collect();
    format!(
        r#"{{"version":0.0,"dataset":{{"item_count":{ROWS}}},"features":[
{{"name":"x","inferred_type":"Fractional","numerical_statistics":{{"common":{{"num_present":{present},"num_missing":{}}},
"mean":{mean},"sum":{},"std_dev":{sd},"min":0.0,"max":100.06,"distribution":{{"kll":{{"buckets":[{}]{sketch}}}}}}}}},
{{"name":"colour","inferred_type":"String","string_statistics":{{"common":{{"num_present":{ROWS},"num_missing":0}},
"distinct_count":3.0,"distribution":{{"categorical":{{"buckets":[{}]}}}}}}}},
{{"name":"nothing","inferred_type":"Unknown"}}]}}"#,
        ROWS - present,
        mean * present as f64,
        buckets.join(","),
        colours.join(",")
    )
}

const CONSTRAINTS: &str = r#"{"version":0.0,"features":[
{"name":"x","inferred_type":"Fractional","completeness":0.999,"num_constraints":{"is_non_negative":true}},
{"name":"colour","inferred_type":"String","completeness":1.0,"string_constraints":{"domains":["red","green","blue","black"]}}],
"monitoring_config":{"evaluate_constraints":"Enabled","emit_metrics":"Enabled","datatype_check_threshold":1.0,
"domain_content_threshold":1.0,"distribution_constraints":{"perform_comparison":"Enabled","comparison_threshold":0.1,"comparison_method":"Robust"}}}"#;

fn imported(folder: &TempDir, statistics: &str) -> Result<Imported, BatchError> {
    let path = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (statistics, constraints) =
        (path("statistics.json", statistics), path("constraints.json", CONSTRAINTS));
    import(&SageMakerOptions {
        statistics: &statistics,
        constraints: Some(&constraints),
        renames: BTreeMap::new(),
        ignore: &[],
        held_out_predictions: false,
    })
}

/// Ranks of a sketch are those of the rows, but for what it says of itself.
#[test]
fn a_sketch_becomes_a_baseline_as_near_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let Imported { baseline, notes } = imported(&folder, &statistics(true)).unwrap();
    assert_eq!(baseline.rows, ROWS);
    let BaselineColumn::Numeric(x) = &baseline.columns[0] else { panic!("x is a number") };
    assert_eq!((x.n, x.missing, x.exact), (ROWS - ROWS / 1000, ROWS / 1000, false));
    let counts = x.counts.to_vec();
    let (mut below, mut farthest) = (counts[0], 0_f64);
    for (place, cut) in x.cut_points.iter().enumerate() {
        below += counts[2 * place + 1];
        let exact = (0..x.n).filter(|row| value(*row) <= *cut).count() as f64;
        farthest = farthest.max((below as f64 - exact).abs() / x.n as f64);
        below += counts[2 * place + 2];
    }
    // 2.296 / 512^0.9021
    assert!(farthest > 0.0 && farthest < 0.0083, "{farthest}");
    let BaselineColumn::Categorical(colour) = &baseline.columns[1] else { panic!("a category") };
    assert_eq!(colour.categories.last(), Some(&("black".to_owned(), 0)), "allowed, and never seen");
    let told = notes.join("\n");
    for part in
        ["0.83 %", "nothing: left out", "tolerance: {ks: 0.1}", "is_non_negative is not checked: x"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// A file without sketches is known by its buckets, and one that names too few of its texts does not judge them.
#[test]
fn what_a_file_does_not_say_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let few = statistics(false).replace("\"distinct_count\":3.0", "\"distinct_count\":4711.2");
    let Imported { baseline, notes } = imported(&folder, &few).unwrap();
    let BaselineColumn::Numeric(x) = &baseline.columns[0] else { panic!("x is a number") };
    assert_eq!(x.cut_points.len(), 11);
    let BaselineColumn::Categorical(colour) = &baseline.columns[1] else { panic!("a category") };
    assert!(colour.too_many_values);
    let told = notes.join("\n");
    assert!(told.contains("x: known by 10 buckets alone"), "{told}");
    assert!(told.contains("colour: 3 values of about 4711 have a name"), "{told}");
    let broken = imported(&folder, "{\"features\": []}").unwrap_err().to_string();
    assert!(broken.contains("not as SageMaker Model Monitor writes it"), "{broken}");
}

/// What moved is found against the import, under the names of the monitor's own checks.
#[test]
fn violations_are_written_in_the_words_of_the_monitor() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline.json");
    let imported = imported(&folder, &statistics(true)).unwrap();
    std::fs::write(&baseline, imported.baseline.to_json()).unwrap();
    let rows = |name: &str, shift: f64, colours: [&str; 3], missing: u64| {
        let mut text = String::from("x,colour\n");
        for row in 0..4000 {
            let x = value(row * 5 + 3) + shift;
            let x = if row < missing { String::new() } else { x.to_string() };
            writeln!(text, "{x},{}", colours[row as usize % 3]).unwrap();
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let violations = |current: String| -> Vec<(String, String)> {
        let options = CheckOptions {
            against: Against::Baseline(baseline.clone()),
            current,
            model: None,
            limits: Limits::default(),
            tolerance: None,
            ignore: Vec::new(),
            time: None,
            rename: Vec::new(),
        };
        let mut audience = Audience { note: &mut |_| (), progress: &|_| () };
        let report = check(&options, &mut audience).unwrap().report;
        let written: Violations = serde_json::from_str(&Violations::of(&report).to_json()).unwrap();
        let each = written.violations.into_iter();
        each.map(|it| (it.feature_name, it.constraint_check_type)).collect()
    };
    assert_eq!(violations(rows("same.csv", 0.0, COLOURS, 4)), []);
    let found = violations(rows("moved.csv", 30.0, ["red", "green", "violet"], 800));
    for (name, check) in [
        ("x", "baseline_drift_check"),
        ("x", "completeness_check"),
        ("colour", "categorical_values_check"),
    ] {
        assert!(found.contains(&(name.to_owned(), check.to_owned())), "{name} {check}: {found:?}");
    }
}
