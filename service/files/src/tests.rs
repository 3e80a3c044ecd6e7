//! One set of rows in every format, and what is no such set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, LargeStringArray, StringArray,
    StringViewArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use driftline_capture::{CaptureSchema, Column, Kind};
use driftline_config::{Limits, Subject};

use super::*;

mod by_map;
mod people;
mod reading;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let rows = batch.num_rows() as u64;
        let written = write_parquet(&self.path(name), &batch.schema(), [batch]).unwrap();
        assert_eq!(written, rows);
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn column(subject: &str, kind: Kind, coerce: bool) -> Column {
    Column { subject: Subject::from(subject), kind, coerce }
}

fn schema(columns: &[(&str, Kind)]) -> CaptureSchema {
    CaptureSchema {
        columns: columns.iter().map(|&(subject, kind)| column(subject, kind, false)).collect(),
        ignored: Vec::new(),
    }
}

fn open(argument: &str) -> Table {
    Table::open(argument, &|_| ()).unwrap()
}

fn captures(argument: &str, schema: &CaptureSchema, mapping: &Mapping) -> RecordBatch {
    let batches: Vec<RecordBatch> = open(argument)
        .captures(schema, mapping, &Limits::default())
        .unwrap()
        .map(|batch| batch.unwrap().record_batch().clone())
        .collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn model() -> Mapping {
    Mapping { envelope: true, ..Mapping::default() }
}

fn sample(folder: &Folder) -> Vec<String> {
    let parquet = folder.parquet(
        "a.parquet",
        vec![
            ("x", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.0), Some(1e-7)]))),
            ("n", Arc::new(Int32Array::from(vec![Some(7), Some(-1), None, Some(0)]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
            ("code", Arc::new(Int16Array::from(vec![3, 4, 3, 4]))),
            (
                "city",
                Arc::new(StringArray::from(vec![
                    Some("Köln, am Rhein"),
                    None,
                    Some("a \"b\""),
                    Some("x"),
                ])),
            ),
            ("version", Arc::new(StringArray::from(vec![Some("3"), Some("3"), None, Some("4")]))),
            ("latency_us", Arc::new(Int64Array::from(vec![Some(1234), None, Some(5), Some(6)]))),
            ("status", Arc::new(Int32Array::from(vec![Some(200), None, Some(404), Some(200)]))),
        ],
    );
    let csv = folder.text(
        "a.csv",
        "x,n,flag,code,city,version,latency_us,status\n\
         1.5,7,True,3,\"Köln, am Rhein\",3,1234,200\n\
         ,-1,False,4,,3,,\n\
         -0.0,,,3,\"a \"\"b\"\"\",,5,404\n\
         1e-07,0,True,4,x,4,6,200\n",
    );
    let lines = folder.text(
        "a.jsonl",
        "{\"x\":1.5,\"n\":7,\"flag\":true,\"code\":3,\"city\":\"K\\u00f6ln, am Rhein\",\"version\":\"3\",\"latency_us\":1234,\"status\":200}\n\
         {\"x\":null,\"n\":-1,\"flag\":false,\"code\":4,\"version\":3}\r\n\
         \n\
         {\"x\":-0.0,\"n\":null,\"code\":3,\"city\":\"a \\\"b\\\"\",\"latency_us\":5,\"status\":404}\n\
         {\"x\":1e-7,\"n\":0,\"flag\":true,\"code\":4,\"city\":\"x\",\"version\":\"4\",\"latency_us\":6,\"status\":200}",
    );
    let query = format!("SELECT * FROM '{parquet}'");
    vec![parquet, csv, lines, query]
}

#[test]
fn the_same_rows_are_the_same_captures_in_every_format() {
    let folder = Folder::new();
    let schema = schema(&[
        ("feature:x", Kind::Numeric),
        ("feature:n", Kind::Numeric),
        ("feature:flag", Kind::Categorical),
        ("feature:code", Kind::Categorical),
        ("feature:city", Kind::Categorical),
        ("feature:absent", Kind::Numeric),
    ]);
    let files = sample(&folder);
    let expected = captures(&files[0], &schema, &model());
    assert_eq!(expected.num_rows(), 4);
    assert_eq!(expected.num_columns(), 8 + 6);
    let text = |name: &str| {
        let column = expected.column_by_name(name).unwrap().as_string::<i32>().clone();
        column.iter().map(|text| text.unwrap_or("-").to_owned()).collect::<Vec<_>>().join("|")
    };
    assert_eq!(text("feature:flag"), "true|false|-|true");
    assert_eq!(text("feature:code"), "3|4|3|4");
    assert_eq!(text("version"), "3|3|-|4");
    assert_eq!(expected.column(0).as_primitive::<Int64Type>().values(), &[0, 1, 2, 3]);
    for file in &files[1..] {
        let found = captures(file, &schema, &model());
        if file.ends_with("jsonl") {
            // The stream does not read the values of a request that failed.
            let row = |batch: &RecordBatch, at: usize| batch.slice(at, 1);
            for at in [0, 1, 3] {
                assert_eq!(row(&found, at), row(&expected, at), "{file}");
            }
        } else {
            assert_eq!(found, expected, "{file}");
        }
    }
}

