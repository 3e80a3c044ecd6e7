//! The broker and the topics.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use driftline_config::time::{MINUTE_US, format_duration};
use driftline_config::{Config, DeadLetters, Model, Partition, Start};
use driftline_ingest::{
    Connection, IngestError, OffsetRange, RangeEvent, ReadLimits, TopicDescription, TopicPlan,
    describe_topic, read_ranges,
};

use super::Finding;
use crate::retention::Retention;
use driftline_alerting::clock::now_us;

/// How far clocks may differ before timestamps mislead.
const CLOCK_US: i64 = MINUTE_US;
/// What a record has beside its value, about: key, headers, framing.
const OVERHEAD_BYTES: i64 = 1024;
/// Suffix of the topic of dead letters.
const DEAD_LETTER_SUFFIX: &str = ".driftline.dead-letter";

/// Looks at the broker and at each topic.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let connection = Connection::from(&config.kafka);
    let mut findings = Vec::new();
    let mut topics: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
    for model in &config.models {
        topics.entry(&model.captures.topic).or_default().push(model);
    }
    let mut answered = false;
    for (topic, models) in topics {
        let facts = match describe_topic(&connection, topic) {
            Err(
                error @ (IngestError::Unreachable { .. }
                | IngestError::Property { .. }
                | IngestError::Client { .. }),
            ) => {
                let says =
                    format!("{error}: start it, or correct kafka.bootstrap and kafka.properties");
                findings.push(Finding::fail("broker", says));
                return findings;
            }
            facts => facts,
        };
        if !std::mem::replace(&mut answered, true) {
            findings.push(Finding::ok("broker", format!("{} answers", connection.bootstrap)));
        }
        let check = format!("topic {topic}");
        match facts {
            Err(error) => findings.push(Finding::fail(check, error.to_string())),
            Ok(facts) => {
                findings.extend(topic_findings(&check, &facts, &models, config));
                findings.extend(clock(&connection, config, topic, &facts));
            }
        }
        if config.kafka.dead_letters == DeadLetters::Topic {
            let name = format!("{topic}{DEAD_LETTER_SUFFIX}");
            findings.push(written(&connection, &name, "kafka.dead_letters: off or folder:PATH"));
        }
    }
    if let Some(topic) = &config.kafka.reports {
        findings.push(written(&connection, topic, "kafka.reports: off"));
    }
    findings
}

/// What is known of a topic against what its models need.
pub(super) fn topic_findings(
    check: &str,
    facts: &TopicDescription,
    models: &[&Model],
    config: &Config,
) -> Vec<Finding> {
    let records: i64 = facts.partitions.iter().map(|(from, to)| to - from).sum();
    let count = facts.partitions.len();
    let mut findings =
        vec![Finding::ok(check, format!("{count} partitions, about {records} records"))];
    if let Some(why) = &facts.settings_unknown {
        let says =
            format!("its settings may not be read ({why}): retention and sizes are not checked");
        findings.push(Finding::warn(format!("{check}: settings"), says));
        return findings;
    }
    findings.extend(models.iter().map(|model| retention(check, facts, model)));
    let stamped = match facts.broker_timestamps {
        Some(true) => "stamped by the broker",
        Some(false) => "stamped by producers: a wrong clock is believed after 20 rows",
        None => "not known",
    };
    findings.push(Finding::ok(format!("{check}: timestamps"), stamped));
    if let Some(bytes) = facts.max_message_bytes {
        let limit = i64::try_from(config.limits.record_bytes).unwrap_or(i64::MAX);
        let check = format!("{check}: sizes");
        findings.push(if bytes > limit.saturating_add(OVERHEAD_BYTES) {
            let says = format!(
                "the topic takes records of {bytes} bytes, limits.record_bytes is {limit}: larger captures become dead letters; raise limits.record_bytes"
            );
            Finding::warn(check, says)
        } else {
            Finding::ok(check, format!("records of up to {bytes} bytes fit limits.record_bytes ({limit})"))
        });
    }
    findings
}

fn retention(check: &str, facts: &TopicDescription, model: &Model) -> Finding {
    let check = format!("{check}: retention for {}", model.name);
    match Retention::of(facts, model) {
        Retention::Enough(says) => Finding::ok(check, says),
        Retention::Short(says) => Finding::warn(check, says),
        Retention::TooShort(says) => Finding::fail(check, says),
    }
}

/// Kafka does not tell its time. The newest records do: none should come from the future.
fn clock(
    connection: &Connection,
    config: &Config,
    topic: &str,
    facts: &TopicDescription,
) -> Option<Finding> {
    let last = (0..).map(Partition).zip(&facts.partitions).filter(|(_, (from, to))| from < to);
    let ranges: Vec<OffsetRange> =
        last.map(|(partition, (_, to))| OffsetRange { partition, from: to - 1, to: *to }).collect();
    if ranges.is_empty() {
        return None;
    }
    let plan = TopicPlan { topic: topic.to_owned(), models: Vec::new(), start: Start::Earliest };
    let mut newest_us = None;
    let read =
        read_ranges(connection, &plan, &ReadLimits::from(&config.limits), &ranges, |event| {
            if let RangeEvent::Chunk(chunk) = event {
                newest_us = newest_us.max(chunk.last_record_us);
            }
            ControlFlow::Continue(())
        });
    let check = format!("topic {topic}: clock");
    if let Err(error) = read {
        return Some(Finding::warn(check, format!("the last records cannot be read: {error}")));
    }
    newest_us.map(|newest_us| clocks(check, newest_us, now_us()))
}

/// Whether a record of the present comes from the future.
pub(super) fn clocks(check: String, newest_us: i64, now_us: i64) -> Finding {
    let ahead_us = newest_us.saturating_sub(now_us);
    if ahead_us <= CLOCK_US {
        return Finding::ok(check, "no record is from the future of this machine's clock");
    }
    let ahead = format_duration(ahead_us / MINUTE_US * MINUTE_US);
    Finding::warn(
        check,
        format!(
            "the newest record is {ahead} ahead of this machine's clock: synchronise the clocks"
        ),
    )
}

fn written(connection: &Connection, topic: &str, instead: &str) -> Finding {
    let check = format!("topic {topic}");
    match describe_topic(connection, topic) {
        Ok(facts) => Finding::ok(check, format!("{} partitions", facts.partitions.len())),
        Err(IngestError::NoTopic { .. }) => Finding::warn(
            check,
            format!(
                "it does not exist yet: the service creates it where it may; else create it, or set {instead}"
            ),
        ),
        Err(error) => Finding::fail(check, error.to_string()),
    }
}
