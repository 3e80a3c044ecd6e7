//! The rules once more, over the log alone and as plainly as they can be written: which records each
//! report must have counted, and what must have become of every record.

use std::collections::{BTreeMap, BTreeSet};

use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::{Cut, CutBy, Report};
use driftline_config::time::parse_instant_us;

use super::run::Outcome;
use super::scenario::{Entry, Meaning, Place, Scenario};
use super::world::{TOPICS, world};
use crate::pipeline::ledger::Counts;
use crate::pipeline::unit::Facts;

/// Holds an outcome against the log that it came from.
pub(super) fn check(scenario: &Scenario, outcome: &Outcome) {
    ledgers(scenario, outcome);
    letters(scenario, outcome);
    for (topic, (_, models)) in TOPICS.iter().enumerate() {
        for (member, model) in models.iter().enumerate() {
            let rows = Rows { scenario, topic, member };
            let facts: Facts = serde_json::from_str(&outcome.models[*model].facts).unwrap();
            rows.check(model, &facts, outcome);
        }
    }
}

/// Every record is in the ledger as what it is.
fn ledgers(scenario: &Scenario, outcome: &Outcome) {
    for (topic, (name, facts)) in outcome.topics.iter().enumerate() {
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for (&(_, partition), log) in of_topic(scenario, topic) {
            let wanted = sums(log.entries.iter());
            let mut found = facts.counts(partition);
            assert_eq!(found.imbalance(), 0, "{name}/{partition}");
            (found.counted, found.late) = (found.counted + found.late, 0);
            assert_eq!(found, wanted, "{name}/{partition}");
            for entry in &log.entries {
                if let Meaning::Rejected(reason) = entry.meaning {
                    *reasons.entry(reason.to_owned()).or_default() += 1;
                }
            }
        }
        assert_eq!(facts.ledger.reasons, reasons, "{name}");
    }
}

/// Every rejected record, and no other, is a dead letter with its reason.
fn letters(scenario: &Scenario, outcome: &Outcome) {
    let mut wanted = BTreeMap::new();
    for (place, log) in &scenario.logs {
        for entry in &log.entries {
            if let Meaning::Rejected(reason) = entry.meaning {
                wanted.insert((*place, entry.offset), reason);
            }
        }
    }
    assert_eq!(outcome.letters, wanted);
}

fn of_topic(
    scenario: &Scenario,
    topic: usize,
) -> impl Iterator<Item = (&Place, &super::scenario::Log)> {
    scenario.logs.range((topic, i32::MIN)..=(topic, i32::MAX))
}

/// The records by kind; nothing is late here.
fn sums<'e>(entries: impl Iterator<Item = &'e Entry>) -> Counts {
    let mut counts = Counts::default();
    for entry in entries {
        counts.read += 1;
        match entry.meaning {
            Meaning::Row { .. } => counts.counted += 1,
            Meaning::Rejected(_) => counts.rejected += 1,
            Meaning::Skipped => counts.skipped += 1,
            Meaning::Heartbeat { .. } => counts.control += 1,
        }
    }
    counts
}

/// The rows of one model.
struct Rows<'s> {
    scenario: &'s Scenario,
    topic: usize,
    member: usize,
}

