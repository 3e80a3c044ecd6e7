//! What a scrape finds: names and labels (golden file, rewritten with UPDATE_GOLDEN=1), values, bounds.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_alerting::{Acceptance, ClassSignal, Observation, Rules, Source, accept, decide};
use driftline_config::WindowId;
use driftline_pipeline::capture::columns;
use serde_json::{Value, json};

use driftline_analytics::report::PairCounts;

use super::*;

const CONFIG: &str = r#"
kafka: {bootstrap: localhost:9092}
models:
  - name: fraud
    owner: risk
    captures: {topic: payments}
    baseline: {default: baseline.json, "7": baseline-7.json}
    latency: {under: 33ms, objective: 0.99}
    shadow:
      - {name: spring, onnx: spring.onnx, sha256: "0000000000000000000000000000000000000000000000000000000000000000", inputs: [amount], purpose: better}
  - {name: fraud1, captures: {topic: payments}, baseline: other.json}
receivers:
  - {name: ops, webhook: {url: "http://ops.example.org/"}}
"#;

fn metrics(more: &str) -> Metrics {
    let text = format!("{CONFIG}{more}");
    let config = Config::parse(&text, Path::new("/etc/driftline/driftline.yaml"), &|_| None);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    Metrics::new(&config, &["too_large", "future"])
}

fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render().unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The number behind a series, `None` where there is no such series.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let lines = lines(metrics);
    let mut found = lines.iter().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let number = found.next().map(|number| number.parse().unwrap());
    assert_eq!(found.next(), None, "{series} stands there twice");
    number
}

fn check(metrics: &Metrics, expected: &[(&str, Option<f64>)]) {
    for (series, number) in expected {
        assert_eq!(value(metrics, series), *number, "{series}");
    }
}

/// Rows of (version, status, latency, sample rate).
type Row = (Option<&'static str>, Option<i32>, Option<i64>, f64);

fn batch(rows: &[Row]) -> CaptureBatch {
    let count = rows.len() as i64;
    let places: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let ids: ArrayRef = Arc::new(StringArray::new_null(rows.len()));
    let versions: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let latencies: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
    let statuses: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>());
    let rates: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3)));
    let columns = [
        (columns::OFFSET, Arc::clone(&places)),
        (columns::TIME_US, Arc::clone(&places)),
        (columns::RECORD_TIME_US, places),
        (columns::ID, ids),
        (columns::VERSION, versions),
        (columns::LATENCY_US, latencies),
        (columns::STATUS, statuses),
        (columns::SAMPLE_RATE, rates),
    ];
    CaptureBatch::new(RecordBatch::try_from_iter(columns).unwrap()).unwrap()
}

/// A finding of a column at a level: ks 0.3 over a tolerance of 0.1, or two missing in a hundred.
fn finding(subject: &str, check: &str, level: &str) -> Value {
    let mut finding = json!({
        "subject": subject, "check": check, "n": 100, "m": 1000, "level": level,
        "because": "so it is", "first_over": null,
    });
    if check == "distribution" {
        finding["ks"] = json!({
            "value": 0.3, "certified": [0.3, 0.3], "bound": 0.2, "confidence": 0.99, "tolerance": 0.1,
            "tolerance_from": "floor", "baseline_error": 0.01, "detectable": 0.2, "at": 1.0,
            "share_reference": 0.5, "share_window": 0.8, "p": 0.001, "p_method": "kolmogorov-limit",
            "p_tolerance": 0.001, "p_adjusted": 0.001,
        });
    } else {
        finding["share"] = json!({
            "value": 0.02, "bound": 0.01, "confidence": 0.99, "tolerance": 0.01,
            "tolerance_from": "floor", "reference": 0.005, "detectable": 0.1, "p_tolerance": 0.5,
            "p_adjusted": 0.5, "count": 2,
        });
    }
    finding
}

fn report(model: &str, level: &str, findings: &[Value]) -> Report {
    let report = json!({
        "driftline": 1, "model": model, "versions": {"3": 90, "7": 10},
        "window": {
            "id": format!("{model}@20261109T000000Z.1d"), "start": "2026-11-09T00:00:00Z",
            "end": "2026-11-10T00:00:00Z", "rows": 100, "parts": 1, "complete": true,
            "previous": null, "cuts": {},
            "ledger": {"read": 100, "counted": 100, "late": 0, "rejected": 0},
        },
        "level": level, "release": null, "changed": [], "findings": findings, "latency": null,
        "status": {"2xx": 100}, "baseline_sha256": "b", "config_sha256": "c", "rules": 1,
    });
    Report::from_json(&report.to_string()).unwrap()
}

