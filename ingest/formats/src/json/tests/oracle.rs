//! The decoder against serde_json: generated and mutated records are accepted alike, and give the
//! same values to the bit.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::category::{category_of_f64, coerce_number, cut_text};

/// How the bare token NaN is told to the oracle, which does not know it.
const NAN_MARK: &str = "\u{1}NaN";

/// What the oracle makes of a record: a rejection, or the model and its cells.
#[derive(Debug, PartialEq)]
enum Expected {
    Rejected,
    Skipped,
    Heartbeat,
    Row(usize, Vec<String>),
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text == NAN_MARK => Some(f64::NAN),
        _ => None,
    }
}

pub(crate) fn cell(column: &Column, value: &Value, raw: &str) -> Option<String> {
    let subject = &column.subject;
    let wrong = |text: &str| {
        let kept: String = text.chars().take(64).collect();
        Some(format!("wrong_type:{subject}={kept}"))
    };
    if let Some(value_f64) = number(value) {
        return match (column.kind, value) {
            (Kind::Numeric, _) => Some(format!("{subject}={value_f64:?}")),
            (_, Value::Number(number)) if !number.is_f64() => Some(format!("{subject}={number}")),
            _ => category_of_f64(value_f64).map(|text| format!("{subject}={text}")),
        };
    }
    match (column.kind, value) {
        (_, Value::Null) => None,
        (Kind::Categorical, Value::String(text)) => {
            Some(format!("{subject}={}", cut_text(text, 256)))
        }
        (Kind::Categorical, Value::Bool(truth)) => Some(format!("{subject}={truth}")),
        (Kind::Numeric, Value::Bool(truth)) => wrong(&truth.to_string()),
        (Kind::Numeric, Value::String(text)) => match coerce_number(text) {
            Some(value) if column.coerce => Some(format!("{subject}={value:?}")),
            _ => wrong(text),
        },
        _ => wrong(raw),
    }
}

/// The cells in the order of the batch: values, wrong types, unknown columns.
fn values(model: &ModelPlan, record: &serde_json::Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    let scalar = record
        .get("prediction")
        .filter(|v| !v.is_object() && !v.is_null())
        .map(|value| serde_json::Map::from_iter([("value".to_owned(), value.clone())]));
    let prediction = record.get("prediction").and_then(Value::as_object).or(scalar.as_ref());
    let features = record.get("features").and_then(Value::as_object);
    for column in &model.schema.columns {
        let part = if column.is_prediction() { prediction } else { features };
        let Some(value) = part.and_then(|part| part.get(column.name())) else { continue };
        match cell(column, value, &value.to_string()) {
            Some(cell) if cell.starts_with("wrong_type:") => wrong.push(cell),
            Some(cell) => found.push(cell),
            None => {}
        }
    }
    for (prefix, part) in [("feature", features), ("prediction", prediction)] {
        // Null is missing, and a column that is missing is not there.
        let present =
            part.iter().flat_map(|part| part.iter()).filter(|(_, value)| !value.is_null());
        for (name, _) in present {
            let subject = format!("{prefix}:{}", cut_text(name, 256));
            let CaptureSchema { columns, ignored } = &model.schema;
            let mut known = columns.iter().map(|column| &column.subject).chain(ignored);
            let known = known.any(|known| known.as_str() == subject);
            if !known && !unknown.contains(&subject) {
                unknown.push(subject);
            }
        }
    }
    found.extend(wrong);
    if !unknown.is_empty() {
        found.push(format!("unknown_columns={}", sorted_words(&unknown.join(" "))));
    }
    found
}