#[test]
fn captures_as_lines_are_what_the_stream_would_have_counted() {
    let folder = Folder::new();
    let file = folder.text(
        "captures.jsonl",
        "{\"v\":1,\"model\":\"m\",\"ts\":\"2026-01-02T03:04:05Z\",\"id\":\"a\",\"features\":{\"x\":1,\"y\":\"u\"},\"prediction\":{\"score\":0.5}}\n\
         {\"v\":1,\"model\":\"other\",\"ts\":\"2026-01-02T03:04:05Z\",\"features\":{}}\n\
         {\"v\":1,\"model\":\"m\",\"features\":{\"x\":1}}\n\
         {\"v\":1,\"model\":\"m\",\"ts\":\"2026-01-02T03:04:06Z\",\"heartbeat\":true}\n\
         {\"v\":1,\"model\":\"m\",\"ts\":1767323047000,\"features\":{\"x\":NaN,\"new\":1}}\n",
    );
    let table = open(&file);
    assert_eq!(table.columns(), ["feature:x", "feature:y", "prediction:score", "feature:new"]);
    let passed_over = table.passed_over();
    assert_eq!((passed_over.rejected, passed_over.skipped, passed_over.control), (1, 1, 1));
    assert!(passed_over.first_rejection.unwrap().ends_with(":3: missing_ts: ts is missing"));
    assert!(table.has_time(&model()).unwrap());
    let schema = schema(&[
        ("feature:x", Kind::Numeric),
        ("feature:y", Kind::Categorical),
        ("prediction:score", Kind::Numeric),
    ]);
    let rows = captures(&file, &schema, &model());
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[0, 4]);
    assert_eq!(
        rows.column(1).as_primitive::<Int64Type>().values(),
        &[1_767_323_045_000_000, 1_767_323_047_000_000]
    );
    let x = rows.column_by_name("feature:x").unwrap().as_primitive::<Float64Type>().clone();
    assert!(x.is_valid(1) && x.value(1).is_nan());
    assert!(rows.column_by_name("unknown_columns").is_some());
}