/// Something of everything.
fn moved() -> Metrics {
    let metrics = metrics("");
    metrics.rows("fraud", &batch(&[(Some("7"), Some(200), Some(1_500), 1.0)]));
    let findings = [
        finding("feature:amount", "distribution", "alarm"),
        finding("feature:amount", "missing", "ok"),
    ];
    let mut report = report("fraud", "alarm", &findings);
    let maximum = json!({"of": "short_drift", "scales": [1, 2], "own": 89, "rank": 1, "threshold": 2.5,
        "value": 3.5, "beyond": 89, "pages": true, "leading": "feature:amount", "scale": 1});
    let budget = json!({"at_most": 1.0, "per": "28d", "windows": 28.0, "own": 90, "lag": 1,
        "expected": 0.95, "bound": 2.2, "pages": true, "maxima": [maximum], "says": ""});
    report.budget = serde_json::from_value(budget).unwrap();
    metrics.report(&report);
    metrics.shadow_agreement("fraud", "spring", Some(0.93));
    let pairs = PairCounts { paired: 97, response_missing: 2, request_missing: 1, given_up: 0 };
    metrics.pairs("fraud", pairs, 5);
    metrics.lag("payments", Partition(1), 5);
    metrics.checkpoint_age(2_500_000);
    metrics.report_delay(100_000);
    metrics.queue_depth("chunks", 3);
    metrics.last_event("fraud", 1_500_000);
    metrics.watermark("fraud", 1_000_000);
    metrics.defects(1);
    metrics
}

