//! The candidates of a model, and what their processes may do.

use std::collections::BTreeSet;

use crate::model::{Candidate, CandidateOutput, Purpose};
use crate::reader::{Read, Section, Value, shorten, wrong};
use crate::resolve::model::share;
use crate::resolve::service::size;
use crate::service::Sandbox;
use crate::time::{SECOND_US, parse_instant_us};

pub(super) fn sandbox(mut section: Section<'_>) -> Sandbox {
    let default = Sandbox::default();
    let memory_bytes = section.read("memory", size);
    let mut seconds = |key| section.read(key, |value| value.duration(SECOND_US, "1s"));
    let (load_us, run_us) = (seconds("load"), seconds("run"));
    let unsandboxed = section.read("unsandboxed", Value::boolean);
    section.finish();
    Sandbox {
        memory_bytes: memory_bytes.unwrap_or(default.memory_bytes),
        load_us: load_us.unwrap_or(default.load_us),
        run_us: run_us.unwrap_or(default.run_us),
        unsandboxed: unsandboxed.unwrap_or(default.unsandboxed),
    }
}

pub(super) fn candidate(value: Value<'_>) -> Option<Candidate> {
    let mut section = Section::of(value.context, value.node, "candidate")?;
    let name = section.require("name", Value::name);
    let onnx = section.require("onnx", Value::path);
    let sha256 = section.require("sha256", |value| {
        value.text_where(is_sha256, || {
            value.not("a sha256").hint("write the 64 lower-case digits that sha256sum prints")
        })
    });
    let inputs_value = section.value("inputs");
    if inputs_value.is_none() {
        section.missing("inputs");
    }
    let inputs = inputs_value.and_then(inputs);
    let output = section.part("output", "output").map(output);
    let purpose = section.read("purpose", |value| match value.text()?.as_str() {
        "better" => Ok(Purpose::Better),
        "same" => Ok(Purpose::Same),
        _ => Err(value.not("a purpose").hint("write better or same")),
    });
    let trained_until_us = section.read("trained_until", |value| {
        parse_instant_us(&value.text()?)
            .map_err(|_| value.not("an instant").hint("write 2026-11-02T00:00:00Z"))
    });
    let sample = section.read("sample", share);
    section.finish();
    Some(Candidate {
        name: name?,
        onnx: onnx?,
        sha256: sha256?,
        inputs: inputs?,
        output: output?,
        purpose: purpose.unwrap_or(Purpose::Better),
        trained_until_us,
        sample: sample.unwrap_or(1.0),
    })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn inputs(value: Value<'_>) -> Option<Vec<String>> {
    let items = value.get(Value::list)?;
    if items.is_empty() {
        value.context.report(value.node.at, wrong("`inputs` names no feature"));
        return None;
    }
    let mut seen = BTreeSet::new();
    items
        .iter()
        .map(|item| {
            item.get(|item| {
                let name = item.filled()?;
                if seen.insert(name.clone()) {
                    Ok(name)
                } else {
                    Err(wrong(format!("\"{}\" stands twice in `inputs`", shorten(item.written()?))))
                }
            })
        })
        .collect()
}

fn output(mut section: Section<'_>) -> CandidateOutput {
    let output = CandidateOutput {
        label: section.read("label", Value::filled),
        score: section.read("score", Value::filled),
        score_column: section.read("score_column", column),
        classes: section
            .list("classes")
            .into_iter()
            .filter_map(|item| item.get(Value::text))
            .collect(),
        champion_label: section.read("champion_label", Value::filled),
        champion_score: section.read("champion_score", Value::filled),
    };
    section.finish();
    output
}

fn column(value: Value<'_>) -> Read<usize> {
    usize::try_from(value.whole(0)?).map_err(|_| value.not("a column"))
}
