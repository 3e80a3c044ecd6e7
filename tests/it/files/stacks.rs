//! The pages of docs/stacks: each command that can be run here is run as it stands there, up to the first alarm.
//!
//! Captures are written as each stack documents them. Commands of the stacks themselves (`theirs`) cannot be had.

mod captures;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::rig::kafka::{self, Kafka};
use crate::rig::service::{self, Service};
use crate::rig::traffic::{self, Meaning, Record};
use crate::rig::{self, http};
use captures::{Half, Stack};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/stacks");

/// A piece of a page: a file that it has one write, or commands.
#[derive(Debug, PartialEq)]
enum Piece {
    File {
        name: String,
        text: String,
    },
    Commands(Vec<String>),
    /// The same that need a broker.
    WithBroker(Vec<String>),
    /// Of the stack itself.
    Theirs(Vec<String>),
}

/// The fenced pieces of a page. A fence names its language, and behind it a file, `broker` or `theirs`.
fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let inner: Vec<String> =
            lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        pieces.push(match fence.split_once(' ') {
            Some((_, "theirs")) => Piece::Theirs(inner),
            Some(("sh", "broker")) => Piece::WithBroker(inner),
            Some((_, name)) => Piece::File { name: name.to_owned(), text: inner.join("\n") + "\n" },
            None => {
                assert_eq!(fence, "sh", "what is no command names its file, or is theirs");
                Piece::Commands(inner)
            }
        });
    }
    pieces
}

/// A page that is being followed: its folder, and what stands for the addresses that it names.
struct Walk {
    folder: TempDir,
    swaps: BTreeMap<String, String>,
    service: Option<Service>,
    port: u16,
    run: Vec<String>,
}

impl Walk {
    fn swapped(&self, text: &str) -> String {
        self.swaps.iter().fold(text.to_owned(), |text, (this, other)| text.replace(this, other))
    }

    /// Runs a line of the page by a shell that knows the program, and looks at its exit code.
    fn command(&mut self, line: &str) -> String {
        let expected = if line.contains("# exit 1") { 1 } else { 0 };
        let line = self.swapped(line);
        self.run.push(line.clone());
        if line.starts_with("driftline run ") {
            let config = self.folder.path().join("driftline.yaml");
            self.service = Some(Service::start(&config, self.port));
            return String::new();
        }
        let program = service::driftline();
        let program = program.get_program().to_str().unwrap();
        let script = format!("driftline() {{ '{program}' \"$@\"; }}\n{line}");
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(script).current_dir(self.folder.path());
        let (code, stdout, stderr) = service::run(&mut shell);
        assert_eq!(code, Some(expected), "{line}\n{stdout}\n{stderr}");
        stdout
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), self.swapped(text)).unwrap();
    }
}

/// Follows a page; commands that need a broker are left out where there is none.
fn follow(name: &str, stack: &dyn Stack, kafka: Option<&Kafka>) -> Walk {
    let page = Path::new(PAGES).join(format!("{name}.md"));
    let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let port = rig::free_port();
    let topic = page.lines().find_map(|line| line.trim().strip_prefix("topic: ")).unwrap();
    let mut swaps = BTreeMap::from([("127.0.0.1:9464".to_owned(), format!("127.0.0.1:{port}"))]);
    let mut of_topic = String::new();
    if let Some(kafka) = kafka {
        of_topic = kafka.create_topic(topic, 2, &[]);
        swaps.insert("localhost:9092".to_owned(), kafka.bootstrap.clone());
        swaps.insert(format!("topic: {topic}"), format!("topic: {of_topic}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut walk = Walk { folder, swaps, service: None, port, run: Vec::new() };
    for (file, text) in stack.files() {
        fs::write(walk.folder.path().join(file), text).unwrap();
    }
    let (mut files, mut theirs) = (0, 0);
    for piece in pieces(&page) {
        match (piece, kafka) {
            (Piece::File { name, text }, _) => {
                files += 1;
                walk.file(&name, &text);
            }
            (Piece::Commands(lines), _) => lines.iter().for_each(|line| _ = walk.command(line)),
            (Piece::WithBroker(lines), Some(kafka)) => {
                produce(kafka, &of_topic, stack.halves(false));
                for line in &lines {
                    if line.starts_with("driftline run ") {
                        produce(kafka, &of_topic, stack.halves(true));
                    }
                    if line.starts_with("curl ") {
                        wait_for_an_alarm(walk.service.as_ref().unwrap());
                    }
                    let told = walk.command(line);
                    if line.starts_with("curl ") {
                        let alerts: Value = serde_json::from_str(&told).unwrap();
                        assert!(alerts.to_string().contains("firing"), "{alerts}");
                    }
                }
            }
            (Piece::WithBroker(_), None) => {}
            (Piece::Theirs(_), _) => theirs += 1,
        }
    }
    assert!(files >= 1 && theirs >= 1, "{name}");
    eprintln!(
        "{name}: {} commands run; {theirs} pieces of the stack cannot be had",
        walk.run.len()
    );
    walk
}

fn wait_for_an_alarm(service: &Service) {
    service.wait_until("to alarm", |service| {
        let alerts = http::get(&service.url("/api/v1/alerts")).ok()?.body;
        alerts.contains("firing").then_some(())
    });
}

fn produce(kafka: &Kafka, topic: &str, halves: Vec<Half>) {
    let record = |half: Half| Record {
        partition: (half.time_us / 1_000_000 % 2) as i32,
        offset: 0,
        key: half.key,
        value: half.value.into_bytes(),
        timestamp_us: half.time_us,
        meaning: Meaning::Skipped,
    };
    let records: Vec<Record> = halves.into_iter().map(record).collect();
    traffic::produce(kafka, topic, &records);
}

/// Every page is followed by a test, and every test has a page.
#[test]
fn each_page_of_a_stack_is_followed() {
    let mut names: Vec<String> = fs::read_dir(PAGES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path: std::path::PathBuf| Path::new(path.file_stem().unwrap()).display().to_string())
        .collect();
    names.sort();
    let mut known: Vec<&str> = captures::STACKS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

/// Without a broker: from files to a window at alarm.
#[test]
fn pages_lead_to_an_alarm_over_files() {
    for (name, stack) in captures::STACKS {
        let walk = follow(name, *stack, None);
        let backtests = walk.run.iter().filter(|line| line.contains("backtest")).count();
        assert_eq!(backtests, usize::from(stack.has_files()), "{name}: {:?}", walk.run);
    }
}

/// On a real broker: from the records on a topic to an alert that fires.
#[test]
fn pages_lead_to_an_alarm_on_a_topic() {
    let Some(kafka) = kafka::broker() else { return };
    for (name, stack) in captures::STACKS {
        let walk = follow(name, *stack, Some(kafka));
        assert!(walk.run.iter().any(|line| line.starts_with("curl ")), "{name}");
        walk.service.unwrap().stop();
    }
}
