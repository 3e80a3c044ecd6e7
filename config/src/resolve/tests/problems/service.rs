//! Problems of the broker, the listener, the alerts, the limits and the receivers.

use super::check;

#[test]
fn the_broker_is_checked() {
    check(
        "
kafka:
  bootstrap: http://x
  reports: a b
  dead_letters: folder
  group: ''
  properties: {bootstrap.servers: x, enable.auto.commit: true}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "2:14: \"http://x\" is not a list of brokers: write host:port, several separated by commas",
            "3:12: \"a b\" is not a topic name: up to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`",
            "4:17: \"folder\" is not a place for dead letters: write topic, off or folder:PATH",
            "5:10: must not be empty",
            "6:16: `bootstrap.servers` cannot be set here: use kafka.bootstrap",
            "6:38: `enable.auto.commit` cannot be set here: Driftline commits after its own checkpoint",
        ],
    );
}

#[test]
fn logins_to_the_broker_are_checked() {
    let models = "models: [{name: m, captures: {topic: t}, baseline: b}]";
    let bearer = "token_url: 'https://t', client_id: i, client_secret: planted";
    let one = "kafka.auth names one way to sign in: write aws-msk-iam: {region: …} or oauthbearer: {token_url: …}; passwords and SCRAM are kafka.properties";
    let table = [
        ("auth: {}".to_owned(), vec![format!("1:33: {one}")]),
        (
            format!("auth: {{aws-msk-iam: {{region: eu-west-1}}, oauthbearer: {{{bearer}}}}}"),
            vec![format!("1:33: {one}")],
        ),
        (
            "auth: {aws-msk-iam: {region: Paris, role: reader}}".to_owned(),
            vec![
                "1:56: \"Paris\" is not a region of AWS: write it as in eu-west-1".to_owned(),
                "1:69: \"reader\" is not the ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"
                    .to_owned(),
            ],
        ),
        (
            "auth: {oauthbearer: {token_url: 'http://t.example', client_id: ''}}".to_owned(),
            vec![
                "1:47: missing key `client_secret` in kafka.auth.oauthbearer".to_owned(),
                "1:59: a client secret would cross the network in the clear: write https://…"
                    .to_owned(),
                "1:90: must not be empty".to_owned(),
            ],
        ),
        (
            format!("auth: {{oauthbearer: {{{}}}}}", bearer.replace("//t", "//a:planted@t")),
            vec![
                "1:59: an address with a password in it is printed in logs: write `client_id` and `client_secret` beside it"
                    .to_owned(),
            ],
        ),
        (
            "tls: {certificate: c, key_password: planted}".to_owned(),
            vec!["1:46: `certificate` and `key` belong together".to_owned()],
        ),
        (
            "tls: {ca: c, key_password: planted}".to_owned(),
            vec!["1:54: `key_password` is for a `key`, and none is named".to_owned()],
        ),
        (
            "auth: {aws-msk-iam: {region: r}}, tls: {}, properties: {sasl.username: a, security.protocol: ssl, ssl.ca.location: a, ssl.cipher.suites: a}"
                .to_owned(),
            vec![
                "1:83: `sasl.username` cannot be set here: kafka.auth decides it: remove one of them".to_owned(),
                "1:101: `security.protocol` cannot be set here: kafka.auth decides it: remove one of them".to_owned(),
                "1:125: `ssl.ca.location` cannot be set here: kafka.tls decides it: remove one of them".to_owned(),
            ],
        ),
    ];
    for (login, problems) in table {
        let problems: Vec<&str> = problems.iter().map(String::as_str).collect();
        check(&format!("\nkafka: {{bootstrap: 'b:9', {login}}}\n{models}\n"), &problems);
    }
}

#[test]
fn ports_of_brokers_are_checked() {
    check(
        "
kafka: {bootstrap: 'a:9092,b:99999'}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "1:20: \"a:9092,b:99999\" is not a list of brokers: write host:port, several separated by commas",
        ],
    );
}

