//! `driftline check`: one judgement for the stream and for files of every format, one document on stdout,
//! one line for everything left out.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use driftline_pipeline::inline::Inline;
use driftline_pipeline::{Event, Read};
use driftline_world::{LATER, Log, World};
use serde_json::{Value, json};

use crate::rig::{python, service};

const DAY_MS: i64 = 86_400_000;
/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY_MS: i64 = 1_767_571_200_000;
const PARTITIONS: i32 = 3;
const CONFIG: &str = "
kafka: {bootstrap: \"127.0.0.1:9\"}
state: state
alerts: {max_age: off}
models:
  - name: m
    captures: {topic: captures}
    baseline: baseline.json
    window: {every: 1d, lateness: 1h, idle: off, at_least: 1}
    latency: {under: 50ms, objective: 0.99}
    errors: {objective: 0.999}
";

/// Numbers that look random and are the same in every run (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, share: f64) -> bool {
        self.next() < share
    }
}

/// Captures of one day, one JSON object each. From `drift` on everything moves a little; `typed` leaves
/// out the values that no typed column could hold.
fn captures(day: i64, count: i64, drift: f64, typed: bool) -> Vec<String> {
    let mut numbers = Numbers(day.unsigned_abs() * 1000 + 7);
    (0..count)
        .map(|row| {
            let time_ms = MONDAY_MS + day * DAY_MS + row * (DAY_MS - 1000) / count;
            let mut features = serde_json::Map::new();
            let mut feature = |name: &str, value: Value| features.insert(name.to_owned(), value);
            let amount = ((numbers.next() + numbers.next() + drift) * 4000.0).round() / 16.0;
            feature("amount", if numbers.below(0.03 + drift / 5.0) { Value::Null } else { json!(amount) });
            feature("age", json!((numbers.next() * 60.0) as i64 + 18));
            let balance = (numbers.next() - 0.5) * 1e-3;
            feature("balance", json!(if numbers.below(0.1) { -0.0 } else { balance }));
            let mut country = ["DE", "FR", "São Tomé", "a, \"b\""][(numbers.next() * 4.0) as usize];
            if numbers.below(drift / 10.0) {
                country = "new";
            }
            feature("country", json!(country));
            feature("trial", json!(numbers.below(0.3 + drift)));
            if drift > 0.0 && numbers.below(0.05) {
                feature("fresh", json!(1.5));
            }
            if !typed && numbers.below(0.04) {
                feature("age", json!("unknown"));
            }
            if !typed && numbers.below(0.04) {
                feature("balance", json!(true));
            }
            let score = (numbers.next() * 1e6).round() / 1e6;
            let label = if score + drift > 0.7 { "yes" } else { "no" };
            let capture = json!({
                "v": 1, "model": "m", "version": if numbers.below(0.2) { "2" } else { "1" },
                "id": format!("{day}-{row}"), "ts": format_ms(time_ms),
                "latency_us": 1000 + row % 977 * 70, "status": if row % 211 == 5 { 503 } else { 200 },
                "features": features, "prediction": {"label": label, "score": score}});
            capture.to_string()
        })
        .collect()
}

fn format_ms(time_ms: i64) -> String {
    driftline_config::time::format_instant(time_ms * 1000)
}

