//! Baselines built from files, what they will be able to say, and what is compared with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use driftline_analytics::report::Report;
use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US};
use driftline_config::{Config, Level, Subject, TimeZone};
use driftline_files::{Mapping, write_file, write_parquet};
use driftline_pipeline::setup::other_days;
use driftline_world::{T0, TABLE_CONFIG, TABLE_ROWS, TableRow, table_row};

use super::*;
use crate::FileRows;
use crate::check::{Against, CheckOptions, check};
use crate::prospect::SIZES;

struct Case {
    folder: tempfile::TempDir,
    config: Config,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("driftline.yaml"), TABLE_CONFIG).unwrap();
        let rows = || (0..TABLE_ROWS).map(table_row);
        let ids = (0..TABLE_ROWS).map(|row| row.to_string());
        let times_us = TimestampMicrosecondArray::from_iter_values(rows().map(|row| row.time_us));
        let batch = RecordBatch::try_from_iter([
            ("when", Arc::new(times_us) as _),
            ("id", Arc::new(StringArray::from_iter_values(ids)) as _),
            ("x", Arc::new(Float64Array::from_iter_values(rows().map(|row| row.x))) as _),
            ("hour", Arc::new(Int64Array::from_iter_values(rows().map(|row| row.hour))) as _),
            ("colour", Arc::new(StringArray::from_iter_values(rows().map(|row| row.colour))) as _),
            ("p", Arc::new(Float64Array::from_iter_values(rows().map(|row| row.p))) as _),
        ])
        .unwrap();
        write_parquet(&folder.path().join("rows.parquet"), &batch.schema(), [batch]).unwrap();
        let config = Config::load(&folder.path().join("driftline.yaml"), &|_| None).unwrap();
        Case { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mapping() -> Mapping {
        let renames = Mapping::parse_renames(&["p=prediction:score".to_owned()]).unwrap();
        Mapping { time: Some("when".to_owned()), renames, envelope: true }
    }

    fn options(&self) -> BaselineOptions<'_> {
        BaselineOptions {
            model: &self.config.models[0],
            limits: &self.config.limits,
            cut_points: CutPoints::default(),
            held_out_predictions: true,
            categorical: Vec::new(),
            numeric: Vec::new(),
            ignore: Vec::new(),
            except: Vec::new(),
        }
    }

    fn built(
        &self,
        data: &Path,
        mapping: Mapping,
        options: &BaselineOptions<'_>,
    ) -> Result<NewBaseline, BatchError> {
        let mut audience = Audience { note: &mut |_| (), progress: &|_| () };
        let table = FileRows::open_table(data.to_str().unwrap(), "", &mut audience)?;
        let rows = FileRows { table, mapping, limits: self.config.limits.clone() };
        build(&rows, options, &mut audience)
    }

    fn check(&self, current: &str) -> Report {
        self.compared(current, None).0
    }

    /// The report on a file, with what was noted.
    fn compared(&self, current: &str, time: Option<&str>) -> (Report, Vec<String>) {
        let options = CheckOptions {
            against: Against::Baseline(self.path("baseline.json")),
            current: self.path(current).to_str().unwrap().to_owned(),
            model: Some(self.config.models[0].clone()),
            limits: self.config.limits.clone(),
            tolerance: None,
            ignore: Vec::new(),
            time: time.map(str::to_owned),
            rename: Vec::new(),
        };
        let mut notes = Vec::new();
        let mut note = |text: &str| notes.push(text.to_owned());
        let mut audience = Audience { note: &mut note, progress: &|_| () };
        let report = check(&options, &mut audience).unwrap().report;
        (report, notes)
    }
}

#[test]
fn a_file_becomes_a_baseline() {
    let case = Case::new();
    let new = case.built(&case.path("rows.parquet"), Case::mapping(), &case.options()).unwrap();
    let baseline = new.built.baseline;
    assert_eq!(baseline.rows, TABLE_ROWS as u64);
    let subjects: Vec<&str> =
        baseline.columns.iter().map(|column| column.subject().as_str()).collect();
    assert_eq!(subjects, ["feature:x", "feature:hour", "feature:colour", "prediction:score"]);
    assert!(baseline.columns_seen.contains(&Subject::feature("when")));
    assert!(baseline.provenance.held_out_predictions);
    assert_eq!(baseline.provenance.first_us, Some(T0));
    let windows = baseline.windows.unwrap();
    assert_eq!((windows.every_us, windows.windows.len()), (DAY_US, 10));
    assert!(baseline.columns.iter().all(|column| column.own_windows().is_some()));
}

