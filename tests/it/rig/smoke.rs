//! Each real part alone: a scenario that fails for want of its servers fails here first, and says so.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use super::{PATIENCE, http, kafka, prometheus, python, smtp::Smtp, webhook::Webhook};

#[test]
fn a_record_goes_through_the_broker() {
    let Some(broker) = kafka::broker() else { return };
    let topic = broker.create_topic("smoke", 2, &[("cleanup.policy", "delete")]);
    assert_eq!(broker.offsets(&topic), [(0, 0), (0, 0)]);

    let long_ago = json!({"partition": 1, "offset": 0, "timestamp_ms": 1_364_774_400_000_u64,
                          "key": "k", "value": {"hex": "ff7b"}, "headers": [["reason", "utf-8"]]});
    broker.produce(&topic, vec![long_ago.clone(), json!({"value": "b", "partition": 1})]);
    broker.produce(&topic, vec![json!({"value": "a", "partition": 0})]);
    let records = broker.wait_for_records(&topic, 3, PATIENCE);
    let of = |partition| records.iter().filter(move |record| record["partition"] == partition);
    assert_eq!(of(1).next(), Some(&long_ago));
    assert_eq!(of(1).nth(1).map(|record| &record["value"]), Some(&json!("b")));
    assert_eq!(of(0).count(), 1);

    broker.delete_records(&topic, 1, 1);
    assert_eq!(broker.offsets(&topic), [(0, 1), (1, 2)]);
    assert_eq!(broker.records(&topic).len(), 2);
    broker.delete_topic(&topic);
    broker.create_named_topic(&topic, 1, &[]);
    assert_eq!(broker.offsets(&topic), [(0, 0)]);
}

#[test]
fn a_mail_goes_through_starttls_and_auth() {
    let options = json!({"user": "driftline", "password": "right", "refuse": [451]});
    let Some(server) = Smtp::start(&options) else { return };
    let send = |password: &str| {
        let case = json!({"port": server.port, "ca": server.ca, "user": "driftline", "password": password});
        python::run("smtp_client.py", &case).expect("the server runs on the same Python")
    };
    assert_eq!(send("wrong"), json!({"refused": 535}));
    assert_eq!(send("right"), json!({"refused": 451}), "the first mail is refused on demand");
    assert_eq!(send("right"), json!({"sent": true}));

    let mails = server.mails(1, PATIENCE);
    let attempts = server.attempts(3, PATIENCE);
    let mut codes: Vec<_> =
        attempts.iter().filter_map(|attempt| attempt["code"].as_u64()).collect();
    // A client may offer a refused password by several mechanisms.
    codes.dedup();
    assert_eq!(codes, [535, 451, 250]);
    let kept = &attempts[attempts.len() - 1];
    assert_eq!((&kept["tls"], &kept["user"]), (&json!(true), &json!("driftline")));
    assert_eq!(kept["to"], json!(["b@example.org"]));
    assert!(mails[0].contains("Subject: round trip"), "{}", mails[0]);
}

#[test]
fn a_webhook_signature_is_checked() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let options = json!({"secret": secret, "statuses": [503]});
    let Some(receiver) = Webhook::start(&options) else { return };
    let sign = |id: &str, timestamp: u64, body: &str| {
        let case = json!({"secret": secret, "id": id, "timestamp": timestamp, "body": body});
        python::run("webhook_sign.py", &case).unwrap()["signature"].as_str().unwrap().to_owned()
    };
    // The example of the specification's own libraries.
    let example = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(example, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let post = |timestamp: u64, signature: &str, body: &str| {
        let timestamp = timestamp.to_string();
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", signature),
        ];
        http::request("POST", &receiver.url(), &headers, body).unwrap().status
    };

    let good = sign("msg_1", now, r#"{"a":1}"#);
    assert_eq!(post(now, &good, r#"{"a":1}"#), 503, "the first answer was asked for");
    assert_eq!(post(now, &good, r#"{"a":1}"#), 204);
    assert_eq!(post(now, &good, r#"{"a":2}"#), 401);
    assert_eq!(post(now - 3600, &sign("msg_1", now - 3600, "{}"), "{}"), 401);

    let deliveries = receiver.deliveries(4, PATIENCE);
    let faults: Vec<_> = deliveries.iter().map(|delivery| delivery["fault"].as_str()).collect();
    assert_eq!(faults[..3], [None, None, Some("no signature matches")]);
    assert!(
        faults[3].is_some_and(|fault| fault.starts_with("webhook-timestamp is 36")),
        "{faults:?}"
    );
    assert_eq!(deliveries[1]["body"], json!(r#"{"a":1}"#));
}

#[test]
fn prometheus_scrapes_and_judges_an_exposition() {
    let exposition =
        "# HELP smoke_total Requests.\n# TYPE smoke_total counter\nsmoke_total{model=\"m\"} 42\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            write!(stream, "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n{exposition}")
                .unwrap();
        }
    });
    let Some(server) = prometheus::Prometheus::scraping(port) else { return };
    let samples = server.wait_for("smoke_total{model=\"m\"}", PATIENCE);
    assert_eq!(samples[0]["value"][1], json!("42"));
    assert_eq!(prometheus::complaints(exposition).unwrap(), "");
    let unsound = "# TYPE smoke counter\nsmoke 1\n";
    assert!(prometheus::complaints(unsound).unwrap().contains("_total"));
}

#[test]
fn the_onnx_runtime_library_is_there() {
    let Some(library) = super::onnx_runtime() else { return };
    let name = library.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("libonnxruntime.so"), "{name}");
    assert_eq!(std::fs::read(&library).unwrap()[..4], *b"\x7fELF");
}

/// The oracles themselves, against vectors published elsewhere and the report that the contract shows.
#[test]
fn the_oracles_agree_with_known_values() {
    let vector = json!({"reference": [-1.2, -0.5, -0.0, 0.0, 0.3, 0.7, 1.1, 1.1, 2.0, 3.5],
                        "window": [-2.0, -0.5, 0.1, 0.3, 0.3, 0.9, 1.1, 2.5, 2.6, 4.0, "inf", null]});
    let Some(found) = python::run("oracle_ks.py", &json!({"columns": {"x": vector}})) else {
        return;
    };
    close(&found["x"]["ks"], 29.0 / 110.0, 1e-12);
    close(&found["x"]["p_exact"], 0.73705474092471, 1e-12);
    close(&found["x"]["p_asymptotic"], 0.8000143159620243, 1e-12);
    assert_eq!(found["x"]["n"], json!(11));

    let columns = json!({
        "late": {"kind": "numeric", "slots": {"reference": [2236, 0, 3219], "window": [463, 0, 349]}},
        "letter": {"kind": "categorical", "counts": {
            "reference": {"a": 500, "b": 300, "c": 200},
            "window": {"a": 240, "b": 160, "c": 90, "new": 10}}},
    });
    let judged =
        python::run("oracle_judgement.py", &json!({"judged": 17, "columns": columns})).unwrap();
    let [late, letter] = [&judged["findings"][0], &judged["findings"][1]];
    close(&late["baseline_error"], 0.027, 5e-4);
    close(&late["bound"], 0.076, 5e-4);
    close(&late["detectable"], 0.148, 5e-4);
    assert_eq!(late["level"], "alarm");
    close(&letter["value"], 0.08046070544929494, 1e-12);
    close(&letter["debiased"], 0.08046070544929494 - 3.0 * (1.0 / 1000.0 + 1.0 / 500.0), 1e-12);
    assert_eq!(letter["level"], "ok");
}

fn close(found: &Value, wanted: f64, within: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found - wanted).abs() < within, "{found} is not {wanted}");
}
