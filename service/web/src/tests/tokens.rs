//! Who may ask what: CONTRACTS §6.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("anybody:{password}")))
}

async fn get_status(rig: &Rig, beyond_loopback: bool, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(rig, beyond_loopback, request.body(Body::empty()).unwrap()).await.0
}

#[tokio::test]
async fn beyond_loopback_all_but_probes_and_metrics_need_the_token() {
    let rig = local();
    let bearer = format!("Bearer {TOKEN}");
    let right = [bearer.as_str(), &basic(TOKEN), &format!("bearer  {TOKEN}")].map(str::to_owned);
    let wrong = [
        "Bearer ".to_owned(),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Digest {TOKEN}"),
        TOKEN.to_owned(),
        basic("x"),
        basic(""),
        "Basic !".to_owned(),
        format!("Basic {}", STANDARD.encode(TOKEN)),
    ];
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get_status(&rig, true, path, &[]).await, 200, "{path}");
    }
    let reports = format!("/api/v1/models/{MODEL}/reports");
    let reads = [
        "/",
        "/alerts",
        "/service",
        "/api/v1/models",
        "/api/v1/alerts",
        "/api/v1/ledger",
        "/api/v1/dead-letters",
        &reports,
    ];
    for path in reads {
        assert_eq!(get_status(&rig, true, path, &[]).await, 401, "{path}");
        assert_eq!(get_status(&rig, false, path, &[]).await, 200, "{path}");
        for value in &right {
            assert_eq!(
                get_status(&rig, true, path, &[("authorization", value)]).await,
                200,
                "{value}"
            );
        }
        for value in &wrong {
            assert_eq!(
                get_status(&rig, true, path, &[("authorization", value)]).await,
                401,
                "{value}"
            );
        }
    }
    // What is not there is not told either.
    assert_eq!(get_status(&rig, true, "/nowhere", &[]).await, 401);
    let (_, headers, _) =
        ask(&rig, true, request(Method::GET, "/").body(Body::empty()).unwrap()).await;
    assert_eq!(headers["www-authenticate"], "Basic realm=\"driftline\", Bearer");
}

/// A page whose name resolves to 127.0.0.1 sends its own name as the host.
#[tokio::test]
async fn on_loopback_only_our_own_host_names_are_answered() {
    let rig = rig(&format!("{{token: {TOKEN}, external_url: \"https://Drift.example.org/x\"}}"), 1);
    let table = [
        ("localhost:9464", 200),
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("drift.example.org", 200),
        ("evil.example.org:9464", 403),
        ("localhost.example.org", 403),
        ("127.0.0.1.example.org", 403),
    ];
    for (host, expected) in table {
        let status = get_status(&rig, false, "/api/v1/models", &[("host", host)]).await;
        assert_eq!(status, expected, "{host}");
        assert_eq!(get_status(&rig, false, "/metrics", &[("host", host)]).await, 200, "{host}");
    }
    let bearer = format!("Bearer {TOKEN}");
    let shown = [("host", "evil.example.org"), ("authorization", &*bearer)];
    assert_eq!(get_status(&rig, false, "/api/v1/models", &shown).await, 200);
}

#[tokio::test]
async fn writes_need_the_token_json_and_our_own_origin() {
    let rig = rig(&format!("{{token: {TOKEN}, external_url: \"https://drift.example.org\"}}"), 100);
    let bearer = format!("Bearer {TOKEN}");
    let sound = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("host", "localhost:9464"),
    ];
    let with = |name: &'static str, value: &'static str| {
        let mut headers = sound.to_vec();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        headers
    };
    let without = |name: &str| -> Vec<(&str, &str)> {
        sound.into_iter().filter(|(known, _)| *known != name).collect()
    };
    let table = [
        (sound.to_vec(), 202),
        (without("authorization"), 401),
        (with("authorization", "Bearer guess"), 401),
        (without("content-type"), 415),
        (with("content-type", "text/plain"), 415),
        (with("content-type", "application/x-www-form-urlencoded"), 415),
        (with("content-type", "Application/JSON; charset=utf-8"), 202),
        (with("sec-fetch-site", "same-origin"), 202),
        (with("sec-fetch-site", "none"), 202),
        (with("sec-fetch-site", "same-site"), 403),
        (with("sec-fetch-site", "cross-site"), 403),
        (with("origin", "http://localhost:9464"), 202),
        (with("origin", "https://drift.example.org"), 202),
        (with("origin", "http://drift.example.org"), 403),
        (with("origin", "http://localhost"), 403),
        (with("origin", "https://evil.example.org"), 403),
        (with("origin", "null"), 403),
    ];
    for (headers, expected) in table {
        for beyond_loopback in [false, true] {
            let mut request = request(Method::POST, "/api/v1/alerts/abc/accept");
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let body = Body::from(r#"{"by": "Ada", "reason": "known"}"#);
            let (status, _, body) = ask(&rig, beyond_loopback, request.body(body).unwrap()).await;
            assert_eq!(status, expected, "{headers:?}: {body}");
        }
    }
    assert_eq!(rig.commands.try_iter().count(), 12);
}

