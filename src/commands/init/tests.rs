//! What is written for which options, and that nothing is left behind where it fails.

use super::super::rig::{Rig, arguments};
use super::*;

fn no_questions(_: &str, usual: &str) -> anyhow::Result<String> {
    Ok(usual.to_owned())
}

#[test]
fn a_topic_names_a_model() {
    for (topic, expected) in [
        ("flights.captures", "flights"),
        ("flight-delay", "flight-delay"),
        (".hidden", "model"),
        ("-x", "model"),
    ] {
        assert_eq!(named(topic), expected);
    }
}

#[test]
fn without_a_terminal_a_missing_topic_is_said() {
    let error = answers(&arguments(&["--bootstrap", "localhost:1"]), &mut no_questions);
    assert!(error.unwrap_err().to_string().contains("write --topic"));
}

#[test]
fn what_is_written_validates_and_says_the_next_command() {
    let rig = Rig::new(50);
    let data = rig.days("reference.csv", -20..0);
    let out = rig.path("new/driftline.yaml");
    let (out, bootstrap) = (out.to_str().unwrap().to_owned(), rig.bootstrap().to_owned());
    let words = ["--bootstrap", &bootstrap, "--topic", "captures", "--model", "m", "--out", &out];
    let more = ["--data", &data, "--time", "at", "--rename", "score=prediction:score"];
    let held_out = ["--predictions", "held-out"];
    let make = |more: &[&str]| {
        let args = arguments(&[&words[..], more].concat());
        let answers = answers(&args, &mut no_questions)?;
        write(&args, &answers, Screen::PLAIN, &mut |_| ())
    };
    // Predictions of training rows are refused, and no half of a configuration stays.
    assert!(make(&more).is_err());
    assert!(!Path::new(&out).exists());
    let text = make(&[&more[..], &held_out].concat()).unwrap();
    assert!(text.ends_with(&format!("next: driftline run --config {out}\n")), "{text}");
    assert!(configured::load_examined(Path::new(&out), &complaints).is_ok());
    let again = make(&[&more[..], &held_out].concat()).unwrap_err().to_string();
    assert!(again.contains("--force"), "{again}");
}
