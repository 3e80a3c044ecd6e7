//! The exported rows are exactly the counted ones.

use std::collections::BTreeSet;

use super::*;
use crate::commands::rig::{ROWS_A_DAY, Rig, arguments, day_us, filled, parquet_rows};

fn exported(rig: &Rig, which: &str, id: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let out = rig.path("out.parquet");
    let _ = std::fs::remove_file(&out);
    let (config, path) = (rig.config.to_str().unwrap(), out.to_str().unwrap());
    let args: ExportArgs = arguments(&["--config", config, which, id, "--out", path]);
    export(&rig.config(), &args)?;
    Ok(parquet_rows(&out, &["id", "partition", "offset", "ts", "x", "carrier", "prediction:score"]))
}

fn ids(rows: &[Vec<String>]) -> BTreeSet<String> {
    rows.iter().map(|row| row[0].clone()).collect()
}

fn day(day: i64) -> impl Iterator<Item = String> {
    (0..ROWS_A_DAY).map(move |row| format!("{day}-{row}"))
}

#[test]
fn a_window_and_a_request_are_exported_row_for_row() {
    let rig = filled(50);
    let served = rig.serve();
    let of_model = served.reports.iter().filter(|(report, _)| report.model == "m");
    for (number, (report, _)) in (0i64..).zip(of_model) {
        let rows = exported(&rig, "--window", &report.window.id).unwrap();
        assert_eq!(rows.len() as u64, report.window.rows);
        let mut expected: BTreeSet<String> = day(number).collect();
        if number == 2 {
            expected.extend((0..3).map(|partition| format!("early-{partition}")));
        }
        assert_eq!(ids(&rows), expected, "{}", report.window.id);
        let places: Vec<(i32, i64)> =
            rows.iter().map(|row| (row[1].parse().unwrap(), row[2].parse().unwrap())).collect();
        assert!(places.is_sorted(), "by partition and offset");
    }
    let request = served.requests.iter().find(|request| request.data.model == "m").unwrap();
    let rows = exported(&rig, "--retrain", &request.data.retrain_id).unwrap();
    assert_eq!(rows.len() as u64, request.data.train_on.rows);
    assert!(ids(&rows).is_superset(&day(2).collect()), "day 2 is where x moved");
    let first = rows.iter().find(|row| row[0] == "2-0").unwrap();
    assert_eq!(first[3..], ["2026-11-04T00:00:00Z", "1.0", "UA", "0.0"]);
}

#[test]
fn the_late_rows_of_a_carried_window_are_not_exported() {
    let rig = filled(600);
    let served = rig.serve();
    let carried = served.reports.iter().find(|(report, _)| report.window.parts > 1).unwrap();
    let rows = exported(&rig, "--window", &carried.0.window.id).unwrap();
    assert_eq!(rows.len() as u64, carried.0.window.rows);
    assert!(!ids(&rows).iter().any(|id| id.starts_with("late")));
}

#[test]
fn nothing_is_written_where_nothing_is_known() {
    let rig = filled(50);
    assert!(exported(&rig, "--window", "m@20261102T000000Z.1d").is_err(), "no checkpoint");
    rig.serve();
    for (which, id) in [("--window", "m@20200101T000000Z.1d"), ("--retrain", "unknown")] {
        assert!(exported(&rig, which, id).is_err(), "{id}");
        assert!(!rig.path("out.parquet").exists());
    }
}

/// Only monitored columns were in the file, and what was of the wrong type was nowhere.
#[test]
fn every_column_of_the_rows_is_exported_whatever_its_type() {
    let rig = Rig::new(2);
    let values = [
        r#"{"x":0.5,"carrier":"UA","seats":180,"cabin":"first","mixed":1,"ts":7}"#,
        r#"{"x":"n/a","carrier":"AA","seats":"many","cabin":{"rows":2},"mixed":"two"}"#,
        r#"{"x":1.5,"carrier":null,"seats":90.5,"flag":true,"mixed":3}"#,
    ];
    for (row, features) in values.iter().enumerate() {
        let ts = driftline_config::time::format_instant(day_us(0) + row as i64);
        let prediction = r#"{"score":0.25,"label":"late"}"#;
        let line = format!(
            r#"{{"v":1,"model":"m","id":"{row}","ts":"{ts}","features":{features},"prediction":{prediction}}}"#
        );
        rig.send(0, &[line]);
    }
    rig.close(12);
    let served = rig.serve();
    let report = served.reports.iter().find(|(report, _)| report.model == "m").unwrap();
    let out = rig.path("out.parquet");
    let (config, path) = (rig.config.to_str().unwrap(), out.to_str().unwrap());
    let args = ["--config", config, "--window", &report.0.window.id, "--out", path];
    assert_eq!(export(&rig.config(), &arguments(&args)).unwrap(), 3);
    let rows = |columns: &[&str]| -> Vec<String> {
        parquet_rows(&out, columns).into_iter().map(|row| row.join("|")).collect()
    };
    let monitored = rows(&["x", "wrong_type:feature:x", "carrier", "prediction:score"]);
    assert_eq!(monitored, ["0.5||UA|0.25", "|n/a|AA|0.25", "1.5|||0.25"]);
    let others = rows(&["seats", "cabin", "wrong_type:feature:cabin", "flag", "prediction:label"]);
    assert_eq!(others, ["180|first|||late", "many||{\"rows\":2}||late", "90.5|||true|late"]);
    assert_eq!(rows(&["mixed", "feature:ts"]), ["1|7.0", "two|", "3|"]);
}