#[test]
fn what_it_will_be_able_to_say_is_found_in_its_own_rows() {
    let case = Case::new();
    let (model, limits) = (&case.config.models[0], &case.config.limits);
    let data = case.path("rows.parquet");
    let new = case.built(&data, Case::mapping(), &case.options()).unwrap();
    let prospects = new.prospects(model, limits).unwrap();
    let rows: Vec<u64> = prospects.by_size.iter().map(|report| report.window.rows).collect();
    assert_eq!(rows, SIZES);
    assert_eq!((prospects.own_windows, prospects.alarmed.len()), (10, 0));
    let untimed = Mapping { time: None, ..Case::mapping() };
    let new = case.built(&data, untimed, &case.options()).unwrap();
    assert_eq!(new.prospects(model, limits).unwrap().own_windows, 0);
}

/// Own windows are the days of the model's zone, also for `check`; a file by the days of another is said so.
#[test]
fn days_of_a_zone_are_kept_and_told_from_others() {
    let mut case = Case::new();
    let data = case.path("rows.parquet");
    let of_utc = case.built(&data, Case::mapping(), &case.options()).unwrap().built.baseline;
    case.config.models[0].window.timezone = TimeZone::named("Europe/Paris");
    let of_paris = case.built(&data, Case::mapping(), &case.options()).unwrap().built.baseline;
    let windows = of_paris.windows.as_ref().unwrap();
    assert_eq!(windows.grid(), case.config.models[0].window.grid());
    let starts = windows.windows.iter().map(|(start_us, _)| start_us.rem_euclid(DAY_US));
    assert!(starts.clone().count() >= 10 && starts.into_iter().all(|at_us| at_us == 23 * HOUR_US));

    let model = &case.config.models[0];
    let said = other_days(model, "default", &of_utc).unwrap();
    let days = "the own windows of baseline default are of 1d in UTC, those of the model of 1d in Europe/Paris";
    assert!(said.starts_with(&format!("model m: {days}: ")), "{said}");
    assert_eq!(other_days(model, "default", &of_paris), None);

    write_file(&case.path("baseline.json"), &of_paris.to_json()).unwrap();
    let at = |row: i64| T0 + 20 * DAY_US + row * MINUTE_US;
    let lines: String = (0..300).map(|row| format!("{},{}\n", at(row), row % 7)).collect();
    std::fs::write(case.path("day.csv"), format!("time_us,feature:x\n{lines}")).unwrap();
    let window = case.check("day.csv").window;
    assert_eq!(window.timezone, model.window.timezone);
    let days = [window.start, window.end];
    assert_eq!(days, ["2026-01-24T23:00:00Z", "2026-01-25T23:00:00Z"]);
}

#[test]
fn captures_in_lines_and_in_columns_give_the_same_findings() {
    let case = Case::new();
    let new = case.built(&case.path("rows.parquet"), Case::mapping(), &case.options()).unwrap();
    write_file(&case.path("baseline.json"), &new.built.baseline.to_json()).unwrap();
    // One day of rows with drift, missing values, values of the wrong type and a new category.
    let rows = || 0..600_usize;
    let value = |row: usize| table_row(row).x + 20.0;
    let shade = |row: usize| if row.is_multiple_of(5) { "violet" } else { table_row(row).colour };
    let at = |row: usize| T0 + 20 * DAY_US + row as i64 * 1_000_000;
    let mut lines = String::new();
    let mut csv = "time_us,version,latency_us,status,feature:x,feature:hour,feature:colour,prediction:score\n".to_owned();
    for row in rows() {
        let number = match row % 40 {
            0 => "null".to_owned(),
            1 => "\"unknown\"".to_owned(),
            _ => value(row).to_string(),
        };
        let TableRow { hour, p: score, .. } = table_row(row);
        lines.push_str(&format!(
            "{{\"v\":1,\"model\":\"m\",\"ts\":{},\"version\":\"3\",\"latency_us\":900,\"status\":200,\"features\":{{\"x\":{number},\"hour\":{hour},\"colour\":\"{}\"}},\"prediction\":{{\"score\":{score}}}}}\n",
            at(row) / 1000,
            shade(row)
        ));
        let number = number.trim_matches('"').replace("null", "");
        csv.push_str(&format!("{},3,900,200,{number},{hour},{},{score}\n", at(row), shade(row)));
    }
    std::fs::write(case.path("captures.jsonl"), lines).unwrap();
    std::fs::write(case.path("captures.csv"), csv).unwrap();
    let stream = case.check("captures.jsonl");
    let file = case.check("captures.csv");
    assert_eq!(stream.level, Level::Alarm);
    assert_eq!(stream.window.start, "2026-01-25T00:00:00Z");
    assert_eq!(stream.to_json(), file.to_json());
}

