//! The registry, answered by a server of three routes: what is asked, kept, and done about wrong answers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use driftline_config::{RegistryLogin, SchemaRegistry, Secret};
use serde_json::json;

use super::*;

/// A registry that answers as it is told, and remembers what it was asked.
pub(crate) struct Server {
    url: String,
    shared: Arc<Told>,
}

#[derive(Default)]
struct Told {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

/// An answer to one route.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) after: Duration,
}

/// A request: its path, and how it knew us.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    path: String,
    authorization: Option<String>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Told::default());
        let told = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let told = Arc::clone(&told);
                std::thread::spawn(move || told.serve(stream));
            }
        });
        Server { url, shared }
    }

    pub(crate) fn settings(&self, cache: &Path) -> SchemaRegistry {
        let (url, cache) = (self.url.clone(), cache.to_owned());
        SchemaRegistry { url, cache, login: RegistryLogin::None, ca: None }
    }

    pub(crate) fn answer(&self, path: &str, status: u16, body: impl Into<String>) {
        let answer = Answer { status, body: body.into(), after: Duration::ZERO };
        self.shared.answers().insert(path.to_owned(), answer);
    }

    pub(crate) fn answer_after(&self, path: &str, after: Duration, body: impl Into<String>) {
        let answer = Answer { status: 200, body: body.into(), after };
        self.shared.answers().insert(path.to_owned(), answer);
    }

    /// Answers no more.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(self.url.trim_start_matches("http://"));
    }

    /// How often a route was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Told {
    fn answers(&self) -> MutexGuard<'_, BTreeMap<String, Answer>> {
        self.answers.lock().unwrap()
    }

    fn serve(&self, stream: std::net::TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let path = lines.next().unwrap_or_default();
        let path = path.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut authorization = None;
        for line in lines.take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.to_owned());
            }
        }
        self.asked.lock().unwrap().push(Asked { path: path.clone(), authorization });
        let unknown = Answer {
            status: 404,
            body: json!({"error_code": 40403, "message": "Schema not found"}).to_string(),
            after: Duration::ZERO,
        };
        let answer = self.answers().get(&path).cloned().unwrap_or(unknown);
        std::thread::sleep(answer.after);
        let mut stream = stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}",
            answer.status,
            answer.body.len(),
            answer.body
        );
    }
}

/// An answer that is a schema of Avro.
pub(crate) fn schema_answer(schema: &serde_json::Value) -> String {
    json!({"schema": schema.to_string()}).to_string()
}

const PATIENCE: Duration = Duration::from_secs(20);
const RECORD: &str = r#"{"type":"record","name":"r","fields":[{"name":"ts","type":"long"}]}"#;

fn fetched(server: &Server, cache: &Path, id: SchemaId) -> (Result<(), IngestError>, SchemaShelf) {
    let shelf = SchemaShelf::default();
    let result = fetch_schema(&server.settings(cache), id, &shelf, Duration::from_millis(600));
    (result, shelf)
}

#[test]
fn what_was_fetched_once_is_never_asked_for_again_and_outlives_the_registry() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    server.answer("/schemas/ids/7", 200, json!({"schema": RECORD}).to_string());
    let guid = SchemaId::Guid([0xab; 16]);
    let path = "/schemas/guids/abababab-abab-abab-abab-abababababab";
    server.answer(path, 200, json!({"schema": RECORD, "schemaType": "AVRO"}).to_string());
    for id in [SchemaId::Number(7), guid] {
        for _ in 0..2 {
            let (result, shelf) = fetched(&server, cache.path(), id);
            result.unwrap();
            assert!(shelf.holds(id));
        }
    }
    assert_eq!((server.asked("/schemas/ids/7"), server.asked(path)), (1, 1));
    server.stop();
    let (result, shelf) = fetched(&server, cache.path(), SchemaId::Number(7));
    result.unwrap();
    assert!(shelf.holds(SchemaId::Number(7)), "without a registry");
    let error = fetched(&server, cache.path(), SchemaId::Number(8)).0.unwrap_err().to_string();
    assert!(error.contains("gives no schema 8"), "{error}");
    // Another registry names other schemas so.
    let other = Server::start();
    other.answer("/schemas/ids/7", 200, json!({"schema": RECORD}).to_string());
    fetched(&other, cache.path(), SchemaId::Number(7)).0.unwrap();
    assert_eq!(other.asked("/schemas/ids/7"), 1);
}

