//! Files as people have them.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Float16Array, Float32Array, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{ArrowPrimitiveType, Float16Type, Float64Type};
use driftline_capture::Kind;
use driftline_config::Limits;

use super::{Folder, model, open, schema};
use crate::{Choices, FileError, Inferred, Mapping, Table};

/// A column of every batch.
fn column(file: &str, column: &str, kind: Kind) -> Vec<ArrayRef> {
    let subject = format!("feature:{column}");
    let schema = schema(&[(&subject, kind)]);
    let captures = open(file).captures(&schema, &Mapping::default(), &Limits::default()).unwrap();
    let batches = captures.map(|batch| batch.unwrap().record_batch().clone());
    batches.map(|batch| Arc::clone(batch.column_by_name(&subject).unwrap())).collect()
}

/// The numbers of a column, missing ones as NaN.
fn numbers(file: &str, name: &str) -> Vec<f64> {
    let mut numbers = Vec::new();
    for array in column(file, name, Kind::Numeric) {
        let values = array.as_primitive::<Float64Type>().iter();
        numbers.extend(values.map(|value| value.unwrap_or(f64::NAN)));
    }
    numbers
}

fn categories(file: &str, name: &str) -> Vec<Option<String>> {
    let mut texts = Vec::new();
    for array in column(file, name, Kind::Categorical) {
        texts.extend(array.as_string::<i32>().iter().map(|value| value.map(str::to_owned)));
    }
    texts
}

fn inferred(file: &str, mapping: &Mapping) -> Inferred {
    let table = open(file);
    let targets = table.targets(mapping, None).unwrap();
    let profile = table.profile(&|_| ()).unwrap();
    profile.infer("f", &targets, &Choices::default()).unwrap()
}

fn names(inferred: &Inferred) -> Vec<&str> {
    inferred.schema.columns.iter().map(|column| column.name()).collect()
}

/// What is said about a file that is read as captures of nothing.
fn said(file: &str, mapping: &Mapping) -> Vec<String> {
    let table = open(file);
    let mut captures = table
        .captures(&schema(&[("feature:x", Kind::Numeric)]), mapping, &Limits::default())
        .unwrap();
    captures.by_ref().for_each(|batch| drop(batch.unwrap()));
    [table.remarks(), captures.notes()].concat()
}

fn refused(argument: &str) -> String {
    let outcome = Table::open(argument, &|_| ()).and_then(|table| {
        table.profile(&|_| ())?;
        Ok(())
    });
    outcome.map_err(|error: FileError| error.to_string()).expect_err(argument)
}

/// A feature `status` that said `married` vanished, and one of `1` to `5` was an HTTP status. Now what
/// cannot be the envelope is a feature, and what is taken for it is named with the way to keep it.
#[test]
fn a_feature_that_is_named_like_the_envelope_does_not_vanish() {
    let folder = Folder::new();
    let mut text = "x,status,version,id,sample_rate,latency_us,model,ts\n".to_owned();
    for row in 0..40 {
        let status = ["married", "single"][row % 2];
        text.push_str(&format!("{row},{status},{}.1,{row},44100,-3,golf,{row}\n", row % 2));
    }
    let file = folder.text("people.csv", &text);
    let found = inferred(&file, &model());
    assert_eq!(names(&found), ["x", "status", "sample_rate", "latency_us", "model", "ts"]);
    let said = said(&file, &model());
    let line = said.iter().find(|line| line.contains("envelope")).unwrap();
    assert!(
        line.ends_with("not for features: version, id; --rename version=feature:version --rename id=feature:id keeps a column as a feature"),
        "{said:?}"
    );
    let renames = Mapping::parse_renames(&["id=feature:id".to_owned()]).unwrap();
    let kept = inferred(&file, &Mapping { renames, ..model() });
    assert!(names(&kept).contains(&"id"));
    let served = folder.text("served.csv", "x,status,latency_us\n1,200,5\n2,503,7\n");
    assert_eq!(names(&inferred(&served, &model())), ["x"]);
    for codes in ["1,2,3,1,2", "200.5,201.5,1,2,3"] {
        let rows: String = codes.split(',').map(|code| format!("1,{code}\n")).collect();
        let file = folder.text("codes.csv", &format!("x,status\n{rows}"));
        assert_eq!(names(&inferred(&file, &model())), ["x", "status"], "{codes}");
    }
}