#[test]
fn the_listener_is_checked() {
    check(
        "
kafka: {bootstrap: b}
http: {listen: 'localhost:1', external_url: 'ftp://x'}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "2:16: \"localhost:1\" is not an address to listen on: write address:port, such as 127.0.0.1:9464",
            "2:45: \"ftp://x\" is not a web address: write http://… or https://…",
        ],
    );
}

#[test]
fn encryption_needs_a_certificate_and_its_key() {
    check(
        "
kafka: {bootstrap: b}
http: {tls: {certificate: a.pem, keys: b.key}}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "2:13: missing key `key` in http.tls",
            "2:34: unknown key `keys` in http.tls: did you mean `key`?",
        ],
    );
}

#[test]
fn listening_beyond_this_machine_needs_a_token() {
    check(
        "
kafka: {bootstrap: b}
http: {listen: '0.0.0.0:9464'}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &["2:16: listening beyond this machine needs a token: add `token`, or listen on 127.0.0.1"],
    );
}

#[test]
fn alerts_are_checked() {
    check(
        "
kafka: {bootstrap: b}
alerts: {for: {drift: 3 of 2}, repeat: {drift: 1s, operations: x}, max_age: never}
reports: {keep: off}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "2:23: \"3 of 2\" is not a number of windows out of a number of windows: write 2 of 3: the first from 1 to the second, the second at most 100",
            "2:48: \"1s\" is too short: at least 1m",
            "2:64: \"x\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "2:77: \"never\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "3:17: \"off\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
        ],
    );
}

#[test]
fn limits_are_checked() {
    check(
        "
kafka: {bootstrap: b}
limits: {columns: 0, onnx_bytes: 1TB, report_bytes: 99999999999GiB, versions: -1}
models:
  - {name: m, captures: {topic: t}, baseline: b}
",
        &[
            "2:19: \"0\" is not a positive whole number: sizes may be written as 64KiB, 64MiB, 5GiB",
            "2:34: \"1TB\" is not a positive whole number: sizes may be written as 64KiB, 64MiB, 5GiB",
            "2:53: \"99999999999GiB\" is not a positive whole number: sizes may be written as 64KiB, 64MiB, 5GiB",
            "2:79: \"-1\" is not a positive whole number: sizes may be written as 64KiB, 64MiB, 5GiB",
        ],
    );
}

#[test]
fn mail_receivers_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: m, captures: {topic: t}, baseline: b}
receivers:
  - {name: a, email: {server: 'http://x', from: x, to: []}}
  - {name: b, on: [], email: {folder: x, server: 'smtp://x', from: a@b, to: [c]}}
  - {name: c, on: [pages], email: {folder: x, from: a@b, to: b@c}}
  - {name: d, email: {server: 'smtp://x:0', from: a@b, to: [b@c], user: x}}
  - {name: e, email: {server: 'smtp://u:p@x', from: a@b, to: [b@c]}}
  - {name: f, email: {folder: x, from: a@b, to: [b@c], user: u, password: p, ca: x}}
  - {name: g, email: {folder: x, from: \"a@b\\r\\nBcc: x@y\", to: [b@c]}}
",
        &[
            "5:31: \"http://x\" is not the address of a mail server: write smtp://host:port, smtps://host:port or smtp+insecure://host:port",
            "5:49: \"x\" is not a mail address: write user@host",
            "5:56: `to` names nobody",
            "6:19: `on` names no class of messages",
            "6:30: email needs either `server` or `folder`",
            "6:78: \"c\" is not a mail address: write user@host",
            "7:20: \"pages\" is not a class of messages: write alerts or retrain",
            "7:62: expected a list, found a single value",
            "8:22: `user` and `password` belong together",
            "8:31: \"smtp://x:0\" is not the address of a mail server: write smtp://host:port, smtps://host:port or smtp+insecure://host:port",
            "9:31: the address of a mail server holds no user: use the keys `user` and `password`",
            "10:62: `user` belongs to `server`, not to `folder`",
            "10:75: `password` belongs to `server`, not to `folder`",
            "10:82: `ca` belongs to `server`, not to `folder`",
            "11:40: \"a@b  Bcc: x@y\" is not a mail address: write user@host",
        ],
    );
}