#[tokio::test]
async fn without_a_configured_token_nothing_is_written() {
    let rig = rig("{}", 1);
    for path in ["/api/v1/alerts/abc/accept", "/api/v1/silences"] {
        let (status, answer) = post_json(&rig, path, "{}").await;
        assert_eq!(status, 403);
        assert!(answer["error"].as_str().unwrap().contains("set http.token"), "{answer}");
    }
    assert_eq!(get_status(&rig, true, "/api/v1/models", &[]).await, 403);
    assert_eq!(get_status(&rig, false, "/api/v1/models", &[]).await, 200);
}

/// Everybody had the one token, and nothing said who had done what.
#[tokio::test]
async fn named_tokens_do_what_they_are_for_and_writes_are_told() {
    let rig = rig(
        "{token: first-token, tokens: [{name: grafana, token: reads, scopes: [read]}, {name: ops, token: writes, scopes: [read, write]}], user: {header: X-Forwarded-User, from: [10.0.0.1]}}",
        4,
    );
    let silence = |by: Option<&str>| {
        let by = by.map_or(String::new(), |by| format!(r#""by":"{by}","#));
        format!(r#"{{"until":"2999-01-01T00:00:00Z",{by}"reason":"a test"}}"#)
    };
    let post = async |token: &str, peer: [u8; 4], body: String| {
        let mut request = request(Method::POST, "/api/v1/silences")
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/json")
            .header("X-Forwarded-User", "eve")
            .body(Body::from(body))
            .unwrap();
        request.extensions_mut().insert(crate::access::Peer(peer.into()));
        let (status, _, body) = ask(&rig, true, request).await;
        (status, body)
    };
    let (status, said) = post("reads", [10, 0, 0, 1], silence(Some("Ada"))).await;
    assert!(
        status == 403 && said.contains("grafana is not for this: it has no scope write"),
        "{said}"
    );
    assert_eq!(post("other", [10, 0, 0, 1], silence(Some("Ada"))).await.0, 401);
    // From elsewhere than the proxy, the header says nothing.
    assert_eq!(post("writes", [10, 0, 0, 2], silence(Some("Ada"))).await.0, 202);
    assert_eq!(post("writes", [10, 0, 0, 2], silence(None)).await.0, 400);
    assert_eq!(post("first-token", [10, 0, 0, 1], silence(None)).await.0, 202);
    let who = std::iter::from_fn(|| rig.commands.try_recv().ok()).map(|command| match command {
        crate::Command::Silence(silence) => silence.by,
        other => panic!("{other:?}"),
    });
    assert_eq!(who.collect::<Vec<_>>(), ["Ada", "eve"]);

    let asked = request(Method::GET, "/api/v1/audit").header("Authorization", "Bearer reads");
    let (status, _, body) = ask(&rig, true, asked.body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200, "{body}");
    let audit: Value = serde_json::from_str(&body).unwrap();
    let told = |at: usize, key: &str| audit["audit"][at][key].as_str().unwrap_or("-").to_owned();
    let lines: Vec<_> = (0..2)
        .map(|at| ["action", "by", "token", "user", "peer"].map(|key| told(at, key)))
        .collect();
    assert_eq!(lines[0], ["silence", "Ada", "ops", "-", "10.0.0.2"]);
    assert_eq!(lines[1], ["silence", "eve", "http.token", "eve", "10.0.0.1"]);
    assert_eq!(audit["audit"].as_array().unwrap().len(), 2, "refused ones are none");
}