/// A folder with the model's configuration, and its baseline of two days of captures.
struct Bench {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("driftline.yaml");
        fs::write(&config, CONFIG).unwrap();
        let bench = Bench { folder, config };
        let mut rows = captures(-2, 2500, 0.0, true);
        rows.extend(captures(-1, 2500, 0.0, true));
        let rows = bench.write("baseline.jsonl", &rows);
        let mut command = service::driftline();
        command.args(["baseline", "--predictions", "held-out", "--config"]).arg(&bench.config);
        command.arg("--data").arg(rows).arg("--out").arg(bench.path("baseline.json"));
        let (code, _, stderr) = service::run(&mut command);
        assert_eq!(code, Some(0), "{stderr}");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, lines: &[String]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    }

    /// What `check --json` prints about a file.
    fn check(&self, current: &Path) -> String {
        let mut command = service::driftline();
        command.args(["check", "--json", "--config"]).arg(&self.config);
        command.arg("--baseline").arg(self.path("baseline.json")).arg("--current").arg(current);
        let (code, stdout, stderr) = service::run(&mut command);
        assert_eq!(code, Some(1), "{stderr}");
        stdout.trim_end().to_owned()
    }

    /// The report of the window of `rows` as the service makes it: through the decoder of the stream,
    /// three partitions and the pipeline, closed by heartbeats.
    fn stream(&self, rows: &[String]) -> String {
        let yaml = fs::read_to_string(&self.config).unwrap();
        let world = World::new(&yaml, &fs::read(self.path("baseline.json")).unwrap());
        // Stamped as late as a record can be, so that event time alone moves the watermark.
        let end_us = (MONDAY_MS + 2 * DAY_MS) * 1000;
        let mut log = Log::new(PARTITIONS);
        for (row, partition) in rows.iter().zip((0..PARTITIONS).cycle()) {
            log.push(partition, row.as_str(), end_us);
        }
        log.close(end_us);
        let mut inline = Inline::new(world.pipeline_over(PARTITIONS));
        for partition in 0..PARTITIONS {
            let chunk = world.chunk(&log, partition, 0, log.len(partition));
            assert_eq!(chunk.marks.len(), 96, "all but the heartbeats are rows");
            inline.feed(Event::Read(Read::Chunk(chunk)), LATER);
        }
        assert_eq!(inline.reports.len(), 1, "one window was fed and closed");
        inline.reports.remove(0).1
    }
}

/// The bytes of a report's findings and of all that was counted, without what a file does not have:
/// a window's name, its cuts and its neighbours.
fn judged(report: &str) -> &str {
    let from = report.find("\"findings\":[").expect("a report has findings");
    let to = report.find("\"config_sha256\"").expect("a report names its settings");
    &report[from..to]
}

#[test]
fn the_stream_and_files_of_every_format_give_the_same_findings_byte_for_byte() {
    let bench = Bench::new();
    for typed in [true, false] {
        let rows = captures(0, 1500, 0.15, typed);
        let streamed = bench.stream(&rows);
        let expected = judged(&streamed);
        let mut levels = String::new();
        for level in ["alarm", "warn", "ok"] {
            let count = expected.matches(&format!("\"level\":\"{level}\"")).count();
            let _ = write!(levels, "{level} {count} ");
            assert!(count > 0, "{levels}");
        }
        assert_eq!(expected.contains("such as \\\"unknown\\\""), !typed, "{expected}");
        let own = bench.write("captures.jsonl", &rows);
        let request = json!({"do": "same_rows", "captures": own, "folder": bench.folder.path(), "typed": typed});
        let mut files = vec![own];
        if let Some(others) = python::run("oracle_files.py", &request) {
            let others: Vec<PathBuf> = serde_json::from_value(others).unwrap();
            assert_eq!(others.len(), if typed { 3 } else { 2 });
            files.extend(others);
        }
        let mut whole = None;
        for file in files {
            let report = bench.check(&file);
            assert_eq!(judged(&report), expected, "{}", file.display());
            // Among files, all of the report.
            assert_eq!(whole.get_or_insert_with(|| report.clone()), &report, "{}", file.display());
        }
    }
}

#[test]
fn the_html_is_one_file_in_which_nothing_that_is_planted_runs() {
    const PLANTED: &str = "<script>alert('x')</script>";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let rows = |shift: usize| {
        let mut text = format!("user,delay,{PLANTED},kind\n");
        for row in 0..900_usize {
            let kind = [PLANTED, "\"><img src=x onerror=alert(1)>", "plain"]
                [(row * 7 + row / 300 * shift) % 3];
            let kind = kind.replace('"', "\"\"");
            let _ =
                writeln!(text, "u{row},{},{},\"{kind}\"", row % 53 + shift, row % 11 * (shift + 1));
        }
        text
    };
    fs::write(path("reference.csv"), rows(0)).unwrap();
    fs::write(path("current '<b>'.csv"), rows(20)).unwrap();
    let html = path("report.html");
    let run = |more: &[&str]| {
        let mut command = service::driftline();
        command.args(["check", "--reference", &path("reference.csv"), "--current"]);
        command.arg(path("current '<b>'.csv")).args(["--html", &html]).args(more);
        service::run(&mut command)
    };
    let (code, table, stderr) = run(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!table.contains('\u{1b}'), "no colours where no terminal is: {table}");
    let (_, json, _) = run(&["--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["level"], "alarm", "{report}");

    let page = fs::read_to_string(&html).unwrap();
    for planted in ["<script", "<img", "<b>"] {
        assert!(!page.contains(planted), "{planted} in {page}");
    }
    assert!(page.contains("feature:&lt;script&gt;alert('x')&lt;/script&gt;"), "{page}");
    // Nothing is fetched: the one address is the name of a format.
    let addresses = page.matches("http").count() - page.matches("http-equiv").count();
    assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count(), "{page}");
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        <sha2::Sha256 as sha2::Digest>::digest(style),
    );
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    );
    assert!(page.contains(&policy), "{page}");
    // Every column that was compared has its distributions, and every finding says why.
    assert!(page.matches("<svg").count() >= 8, "{page}");
    for finding in report["findings"].as_array().unwrap() {
        let because = finding["because"].as_str().unwrap();
        if finding["level"] == "alarm" {
            // Text of an element may hold an apostrophe.
            let escaped = driftline_plots::escaped(because).replace("&#39;", "'");
            assert!(page.contains(&escaped), "{because} in {page}");
        }
    }
    assert!(page.contains("column user skipped"), "{page}");
    assert!(page.contains("driftline check --reference "), "{page}");
}

