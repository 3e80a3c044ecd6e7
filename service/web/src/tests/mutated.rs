//! Requests that were sound once: whatever became of them gets an answer of HTTP or none, and nothing
//! is done without the token.

use driftline_analytics::report::Report;
use driftline_pipeline::digest::WindowDigest;
use driftline_pipeline::snapshot::{PageDocuments, WindowDocument};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// For an answer that must come: a form alone takes three seconds, and a busy core its time.
const AMPLE: Duration = Duration::from_secs(60);
/// For one that may stay away, as that of a request that was cut short does.
const ENOUGH: Duration = Duration::from_secs(5);
const HEAD: &str = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";

fn sound() -> Vec<String> {
    let get = |path: &str| format!("GET {path} {HEAD}\r\n");
    let post = |path: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("POST {path} {HEAD}{headers}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let bearer = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json");
    let form = "Origin: http://localhost\r\nContent-Type: application/x-www-form-urlencoded";
    vec![
        get("/api/v1/models"),
        get("/readyz"),
        get("/metrics"),
        get("/"),
        get(&format!("/models/{MODEL}/windows/{}", window_id(1))),
        get(&format!("/models/{MODEL}/findings/feature:dep_delay?check=missing")),
        get(&format!("/api/v1/models/{MODEL}/reports?limit=5")),
        get(&format!(
            "/api/v1/models/{MODEL}/series?subject=feature:dep_delay&statistic=ks&from=2026-11-01T00:00:00Z"
        )),
        post("/api/v1/alerts/abc/accept", &bearer, r#"{"by":"Ada","reason":"a known sale"}"#),
        post(
            "/api/v1/silences",
            &bearer,
            r#"{"model":"flight-delay","until":"2126-01-01T00:00:00Z","by":"Ada","reason":"x"}"#,
        ),
        post("/alerts/abc/accept", form, "by=Ada&reason=known&token=planted-token"),
    ]
}

fn change() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let words = vec![
        "",
        "\r\n",
        "\r\n\r\n",
        "%",
        "%00",
        "%ff",
        "..",
        "/",
        "?",
        "&",
        "=",
        "\"",
        "{",
        "}",
        "\0",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 9\r\n",
        "Host: evil\r\n",
        "HTTP/1.0",
        "OPTIONS",
        "99999999999999999999",
        "-1",
    ];
    let words = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..6);
    (any::<Index>(), 0_usize..12, prop_oneof![words, noise])
}

/// A report, and what the views list of it.
fn store_with_digest(rig: &Rig) {
    store(rig, 1..=1);
    let report = Report::from_json(&report(1)).unwrap();
    let start_us = parse_instant_us(&report.window.start).unwrap();
    let digest = WindowDigest::new(&report, start_us..start_us + DAY_US);
    let document = serde_json::to_vec(&digest).unwrap();
    let digest = WindowDocument { model: MODEL.to_owned(), start_us, document };
    let shown = PageDocuments { digests: vec![digest], ..PageDocuments::default() };
    rig.store.commit(&Snapshot { shown, ..Snapshot::default() }).unwrap();
}

async fn answer(router: Router, request: &[u8], within: Duration) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = TowerToHyperService::new(router);
    // A client that has said everything still hears the answer.
    let mut builder = http1::Builder::new();
    let serving =
        tokio::spawn(builder.half_close(true).serve_connection(TokioIo::new(server), service));
    let mut answer = Vec::new();
    let talking = async {
        // Either may fail: the other side may have heard enough.
        let _ = client.write_all(request).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut answer).await;
    };
    // A page that listens for changes is answered without an end; a form waits a while for the driver.
    let _ = tokio::time::timeout(within, talking).await;
    serving.abort();
    answer
}

/// Nothing was answered here at first: the connection ended with the client's sending half.
#[tokio::test]
async fn a_sound_request_is_answered() {
    let rig = local();
    store_with_digest(&rig);
    for request in sound() {
        let router = router(Arc::clone(&rig.board), false);
        let answer = answer(router, request.as_bytes(), AMPLE).await;
        let answer = String::from_utf8_lossy(&answer);
        let is_done = ["HTTP/1.1 2", "HTTP/1.1 3"].iter().any(|done| answer.starts_with(done));
        assert!(is_done, "{request}: {answer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mutated_request_does_no_harm(
        which in any::<Index>(),
        changes in prop::collection::vec(change(), 1..4),
        beyond_loopback in any::<bool>(),
    ) {
        let sound = sound();
        let mut request = sound[which.index(sound.len())].clone().into_bytes();
        for (at, cut, text) in changes {
            let from = at.index(request.len() + 1);
            let to = (from + cut).min(request.len());
            request.splice(from..to, text);
        }
        let shown = String::from_utf8_lossy(&request).into_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let rig = local();
        store_with_digest(&rig);
        let router = router(Arc::clone(&rig.board), beyond_loopback);
        let answer = runtime.block_on(answer(router, &request, ENOUGH));
        let answer = String::from_utf8_lossy(&answer);
        prop_assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{shown}: {answer}");
        prop_assert!(!answer.starts_with("HTTP/1.1 500"), "{shown}: {answer}");
        prop_assert!(!answer.contains(TOKEN), "{shown}: {answer}");
        let done = rig.commands.try_iter().count();
        prop_assert!(done == 0 || shown.contains(TOKEN), "{shown}: {answer}");
        if beyond_loopback && answer.starts_with("HTTP/1.1 200") && !shown.contains(TOKEN) {
            let open = ["/livez", "/readyz", "/metrics"];
            prop_assert!(open.iter().any(|path| shown.contains(path)), "{shown}: {answer}");
        }
    }
}