/// Names in an order of their own, be there blanks in them.
pub(crate) fn sorted_words(names: &str) -> String {
    let mut words: Vec<_> = names.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

fn judge(models: &[ModelPlan], record: &Value) -> Expected {
    let Some(record) = record.as_object() else { return Expected::Rejected };
    let heartbeat = record.get("heartbeat") == Some(&Value::Bool(true));
    let known = |model: &Value| models.iter().any(|plan| Some(&*plan.name) == model.as_str());
    let foreign = record.get("model").is_some_and(|model| model.is_string() && !known(model));
    if !foreign && record.get("v").and_then(Value::as_f64).is_some_and(|v| v != 1.0) {
        return Expected::Rejected;
    }
    let model = match record.get("model") {
        Some(Value::String(name)) => match models.iter().position(|model| model.name == *name) {
            Some(model) => Some(model),
            None => return Expected::Skipped,
        },
        None | Some(Value::Null) if heartbeat => None,
        None | Some(Value::Null) if models.len() == 1 => Some(0),
        _ => return Expected::Rejected,
    };
    let time_us = match record.get("ts") {
        Some(Value::String(text)) => match crate::read_instant(text.as_bytes()) {
            Some(crate::InstantText::At(time_us)) => Some(time_us),
            _ => None,
        },
        Some(Value::Number(number)) => match number.as_i64() {
            Some(milliseconds) => milliseconds.checked_mul(1000),
            None => number.as_f64().map(|milliseconds| (milliseconds * 1000.0).round() as i64),
        },
        _ => None,
    };
    let ahead_us = model.map_or(3_600_000_000, |model| models[model].max_ahead_us);
    let in_time = |time_us: i64| (946_684_800_000_000..=TS_US + ahead_us).contains(&time_us);
    match (time_us.filter(|time_us| in_time(*time_us)), model) {
        (None, _) => Expected::Rejected,
        (Some(_), _) if heartbeat => Expected::Heartbeat,
        (Some(_), None) => Expected::Rejected,
        (Some(_), Some(model)) => {
            let status = record.get("status").and_then(number);
            let whole = status.filter(|s| s.fract() == 0.0 && s.abs() < 2e9);
            let failed = whole.is_some_and(|status| status >= 400.0);
            let cells = if failed { Vec::new() } else { values(&models[model], record) };
            Expected::Row(model, cells)
        }
    }
}

/// What the decoder makes of a record, in the oracle's terms.
fn decoded(models: &[ModelPlan], text: &str) -> Expected {
    decoded_after(models, &[], text)
}

/// The same after other records, in whose order it expects the keys.
fn decoded_after(models: &[ModelPlan], before: &[&str], text: &str) -> Expected {
    let mut decoder = Decoder::new(models, &RecordLimits::default());
    for text in before {
        decode(&mut decoder, text.as_bytes());
    }
    let _ = decoder.take().unwrap();
    match decode(&mut decoder, text.as_bytes()) {
        Outcome::Rejected(_) => Expected::Rejected,
        Outcome::Skipped => Expected::Skipped,
        Outcome::Half(..) => panic!("our own format has no halves"),
        Outcome::NeedsModel(name) => panic!("nobody is asked about {name}"),
        Outcome::NeedsSchema(id) => panic!("our own format has no schema {id}"),
        Outcome::Heartbeat => Expected::Heartbeat,
        Outcome::Row(model) => {
            let rows = decoder.take().unwrap().rows;
            let mut cells = cells(&rows[0].rows, 0);
            cells.retain(|cell| cell.contains(':'));
            if let Some(last) = cells.last_mut()
                && let Some(names) = last.strip_prefix("unknown_columns=")
            {
                *last = format!("unknown_columns={}", sorted_words(names));
            }
            Expected::Row(model, cells)
        }
    }
}

/// Texts of JSON values as pairs: for the decoder, for the oracle.
fn json_value() -> impl Strategy<Value = (String, String)> {
    let same = |text: String| (text.clone(), text);
    let quoted = |text: String| Value::String(text).to_string();
    let leaf = prop_oneof![
        any::<f64>()
            .prop_filter("JSON has no NaN", |x| x.is_finite())
            .prop_map(|x| format!("{x:?}")),
        any::<f64>()
            .prop_filter("JSON has no NaN", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
        (-9_999_i64..9_999, 0_u32..30).prop_map(|(x, e)| format!("{x}.0{}e{e}", e)),
        any::<i64>().prop_map(|x| x.to_string()),
        "-?[1-9][0-9]{0,15}\\.[0-9]{1,20}(e-?[0-9]{1,2})?",
        any::<String>().prop_map(quoted),
        "[A-Z]{2}".prop_map(quoted),
        "[0-9]{1,3}".prop_map(quoted),
        Just(r#""\ud83d\ude00\t\u0000\"""#.to_owned()),
        prop::sample::select(vec!["true", "false", "null", "-0", "0.0"]).prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        9 => leaf.prop_map(same),
        1 => Just(("NaN".to_owned(), Value::String(NAN_MARK.to_owned()).to_string())),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..3).prop_map(|items| {
            let text = |pick: fn(&(String, String)) -> &String| {
                format!(
                    "[{}]",
                    items.iter().map(|i| pick(i).as_str()).collect::<Vec<_>>().join(",")
                )
            };
            (text(|item| &item.0), text(|item| &item.1))
        });
        prop_oneof![array, object(prop::collection::vec(("[a-z]{1,2}", inner), 0..3))]
    })
}

fn object(
    entries: impl Strategy<Value = Vec<(String, (String, String))>>,
) -> impl Strategy<Value = (String, String)> {
    (entries, any::<bool>()).prop_map(|(entries, spaced)| {
        let text = |pick: fn(&(String, String)) -> &String| {
            let (colon, comma) = if spaced { (" :\t", " ,\n ") } else { (":", ",") };
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}{colon}{}", Value::String(key.clone()), pick(value)))
                .collect();
            format!("{{{}}}", entries.join(comma))
        };
        (text(|value| &value.0), text(|value| &value.1))
    })
}

