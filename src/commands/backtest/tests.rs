//! A file gives what the same rows give as a stream, in whatever order it stands.

use std::sync::Arc;

use driftline_config::WindowId;

use super::*;
use crate::commands::rig::{ROWS_A_DAY, Rig, arguments};

fn run_over(rig: &Rig, data: &str) -> Backtest {
    let config = rig.config.to_str().unwrap();
    let args = arguments(&["--config", config, "--model", "m", "--data", data, "--time", "at"]);
    find(&args, &mut |_| {}).unwrap()
}

#[test]
fn the_windows_and_findings_are_those_of_the_stream() {
    let rig = Rig::new(50);
    let data = rig.days("days.csv", 0..5);
    let found = run_over(&rig, &data);
    rig.produce("m", &data);
    rig.close(12);
    let served = rig.serve();
    assert_eq!(found.windows.len(), 5);
    for (mine, (theirs, _)) in found.windows.iter().zip(&served.reports) {
        assert_eq!(mine.findings, theirs.findings, "{}", mine.window.id);
        assert_eq!((&mine.window.id, mine.level), (&theirs.window.id, theirs.level));
    }
    let levels: Vec<bool> = found.windows.iter().map(|w| w.level == Level::Alarm).collect();
    assert_eq!(levels, [false, false, true, true, true]);
    let rows = u64::try_from(5 * ROWS_A_DAY).unwrap();
    let ledger = Ledger { read: rows, counted: rows, ..Ledger::default() };
    assert_eq!(found.ledger, ledger);
    assert!(!found.transitions.is_empty() && !found.messages.is_empty());
    let ids = |requests: &[Arc<RetrainRequest>]| -> Vec<(Vec<WindowId>, u64)> {
        let of = |request: &Arc<RetrainRequest>| {
            (request.data.windows.clone(), request.data.train_on.rows)
        };
        requests.iter().map(of).collect()
    };
    assert_eq!(ids(&found.requests), ids(&served.requests));
    assert_eq!(found.requests.len(), 1);
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let rig = Rig::new(50);
    let data = rig.days("days.csv", 0..4);
    let text = std::fs::read_to_string(&data).unwrap();
    let (head, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    let mixed = rig.path("mixed.csv");
    std::fs::write(&mixed, format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    let json = |found: Backtest| serde_json::to_string(&found).unwrap();
    assert_eq!(json(run_over(&rig, mixed.to_str().unwrap())), json(run_over(&rig, &data)));
}

#[test]
fn rows_without_a_time_are_refused() {
    let rig = Rig::new(50);
    let data = rig.days("days.csv", 0..1);
    let args =
        arguments(&["--config", rig.config.to_str().unwrap(), "--model", "m", "--data", &data]);
    let error = find(&args, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("write --time COLUMN"), "{error}");
}

#[test]
fn the_table_names_windows_incidents_and_messages() {
    let rig = Rig::new(50);
    let found = run_over(&rig, &rig.days("days.csv", 0..5));
    let text = describe(&found, Screen::PLAIN);
    for part in [
        "2026-11-04T00:00:00Z",
        "alarm",
        "input shift firing (1 of 1 windows)",
        "messages that would have been sent: ",
        "to mail: [driftline] m: input shift in x",
        "retraining requests: 1",
        "1200 records read: 1200 counted",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}