#[test]
fn json_is_one_document_and_every_skip_is_one_line_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let rows = |columns: &str| {
        let mut text = format!("{columns}\n");
        for row in 0..400 {
            let _ = writeln!(
                text,
                "u{row},2026-01-{:02},{},{},",
                row % 28 + 1,
                row % 37,
                ["a", "b"][row % 2]
            );
        }
        text
    };
    fs::write(path("reference.csv"), rows("user,day,x,kind,nothing")).unwrap();
    fs::write(path("current.csv"), rows("user,day,fresh,kind,nothing")).unwrap();
    let (reference, current) = (path("reference.csv"), path("current.csv"));
    let mut command = service::driftline();
    command.args([
        "check",
        "--json",
        "--reference",
        &reference,
        "--current",
        &current,
        "--ignore",
        "gone",
    ]);
    let (code, stdout, stderr) = service::run(&mut command);

    let mut documents = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
    let report = documents.next().unwrap().unwrap();
    assert!(documents.next().is_none() && stdout.ends_with("}\n"), "{stdout}");
    let finding = |subject: &str, check: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|f| f["subject"] == subject && f["check"] == check).cloned()
    };
    assert_eq!(finding("feature:x", "absent").unwrap()["level"], "alarm");
    assert_eq!(finding("feature:fresh", "new_column").unwrap()["level"], "warn");
    assert_eq!((code, &report["level"]), (Some(1), &json!("alarm")), "{stderr}");

    let mut lines: Vec<&str> = stderr.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        format!(
            "{reference}: column user skipped: an identifier: 400 distinct texts in 400 values; --categorical user takes it in"
        ),
        format!("{reference}: column day skipped: dates"),
        format!("{reference}: column nothing skipped: no values"),
        format!("{reference}: no column gone to ignore"),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "nothing is skipped in silence, and nothing else is said");
}

/// The same frame drifted against itself where pandas wrote one file and polars the other.
#[test]
fn what_pandas_and_polars_write_has_the_same_kinds_and_findings_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"folder": folder.path(), "rows": 700, "shift": [0.0, 0.3]});
    let Some(files) = python::run("frames.py", &request) else { return };
    let mut expected: Option<(String, Vec<String>, usize)> = None;
    let files = files.as_object().unwrap();
    assert_eq!(files.len(), 5, "{files:?}");
    for (writer, pair) in files {
        let side = |at: usize| pair[at].as_str().unwrap();
        let mut command = service::driftline();
        command.args(["check", "--json", "--reference", side(0), "--current", side(1)]);
        let (code, stdout, stderr) = service::run(&mut command);
        assert_eq!(code, Some(1), "{writer}: {stderr}");
        let lines = stderr.lines().filter(|line| !line.contains("left out as an index"));
        let lines = lines.map(|line| line.replace(side(0), "left").replace(side(1), "right"));
        let mut lines: Vec<String> = lines.collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 6, "{writer}: {lines:?}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().len();
        let seen = (
            judged(&stdout).split("\"baseline_sha256\"").next().unwrap().to_owned(),
            lines,
            findings,
        );
        let expected = expected.get_or_insert_with(|| seen.clone());
        assert_eq!(expected.1, seen.1, "{writer}");
        for (found, wanted) in seen.0.split("{\"subject\"").zip(expected.0.split("{\"subject\"")) {
            assert_eq!(found, wanted, "{writer}");
        }
        assert_eq!(expected.2, seen.2, "{writer}");
    }
}