impl Rows<'_> {
    /// Partition, offset and event time of each.
    fn all(&self) -> impl Iterator<Item = (i32, i64, i64)> {
        of_topic(self.scenario, self.topic).flat_map(move |(&(_, partition), log)| {
            log.entries.iter().filter_map(move |entry| match entry.meaning {
                Meaning::Row { member, time_us } if member == self.member => {
                    Some((partition, entry.offset, time_us))
                }
                _ => None,
            })
        })
    }

    fn check(&self, model: &str, facts: &Facts, outcome: &Outcome) {
        let late: BTreeSet<(i32, i64)> =
            facts.late_rows.iter().map(|row| (row.partition, row.offset)).collect();
        let mut reported = 0;
        let mut before: BTreeMap<i32, i64> = BTreeMap::new();
        for (_, (json, _)) in outcome.reports.iter().filter(|((of, _), _)| of == model) {
            let report = Report::from_json(json).unwrap();
            let cuts = report.window.cuts.values().next().cloned().unwrap_or_default();
            self.one(&report, &cuts, &late);
            self.strip(&report, &cuts, &mut before);
            reported += report.window.rows;
        }
        let rows = self.all().count() as u64;
        assert_eq!(facts.counted + facts.late, rows, "{model}");
        assert!(reported <= facts.counted, "{model}");
        if self.scenario.closed {
            assert_eq!(reported + facts.late, rows, "{model}: a row is in no report");
        }
        self.late_by_the_log(model, facts);
        for (key, request) in &outcome.requests {
            let request: RetrainRequest = serde_json::from_slice(request).unwrap();
            if request.data.model == model {
                self.request(key, &request);
            }
        }
    }

    /// A report counted the rows of its window before its cuts, and no other.
    fn one(&self, report: &Report, cuts: &BTreeMap<i32, Cut>, late: &BTreeSet<(i32, i64)>) {
        let window = &report.window;
        let instant = |text: &str| parse_instant_us(text).unwrap();
        let times_us = instant(&window.start)..instant(&window.end);
        // A window that was carried on has one cut per part, and only the last is in the report.
        let carried = window.parts > 1;
        let counted = self.all().filter(|(partition, offset, time_us)| {
            times_us.contains(time_us)
                && cuts.get(partition).is_some_and(|cut| *offset < cut.to)
                && !(carried && late.contains(&(*partition, *offset)))
        });
        assert_eq!(window.rows, counted.count() as u64, "{}", window.id);
    }

    /// Its ledger is that of the stretch between its cuts, which begins where the one before ended.
    fn strip(&self, report: &Report, cuts: &BTreeMap<i32, Cut>, before: &mut BTreeMap<i32, i64>) {
        let window = &report.window;
        let mut wanted = Counts::default();
        for (&(_, partition), log) in of_topic(self.scenario, self.topic) {
            let Some(cut) = cuts.get(&partition) else { continue };
            let from = before.insert(partition, cut.to).unwrap_or(log.first);
            assert_eq!(cut.from, from, "{} partition {partition}", window.id);
            let inside = |entry: &&Entry| (cut.from..cut.to).contains(&entry.offset);
            wanted += sums(log.entries.iter().filter(inside));
            let idle = cut.by == CutBy::Idle;
            let clock = self.scenario.milestones.iter().any(|milestone| {
                milestone.clock_us.is_some()
                    && milestone.ends.get(&(self.topic, partition)) == Some(&cut.to)
            });
            assert!(!idle || clock, "{}: idle where no clock spoke", window.id);
        }
        let found = window.ledger;
        let found = Counts {
            read: found.read,
            counted: found.counted + found.late,
            late: 0,
            rejected: found.rejected,
            skipped: found.skipped,
            control: found.control,
        };
        assert_eq!(found, wanted, "{} {:?} {cuts:?}", window.id, self.scenario.milestones);
    }

    /// Where brokers stamp the records and nobody is idle, a row is late if and only if its partition's
    /// watermark had passed its window.
    fn late_by_the_log(&self, model: &str, facts: &Facts) {
        let mut stops = self.scenario.milestones.iter();
        // Rows of a partition that came later may belong to windows that closed without it.
        let partitions = stops.clone().map(|stop| stop.partitions.as_slice());
        let grew = partitions.collect::<BTreeSet<_>>().len() > 1;
        let log_alone = !grew && stops.all(|stop| stop.clock_us.is_none());
        if !log_alone || self.scenario.producers[self.topic] {
            return;
        }
        let unit = super::process::Process::unit_of(self.topic, self.member);
        let lane = world(self.scenario.variant).setups()[unit].drift_lane();
        let mut late = Vec::new();
        for (&(_, partition), log) in of_topic(self.scenario, self.topic) {
            let mut watermark_us = i64::MIN;
            for entry in &log.entries {
                let time_us = match entry.meaning {
                    Meaning::Row { member, time_us } if member == self.member => {
                        let since_us = time_us - driftline_config::time::ALIGNMENT_US;
                        let end_us = time_us - since_us.rem_euclid(lane.every_us) + lane.every_us;
                        if watermark_us >= end_us + lane.lateness_us {
                            late.push((partition, entry.offset));
                        }
                        time_us
                    }
                    Meaning::Heartbeat { member, time_us }
                        if member.is_none_or(|member| member == self.member) =>
                    {
                        time_us
                    }
                    _ => continue,
                };
                let stamped_us = entry.time_us.unwrap_or(time_us);
                watermark_us = watermark_us.max(time_us.min(stamped_us));
            }
        }
        assert_eq!(facts.late, late.len() as u64, "{model}: late rows");
    }

    /// A retraining request names exactly as many rows as it says.
    fn request(&self, key: &str, request: &RetrainRequest) {
        let train_on = &request.data.train_on;
        let rows = self.all().filter(|(partition, offset, time_us)| {
            let inside = train_on.ranges.iter().any(|range| {
                range.partition == *partition && (range.from..range.to).contains(offset)
            });
            inside && (train_on.select.ts_from..train_on.select.ts_before).contains(time_us)
        });
        if request.data.train_on.complete {
            assert_eq!(train_on.rows, rows.count() as u64, "{key}");
        }
    }
}