/// A table with a column `heartbeat` was taken for captures, of which it had none.
#[test]
fn a_table_with_a_column_heartbeat_is_a_table() {
    let folder = Folder::new();
    let file = folder.text("pulse.jsonl", "{\"ts\":1767323045000,\"heartbeat\":true,\"x\":1}\n");
    assert_eq!(numbers(&file, "x"), [1.0]);
}

/// A reference of single-precision 0.1 against 0.1 gave KS 0.60.
#[test]
fn single_precision_numbers_are_those_that_were_written() {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let folder = Folder::new();
    let written = [0.1, 0.7, -2.3, 1e-20, 3.4e38, 16_777_217.0, 0.3];
    let floats = Float32Array::from_iter_values(written.map(|value| value as f32));
    let file = folder.parquet("f.parquet", vec![("x", Arc::new(floats) as ArrayRef)]);
    let found = numbers(&file, "x");
    assert_eq!(found[..5], written[..5]);
    assert_eq!(found[5], 16_777_216.0);
    assert_eq!(categories(&file, "x")[0].as_deref(), Some("0.1"));
    let halves = Float16Array::from_iter_values([0.1, 1.5, 65_504.0].map(Half::from_f64));
    let file = folder.parquet("h.parquet", vec![("x", Arc::new(halves) as ArrayRef)]);
    assert_eq!(numbers(&file, "x"), [0.1, 1.5, 65_500.0]);
}

/// `1.5` of one program and `1.50` of another were two categories.
#[test]
fn a_decimal_is_one_category_however_many_zeros_it_has() {
    let folder = Folder::new();
    let csv = folder.text("d.csv", "x\n1.5\n1.50\n1.500\n2.00\n");
    let decimals = Decimal128Array::from(vec![150, 150, 150, 200]).with_precision_and_scale(9, 2);
    let parquet = folder.parquet("d.parquet", vec![("x", Arc::new(decimals.unwrap()) as ArrayRef)]);
    for file in [csv, parquet] {
        let found: Vec<String> = categories(&file, "x").into_iter().flatten().collect();
        assert_eq!(found, ["1.5", "1.5", "1.5", "2"], "{file}");
    }
    let identifiers = Decimal128Array::from(vec![12_345_678_901_234_567_890_i128, 7]);
    let identifiers = identifiers.with_precision_and_scale(38, 0).unwrap();
    let file = folder.parquet("i.parquet", vec![("x", Arc::new(identifiers) as ArrayRef)]);
    assert_eq!(categories(&file, "x")[0].as_deref(), Some("12345678901234567890"));
}

/// A column of numbers with 15 % `NA` was skipped as an identifier, and the check exited with 0.
#[test]
fn what_says_that_a_number_is_missing_is_missing() {
    let folder = Folder::new();
    let markers = ["NA", "N/A", "NULL", "None", "nan", "\\N", "?", "-"];
    for marker in markers {
        let rows: String = (0..40)
            .map(|row| match row % 6 {
                0 => format!("{marker}\n"),
                _ => format!("{row}.25\n"),
            })
            .collect();
        let file = folder.text("na.csv", &format!("x\n{rows}"));
        let found = inferred(&file, &Mapping::default());
        assert_eq!(found.schema.columns[0].kind, Kind::Numeric, "{marker}");
        let missing = numbers(&file, "x").iter().filter(|value| value.is_nan()).count();
        assert_eq!(missing, 7, "{marker}");
        if marker != "nan" {
            let said = said(&file, &Mapping::default());
            assert!(said[0].contains("column x: 7 texts such as NA read as missing"), "{said:?}");
        }
    }
    let file = folder.text("words.csv", "x\nNA\nNA\nDE\nDE\nFR\nFR\nNA\nDE\n");
    assert_eq!(categories(&file, "x")[0].as_deref(), Some("NA"), "Namibia among countries");
}

