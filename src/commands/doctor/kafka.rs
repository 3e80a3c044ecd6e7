//! The broker and the topics.

use std::collections::BTreeMap;

use driftline_config::time::{DAY_US, format_duration};
use driftline_config::{Config, DeadLetters, Model};
use driftline_ingest::{Connection, IngestError, TopicDescription, describe_topic};

use super::clocks::{self, Topic};
use super::{Finding, refused};
use crate::retention::Retention;

/// Timestamps that a broker takes from so far ahead are of any time.
const ANY_TIME_US: i64 = 365 * DAY_US;
/// What a record has beside its value, about: key, headers, framing.
const OVERHEAD_BYTES: i64 = 1024;
/// Suffix of the topic of dead letters.
const DEAD_LETTER_SUFFIX: &str = ".driftline.dead-letter";

/// Looks at the broker and at each topic.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let connection = Connection::from(&config.kafka);
    let mut findings = Vec::new();
    let mut topics: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
    for model in config.declared() {
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
                findings.push(Finding::fail("broker", refused::broker(config, &error)));
                return findings;
            }
            facts => facts,
        };
        if !std::mem::replace(&mut answered, true) {
            findings.push(Finding::ok("broker", format!("{} answers", connection.bootstrap)));
        }
        let check = format!("topic {topic}");
        match facts {
            Err(error) => {
                findings.push(Finding::fail(check, refused::topic(config, topic, &error)))
            }
            Ok(facts) => {
                findings.extend(topic_findings(&check, &facts, &models, config));
                findings.extend(clocks::examine(
                    &connection,
                    config,
                    Topic { name: topic, models: &models, facts: &facts },
                ));
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
    findings.push(Finding::ok(format!("{check}: timestamps"), stamps(facts)));
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

/// Who stamps the records, and what the broker refuses of them.
fn stamps(facts: &TopicDescription) -> String {
    let most_us = facts.timestamp_after_max_ms.map(|most_ms| most_ms.saturating_mul(1000));
    match (facts.broker_timestamps, most_us) {
        (None, _) => "not known".to_owned(),
        (Some(true), _) => "LogAppendTime: stamped by the broker".to_owned(),
        (Some(false), Some(most_us)) if most_us <= ANY_TIME_US => format!(
            "CreateTime: stamped by producers; the broker refuses what lies more than {} ahead of its \
             clock (message.timestamp.after.max.ms)",
            format_duration(most_us)
        ),
        (Some(false), Some(_)) => "CreateTime: stamped by producers; the broker lets through what lies any \
             time ahead of its clock: message.timestamp.after.max.ms=3600000 on the topic refuses it"
            .to_owned(),
        (Some(false), None) => "CreateTime: stamped by producers; this broker lets through what lies any \
             time ahead of its clock (message.timestamp.after.max.ms is of Kafka 3.6 and later)"
            .to_owned(),
    }
}

fn retention(check: &str, facts: &TopicDescription, model: &Model) -> Finding {
    let check = format!("{check}: retention for {}", model.name);
    match Retention::of(facts, model) {
        Retention::Enough(says) => Finding::ok(check, says),
        Retention::Short(says) => Finding::warn(check, says),
        Retention::TooShort(says) => Finding::fail(check, says),
    }
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