fn record() -> impl Strategy<Value = (String, String)> {
    let names = prop::sample::select(vec!["delay", "carrier", "fare", "gate", "new", "ä\n"]);
    let features =
        object(prop::collection::vec((names.prop_map(str::to_owned), json_value()), 0..6));
    let names = prop::sample::select(vec!["value", "label", "debug"]);
    let prediction =
        object(prop::collection::vec((names.prop_map(str::to_owned), json_value()), 0..4));
    let fixed = |texts: Vec<&'static str>| {
        prop::sample::select(texts).prop_map(|text| (text.to_owned(), text.to_owned()))
    };
    let entry = prop_oneof![
        4 => fixed(vec!["1767323045678", "\"2026-01-02T03:04:05Z\""]).prop_map(|v| ("ts", v)),
        2 => fixed(vec!["\"flights\"", "\"trains\"", "\"fl\\u0069ghts\""]).prop_map(|v| ("model", v)),
        4 => features.prop_map(|v| ("features", v)),
        3 => prediction.prop_map(|v| ("prediction", v)),
        1 => fixed(vec!["200", "404", "500.0", "null", "\"ok\""]).prop_map(|v| ("status", v)),
        1 => fixed(vec!["true", "false", "1"]).prop_map(|v| ("heartbeat", v)),
        1 => json_value().prop_map(|v| ("prediction", v)),
        1 => json_value().prop_map(|v| ("extra", v)),
    ];
    object(prop::collection::vec(entry.prop_map(|(key, value)| (key.to_owned(), value)), 0..9))
}