/// A file from a German Excel was one column of its own header, or numbers of the wrong type.
#[test]
fn delimiters_and_decimal_marks_are_found_and_said() {
    let folder = Folder::new();
    let table = [
        ("x;y\n1,5;a\n-2,25;b\n1.234,5;c\n", vec![1.5, -2.25, 1234.5], "semicolons"),
        ("sep=;\nx;y\n1,5;a\n2;b\n", vec![1.5, 2.0], "a decimal comma in x"),
        ("x\ty\n1.5\ta, b\n2\tc\n", vec![1.5, 2.0], "tabs"),
        ("y|x\na|1\nb|2\n", vec![1.0, 2.0], "bars"),
        (
            "x,y\n\"1,234.5\",a\n\"2,000\",b\n",
            vec![1234.5, 2000.0],
            "commas between thousands in x",
        ),
        ("x,y\n\"1,5\",a\n\"2,25\",b\n", vec![1.5, 2.25], "a decimal comma in x"),
    ];
    for (text, expected, says) in table {
        let file = folder.text("d.csv", text);
        assert_eq!(numbers(&file, "x"), expected, "{text}");
        let said = said(&file, &Mapping::default());
        assert!(said.iter().any(|line| line.contains(says)), "{says}: {said:?}");
    }
    let plain = folder.text("plain.csv", "x,y\n1.5,a\n2,b\n");
    assert!(said(&plain, &Mapping::default()).is_empty(), "nothing to say of a usual file");
}

/// UTF-16 was "not readable as CSV", and a name in Latin-1 ended the reading.
#[test]
fn text_is_read_in_whatever_encoding_and_packing_it_has() {
    let folder = Folder::new();
    let text = "x,city\n1,Köln\n2,\"a\nb\"\n";
    let sixteen = |bytes: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = if mark { "\u{feff}" } else { "" };
        format!("{mark}{text}").encode_utf16().flat_map(bytes).collect()
    };
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let table = [
        ("bom.csv", format!("\u{feff}{text}").into_bytes()),
        ("le.csv", sixteen(u16::to_le_bytes, true)),
        ("be.csv", sixteen(u16::to_be_bytes, true)),
        ("plain-le.csv", sixteen(u16::to_le_bytes, false)),
        ("latin.csv", text.replace('ö', "\u{0}").replace('\u{0}', "?").into_bytes()),
        ("packed.csv.gz", gz.finish().unwrap()),
        ("comment.csv", format!("# made on Monday\n# by hand\n{text}").into_bytes()),
        ("hidden.csv", format!("#{text}").into_bytes()),
        ("inside.csv", text.replace("2,", "# a note\n2,").into_bytes()),
        ("mac.csv", "x,city\r1,Köln\r2,\"a\nb\"\r".to_owned().into_bytes()),
    ];
    for (name, mut bytes) in table {
        if name == "latin.csv" {
            // `ö` in Latin-1.
            let place = bytes.iter().position(|&byte| byte == b'?').unwrap();
            bytes[place] = 0xf6;
        }
        let path = folder.path(name);
        std::fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        assert_eq!(numbers(file, "x"), [1.0, 2.0], "{name}");
        let cities: Vec<String> = categories(file, "city").into_iter().flatten().collect();
        assert_eq!(cities, ["Köln", "a\nb"], "{name}");
    }
    let latin = folder.path("latin.csv");
    let said = said(latin.to_str().unwrap(), &Mapping::default());
    assert!(said.iter().any(|line| line.contains("Latin-1")), "{said:?}");
    let colours = folder.text("colours.csv", "colour,x\n#ff0000,1\n#00ff00,2\n");
    assert_eq!(numbers(&colours, "x"), [1.0, 2.0], "a colour is no comment");
}

/// The error was "Error when processing CSV file work/data.csv".
#[test]
fn an_error_says_in_which_row_and_column_it_is() {
    let folder = Folder::new();
    let mixed = folder.path("mixed.csv");
    std::fs::write(&mixed, b"x,city\n1,K\xc3\xb6ln\n2,K\xf6ln\n").unwrap();
    let table = [
        (
            folder.text("long.csv", "x,y\n1,2\n\n1,2,3\n"),
            "long.csv: row 2 (line 4): 3 values, where the header names 2 columns: the first without a name is \"3\"",
        ),
        (
            folder.text("short.csv", "x,y,z\n1,2,3\n1,2\n"),
            "short.csv: row 2 (line 3): 2 values, where the header names 3 columns: none for column z",
        ),
        (
            mixed.to_str().unwrap().to_owned(),
            "mixed.csv: row 2 (line 3): column city: bytes that are no UTF-8",
        ),
    ];
    for (file, expected) in table {
        let error = refused(&file);
        assert!(error.contains(expected), "{error}");
    }
    let mut open_quote = b"x,y\n1,\"never closed\n".to_vec();
    open_quote.resize(40 << 20, b'a');
    let path = folder.path("quote.csv");
    std::fs::write(&path, open_quote).unwrap();
    let error = refused(path.to_str().unwrap());
    assert!(error.contains("a quote that opens here is never closed"), "{error}");
}