#[test]
fn webhook_receivers_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: m, captures: {topic: t}, baseline: b}
receivers:
  - {name: a, webhook: {url: 'mailto:x', headers: {a b: c}, secret: ''}}
  - {name: b, webhook: {url: 'http://x'}, email: {folder: x, from: a@b, to: [b@c]}}
",
        &[
            "5:30: the address of a webhook must start with http:// or https://",
            "5:52: a header has no valid name",
            "5:69: must not be empty",
            "6:5: a receiver needs one of `email`, `webhook`, `alertmanager`, `slack`, `teams`, `pagerduty` and `ntfy`",
        ],
    );
}

#[test]
fn alertmanager_receivers_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: m, captures: {topic: t}, baseline: b}
receivers:
  - {name: a, alertmanager: {url: 'am:9093', headers: {a b: c}, resend: 0s, runbook: here}}
  - {name: b, alertmanager: {url: 'http://am:9093/api/v2/alerts', resend: 1h, runbook: 'http://x#y'}}
  - {name: c, alertmanager: {url: 'http://am:9093/?x', secret: s, ca: ''}}
  - {name: d, on: [alerts, retrain], alertmanager: {url: 'http://am:9093'}}
  - {name: e, alertmanager: {url: 'http://am:9093'}, webhook: {url: 'http://x'}}
",
        &[
            "5:35: the address of an Alertmanager must start with http:// or https://",
            "5:56: a header has no valid name",
            "5:73: \"0s\" is too short: at least 1s",
            "5:86: \"here\" is not a web address: write http://… or https://…, without #anchor",
            "6:35: the address of an Alertmanager names the server, not its API: write http://host:9093, and the path of --web.route-prefix if it has one",
            "6:75: \"1h\" is not a duration up to 10m",
            "6:88: \"http://x#y\" is not a web address: write http://… or https://…, without #anchor",
            "7:35: the address of an Alertmanager names the server, not its API: write http://host:9093, and the path of --web.route-prefix if it has one",
            "7:56: unknown key `secret` in alertmanager: known are url, headers, ca, resend, runbook",
            "7:71: must not be empty",
            "8:19: an Alertmanager takes no retraining requests: write alerts, or leave `on` out",
            "9:5: a receiver needs one of `email`, `webhook`, `alertmanager`, `slack`, `teams`, `pagerduty` and `ntfy`",
        ],
    );
}

/// It was accepted and never told anything.
#[test]
fn a_mail_receiver_of_retraining_requests_alone_is_refused() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: m, captures: {topic: t}, baseline: b}
receivers:
  - {name: a, on: [retrain], email: {folder: mail, from: a@x, to: [b@x]}}
  - {name: b, on: [retrain, alerts], email: {folder: mail, from: a@x, to: [b@x]}}
  - {name: c, on: [retrain], webhook: {url: 'http://x'}}
",
        &[
            "5:19: a mail receiver is told about alerts only, and `on` leaves them out: write alerts, or use a webhook for retrain",
        ],
    );
}

#[test]
fn what_a_candidate_may_do_is_checked() {
    check(
        "
kafka: {bootstrap: b}
shadow: {memory: none, load: 10ms, run: soon, unsandboxed: perhaps, cpu: 1}
models: [{name: m, captures: {topic: t}, baseline: b}]
",
        &[
            "2:18: \"none\" is not a positive whole number: sizes may be written as 64KiB, 64MiB, 5GiB",
            "2:30: \"10ms\" is too short: at least 1s",
            "2:41: \"soon\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "2:60: \"perhaps\" is not true or false",
            "2:69: unknown key `cpu` in shadow: known are memory, load, run, unsandboxed",
        ],
    );
}
