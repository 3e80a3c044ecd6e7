//! The exported rows are exactly the counted ones.

use std::collections::BTreeSet;

use super::*;
use crate::commands::rig::{ROWS_A_DAY, Rig, arguments, filled, parquet_rows};

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
