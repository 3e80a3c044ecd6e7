//! Thirty columns as Parquet, CSV and JSON Lines.

use std::fmt::Write as _;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Int8Array, Int64Array, LargeStringArray, NullArray, StringViewArray, Time32SecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use driftline_config::time::format_instant;

use super::*;

/// 2026-01-05T00:00:00Z in microseconds.
const MONDAY_US: i64 = 1_767_571_200_000_000;
const HOUR_US: i64 = 3_600_000_000;
const FORMATS: [&str; 3] = ["parquet", "csv", "jsonl"];

/// A column as Parquet types it and as the other formats write it.
struct Mixed {
    name: &'static str,
    array: ArrayRef,
    texts: Vec<Option<String>>,
    /// Whether JSON puts it in quotes.
    quoted: bool,
}

struct Table {
    columns: Vec<Mixed>,
    numbers: Numbers,
    rows: usize,
    shift: f64,
}

impl Table {
    fn new(seed: u64, rows: usize, shift: f64) -> Table {
        let mut table = Table { columns: Vec::new(), numbers: Numbers(seed), rows, shift };
        table.add_numbers();
        table.add_exact_numbers();
        table.add_times();
        table.add_texts();
        table.add_identifiers();
        table
    }

    fn add(
        &mut self,
        name: &'static str,
        array: ArrayRef,
        texts: Vec<Option<String>>,
        quoted: bool,
    ) {
        assert_eq!(array.len(), texts.len(), "{name}");
        self.columns.push(Mixed { name, array, texts, quoted });
    }

    fn shares(&mut self) -> Vec<f64> {
        (0..self.rows).map(|_| self.numbers.next()).collect()
    }

    fn floats(&mut self, name: &'static str, of: impl Fn(f64, f64) -> Option<f64>) {
        let shift = self.shift;
        let values: Vec<Option<f64>> =
            self.shares().into_iter().map(|share| of(share, shift)).collect();
        let texts = values.iter().map(|value| value.map(|value| format!("{value:?}"))).collect();
        self.add(name, Arc::new(Float64Array::from(values)), texts, false);
    }

    fn wholes(&mut self, name: &'static str, of: impl Fn(usize, f64) -> Option<i64>) {
        let shares = self.shares();
        let values: Vec<Option<i64>> =
            shares.into_iter().enumerate().map(|(row, share)| of(row, share)).collect();
        let texts = values.iter().map(|value| value.map(|value| value.to_string())).collect();
        self.add(name, Arc::new(Int64Array::from(values)), texts, false);
    }

    fn add_numbers(&mut self) {
        self.floats("uniform", |share, shift| Some(share + shift));
        self.floats("long tail", |share, _| Some((1e4_f64).powf(share * share).round() / 8.0));
        self.floats("gaps", |share, _| (share > 0.1).then_some(share * 1e3));
        self.floats("tiny", |share, _| Some((share - 0.5) * 1e-9));
        self.floats("few", |share, _| Some((share * 4.0).floor() / 4.0));
        self.floats("nearly all missing", |share, _| (share > 0.95).then_some(share));
        self.wholes("count", |_, share| Some((share * 900.0) as i64 - 450));
        self.wholes("nullable", |_, share| (share > 0.2).then_some((share * 70.0) as i64));
        self.wholes("constant", |_, _| Some(7));
        self.wholes("row", |row, _| Some(row as i64));
        let shares = self.shares();
        let small: Vec<i8> = shares.iter().map(|share| (share * 9.0) as i8).collect();
        let texts = small.iter().map(|value| Some(value.to_string())).collect();
        self.add("small", Arc::new(Int8Array::from(small)), texts, false);
        let shares = self.shares();
        let singles: Vec<f32> =
            shares.iter().map(|share| (share * 10.0).round() as f32 / 10.0).collect();
        let texts = singles.iter().map(|value| Some(format!("{value:?}"))).collect();
        self.add("single", Arc::new(Float32Array::from(singles)), texts, false);
        let shares = self.shares();
        let gaps: Vec<Option<f32>> =
            shares.iter().map(|&share| (share > 0.3).then_some(share as f32)).collect();
        let texts = gaps.iter().map(|value| value.map(|value| format!("{value:?}"))).collect();
        self.add("single with gaps", Arc::new(Float32Array::from(gaps)), texts, false);
    }

