//! Event times, kinds and queries.

use std::sync::Arc;

use arrow::array::{
    AsArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::Float64Type;
use driftline_capture::{CaptureSchema, Kind};
use driftline_config::{Limits, Subject};

use super::{Folder, captures, model, open, sample, schema};
use crate::{Choices, Mapping};

fn times(file: &str, column: &str) -> Result<Vec<i64>, String> {
    let mapping = Mapping { time: Some(column.to_owned()), ..model() };
    let table = open(file);
    let mut times = Vec::new();
    for batch in table
        .captures(&CaptureSchema::default(), &mapping, &Limits::default())
        .map_err(|error| error.to_string())?
    {
        let batch = batch.map_err(|error| error.to_string())?;
        times.extend(batch.times_us());
    }
    Ok(times)
}

#[test]
fn event_times_are_read_in_every_form() {
    let folder = Folder::new();
    let millisecond = 1_357_017_300_000;
    let parquet = folder.parquet(
        "t.parquet",
        vec![
            (
                "stamp",
                Arc::new(TimestampMillisecondArray::from(vec![millisecond]).with_timezone("UTC")),
            ),
            ("number", Arc::new(Int64Array::from(vec![millisecond]))),
            ("float", Arc::new(Float64Array::from(vec![millisecond as f64]))),
            ("text", Arc::new(StringArray::from(vec!["2013-01-01 05:15:00"]))),
            ("seconds", Arc::new(Int64Array::from(vec![millisecond / 1000]))),
            ("absent", Arc::new(Int64Array::from(vec![None]))),
            ("flag", Arc::new(BooleanArray::from(vec![true]))),
        ],
    );
    let csv = folder.text("t.csv", "text,number\n2013-01-01T06:15:00+01:00,1357017300000\n");
    let lines =
        folder.text("t.jsonl", "{\"text\":\"2013-01-01T05:15:00Z\",\"number\":1357017300000}\n");
    let good = [
        (&parquet, "stamp"),
        (&parquet, "number"),
        (&parquet, "float"),
        (&parquet, "text"),
        (&csv, "text"),
        (&csv, "number"),
        (&lines, "text"),
        (&lines, "number"),
    ];
    for (file, column) in good {
        assert_eq!(times(file, column), Ok(vec![millisecond * 1000]), "{file} {column}");
    }
    let bad = [
        (
            "seconds",
            "row 1: column seconds holds \"1357017300\": before 2000: are these seconds, where milliseconds are expected?; every row needs an event time",
        ),
        ("absent", "row 1: column absent holds \"\": no value; every row needs an event time"),
        (
            "flag",
            "row 1: column flag holds \"true\": not of a type that holds instants; every row needs an event time",
        ),
        ("when", "no column when (--time)"),
    ];
    for (column, expected) in bad {
        let error = times(&parquet, column).unwrap_err();
        assert!(error.contains(expected), "{column}: {error}");
    }
}

#[test]
fn kinds_follow_from_the_values() {
    let folder = Folder::new();
    let mut csv = "number,flag,colour,id,day,nothing,mixed,mostly,zip\n".to_owned();
    for row in 0..40 {
        let flag = ["true", "False"][row % 2];
        let colour = ["red", "green", "blue"][row % 3];
        let mixed = ["1", "a"][row % 2];
        let mostly = if row == 7 { "broken".to_owned() } else { row.to_string() };
        let (day, zip) = (row % 28 + 1, row % 4);
        csv.push_str(&format!(
            "{row}.5,{flag},{colour},u{row},2013-01-{day:02},,{mixed},{mostly},0{zip}\n"
        ));
    }
    let file = folder.text("k.csv", &csv);
    let table = open(&file);
    let profile = table.profile(&|_| ()).unwrap();
    let targets = table.targets(&Mapping::default(), None).unwrap();
    let inferred = profile.infer("k.csv", &targets, &Choices::default()).unwrap();
    let kinds: Vec<(&str, Kind)> =
        inferred.schema.columns.iter().map(|column| (column.name(), column.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("number", Kind::Numeric),
            ("flag", Kind::Categorical),
            ("colour", Kind::Categorical),
            ("mixed", Kind::Categorical),
            ("mostly", Kind::Numeric),
            ("zip", Kind::Categorical),
        ]
    );
    assert_eq!(
        inferred.notes,
        [
            "k.csv: column id skipped: an identifier: 40 distinct texts in 40 values; --categorical id takes it in",
            "k.csv: column day skipped: dates",
            "k.csv: column nothing skipped: no values",
            "k.csv: column mostly: numeric; 1 of 40 values are no numbers",
        ]
    );
    assert_eq!(inferred.schema.ignored, ["feature:day", "feature:id", "feature:nothing"]);
    let choices = Choices {
        categorical: vec!["zip".to_owned(), "id".to_owned()],
        ignore: vec!["number".to_owned(), "gone".to_owned()],
        numeric: Vec::new(),
        coerced: vec![Subject::feature("mixed")],
    };
    let inferred = profile.infer("k.csv", &targets, &choices).unwrap();
    let kinds: Vec<(&str, Kind, bool)> = inferred
        .schema
        .columns
        .iter()
        .map(|column| (column.name(), column.kind, column.coerce))
        .collect();
    assert_eq!(
        kinds,
        [
            ("flag", Kind::Categorical, false),
            ("colour", Kind::Categorical, false),
            ("id", Kind::Categorical, false),
            ("mixed", Kind::Numeric, true),
            ("mostly", Kind::Numeric, false),
            ("zip", Kind::Categorical, false),
        ]
    );
    let choices = Choices { categorical: vec!["zap".to_owned()], ..Choices::default() };
    let error = profile.infer("k.csv", &targets, &choices).unwrap_err().to_string();
    assert!(
        error.starts_with("k.csv: no column zap (--categorical); it has number, flag"),
        "{error}"
    );
}

#[test]
fn texts_that_two_rows_hardly_ever_share_are_an_identifier() {
    let folder = Folder::new();
    for (distinct, expected) in [(500, true), (2000, false)] {
        let texts: Vec<String> = (0..3003).map(|row| format!("t{}", row % distinct)).collect();
        let file = folder.parquet(
            "i.parquet",
            vec![
                ("t", Arc::new(StringArray::from(texts))),
                ("x", Arc::new(Int64Array::from_iter_values(0..3003))),
            ],
        );
        let table = open(&file);
        assert_eq!(table.rows(), Some(3003));
        let targets = table.targets(&Mapping::default(), None).unwrap();
        let profile = table.profile(&|_| ()).unwrap();
        let inferred = profile.infer("i", &targets, &Choices::default()).unwrap();
        let taken = inferred.schema.columns.iter().any(|column| column.subject == "feature:t");
        assert_eq!(taken, expected, "{distinct}");
    }
}

#[test]
fn queries_read_every_format() {
    let folder = Folder::new();
    let schema = schema(&[("feature:n", Kind::Numeric)]);
    for file in sample(&folder).iter().take(3) {
        let query = format!("SELECT n FROM '{file}' WHERE n >= 0 ORDER BY n");
        let rows = captures(&query, &schema, &Mapping::default());
        let n = rows.column_by_name("feature:n").unwrap().as_primitive::<Float64Type>().clone();
        assert_eq!(n.values(), &[0.0, 7.0], "{file}");
    }
}