/// A zone that was only named was UTC without a word, in CSV, in JSON and as a string of Parquet.
#[test]
fn an_event_time_in_a_named_zone_is_refused_alike_everywhere() {
    let folder = Folder::new();
    let times = |file: &str| -> Result<Vec<i64>, String> {
        let mapping = Mapping { time: Some("when".to_owned()), ..Mapping::default() };
        let table = open(file);
        let limits = Limits::default();
        let captures = table.captures(&schema(&[("feature:x", Kind::Numeric)]), &mapping, &limits);
        let mut times = Vec::new();
        for batch in captures.map_err(|error| error.to_string())? {
            times.extend(batch.map_err(|error| error.to_string())?.times_us());
        }
        Ok(times)
    };
    let table = [
        ("2026-07-02T14:00:00+02:00[Europe/Berlin]", Some(1_782_993_600_000_000)),
        ("2026-07-02 12:00:00 UTC", Some(1_782_993_600_000_000)),
        ("2026-07-02 12:00:00+0000", Some(1_782_993_600_000_000)),
        ("2026-07-02T14:00:00[Europe/Berlin]", None),
        ("2026-07-02 14:00:00 CEST", None),
    ];
    for (text, expected) in table {
        let files = [
            folder.text("t.csv", &format!("when,x\n{text},1\n")),
            folder.text("t.jsonl", &format!("{{\"when\":\"{text}\",\"x\":1}}\n")),
            folder.parquet(
                "t.parquet",
                vec![
                    ("when", Arc::new(StringArray::from(vec![text])) as ArrayRef),
                    ("x", Arc::new(Int64Array::from(vec![1]))),
                ],
            ),
        ];
        for file in files {
            match expected {
                Some(time_us) => assert_eq!(times(&file), Ok(vec![time_us]), "{file} {text}"),
                None => {
                    let error = times(&file).unwrap_err();
                    assert!(error.contains("write its offset"), "{file} {text}: {error}");
                }
            }
        }
    }
    let local = folder.text("local.csv", "when,x\n2026-07-02 12:00:00,1\n");
    let mapping = Mapping { time: Some("when".to_owned()), ..Mapping::default() };
    assert!(said(&local, &mapping)[0].ends_with("are read as UTC"));
}

/// `Unnamed: 0` drifted in every comparison of two files that pandas wrote.
#[test]
fn the_index_of_a_frame_is_left_out_and_said() {
    let folder = Folder::new();
    let files = [
        folder.text("unnamed.csv", "Unnamed: 0,x\n0,1\n1,2\n"),
        folder.text("empty.csv", ",x\n0,1\n1,2\n"),
        folder.text(
            "level.jsonl",
            "{\"x\":1,\"__index_level_0__\":0}\n{\"x\":2,\"__index_level_0__\":1}\n",
        ),
    ];
    let pandas = "{\"index_columns\":[\"flight\"],\"columns\":[]}";
    let batch = arrow::record_batch::RecordBatch::try_from_iter([
        ("x", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef),
        ("flight", Arc::new(Int64Array::from(vec![0, 1])) as ArrayRef),
    ])
    .unwrap();
    let metadata = [("pandas".to_owned(), pandas.to_owned())].into();
    let framed = Arc::new(batch.schema().as_ref().clone().with_metadata(metadata));
    let batch = batch.with_schema(framed.clone()).unwrap();
    let path = folder.path("frame.parquet");
    crate::write_parquet(&path, &framed, [batch]).unwrap();
    let parquet = path.to_str().unwrap().to_owned();
    for file in files.iter().chain([&parquet]) {
        assert_eq!(names(&inferred(file, &Mapping::default())), ["x"], "{file}");
        let said = said(file, &Mapping::default());
        assert!(said[0].contains("left out as an index: "), "{file}: {said:?}");
    }
    let renames = Mapping::parse_renames(&["flight=feature:flight".to_owned()]).unwrap();
    let kept = inferred(&parquet, &Mapping { renames, ..Mapping::default() });
    assert_eq!(names(&kept), ["x", "flight"]);
}

