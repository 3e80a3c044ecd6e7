//! Bodies: every form of rows that serving systems speak.

use driftline_capture::Reason;

use super::{Expected, check};

const COLUMNS: [&str; 5] =
    ["feature:a", "feature:b", "feature:c!", "prediction:value", "prediction:p!"];
const TS: &str = r#""ts":1767323045678"#;

/// A body of features, as it stands in the event or as a string.
fn check_body(captures: &str, table: &[(&str, Expected<'_>)]) {
    for (body, expected) in table {
        let text = format!("{{{TS},\"in\":{body}}}");
        check(captures, &COLUMNS, &[(&text, *expected)]);
        let in_a_string = serde_json::Value::String((*body).to_owned());
        let text = format!("{{{TS},\"in\":{in_a_string}}}");
        check(captures, &COLUMNS, &[(&text, *expected)]);
    }
}

#[test]
fn scoring_bodies_are_told_by_their_keys() {
    let two: Expected<'_> =
        Ok(&[&["feature:a=1.0", "feature:c=x"], &["feature:a=2.5", "feature:b=3.0"]]);
    check_body(
        "map: {ts: /ts, features: {at: /in, as: scoring}}",
        &[
            (r#"{"instances":[{"a":1,"c":"x"},{"b":3,"a":2.5}]}"#, two),
            (r#"{"inputs":[{"a":1,"c":"x"},{"b":3,"a":2.5}]}"#, two),
            (r#"{"dataframe_records":[{"a":1,"c":"x"},{"b":3,"a":2.5}]}"#, two),
            (r#"[{"a":1,"c":"x"},{"b":3,"a":2.5}]"#, two),
            (
                r#"{"dataframe_split":{"columns":["a","b","c"],"index":[0,1],"data":[[1,null,"x"],[2.5,3,null]]}}"#,
                two,
            ),
            (
                r#"{"dataframe_split":{"data":[[1,null,"x"],[2.5,3,null]],"columns":["a","b","c"]}}"#,
                two,
            ),
            (r#"{"columns":["a","b","c"],"data":[[1,null,"x"],[2.5,3,null]]}"#, two),
            (
                r#"{"input_data":{"columns":["a","b","c"],"data":[[1,null,"x"],[2.5,3,null]]},"params":{}}"#,
                two,
            ),
            (r#"{"data":{"names":["a","b","c"],"ndarray":[[1,null,"x"],[2.5,3,null]]}}"#, two),
            (r#"{"inputs":{"a":[1,2.5],"b":[null,3],"c":["x",null]}}"#, two),
            (r#"{"a":[1,2.5],"b":[null,3],"c":["x",null]}"#, two),
            (
                r#"{"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2.5]},{"name":"b","shape":[2,1],"datatype":"FP64","data":[[null],[3]]},{"name":"c","datatype":"BYTES","data":["x",null],"shape":[2]}]}"#,
                two,
            ),
            (r#"{"a":1,"c":"x"}"#, Ok(&[&["feature:a=1.0", "feature:c=x"]])),
            (
                r#"{"instances":[{"a":1,"new":2}]}"#,
                Ok(&[&["feature:a=1.0", "unknown_columns=feature:new"]]),
            ),
            (r#"{"instances":[]}"#, Err(Reason::WrongShape)),
            (r#"{"inputs":{"a":[1,2],"b":[1]}}"#, Err(Reason::WrongShape)),
            (r#"{"inputs":{"a":[1,2],"b":1}}"#, Err(Reason::WrongShape)),
            (r#"{"dataframe_split":{"columns":["a","b"],"data":[[1]]}}"#, Err(Reason::WrongShape)),
            (r#"{"dataframe_split":{"columns":["a"],"data":[[1,2]]}}"#, Err(Reason::WrongShape)),
        ],
    );
}

#[test]
fn positions_have_the_names_of_the_map() {
    let two: Expected<'_> =
        Ok(&[&["feature:a=1.0", "feature:c=x"], &["feature:a=2.5", "feature:b=3.0"]]);
    check_body(
        "map: {ts: /ts, features: {at: /in, as: scoring, names: [a, b, c]}}",
        &[
            (r#"{"instances":[[1,null,"x"],[2.5,3,null]]}"#, two),
            (r#"[[1,null,"x"],[2.5,3,null]]"#, two),
            (r#"{"data":{"tensor":{"shape":[2,3],"values":[1,null,"x",2.5,3,null]}}}"#, two),
            (
                r#"{"inputs":[{"name":"t","shape":[2,3],"datatype":"BYTES","data":[[1,null,"x"],[2.5,3,null]]}]}"#,
                two,
            ),
            (r#"{"instances":[[1,2,"x",4]]}"#, Err(Reason::WrongShape)),
            (r#"{"instances":[[1,2]]}"#, Err(Reason::WrongShape)),
            (
                r#"{"inputs":[{"name":"t","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#,
                Err(Reason::WrongShape),
            ),
        ],
    );
}

#[test]
fn tensors_have_as_many_values_as_their_shape_says() {
    let tensor = |rest: &str| format!(r#"{{"inputs":[{{"name":"a","datatype":"FP32",{rest}}}]}}"#);
    let table: [(&str, Expected<'_>); 10] = [
        (r#""shape":[1],"data":[1]"#, Ok(&[&["feature:a=1.0"]])),
        (r#""shape":[],"data":1"#, Ok(&[&["feature:a=1.0"]])),
        (r#""shape":[1,2],"data":[1,2]"#, Ok(&[&["unknown_columns=feature:a[0] feature:a[1]"]])),
        // The protocol's own example.
        (r#""shape":[3],"data":[true]"#, Err(Reason::WrongShape)),
        (r#""shape":[1],"data":[1,2]"#, Err(Reason::WrongShape)),
        (r#""shape":[0],"data":[]"#, Err(Reason::WrongShape)),
        (r#""shape":[-1],"data":[1]"#, Err(Reason::WrongShape)),
        (r#""shape":[9223372036854775807,9],"data":[1]"#, Err(Reason::WrongShape)),
        (r#""shape":[1,4294967296],"data":[1]"#, Err(Reason::WrongShape)),
        (r#""shape":[1]"#, Err(Reason::WrongShape)),
    ];
    for (rest, expected) in table {
        check_body(
            "map: {ts: /ts, features: {at: /in, as: scoring}}",
            &[(&tensor(rest), expected)],
        );
    }
}

#[test]
fn predictions_are_told_from_features() {
    let map =
        "map: {ts: /ts, features: {at: /in, as: scoring}, predictions: {at: /out, as: scoring}}";
    let both = |input: &str, output: &str| format!("{{{TS},\"out\":{output},\"in\":{input}}}");
    let input = r#"{"instances":[{"a":1},{"a":2}]}"#;
    let good: Expected<'_> = Ok(&[
        &["feature:a=1.0", "prediction:value=0.5"],
        &["feature:a=2.0", "prediction:value=0.25"],
    ]);
    let named: Expected<'_> =
        Ok(&[&["feature:a=1.0", "prediction:p=x"], &["feature:a=2.0", "prediction:p=y"]]);
    let table = [
        (r#"{"predictions":[0.5,0.25]}"#, good),
        ("[0.5,0.25]", good),
        (r#""0.5\n0.25\n""#, good),
        (r#"{"predictions":[{"p":"x"},{"p":"y"}]}"#, named),
        (r#"{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["x","y"]}]}"#, named),
        ("null", Ok(&[&["feature:a=1.0"], &["feature:a=2.0"]])),
        (r#"{"predictions":[0.5]}"#, Err(Reason::WrongShape)),
        (r#""0.5""#, Err(Reason::WrongShape)),
    ];
    for (output, expected) in table {
        check(map, &COLUMNS, &[(&both(input, output), expected)]);
    }
}

/// Captures in the words of SageMaker's documentation, and what becomes of them when they are cut.
#[test]
fn sagemakers_captures_are_read() {
    let columns: Vec<String> = (0..10)
        .map(|index| format!("feature:f{index}"))
        .chain(["prediction:value".into()])
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let names: Vec<String> = (0..10).map(|index| format!("f{index}")).collect();
    let map = format!("format: sagemaker, map: {{features: {{names: [{}]}}}}", names.join(", "));
    let capture = |input: &str, output: &str, meta: &str| {
        format!(
            r#"{{"captureData":{{"endpointInput":{input},"endpointOutput":{output}}},"eventMetadata":{{"eventId":"feca1ab1","inferenceTime":"2026-01-02T03:04:05Z"{meta}}},"eventVersion":"0"}}"#
        )
    };
    let csv = |data: &str, mode: &str| {
        format!(
            r#"{{"observedContentType":"text/csv","mode":"{mode}","data":"{data}","encoding":"CSV"}}"#
        )
    };
    let row = "132,25,113.2,96,269.9,107,,0,0,1";
    let input = csv(&format!("{row}\\n"), "INPUT");
    let output = csv("0.01076381653547287", "OUTPUT");
    let cells: &[&str] = &[
        "id=feca1ab1",
        "feature:f0=132.0",
        "feature:f1=25.0",
        "feature:f2=113.2",
        "feature:f3=96.0",
        "feature:f4=269.9",
        "feature:f5=107.0",
        "feature:f7=0.0",
        "feature:f8=0.0",
        "feature:f9=1.0",
        "prediction:value=0.01076381653547287",
    ];
    let mut own_id = cells.to_vec();
    own_id[0] = "id=mine";
    let mut first = cells.to_vec();
    (first[0], first[10]) = ("id=feca1ab1#0", "prediction:value=0.5");
    let mut second = cells.to_vec();
    (second[0], second[10]) = ("id=feca1ab1#1", "prediction:value=0.25");
    let base64 = r#"{"observedContentType":"text/csv","mode":"INPUT","data":"MTMyLDI1LDExMy4yLDk2LDI2OS45LDEwNywsMCwwLDE=","encoding":"BASE64"}"#;
    let json = r#"{"observedContentType":"application/json","mode":"INPUT","data":"{\"f0\":[132],\"f1\":[25],\"f2\":[113.2],\"f3\":[96],\"f4\":[269.9],\"f5\":[107],\"f7\":[0],\"f8\":[0],\"f9\":[1]}","encoding":"JSON"}"#;
    let lines = r#"{"observedContentType":"application/jsonlines","mode":"INPUT","data":"{\"features\":[132,25,113.2,96,269.9,107,null,0,0,1]}\n","encoding":"JSON"}"#;
    let bare_lines = lines.replace("{\\\"features\\\":", "").replace("1]}\\n", "1]\\n");
    let two = csv(&format!("{row}\\n{row}\\n"), "INPUT");
    let cut = csv("132,25,113.2,96,26", "INPUT");
    let whole = capture(&input, &output, "");
    let table: &[(String, Expected<'_>)] = &[
        (whole.clone(), Ok(&[cells])),
        (capture(&input, &output, r#","inferenceId":"mine""#), Ok(&[&own_id])),
        (capture(base64, &output, ""), Ok(&[cells])),
        (capture(json, &output, ""), Ok(&[cells])),
        (capture(&bare_lines, &output, ""), Ok(&[cells])),
        (capture(&two, &csv("0.5\\n0.25\\n", "OUTPUT"), ""), Ok(&[&first, &second])),
        (
            whole
                .replace("endpointInput", "batchTransformInput")
                .replace("endpointOutput", "batchTransformOutput"),
            Ok(&[cells]),
        ),
        (capture(&input, "null", ""), Ok(&[&cells[..10]])),
        (capture(&cut, &output, ""), Err(Reason::WrongShape)),
        (capture(&two, &output, ""), Err(Reason::WrongShape)),
        (capture(&base64.replace("MTMy", "M%My"), &output, ""), Err(Reason::InvalidBody)),
        (capture(&json.replace("132],", "132,"), &output, ""), Err(Reason::InvalidBody)),
        (whole.get(..200).unwrap().to_owned(), Err(Reason::InvalidJson)),
        (whole.replace("2026-01-02T03:04:05Z", "yesterday"), Err(Reason::BadTimestamp)),
    ];
    for (text, expected) in table {
        check(&map, &columns, &[(text, *expected)]);
    }
}

#[test]
fn databricks_and_mlflow_rows_are_read() {
    let row: Expected<'_> =
        Ok(&[&["id=q", "latency_us=12000", "status=200", "feature:a=1.0", "prediction:value=2.0"]]);
    check(
        "format: databricks",
        &COLUMNS,
        &[(
            r#"{"databricks_request_id":"q","request_time":"2026-01-02T03:04:05.678Z","status_code":200,"execution_duration_ms":12,"request":"{\"dataframe_records\":[{\"a\":1}]}","response":"{\"predictions\":[2]}"}"#,
            row,
        )],
    );
    check(
        "format: mlflow",
        &COLUMNS,
        &[(
            r#"{"id":"q","ts":1767323045678,"status":200,"latency_ms":12,"request":{"dataframe_split":{"columns":["a"],"data":[[1]]}},"response":{"predictions":[2]}}"#,
            row,
        )],
    );
}