/// The raw text of a nested value is what the producer wrote, which the oracle cannot know.
fn without_nested(expected: Expected) -> Expected {
    match expected {
        Expected::Row(model, mut cells) => {
            for cell in &mut cells {
                if cell.starts_with("wrong_type:")
                    && let Some(at) = cell.find(['[', '{'])
                {
                    cell.truncate(at);
                }
            }
            Expected::Row(model, cells)
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn generated_records_give_what_serde_json_gives(texts in record(), shared in any::<bool>()) {
        let models = if shared { vec![flights(), trains()] } else { vec![flights()] };
        let value: Value = serde_json::from_str(&texts.1).unwrap();
        let expected = without_nested(judge(&models, &value));
        // The name of an unconfigured model ends the reading, even where a later key disagrees.
        let stopped = !shared && texts.0.contains("trains");
        let whole = decoded(&models, &texts.0);
        prop_assert_eq!(&whole, &decoded_after(&models, &[&texts.0], &texts.0), "{}", &texts.0);
        let got = without_nested(whole);
        prop_assert!(got == expected || (stopped && got == Expected::Skipped),
            "{}\n   got {:?}\nwanted {:?}", texts.0, got, expected);
    }

    #[test]
    fn mutated_records_are_accepted_alike(
        texts in record(),
        at in any::<prop::sample::Index>(),
        change in prop::sample::select(vec!["", "{", "}", "[", "]", "\"", "\\", ",", ":", "0", "-", ".", "e", " ", "\u{1}", "n", "é"]),
        insert in any::<bool>(),
    ) {
        let mut characters: Vec<char> = texts.1.chars().collect();
        let at = at.index(characters.len());
        characters.splice(at..at + usize::from(!insert), change.chars());
        let text: String = characters.into_iter().collect();
        let models = [flights(), trains()];
        let got = decoded(&models, &text);
        // However sure the decoder is of what comes, it sees what is there.
        prop_assert_eq!(&got, &decoded_after(&models, &[&texts.1], &text), "{}", text);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => {
                let expected = judge(&models, &value);
                let alike = std::mem::discriminant(&got) == std::mem::discriminant(&expected);
                prop_assert!(alike || got == Expected::Skipped, "{text}: {got:?}, not {expected:?}");
            }
            // Beyond the range of doubles serde_json refuses where this decoder reads infinity.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            // And half a pair of surrogates, which costs its value here.
            Err(error) if error.to_string().contains("hex escape") => {}
            Err(error) => {
                prop_assert!(matches!(got, Expected::Rejected | Expected::Skipped), "{text}: {error}");
            }
        }
    }

    #[test]
    fn numbers_read_as_rust_reads_them(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?") {
        let mut scanner = super::super::scan::Scanner::new(&text, 0);
        let Ok(super::super::scan::Value::Number(number)) = scanner.value() else {
            panic!("{text} is a number")
        };
        let expected: f64 = text.parse().unwrap();
        prop_assert_eq!(number.value.to_bits(), expected.to_bits(), "{}", text);
        prop_assert_eq!(scanner.at(), text.len());
    }

    #[test]
    fn records_of_one_producer_give_what_serde_json_gives(
        rows in prop::collection::vec(plain_record(), 2..6),
        at in any::<prop::sample::Index>(),
        change in prop::sample::select(vec!["", "0", "-", ".", "e", " ", ",", "}", "\"", "9", "00", "-0"]),
        insert in any::<bool>(),
    ) {
        let models = [flights()];
        let before: Vec<&str> = rows.iter().map(String::as_str).collect();
        for text in &rows {
            let expected = judge(&models, &serde_json::from_str(text).unwrap());
            prop_assert_eq!(decoded_after(&models, &before, text), expected, "{}", text);
        }
        let mut last: Vec<char> = rows[0].chars().collect();
        let at = at.index(last.len());
        last.splice(at..at + usize::from(!insert), change.chars());
        let text: String = last.into_iter().collect();
        let got = decoded_after(&models, &before, &text);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if got != Expected::Skipped => {
                prop_assert_eq!(without_nested(got), without_nested(judge(&models, &value)), "{}", text);
            }
            Ok(_) => {}
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => prop_assert!(matches!(got, Expected::Rejected | Expected::Skipped), "{text}"),
        }
    }
}

/// What one serving system writes: the same keys in the same order, without blanks, plain numbers.
pub(super) fn plain_record() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,8})?",
        1 => any::<f64>().prop_filter("JSON has no NaN", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        1 => Just("null".to_owned()),
    ];
    let numbers = prop::array::uniform3(number);
    (numbers, "[A-Z]{2}").prop_map(|([delay, fare, score], carrier)| {
        format!(
            "{{\"v\":1,\"model\":\"flights\",\"ts\":1767323045678,\"latency_us\":12,\"features\":\
             {{\"delay\":{delay},\"fare\":{fare},\"carrier\":\"{carrier}\"}},\
             \"prediction\":{{\"value\":{score}}}}}"
        )
    })
}