/// Of two columns of one name the second won, or the first.
#[test]
fn columns_of_one_name_are_refused_by_that_name() {
    let folder = Folder::new();
    let expected = "two columns are named \"x\": rename or drop one of them in the file";
    let csv = folder.text("twice.csv", "x,y,x\n1,2,3\n");
    let column = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let parquet = folder.parquet("twice.parquet", vec![("x", column()), ("x", column())]);
    for file in [csv, parquet] {
        let error = refused(&file);
        assert!(error.ends_with(expected), "{error}");
    }
}

/// `flights[1].csv` was a pattern that matched nothing, and `*` read the folder of last year's as well.
#[test]
fn a_path_is_what_it_names_and_a_pattern_stays_in_its_folder() {
    let folder = Folder::new();
    let literal = folder.text("a[1]*.csv", "x\n7\n");
    assert_eq!(numbers(&literal, "x"), [7.0]);
    assert_eq!(numbers(&format!("SELECT x FROM '{literal}'"), "x"), [7.0]);
    std::fs::create_dir_all(folder.path("parts/old")).unwrap();
    for (name, value) in [("parts/p-1.csv", 1), ("parts/p-2.csv", 2), ("parts/old/p-0.csv", 0)] {
        folder.text(name, &format!("x\n{value}\n"));
    }
    let place = folder.path("parts").to_str().unwrap().to_owned();
    assert_eq!(numbers(&format!("{place}/*.csv"), "x"), [1.0, 2.0]);
    let deep = numbers(&format!("{place}/**/*.csv"), "x");
    assert_eq!(deep, [0.0, 1.0, 2.0]);
    let query = format!("SELECT x FROM '{place}/*.csv' ORDER BY x");
    assert_eq!(numbers(&query, "x"), [1.0, 2.0]);
    let error = refused(&format!("{place}/*.parquet"));
    assert!(error.contains("no file matches"), "{error}");
}

/// A folder of parts, as Spark writes it, was "not a file".
#[test]
fn a_folder_of_parts_is_one_file() {
    let folder = Folder::new();
    let place = folder.path("rows.parquet");
    std::fs::create_dir_all(place.join("day=2")).unwrap();
    std::fs::write(place.join("_SUCCESS"), "").unwrap();
    let part = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        folder.parquet(&format!("rows.parquet/{name}"), columns);
    };
    let whole = Int64Array::from(vec![1, 2]);
    part("part-0.parquet", vec![("x", Arc::new(whole) as ArrayRef)]);
    let text = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    let fraction = Arc::new(Float64Array::from(vec![2.5])) as ArrayRef;
    part("day=2/part-1.parquet", vec![("y", text()), ("x", fraction)]);
    let place = place.to_str().unwrap();
    assert_eq!(open(place).rows(), Some(3));
    assert_eq!(numbers(place, "x").iter().sum::<f64>(), 5.5);
    assert_eq!(categories(place, "y").iter().flatten().count(), 1);
    assert!(open(place).remarks()[0].contains("the folders' day are not read as columns"));
    assert_eq!(numbers(&format!("SELECT sum(x) AS x FROM '{place}'"), "x"), [5.5]);
}

/// Captures of which every line was rejected were a file "without columns".
#[test]
fn captures_that_are_all_rejected_say_why() {
    let folder = Folder::new();
    let line = "{\"v\":1,\"model\":\"m\",\"ts\":1767323045,\"features\":{\"x\":1}}\n";
    let file = folder.text("seconds.jsonl", &line.repeat(3));
    let error = refused(&file);
    assert!(error.contains("no rows: 3 lines rejected; the first: "), "{error}");
    assert!(error.contains("seconds.jsonl:1: bad_timestamp: "), "{error}");
}

/// What `to_json()` writes was one row of objects: "all columns were skipped".
#[test]
fn json_of_another_shape_is_refused_with_the_call_that_writes_lines() {
    let folder = Folder::new();
    let table = [
        ("{\"x\":{\"0\":1,\"1\":2},\"y\":{\"0\":\"a\",\"1\":\"b\"}}", "one JSON object of columns"),
        ("{\"columns\":[\"x\"],\"index\":[0],\"data\":[[1]]}", "with the names beside the data"),
        ("[{\"x\":1},{\"x\":2}]", "one JSON list of all rows"),
        ("{\n  \"x\": 1\n}\n", "over several lines"),
    ];
    for (text, what) in table {
        for name in ["frame.json", "frame.jsonl"] {
            let error = refused(&folder.text(name, text));
            assert!(error.contains(what) && error.contains("write one object per line"), "{error}");
        }
    }
    let lines = folder.text("lines.json", "{\"x\":1}\n{\"x\":2}\n");
    assert_eq!(numbers(&lines, "x"), [1.0, 2.0]);
}