#[test]
fn names_types_labels_and_helps_are_those_of_the_golden_file() {
    let text = moved().render().unwrap();
    let mut written = String::new();
    for family in Family::ALL {
        let definition = family.definition();
        let name = definition.name;
        let labels = definition.labels.join(",");
        let of_family = |line: &&str| line.split_whitespace().nth(2) == Some(name);
        let heads: Vec<&str> =
            text.lines().filter(|line| line.starts_with("# ")).filter(of_family).collect();
        assert_eq!(heads.len(), 2, "{name} is not scraped");
        written.push_str(&format!("{}\n{}\n{name}{{{labels}}}\n", heads[0], heads[1]));
        for label in definition.labels {
            assert!(text.contains(&format!("{label}=\"")), "{name} without {label}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/golden/metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

#[test]
fn counters_exist_from_the_start() {
    check(
        &metrics(""),
        &[
            ("driftline_records_total{topic=\"payments\",outcome=\"late\"}", Some(0.0)),
            ("driftline_rejected_total{topic=\"payments\",reason=\"future\"}", Some(0.0)),
            ("driftline_windows_total{model=\"fraud\",level=\"not_computable\"}", Some(0.0)),
            ("driftline_alert_state{model=\"fraud1\",class=\"broken input\"}", Some(0.0)),
            (
                "driftline_shadow_rows_total{model=\"fraud\",candidate=\"spring\",outcome=\"shed\"}",
                Some(0.0),
            ),
            ("driftline_notifications_total{receiver=\"ops\",outcome=\"failed\"}", Some(0.0)),
            ("driftline_outbox_pending{receiver=\"ops\"}", Some(0.0)),
            ("driftline_limit_reached_total{limit=\"outbox\"}", Some(0.0)),
            ("driftline_series_dropped_total", Some(0.0)),
            ("driftline_model_info{model=\"fraud\",owner=\"risk\",versions=\"7\"}", Some(1.0)),
            // Nothing is known of these yet, and zero would be a lie.
            ("driftline_last_event_timestamp_seconds{model=\"fraud\"}", None),
            ("driftline_shadow_agreement_ratio{model=\"fraud\",candidate=\"spring\"}", None),
        ],
    );
}

#[test]
fn requests_are_weighted_and_latencies_are_not() {
    let metrics = metrics("");
    let rows = [
        (Some("7"), Some(200), Some(33_000), 1.0),
        (Some("7"), Some(200), Some(33_001), 0.25),
        (Some("7"), Some(503), None, 1.0),
        (None, None, Some(20), 1.0),
    ];
    metrics.rows("fraud", &batch(&rows));
    metrics.rows("fraud", &batch(&rows));
    metrics.rows("nobody", &batch(&rows));
    let latency = "driftline_request_latency_seconds";
    check(
        &metrics,
        &[
            ("driftline_requests_total{model=\"fraud\",version=\"7\",class=\"2xx\"}", Some(10.0)),
            ("driftline_requests_total{model=\"fraud\",version=\"7\",class=\"5xx\"}", Some(2.0)),
            (
                "driftline_requests_total{model=\"fraud\",version=\"none\",class=\"none\"}",
                Some(2.0),
            ),
            // The objective is a bucket, and what takes just as long is within it.
            (&format!("{latency}_bucket{{model=\"fraud\",version=\"7\",le=\"0.025\"}}"), Some(0.0)),
            (&format!("{latency}_bucket{{model=\"fraud\",version=\"7\",le=\"0.033\"}}"), Some(2.0)),
            (&format!("{latency}_bucket{{model=\"fraud\",version=\"7\",le=\"0.05\"}}"), Some(4.0)),
            (&format!("{latency}_bucket{{model=\"fraud\",version=\"7\",le=\"+Inf\"}}"), Some(4.0)),
            (&format!("{latency}_count{{model=\"fraud\",version=\"7\"}}"), Some(4.0)),
            (&format!("{latency}_sum{{model=\"fraud\",version=\"7\"}}"), Some(0.132_002)),
            ("driftline_slow_requests_total{model=\"fraud\",version=\"7\"}", Some(2.0)),
            ("driftline_slow_requests_total{model=\"fraud\",version=\"none\"}", Some(0.0)),
            ("driftline_objective_ratio{model=\"fraud\",objective=\"latency\"}", Some(0.99)),
            ("driftline_objective_ratio{model=\"fraud\",objective=\"errors\"}", None),
        ],
    );
    assert!(!metrics.render().unwrap().contains("nobody"));
}

#[test]
fn versions_are_four_names_and_other() {
    let metrics = metrics("");
    let names = ["a", "b", "c", "d", "e", "7"];
    let rows: Vec<Row> = names.iter().map(|name| (Some(*name), Some(200), None, 1.0)).collect();
    metrics.rows("fraud", &batch(&rows));
    let expected = [("7", 1.0), ("a", 1.0), ("b", 1.0), ("c", 1.0), ("other", 2.0)];
    let of_model = |line: &&String| line.starts_with("driftline_requests_total{model=\"fraud\"");
    assert_eq!(lines(&metrics).iter().filter(of_model).count(), expected.len());
    for (version, requests) in expected {
        let labels = format!("{{model=\"fraud\",version=\"{version}\",class=\"2xx\"}}");
        check(&metrics, &[(&format!("driftline_requests_total{labels}"), Some(requests))]);
    }
}

/// The metrics library's vectors find a series by a hash over its label values run together: topic
/// `payments` partition 11 and topic `payments1` partition 1 moved one another's gauge.
#[test]
fn labels_that_run_together_are_two_series() {
    let metrics = metrics("");
    metrics.lag("payments", Partition(11), 1);
    metrics.lag("payments1", Partition(1), 2);
    metrics.rows("fraud", &batch(&[(Some("12"), Some(200), None, 1.0)]));
    metrics.rows("fraud1", &batch(&[(Some("2"), Some(200), None, 0.1)]));
    check(
        &metrics,
        &[
            ("driftline_consumer_lag{topic=\"payments\",partition=\"11\"}", Some(1.0)),
            ("driftline_consumer_lag{topic=\"payments1\",partition=\"1\"}", Some(2.0)),
            ("driftline_requests_total{model=\"fraud\",version=\"12\",class=\"2xx\"}", Some(1.0)),
            ("driftline_requests_total{model=\"fraud1\",version=\"2\",class=\"2xx\"}", Some(10.0)),
        ],
    );
}

#[test]
fn a_report_replaces_what_its_model_showed() {
    let metrics = metrics("");
    let amount = "{model=\"fraud\",subject=\"feature:amount\"";
    let first = [
        finding("feature:amount", "distribution", "warn"),
        finding("feature:amount", "missing", "alarm"),
        finding("prediction:label@3", "distribution", "ok"),
    ];
    metrics.report(&report("fraud", "alarm", &first));
    metrics.report(&report("fraud1", "ok", &[finding("feature:amount", "missing", "ok")]));
    check(
        &metrics,
        &[
            (&format!("driftline_drift_statistic{amount},statistic=\"value\"}}"), Some(0.3)),
            (&format!("driftline_drift_statistic{amount},statistic=\"bound\"}}"), Some(0.2)),
            (&format!("driftline_drift_statistic{amount},statistic=\"tolerance\"}}"), Some(0.1)),
            (&format!("driftline_column_share{amount},share=\"missing\"}}"), Some(0.02)),
            (&format!("driftline_drift_level{amount}}}"), Some(2.0)),
            (&format!("driftline_not_computable{amount}}}"), Some(0.0)),
            ("driftline_drift_level{model=\"fraud\",subject=\"prediction:label@3\"}", Some(0.0)),
            ("driftline_windows_total{model=\"fraud\",level=\"alarm\"}", Some(1.0)),
            ("driftline_model_info{model=\"fraud\",owner=\"risk\",versions=\"3,7\"}", Some(1.0)),
            ("driftline_model_info{model=\"fraud\",owner=\"risk\",versions=\"7\"}", None),
        ],
    );
    let second = [finding("feature:amount", "distribution", "not_computable")];
    metrics.report(&report("fraud", "not_computable", &second));
    check(
        &metrics,
        &[
            // A column of which nothing can be said is not at ok.
            (&format!("driftline_drift_level{amount}}}"), None),
            (&format!("driftline_not_computable{amount}}}"), Some(1.0)),
            (&format!("driftline_column_share{amount},share=\"missing\"}}"), None),
            ("driftline_drift_level{model=\"fraud\",subject=\"prediction:label@3\"}", None),
            ("driftline_drift_level{model=\"fraud1\",subject=\"feature:amount\"}", Some(0.0)),
            ("driftline_windows_total{model=\"fraud\",level=\"not_computable\"}", Some(1.0)),
        ],
    );
}

#[test]
fn ledgers_count_since_this_process_started() {
    let metrics = metrics("");
    let mut ledger = TopicLedger::default();
    ledger
        .partitions
        .insert(Partition(0), Ledger { read: 12, counted: 10, rejected: 2, ..Ledger::default() });
    ledger.reasons.insert("future".to_owned(), 2);
    metrics.begin("payments", &ledger);
    metrics.ledger("payments", &ledger);
    let counted = "driftline_records_total{topic=\"payments\",outcome=\"counted\"}";
    let future = "driftline_rejected_total{topic=\"payments\",reason=\"future\"}";
    check(&metrics, &[(counted, Some(0.0)), (future, Some(0.0))]);
    ledger
        .partitions
        .insert(Partition(1), Ledger { read: 5, counted: 4, rejected: 1, ..Ledger::default() });
    ledger.reasons.insert("future".to_owned(), 3);
    metrics.ledger("payments", &ledger);
    metrics.ledger("payments", &ledger);
    check(&metrics, &[(counted, Some(4.0)), (future, Some(1.0))]);
}

#[test]
fn columns_at_ok_make_way_first() {
    let start = lines(&metrics("")).len();
    // Room for two columns of five series each.
    let metrics = metrics(&format!("limits: {{series: {}}}\n", start + 11));
    let ok = |name: &str| finding(&format!("feature:{name}"), "distribution", "ok");
    let alarm = |name: &str| finding(&format!("feature:{name}"), "distribution", "alarm");
    let shown = |metrics: &Metrics| -> Vec<String> {
        let levels = lines(metrics).into_iter().filter_map(|line| {
            let labels = line.strip_prefix("driftline_drift_level{model=\"")?;
            let (model, rest) = labels.split_once('"')?;
            let subject = rest.split_once("feature:")?.1.split_once('"')?.0;
            Some(format!("{model} {subject}"))
        });
        levels.collect()
    };
    let dropped = |metrics: &Metrics| value(metrics, "driftline_series_dropped_total").unwrap();

    metrics.report(&report("fraud", "ok", &[ok("a"), ok("b"), ok("c")]));
    assert_eq!(shown(&metrics), ["fraud a", "fraud b"]);
    assert_eq!(dropped(&metrics), 5.0);
    metrics.report(&report("fraud", "ok", &[ok("a"), ok("b"), ok("c")]));
    assert_eq!(dropped(&metrics), 5.0, "a series is counted once");

    metrics.report(&report("fraud1", "alarm", &[ok("x"), alarm("z")]));
    assert_eq!(shown(&metrics), ["fraud b", "fraud1 z"]);
    assert_eq!(dropped(&metrics), 15.0);

    // What is no column's goes before all columns, and there is an end to it.
    for partition in 0..30 {
        metrics.lag("payments", Partition(partition), 1);
        assert!(lines(&metrics).len() <= start + 11, "partition {partition}");
    }
    assert_eq!(shown(&metrics), [""; 0]);
    let lag = |line: &&String| line.starts_with("driftline_consumer_lag");
    assert_eq!(lines(&metrics).iter().filter(lag).count(), 11);
    assert_eq!(dropped(&metrics), 15.0 + 10.0 + 19.0);
    check(&metrics, &[("driftline_limit_reached_total{limit=\"series\"}", Some(44.0))]);
}

#[test]
fn the_smallest_bound_still_tells_of_itself() {
    let metrics = metrics("limits: {series: 2}\n");
    metrics.report(&report("fraud", "alarm", &[finding("feature:a", "distribution", "alarm")]));
    assert_eq!(lines(&metrics).len(), 2);
    assert!(value(&metrics, "driftline_series_dropped_total").unwrap() > 50.0);
}

#[test]
fn alert_states_follow_the_incidents() {
    let metrics = metrics("");
    let class = Class::BrokenInput;
    let state = "driftline_alert_state{model=\"fraud\",class=\"broken input\"}";
    let mut alerts = ModelAlerts::default();
    metrics.alerts("fraud", &alerts);
    check(&metrics, &[(state, Some(0.0))]);
    // One window at alarm opens an incident of broken input.
    let observation = Observation {
        model: "fraud".to_owned(),
        source: Source::Window {
            id: WindowId::of_comparison("w"),
            start_us: 0,
            end_us: 1,
            complete: true,
        },
        at_us: 1,
        classes: [(class, ClassSignal::new(Level::Alarm, Vec::new()))].into(),
    };
    (alerts, _) = decide(&alerts, &observation, &Rules::default());
    metrics.alerts("fraud", &alerts);
    check(&metrics, &[(state, Some(2.0))]);
    let incident = alerts.incidents().next().unwrap().id.clone();
    let (by, reason) = ("Ada".to_owned(), "known".to_owned());
    alerts = accept(&alerts, &incident, Acceptance { by, reason, at_us: 2 }).unwrap();
    metrics.alerts("fraud", &alerts);
    check(&metrics, &[(state, Some(3.0))]);
}

#[test]
fn bounds_on_names_that_a_report_met_are_counted() {
    let metrics = metrics("");
    let mut new_names = finding("feature:amount", "new_category", "warn");
    new_names["share"]["names_truncated"] = json!(true);
    let mut met = report("fraud", "warn", &[new_names]);
    met.names_truncated = ["version", "new_column"].map(str::to_owned).to_vec();
    metrics.report(&met);
    for limit in ["versions", "new_columns", "new_categories"] {
        check(
            &metrics,
            &[(&format!("driftline_limit_reached_total{{limit=\"{limit}\"}}"), Some(1.0))],
        );
    }
}

#[test]
fn shadows_and_notifications_move() {
    let metrics = metrics("");
    metrics.shadow_rows("fraud", "spring", ShadowRows { paired: 5, shed: 1, failed: 0 });
    metrics.shadow_rows("fraud", "spring", ShadowRows { paired: 9, shed: 1, failed: 2 });
    metrics.shadow_agreement("fraud", "spring", Some(0.5));
    metrics.notification("ops", "delivered");
    metrics.limit_reached("outbox", 3);
    let spring = "{model=\"fraud\",candidate=\"spring\"";
    let agreement = format!("driftline_shadow_agreement_ratio{spring}}}");
    check(
        &metrics,
        &[
            (&format!("driftline_shadow_rows_total{spring},outcome=\"paired\"}}"), Some(9.0)),
            (&format!("driftline_shadow_rows_total{spring},outcome=\"failed\"}}"), Some(2.0)),
            (&agreement, Some(0.5)),
            ("driftline_notifications_total{receiver=\"ops\",outcome=\"delivered\"}", Some(1.0)),
            ("driftline_limit_reached_total{limit=\"outbox\"}", Some(3.0)),
        ],
    );
    metrics.shadow_agreement("fraud", "spring", None);
    check(&metrics, &[(&agreement, None)]);
}