    fn add_exact_numbers(&mut self) {
        let shares = self.shares();
        let cents: Vec<i128> = shares.iter().map(|share| (share * 1e5) as i128 * 10).collect();
        let texts =
            cents.iter().map(|cents| Some(format!("{}.{:02}", cents / 100, cents % 100))).collect();
        let array = Decimal128Array::from(cents).with_precision_and_scale(12, 2).unwrap();
        self.add("price", Arc::new(array), texts, false);
        let large: Vec<u64> =
            self.shares().iter().map(|share| (share * 1e18) as u64 * 17).collect();
        let texts = large.iter().map(|value| Some(value.to_string())).collect();
        self.add("large", Arc::new(UInt64Array::from(large)), texts, false);
        let snow: Vec<i128> =
            self.shares().iter().map(|share| (share * 1e15) as i128 * 1_000_003).collect();
        let texts = snow.iter().map(|value| Some(value.to_string())).collect();
        let array = Decimal128Array::from(snow).with_precision_and_scale(38, 0).unwrap();
        self.add("whole decimal", Arc::new(array), texts, false);
        let flags: Vec<bool> =
            self.shares().iter().map(|share| *share < 0.3 + self.shift).collect();
        let texts = flags.iter().map(|flag| Some(flag.to_string())).collect();
        self.add("flag", Arc::new(BooleanArray::from(flags)), texts, false);
        let shares = self.shares();
        let flags: Vec<Option<bool>> =
            shares.iter().map(|&share| (share > 0.4).then_some(share > 0.6)).collect();
        let texts = flags.iter().map(|flag| flag.map(|flag| flag.to_string())).collect();
        self.add("nullable flag", Arc::new(BooleanArray::from(flags)), texts, false);
        let rows = self.rows;
        self.add("nothing", Arc::new(NullArray::new(rows)), vec![None; rows], false);
    }

    fn add_times(&mut self) {
        let days: Vec<i32> = (0..self.rows).map(|row| 20_000 + row as i32 % 90).collect();
        let day = |day: &i32| format_instant(i64::from(*day) * DAY_US)[..10].to_owned();
        let texts = days.iter().map(|it| Some(day(it))).collect();
        self.add("day", Arc::new(Date32Array::from(days)), texts, true);
        let times: Vec<i64> =
            (0..self.rows).map(|row| MONDAY_US + row as i64 * 60_000_000).collect();
        let plain = |time: &i64| format_instant(*time).trim_end_matches('Z').replace('T', " ");
        let texts = times.iter().map(|time| Some(plain(time))).collect();
        self.add("local", Arc::new(TimestampMicrosecondArray::from(times.clone())), texts, true);
        let texts = times.iter().map(|time| Some(format_instant(*time))).collect();
        let array = TimestampMillisecondArray::from_iter_values(times.iter().map(|t| t / 1000));
        self.add("utc", Arc::new(array.with_timezone("UTC")), texts, true);
        let east = |time: &i64| format!("{}+01:00", plain(&(time + HOUR_US)));
        let texts = times.iter().map(|time| Some(east(time))).collect();
        let array = TimestampMicrosecondArray::from(times);
        self.add("zoned", Arc::new(array.with_timezone("+01:00")), texts, true);
        let hours: Vec<i32> =
            self.shares().iter().map(|share| (share * 24.0) as i32 * 3600).collect();
        let texts = hours.iter().map(|it| Some(format!("{:02}:00:00", it / 3600))).collect();
        self.add("time of day", Arc::new(Time32SecondArray::from(hours)), texts, true);
    }

    fn texts(
        &mut self,
        name: &'static str,
        of: impl Fn(usize, f64) -> Option<String>,
    ) -> Vec<Option<String>> {
        let shares = self.shares();
        let texts: Vec<Option<String>> =
            shares.into_iter().enumerate().map(|(row, share)| of(row, share)).collect();
        self.add(name, Arc::new(StringArray::from(texts.clone())), texts.clone(), true);
        texts
    }

    fn add_texts(&mut self) {
        let shift = self.shift;
        let colours = ["red", "green", "blue, dark", "a \"b\"\nc"];
        let colour = |share: f64| colours[((share + shift) * 4.0) as usize % 4].to_owned();
        let texts = self.texts("colour", |_, share| Some(colour(share)));
        let array: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
        self.add("dictionary", Arc::new(array), texts.clone(), true);
        self.add("view", Arc::new(StringViewArray::from_iter(texts.iter())), texts, true);
        let texts = self.texts("nullable colour", |_, share| (share > 0.3).then(|| colour(share)));
        self.add("large text", Arc::new(LargeStringArray::from(texts.clone())), texts, true);
        self.texts("shop", |_, share| Some(format!("shop {}", 800_f64.powf(share).floor())));
        self.texts("country", |_, share| {
            Some(["NA", "DE", "None"][(share * 3.0) as usize].to_owned())
        });
        self.texts("zip", |_, share| Some(format!("{:05}", (share * 40.0) as u32 * 2311 + 1067)));
    }

