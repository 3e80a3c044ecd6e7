//! Requests: whatever is sent gets an answer of HTTP or none, and nothing is done without the token.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use driftline_analytics::report::Report;
use driftline_config::Config;
use driftline_pipeline::digest::WindowDigest;
use driftline_pipeline::snapshot::{PageDocuments, Snapshot, StoredReport, WindowDocument};
use driftline_store::Store;
use driftline_web::metrics::Metrics;
use driftline_web::{Board, Command, Live, ModelStatus, router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MODEL: &str = "flight-delay";
const TOKEN: &str = "planted-token";
/// Whole, since a stored report that is damaged is answered with 500.
const REPORT: &str = include_str!("../../analytics/tests/data/report.json");
const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 1_794_182_400_000_000;

struct Service {
    board: Arc<Board>,
    commands: Mutex<Receiver<Command>>,
    _folder: tempfile::TempDir,
}

/// Sends the bytes over one connection and closes its sending half.
pub fn check(data: &[u8]) {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let service = SERVICE.get_or_init(service);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.expect("a runtime starts").block_on(answer(service, data));
    let shown = String::from_utf8_lossy(data);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{shown}");
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{shown}");
    let secret = TOKEN.as_bytes();
    assert!(!answer.windows(secret.len()).any(|piece| piece == secret), "{shown}");
    let done = service.commands.lock().expect("nobody panics").try_iter().count();
    assert!(done == 0 || shown.contains(TOKEN) || shown.contains("cGxhbnRlZC10b2tlb"), "{shown}");
}

async fn answer(service: &Service, data: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let router = router(Arc::clone(&service.board), data.len().is_multiple_of(2));
    // A client that has said everything still hears the answer.
    let serving = tokio::spawn(
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(server), TowerToHyperService::new(router)),
    );
    let mut answer = Vec::new();
    let talking = async {
        // Either may fail: the other side may have heard enough.
        let _ = client.write_all(data).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut answer).await;
    };
    // A page that listens for changes is answered without an end.
    let _ = tokio::time::timeout(Duration::from_millis(200), talking).await;
    serving.abort();
    answer
}

fn service() -> Service {
    let text = format!(
        "kafka: {{bootstrap: localhost:9092}}\nhttp: {{token: {TOKEN}}}\nmodels:\n  - {{name: {MODEL}, captures: {{topic: flights}}, baseline: b.json}}\n"
    );
    let config = Config::parse(&text, Path::new("/etc/driftline.yaml"), &|_| None)
        .expect("the configuration is valid");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let store = Store::open(folder.path(), Duration::ZERO, false).expect("a store can be made");
    let report = StoredReport {
        model: MODEL.to_owned(),
        start_us: START_US,
        end_us: START_US + DAY_US,
        report: REPORT.to_owned(),
        history: "{}".to_owned(),
        config_sha256: "00".to_owned(),
        coarse: String::new(),
    };
    let whole = Report::from_json(REPORT).expect("the report is whole");
    let digest = WindowDigest::new(&whole, START_US..START_US + DAY_US);
    let digest = WindowDocument::new(MODEL, START_US, &digest).expect("a digest is JSON");
    let shown = PageDocuments { digests: vec![digest], ..PageDocuments::default() };
    let snapshot = Snapshot { reports: vec![report], shown, ..Snapshot::default() };
    store.commit(&snapshot).expect("the store can be written");
    let (sender, commands) = sync_channel(64);
    let metrics = Arc::new(Metrics::new(&config, &[]));
    let board = Arc::new(Board::new(&config, Arc::new(store), metrics, sender));
    let model = ModelStatus { name: MODEL.to_owned(), ..ModelStatus::default() };
    board.publish(Live { models: vec![model.into()], ..Live::default() });
    Service { board, commands: Mutex::new(commands), _folder: folder }
}
