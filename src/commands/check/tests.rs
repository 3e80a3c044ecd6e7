//! What the arguments ask for, and the table that is printed.

use std::fmt::Write;

use driftline_analytics::report::Report;

use super::super::rig::arguments;
use driftline_config::Level;

use super::*;

/// A CSV of a number and a colour, the numbers moved by `shift`.
fn file(folder: &tempfile::TempDir, name: &str, shift: u64) -> String {
    let mut text = String::from("x,colour\n");
    for row in 0_u64..900 {
        writeln!(text, "{},{}", (row * 37) % 100 + shift, ["red", "green"][(row % 2) as usize])
            .unwrap();
    }
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn compared(words: &[&str]) -> anyhow::Result<Compared> {
    compare(&arguments(words), &mut |_| ())
}

fn report(words: &[&str]) -> anyhow::Result<Report> {
    compared(words).map(|compared| compared.report)
}

#[test]
fn what_cannot_be_meant_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder, "a.csv", 0);
    let table: [(&[&str], &str); 7] = [
        (&["--tolerance", "ks"], "--tolerance: \"ks\": write NAME=VALUE"),
        (&["--tolerance", "ks=-1"], "--tolerance: ks: \"-1\" is not above 0"),
        (&["--tolerance", "js=1"], "--tolerance: \"js\" is not a tolerance"),
        (&["--categorical", "y"], "no column y (--categorical)"),
        (&["--rename", "x"], "--rename: \"x\""),
        (&["--config", "gone.yaml"], "gone.yaml"),
        (&["--current", "gone.csv"], "gone.csv: no such file"),
    ];
    for (more, expected) in table {
        let mut words = vec!["--reference", &file];
        if !more.contains(&"--current") {
            words.extend(["--current", &file]);
        }
        words.extend(more);
        let error = format!("{:#}", report(&words).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let against = |more: &[&str]| {
        let words = [&["--baseline", &file, "--current", &file], more].concat();
        format!("{:#}", report(&words).unwrap_err())
    };
    assert!(against(&[]).contains("a.csv: not a baseline file"), "{}", against(&[]));
    assert!(against(&["--categorical", "x"]).contains("it goes with --reference"));
}

#[test]
fn tolerances_are_those_of_the_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (file(&folder, "l.csv", 0), file(&folder, "r.csv", 30));
    let words = ["--reference", &left, "--current", &right];
    assert_eq!(report(&words).unwrap().level, Level::Alarm);
    let tolerant = [&words[..], &["--tolerance", "ks=0.5,psi=2"]].concat();
    assert_ne!(report(&tolerant).unwrap().level, Level::Alarm);
}

#[test]
fn the_table_is_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (file(&folder, "l.csv", 0), file(&folder, "r.csv", 30));
    let found = compared(&["--reference", &left, "--current", &right]).unwrap();
    let text = table(&found, Screen::PLAIN, false);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("900 rows: 1 at alarm"), "{text}");
    assert!(lines[2].starts_with("level  subject"), "{text}");
    assert!(lines[3].starts_with("alarm  feature:x  KS"), "{text}");
    assert!(!text.contains('\u{1b}'));
    let same = compared(&["--reference", &left, "--current", &left]).unwrap();
    assert!(table(&same, Screen::PLAIN, false).starts_with("900 rows: nothing found"));
}

/// Two rows against nine hundred were "nothing found", and the exit code was 0.
#[test]
fn a_check_that_could_compare_nothing_ends_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let left = file(&folder, "l.csv", 0);
    let right = folder.path().join("two.csv");
    std::fs::write(&right, "x,colour\n1,red\n2,green\n").unwrap();
    let words = ["--reference", &left, "--current", right.to_str().unwrap()];
    let error = run(&arguments(&words), Color::Never).unwrap_err().to_string();
    assert!(error.starts_with("nothing could be compared: 2 rows are too few"), "{error}");
}