    fn add_identifiers(&mut self) {
        self.texts("uuid", |row, share| Some(format!("{:x}-{row}", share.to_bits())));
        self.texts("user", |_, share| Some(format!("u{}", (share * 50_000.0) as u32)));
    }

    fn write(&self, folder: &tempfile::TempDir, format: &str, name: &str) -> String {
        let path = folder.path().join(format!("{name}.{format}"));
        match format {
            "parquet" => {
                let columns = self.columns.iter();
                let columns = columns.map(|column| (column.name, Arc::clone(&column.array), true));
                let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
                write_parquet(&path, &batch.schema(), [batch]).unwrap();
            }
            "csv" => std::fs::write(&path, self.csv()).unwrap(),
            _ => std::fs::write(&path, self.lines()).unwrap(),
        }
        path.to_str().unwrap().to_owned()
    }

    fn csv(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut text = names.join(",") + "\n";
        for row in 0..self.rows {
            let value = |column: &Mixed| match &column.texts[row] {
                Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
                None => String::new(),
            };
            let values: Vec<String> = self.columns.iter().map(value).collect();
            writeln!(text, "{}", values.join(",")).unwrap();
        }
        text
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for row in 0..self.rows {
            let value = |column: &Mixed| match &column.texts[row] {
                Some(text) if column.quoted => {
                    format!("{}: {text:?}", format_args!("{:?}", column.name))
                }
                Some(text) => format!("{:?}: {text}", column.name),
                None => format!("{:?}: null", column.name),
            };
            let values: Vec<String> = self.columns.iter().map(value).collect();
            writeln!(text, "{{{}}}", values.join(", ")).unwrap();
        }
        text
    }
}

/// Kinds and findings depended on the format: identifiers, codes, single precision, decimals and times
/// were something else in each.
#[test]
fn thirty_mixed_columns_are_the_same_in_every_format() {
    for rows in [90, 2500] {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (Table::new(21, rows, 0.0), Table::new(22, rows, 0.15));
        assert!(left.columns.len() >= 30, "{}", left.columns.len());
        let mut expected: Option<(Vec<String>, String)> = None;
        for format in FORMATS {
            let mut notes = Vec::new();
            let note = &mut |note: &str| notes.push(note.replace(&format!(".{format}"), ""));
            let reference = left.write(&folder, format, "left");
            let current = right.write(&folder, format, "right");
            let mut audience = Audience { note, progress: &|_| () };
            let found = check(&options(&reference, &current), &mut audience).unwrap();
            let mut report = found.report;
            assert_eq!(report.level, Level::Alarm, "{format}");
            assert_eq!(found.skipped, 7, "{notes:?}");
            // The baseline's hash covers the name of the file.
            report.baseline_sha256.clear();
            let seen = (notes, report.to_json());
            let (notes, json) = expected.get_or_insert_with(|| seen.clone());
            assert_eq!(notes, &seen.0, "{format} of {rows} rows");
            for (found, expected) in seen.1.split("{\"subject\"").zip(json.split("{\"subject\"")) {
                assert_eq!(found, expected, "{format} of {rows} rows");
            }
            assert_eq!(json.len(), seen.1.len(), "{format}");
        }
    }
}

/// The kinds of a column were others in a file of a few hundred rows than in one of many thousands.
#[test]
fn kinds_do_not_depend_on_the_number_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for rows in [300, 3000, 12_000] {
        let file = Table::new(23, rows, 0.0).write(&folder, "parquet", "rows");
        let mut kinds: Vec<String> = Vec::new();
        let mut audience = Audience { note: &mut |_| (), progress: &|_| () };
        let found = check(&options(&file, &file), &mut audience).unwrap();
        for finding in found.report.findings {
            if finding.check == Check::Distribution {
                kinds.push(format!("{} {:?}", finding.subject, finding.kind));
            }
        }
        kinds.sort_unstable();
        seen.push(kinds);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
}
