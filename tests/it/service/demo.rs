//! The demo as a newcomer runs it: nothing but the binary and ONNX Runtime, in an empty folder.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use driftline_config::time::parse_instant_us;
use driftline_store::Store;
use serde_json::{Value, json};

use crate::rig::{self, python, service};

/// For a replay that hardly moves: how fast it is depends on what else the machine does.
const AT_MOST: Duration = Duration::from_secs(300);
/// The end of the rows that the first retraining request names, and on which `recent` was trained.
const RECENT_UNTIL: &str = "2013-07-15T00:00:00Z";
/// Weeks in which the flights really were late, by the data.
const WEEKS_AT_ALARM: [&str; 3] = ["24 Jun", "8 Jul", "16 Dec"];

/// The demo with nothing of this process's environment.
fn demo(folder: &Path, library: &Path) -> Command {
    let mut command = service::driftline();
    command.env_clear().env("ORT_DYLIB_PATH", library).current_dir(folder);
    command.args(["demo", "--speed", "max", "--exit-after-replay"]);
    command
}

#[test]
fn the_replay_tells_the_story_of_2013_and_accounts_for_every_flight() {
    let Some(library) = rig::onnx_runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(folder.path(), &library);
    let begun = Instant::now();
    let (code, stdout, stderr) = service::run(command.args(["--folder", "kept"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(begun.elapsed() < AT_MOST, "it took {:?}", begun.elapsed());

    let sums: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let count = |name: &str| sums[name].as_u64().unwrap_or_else(|| panic!("no {name} in {sums}"));
    let ledger = |name: &str| sums["ledger"][name].as_u64().unwrap();
    assert_eq!(count("windows"), 39, "whole weeks from 1 April to 29 December");
    let outcomes = ["counted", "late", "rejected", "skipped", "control"].map(ledger);
    assert_eq!(ledger("read"), outcomes.iter().sum::<u64>());
    assert_eq!(outcomes[1..4], [0, 0, 0], "nothing of the replay is late, broken or foreign");
    assert!(count("shadow_rows") > 0 && count("webhooks") > 0, "{sums}");

    let story = Story(&stderr);
    for week in WEEKS_AT_ALARM {
        story.line(&format!("week of {week:>6}  ALARM  "));
    }
    assert_eq!(count("alarms"), story.lines("  ALARM  ").count() as u64);
    assert!(count("alarms") <= 10, "{stderr}");
    assert_eq!(count("webhooks"), story.lines("retraining requested: ").count() as u64);
    let mails = fs::read_dir(folder.path().join("kept/mails")).unwrap();
    let mails: Vec<_> = mails.map(|entry| entry.unwrap().path()).collect();
    assert!(
        mails.iter().all(|mail| mail.extension().is_some_and(|name| name == "eml")),
        "{mails:?}"
    );
    assert_eq!((count("mails"), mails.len()), (story.lines("mail: ").count() as u64, mails.len()));
    assert!(!mails.is_empty() && mails.len() as u64 == count("mails"), "{mails:?}");
    for mail in mails {
        let text = fs::read_to_string(mail).unwrap();
        assert!(text.contains("Subject: [driftline] flight-delay: "), "{text}");
    }

    // The rows on which examples/flights/train.py trained `recent` are those that the request names.
    let first = story.line("retraining requested: ");
    let request = json!({"do": "rows_between", "flights": rig::repository("examples/flights/flights-2013.parquet"),
                         "from": "2013-06-24T00:00:00Z", "before": RECENT_UNTIL});
    let Some(rows) = python::run("oracle_files.py", &request) else { return };
    let expected = format!("retraining requested: {rows} rows from 24 Jun to 15 Jul, offsets ");
    assert!(first.contains(&expected), "{first}\n{expected}");
    let ranges = first.rsplit_once("offsets ").unwrap().1.split(' ');
    let spanned: u64 = ranges
        .map(|range| {
            let (_, range) = range.split_once(':').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap()
        })
        .sum();
    // Rows of the neighbouring weeks lie between, at both ends: a week is open for an hour longer, and
    // until ninety-six stretches of half minutes agree that it is over.
    let rows = rows.as_u64().unwrap();
    assert!((rows..rows + rows / 25).contains(&spanned), "{spanned} records for {rows} rows");
    let until_us = parse_instant_us(RECENT_UNTIL).unwrap();
    assert_eq!(trained_until_us(&folder.path().join("kept/state")), [until_us]);
    let counted = json!({"do": "rows_between", "flights": rig::repository("examples/flights/flights-2013.parquet"),
                         "from": "2013-04-01T00:00:00Z", "before": "2013-12-30T00:00:00Z"});
    assert_eq!(python::run("oracle_files.py", &counted).unwrap(), json!(outcomes[0]));
}

/// Until when the candidate `recent` was trained, in microseconds, as a checkpoint of the demo keeps the model.
fn trained_until_us(state: &Path) -> Vec<i64> {
    let store = Store::open(state, Duration::ZERO, false).unwrap();
    let kept = store.load(&|_| false).unwrap().named.into_values();
    let setups = kept.filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let candidates =
        setups.flat_map(|setup| setup["model"]["shadow"].as_array().cloned().unwrap_or_default());
    let recent = candidates.filter(|candidate| candidate["name"] == "recent");
    recent.map(|candidate| candidate["trained_until_us"].as_i64().unwrap()).collect()
}

#[test]
fn without_onnx_runtime_it_says_so_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.so");
    let (code, stdout, stderr) = service::run(&mut demo(folder.path(), &missing));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in ["driftline: the demo ", "ONNX Runtime", "--onnxruntime", missing.to_str().unwrap()]
    {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

/// What the terminal showed.
struct Story<'a>(&'a str);

impl<'a> Story<'a> {
    fn lines(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter(move |line| line.contains(text))
    }

    fn line(&self, text: &'a str) -> &'a str {
        self.lines(text).next().unwrap_or_else(|| panic!("no {text:?} in the story:\n{}", self.0))
    }
}
