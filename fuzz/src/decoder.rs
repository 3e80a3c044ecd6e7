//! Captures: the decoder accepts what JSON is, says why it does not, and expects nothing that changes
//! what it reads.

use std::sync::OnceLock;

use driftline_capture::Reason;
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_formats::{Decoder, ModelPlan, Outcome, Record, RecordLimits};
use serde_json::Value;

const RECORD_TIME_US: i64 = 1_767_323_045_678_000;

/// Decodes the bytes as one record, of a topic with one model and of a topic with two.
pub fn check(data: &[u8]) {
    static PLANS: OnceLock<[Vec<ModelPlan>; 2]> = OnceLock::new();
    let plans = PLANS.get_or_init(|| [plan(&["flights"]), plan(&["flights", "trains"])]);
    for plan in plans {
        let mut fresh = Decoder::new(plan, &RecordLimits::default());
        let first = decode(&mut fresh, data);
        let read = fresh.take().expect("Arrow takes the columns");
        // The order of keys that was seen is the order that is expected next.
        let again = decode(&mut fresh, data);
        let read_again = fresh.take().expect("Arrow takes the columns");
        assert_eq!(first, again);
        assert_eq!(format!("{:?}", read.rows), format!("{:?}", read_again.rows));
        assert_eq!(read.marks, read_again.marks);
        let rows: usize = read.rows.iter().map(|rows| rows.rows.rows()).sum();
        assert_eq!(rows + read.marks.len(), 1, "one record is one row or one mark");
        agrees_with_serde_json(&first, data);
    }
}

fn decode(decoder: &mut Decoder, data: &[u8]) -> Outcome {
    let record = Record { value: Some(data), offset: 7, time_us: Some(RECORD_TIME_US) };
    let outcome = decoder.decode(&record);
    if let Outcome::Rejected(rejection) = &outcome {
        assert!((1..=256).contains(&rejection.detail.len()), "{rejection:?}");
    }
    outcome
}

fn agrees_with_serde_json(outcome: &Outcome, data: &[u8]) {
    let rejected = match outcome {
        Outcome::Rejected(rejection) => Some(rejection.reason),
        _ => None,
    };
    match serde_json::from_slice::<Value>(data) {
        Ok(Value::Object(_)) => {
            let unreadable = [Reason::InvalidJson, Reason::InvalidUtf8, Reason::NotAnObject];
            let refused = rejected.is_some_and(|reason| unreadable.contains(&reason));
            assert!(!refused, "serde_json reads it: {outcome:?}");
        }
        Ok(_) => assert_eq!(rejected, Some(Reason::NotAnObject)),
        // Beyond the range of doubles infinity is read, and so are the bare words that Python writes.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        // Half a pair of surrogates costs its value.
        Err(error) if error.to_string().contains("hex escape") => {}
        Err(error) => {
            let text = String::from_utf8_lossy(data);
            let bare = text.contains("NaN") || text.contains("Infinity");
            let read = matches!(outcome, Outcome::Row(_) | Outcome::Heartbeat);
            assert!(bare || !read, "serde_json does not read it: {error}");
        }
    }
}

fn plan(models: &[&str]) -> Vec<ModelPlan> {
    let column = |subject: &str, kind, coerce| Column { subject: subject.into(), kind, coerce };
    let schema = CaptureSchema {
        columns: vec![
            column("feature:delay", Kind::Numeric, false),
            column("feature:fare", Kind::Numeric, true),
            column("feature:carrier", Kind::Categorical, false),
            column("prediction:value", Kind::Numeric, false),
            column("prediction:label", Kind::Categorical, false),
        ],
        ignored: vec!["feature:gate".into()],
    };
    let models = models.iter().map(|name| ModelPlan {
        name: (*name).to_owned(),
        schema: schema.clone(),
        max_ahead_us: 3_600_000_000,
        mapping: None,
    });
    models.collect()
}