#[test]
fn a_kept_schema_that_is_damaged_is_fetched_again() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    server.answer("/schemas/ids/7", 200, json!({"schema": RECORD}).to_string());
    fetched(&server, cache.path(), SchemaId::Number(7)).0.unwrap();
    let folder = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let file = folder.join("7.json");
    std::fs::write(&file, "{\"schema\":").unwrap();
    fetched(&server, cache.path(), SchemaId::Number(7)).0.unwrap();
    assert_eq!(server.asked("/schemas/ids/7"), 2);
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept["schema"], RECORD);
}

#[tokio::test]
async fn references_come_before_those_that_refer_to_them() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let refers =
        |name: &str, subject: &str| json!({"name": name, "subject": subject, "version": 3});
    let proto = |text: &str, references: serde_json::Value| {
        json!({"schema": text, "schemaType": "PROTOBUF", "references": references}).to_string()
    };
    let both = json!([refers("a.proto", "a"), refers("b.proto", "with/slash")]);
    server.answer("/schemas/ids/7", 200, proto("main", both));
    server.answer(
        "/subjects/a/versions/3",
        200,
        proto("A", json!([refers("b.proto", "with/slash")])),
    );
    server.answer("/subjects/with%2Fslash/versions/3", 200, proto("B", json!([])));
    let client = Client::new(&server.settings(cache.path())).unwrap();
    let schema = client.fetch(SchemaId::Number(7)).await.unwrap();
    let names: Vec<&str> = schema.references.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((schema.text.as_str(), names), ("main", vec!["b.proto", "a.proto"]));
}

#[tokio::test]
async fn a_registry_that_answers_nonsense_is_told_from_one_that_does_not_know() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let client = Client::new(&server.settings(cache.path())).unwrap();
    let table = [
        (200, "<html>", "its answer to schemas/ids/7 is no schema"),
        (200, "{}", "its answer to schemas/ids/7 is no schema"),
        (200, r#"{"schema":7}"#, "its answer to schemas/ids/7 is no schema"),
        (200, r#"{"schema":"x","schemaType":"XML"}"#, "its answer to schemas/ids/7 is no schema"),
        (500, r#"{"error_code":50001}"#, "it answered 500 Internal Server Error to schemas/ids/7"),
        (401, "", "it answered 401 Unauthorized to schemas/ids/7"),
        // A proxy that knows no such address.
        (404, "not found", "it answered 404 Not Found to schemas/ids/7"),
        (302, "", "it answered 302 Found to schemas/ids/7"),
    ];
    for (status, body, expected) in table {
        server.answer("/schemas/ids/7", status, body);
        match client.fetch(SchemaId::Number(7)).await {
            Err(Failure::Other(why)) => assert_eq!(why, expected),
            other => panic!("{other:?} of {status} {body}"),
        }
    }
    assert!(matches!(client.fetch(SchemaId::Number(8)).await, Err(Failure::Absent)));
}

#[tokio::test]
async fn a_registry_knows_us_by_password_or_token_and_no_error_shows_them() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let (user, password) = (Secret::new("anna"), Secret::new("planted-secret"));
    let logins = [
        (RegistryLogin::Password { user, password }, "Basic YW5uYTpwbGFudGVkLXNlY3JldA=="),
        (RegistryLogin::Token(Secret::new("planted-secret")), "Bearer planted-secret"),
    ];
    for (login, expected) in logins {
        let settings = SchemaRegistry { login, ..server.settings(cache.path()) };
        let error = Client::new(&settings).unwrap().fetch(SchemaId::Number(7)).await.unwrap_err();
        assert!(!format!("{error:?} {settings:?}").contains("planted-secret"));
        let asked = server.shared.asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked.authorization.as_deref(), Some(expected));
    }
}

#[test]
fn an_unknown_schema_is_asked_for_three_times() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let shelf = SchemaShelf::default();
    let settings = server.settings(cache.path());
    fetch_schema(&settings, SchemaId::Number(9), &shelf, PATIENCE).unwrap();
    assert!(shelf.holds(SchemaId::Number(9)), "as one that is not there");
    assert_eq!(server.asked("/schemas/ids/9"), ABSENT_ANSWERS as usize);
    assert_eq!(wait_after(1), FIRST_WAIT);
    assert_eq!(wait_after(100), LAST_WAIT);
}