#[test]
fn exported_captures_are_read_back() {
    let folder = Folder::new();
    let schema = schema(&[("feature:x", Kind::Numeric), ("prediction:label", Kind::Categorical)]);
    let lines = folder.text(
        "c.jsonl",
        "{\"ts\":1767323045000,\"id\":\"a\",\"version\":\"3\",\"latency_us\":9,\"status\":200,\"features\":{\"x\":1},\"prediction\":{\"label\":\"late\"}}\n",
    );
    let rows = captures(&lines, &schema, &Mapping::default());
    let path = folder.path("c.parquet");
    write_parquet(&path, &rows.schema(), [rows.clone()]).unwrap();
    assert_eq!(captures(path.to_str().unwrap(), &schema, &Mapping::default()), rows);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of kinds")]
fn values_that_do_not_fit_are_kept_as_text() {
    let folder = Folder::new();
    let long = "ä".repeat(70);
    let table: Vec<(&str, ArrayRef, Kind, bool, &str, &str)> = vec![
        (
            "strings",
            Arc::new(StringArray::from(vec!["12", &long])),
            Kind::Numeric,
            false,
            "-|-",
            "12|64",
        ),
        (
            "coerced",
            Arc::new(StringArray::from(vec![" 12 ", "x"])),
            Kind::Numeric,
            true,
            "12|-",
            "-|x",
        ),
        (
            "booleans",
            Arc::new(BooleanArray::from(vec![true, false])),
            Kind::Numeric,
            false,
            "-|-",
            "true|false",
        ),
        (
            "dates",
            Arc::new(Date32Array::from(vec![0, 1])),
            Kind::Numeric,
            false,
            "-|-",
            "1970-01-01|1970-01-02",
        ),
        (
            "decimals",
            Arc::new(Decimal128Array::from(vec![110, 5]).with_precision_and_scale(10, 2).unwrap()),
            Kind::Numeric,
            false,
            "1.1|0.05",
            "-|-",
        ),
        (
            "unsigned",
            Arc::new(UInt64Array::from(vec![u64::MAX, 1])),
            Kind::Numeric,
            false,
            "18446744073709552000|1",
            "-|-",
        ),
        (
            "unsigned",
            Arc::new(UInt64Array::from(vec![u64::MAX, 1])),
            Kind::Categorical,
            false,
            "18446744073709551615|1",
            "-|-",
        ),
        // A column of one number and NaN came back without NaN: the reader took the statistics of
        // the file, which leave NaN out, for the whole truth.
        (
            "floats",
            Arc::new(Float32Array::from(vec![0.5, f32::NAN])),
            Kind::Categorical,
            false,
            "0.5|-",
            "-|-",
        ),
        (
            "views",
            Arc::new(StringViewArray::from(vec![Some("a"), None])),
            Kind::Categorical,
            false,
            "a|-",
            "-|-",
        ),
        (
            "large",
            Arc::new(LargeStringArray::from(vec!["a", ""])),
            Kind::Categorical,
            false,
            "a|",
            "-|-",
        ),
        (
            "instants",
            Arc::new(TimestampMillisecondArray::from(vec![0, 1500])),
            Kind::Categorical,
            false,
            "1970-01-01T00:00:00Z|1970-01-01T00:00:01.5Z",
            "-|-",
        ),
        (
            "dictionary",
            Arc::new(["u", "v"].into_iter().collect::<DictionaryArray<Int32Type>>()),
            Kind::Categorical,
            false,
            "u|v",
            "-|-",
        ),
    ];
    for (name, array, kind, coerce, values, wrong) in table {
        let file = folder.parquet("v.parquet", vec![(name, array)]);
        let subject = format!("feature:{name}");
        let schema =
            CaptureSchema { columns: vec![column(&subject, kind, coerce)], ignored: vec![] };
        let rows = captures(&file, &schema, &Mapping::default());
        let show = |array: Option<&ArrayRef>| {
            let texts = array.map(|array| values::texts(array).unwrap());
            (0..2)
                .map(|row| match &texts {
                    Some(texts)
                        if texts.is_valid(row) && texts.value(row).chars().count() == 64 =>
                    {
                        "64".to_owned()
                    }
                    Some(texts) if texts.is_valid(row) => texts.value(row).to_owned(),
                    _ => "-".to_owned(),
                })
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(show(rows.column_by_name(&subject)), values, "{name}");
        assert_eq!(show(rows.column_by_name(&format!("wrong_type:{subject}"))), wrong, "{name}");
    }
}

#[test]
fn lines_of_mixed_types_keep_what_fits() {
    let folder = Folder::new();
    let file = folder.text(
        "m.jsonl",
        "{\"x\":1,\"prediction:p\":2}\n{\"x\":\"2\"}\n{\"x\":true,\"other\":1,\"prediction:q\":1}\n{\"x\":Infinity}\n",
    );
    let schema = schema(&[("feature:x", Kind::Numeric), ("prediction:p", Kind::Numeric)]);
    let rows = captures(&file, &schema, &Mapping::default());
    let x = rows.column_by_name("feature:x").unwrap().as_primitive::<Float64Type>().clone();
    assert_eq!(x.iter().collect::<Vec<_>>(), [Some(1.0), None, None, Some(f64::INFINITY)]);
    let wrong = rows.column_by_name("wrong_type:feature:x").unwrap().as_string::<i32>().clone();
    assert_eq!(wrong.iter().collect::<Vec<_>>(), [None, Some("2"), Some("true"), None]);
    let p = rows.column_by_name("prediction:p").unwrap().as_primitive::<Float64Type>().clone();
    assert_eq!(p.iter().collect::<Vec<_>>(), [Some(2.0), None, None, None]);
    let unknown = rows.column_by_name("unknown_columns").unwrap().as_list::<i32>().clone();
    assert!(unknown.is_null(0));
    let names = unknown.value(2).as_string::<i32>().clone();
    assert_eq!(names.iter().flatten().collect::<Vec<_>>(), ["feature:other", "prediction:q"]);
}

/// Python writes `True` into CSV where JSON has `true`: the examples of a wrong type differed.
#[test]
fn values_of_the_wrong_type_read_alike_in_every_format() {
    let folder = Folder::new();
    let schema = schema(&[("feature:x", Kind::Numeric)]);
    for file in
        [folder.text("b.csv", "x\n1\nTrue\n"), folder.text("b.jsonl", "{\"x\":1}\n{\"x\":true}\n")]
    {
        let rows = captures(&file, &schema, &Mapping::default());
        let wrong = rows.column_by_name("wrong_type:feature:x").unwrap().as_string::<i32>().clone();
        assert_eq!(wrong.iter().collect::<Vec<_>>(), [None, Some("true")], "{file}");
    }
}

/// A new column with gaps was counted in every row of a file, and in the stream in the rows that have
/// it, so that the same rows gave two reports.
#[test]
fn a_new_column_is_in_the_rows_that_have_a_value_of_it() {
    let folder = Folder::new();
    let files = [
        folder.text("new.csv", "x,new\n1,\n2,7\n3,\n"),
        folder.text("new.jsonl", "{\"x\":1}\n{\"x\":2,\"new\":7}\n{\"x\":3,\"new\":null}\n"),
        folder.parquet(
            "new.parquet",
            vec![
                ("x", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as ArrayRef),
                ("new", Arc::new(Float64Array::from(vec![None, Some(7.0), None]))),
            ],
        ),
    ];
    let schema = schema(&[("feature:x", Kind::Numeric)]);
    for file in files {
        let rows = captures(&file, &schema, &Mapping::default());
        let unknown = rows.column_by_name("unknown_columns").unwrap().as_list::<i32>().clone();
        let named: Vec<bool> = (0..3).map(|row| unknown.is_valid(row)).collect();
        assert_eq!(named, [false, true, false], "{file}");
        let names = unknown.value(1).as_string::<i32>().clone();
        assert_eq!(names.iter().flatten().collect::<Vec<_>>(), ["feature:new"], "{file}");
    }
}

#[test]
fn what_cannot_be_read_is_said_in_one_sentence() {
    let folder = Folder::new();
    folder.text("text.parquet", "this is no parquet");
    folder.text("empty.csv", "");
    folder.text("header.csv", "a,b\n");
    folder.text("ragged.csv", "a,b\n1,2\n1,2,3\n");
    folder.text("broken.jsonl", "{\"a\":1}\n{\"a\":\n");
    folder.text("array.jsonl", "[1]\n");
    folder.text("nothing.jsonl", "{}\n");
    folder.text("notes.txt", "hello");
    let table = [
        ("missing.csv", "missing.csv: no such file"),
        (
            "notes.txt",
            "unknown format: the name must end in .parquet, .csv, .tsv, .jsonl (these three also with .gz), or write a SELECT",
        ),
        ("empty.csv", "empty.csv: no rows: 0 bytes"),
        ("text.parquet", "text.parquet: not readable as Parquet"),
        (
            "ragged.csv",
            "ragged.csv: row 2 (line 3): 3 values, where the header names 2 columns: the first without a name is \"3\"",
        ),
        ("broken.jsonl", "broken.jsonl:2: not one JSON object"),
        ("array.jsonl", "array.jsonl: one JSON list of all rows: write one object per line"),
        ("nothing.jsonl", "nothing.jsonl: no columns"),
        ("SELECT * FROM 'DIR/missing.csv'", "no readable file '"),
        ("SELECT b FROM 'DIR/header.csv' WHERE", "query"),
        ("WITH a AS (SELECT 1) DROP TABLE a", "query"),
    ];
    for (argument, expected) in table {
        let argument = if argument.contains(' ') {
            argument.replace("DIR", folder.0.path().to_str().unwrap())
        } else {
            folder.path(argument).to_str().unwrap().to_owned()
        };
        let outcome = Table::open(&argument, &|_| ())
            .and_then(|table| table.profile(&|_| ()).cloned())
            .map_err(|error| error.to_string());
        let error = outcome.expect_err(&argument);
        assert!(error.contains(expected), "{argument}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let rows = open(folder.path("header.csv").to_str().unwrap()).profile(&|_| ()).unwrap().rows;
    assert_eq!(rows, 0);
    assert!(matches!(
        write_parquet(
            Path::new("/nowhere/x.parquet"),
            &Arc::new(arrow::datatypes::Schema::empty()),
            []
        ),
        Err(FileError::Write { .. })
    ));
}