#[test]
fn what_cannot_be_built_is_said_in_one_sentence() {
    let case = Case::new();
    let rows = case.path("rows.parquet");
    let (mapping, options) = (Case::mapping(), case.options());
    let time = |column: &str| Mapping { time: Some(column.to_owned()), ..mapping.clone() };
    let training = BaselineOptions { held_out_predictions: false, ..options.clone() };
    let renames = Mapping::parse_renames(&["q=feature:q".to_owned()]).unwrap();
    let unknown = Mapping { renames, ..mapping.clone() };
    let table = [
        (&rows, mapping.clone(), &training, "prediction:score would become a baseline from"),
        (&rows, time("then"), &options, "no column then (--time)"),
        (&rows, time("colour"), &options, "holds \"red\": neither ISO 8601"),
        (&rows, unknown, &options, "no column q (--rename)"),
        (&PathBuf::from("gone.csv"), mapping.clone(), &options, "gone.csv: no such file"),
    ];
    for (data, mapping, options, expected) in table {
        let error = case.built(data, mapping, options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn stretches_that_are_known_to_be_unlike_the_rest_are_left_out() {
    let case = Case::new();
    let day = |day: i64| T0 + day * DAY_US;
    let mut options = case.options();
    options.except.push(day(3)..day(5));
    let built = case.built(&case.path("rows.parquet"), Case::mapping(), &options).unwrap().built;
    let baseline = &built.baseline;
    let starts: Vec<i64> = baseline
        .windows
        .iter()
        .flat_map(|windows| &windows.windows)
        .map(|(start, _)| *start)
        .collect();
    let expected: Vec<i64> = [0, 1, 2, 5, 6, 7, 8, 9].map(day).to_vec();
    assert_eq!(starts, expected);
    assert_eq!(baseline.rows, 3200);
    // Days 2 and 5 are no neighbours.
    assert_eq!(baseline.own_effects.as_ref().map(|own| own.breaks.clone()), Some(vec![3]));
    let source = &baseline.provenance.source;
    assert!(source.ends_with(" without 2026-01-08T00:00:00Z to 2026-01-10T00:00:00Z"), "{source}");
}

#[test]
fn stretches_are_read_as_days() {
    let day = |day: i64| T0 + day * DAY_US;
    let table = [
        ("2026-01-05", Ok(day(0)..day(1))),
        ("2026-01-05..07", Ok(day(0)..day(3))),
        ("2026-01-05..2026-01-05", Ok(day(0)..day(1))),
        ("2026-01-05..01-07", Err("is not a stretch of days")),
        ("2026-01-05..04", Err("ends before it begins")),
        ("monday", Err("is not a stretch of days")),
    ];
    for (text, expected) in table {
        match (parse_except(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(says), Err(part)) => assert!(says.contains(part), "{text}: {says}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

/// A month was compared by the tolerances of a day, and a file without times as well: nobody was told.
#[test]
fn a_file_that_is_no_window_of_the_baseline_is_told_of() {
    let case = Case::new();
    let new = case.built(&case.path("rows.parquet"), Case::mapping(), &case.options()).unwrap();
    std::fs::write(case.path("baseline.json"), new.built.baseline.to_json()).unwrap();
    let decides = |(report, notes): (Report, Vec<String>)| {
        let of_x =
            report.finding("feature:x", driftline_analytics::report::Check::Distribution).unwrap();
        let from = of_x.ks.as_ref().unwrap().tolerance_from.clone();
        (from, notes.into_iter().filter(|note| note.contains("one window")).collect::<Vec<_>>())
    };
    let (from, notes) = decides(case.compared("rows.parquet", None));
    assert_eq!(from, "floor: no own windows tell how far it moves by itself");
    assert!(
        notes.iter().any(|note| note.contains("--time COLUMN compares them as one window of 1d"))
    );
    let (from, notes) = decides(case.compared("rows.parquet", Some("when")));
    assert_eq!(from, "own windows (10)");
    let said = "its rows are of 2026-01-05T00:00:00Z to 2026-01-14T";
    assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");
}