/// Columns of 10 % leading zeros were numbers in CSV and categories in Parquet.
#[test]
fn postal_codes_are_categories_in_every_format() {
    let folder = Folder::new();
    let codes: Vec<String> = (0..400).map(|row| format!("{:05}", row % 50 * 1931)).collect();
    let csv = folder.text("zip.csv", &format!("zip\n{}\n", codes.join("\n")));
    let array = Arc::new(StringArray::from(codes.clone())) as ArrayRef;
    let parquet = folder.parquet("zip.parquet", vec![("zip", array)]);
    for file in [csv, parquet] {
        let found = inferred(&file, &Mapping::default());
        assert_eq!(found.schema.columns[0].kind, Kind::Categorical, "{file}");
        assert_eq!(categories(&file, "zip")[1].as_deref(), Some("01931"), "{file}");
    }
}

/// Twenty options were typed again for every command.
#[test]
fn renames_may_stand_in_a_file() {
    let folder = Folder::new();
    let yaml = folder.text("r.yaml", "plz: feature:zip\n\"a b\": prediction:score\n");
    let lines = folder.text("r.txt", "# names\nplz = feature:zip\na b=prediction:score\n");
    for file in [yaml, lines] {
        let renames = Mapping::parse_renames(&[format!("@{file}")]).unwrap();
        let mut found: Vec<String> =
            renames.iter().map(|(column, subject)| format!("{column}>{subject}")).collect();
        found.sort_unstable();
        assert_eq!(found, ["a b>prediction:score", "plz>feature:zip"], "{file}");
    }
    let table = [("plz: zip\n", "write feature:NAME"), ("plz=zip\n", "r.txt:1: write FILE_COLUMN")];
    for (text, expected) in table {
        let file = folder.text("r.txt", text);
        let error = Mapping::parse_renames(&[format!("@{file}")]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Mapping::parse_renames(&["@gone.yaml".to_owned()]).is_err());
}

/// `--categorical zip` said "no column zip" of a file that calls it `plz`.
#[test]
fn kinds_are_chosen_by_the_name_of_the_file_or_of_the_model() {
    let folder = Folder::new();
    let file = folder.text("k.csv", "plz,x\n1,1\n2,2\n1,3\n2,4\n");
    let renames = Mapping::parse_renames(&["plz=feature:zip".to_owned()]).unwrap();
    let mapping = Mapping { renames, ..Mapping::default() };
    let table = open(&file);
    let targets = table.targets(&mapping, None).unwrap();
    for name in ["plz", "zip", "feature:zip"] {
        let choices = Choices { categorical: vec![name.to_owned()], ..Choices::default() };
        let profile = table.profile(&|_| ()).unwrap();
        let found = profile.infer("k", &targets, &choices).unwrap();
        assert_eq!(found.schema.columns[0].kind, Kind::Categorical, "{name}");
        let choices = Choices { ignore: vec![name.to_owned()], ..Choices::default() };
        let found = profile.infer("k", &targets, &choices).unwrap();
        assert_eq!((names(&found), found.skipped), (vec!["x"], 1), "{name}");
    }
}

/// A timestamp was one category in Parquet and another in CSV.
#[test]
fn an_instant_is_one_category_in_every_format() {
    let folder = Folder::new();
    let stamps = TimestampMicrosecondArray::from(vec![1_357_017_300_000_000]).with_timezone("UTC");
    let files = [
        folder.parquet("c.parquet", vec![("t", Arc::new(stamps) as ArrayRef)]),
        folder.text("c.csv", "t\n2013-01-01 06:15:00+01:00\n"),
        folder.text("c.jsonl", "{\"t\":\"2013-01-01T05:15:00Z\"}\n"),
    ];
    for file in files {
        assert_eq!(categories(&file, "t")[0].as_deref(), Some("2013-01-01T05:15:00Z"), "{file}");
    }
}
