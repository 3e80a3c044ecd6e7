//! The rules once more, over the log alone and as plainly as they can be written: which records each
//! report must have counted, and what must have become of every record.

use std::collections::{BTreeMap, BTreeSet};

use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::lane::{LaneSettings, PerLane};
use driftline_analytics::report::{Cut, CutBy, Ledger, Report};
use driftline_config::Partition;
use driftline_config::time::{SECOND_US, parse_instant_us};
use driftline_pipeline::ModelBytes;
use driftline_world::at;

use super::run::Outcome;
use super::scenario::{Log, Meaning, Scenario};
use super::variants::{TOPICS, world};

/// Holds an outcome against the log that it came from.
pub(super) fn check(scenario: &Scenario, outcome: &Outcome) {
    ledgers(scenario, outcome);
    letters(scenario, outcome);
    let mut models = outcome.models.iter();
    for (topic, (_, names)) in TOPICS.iter().enumerate() {
        for (member, (name, model)) in (0..names.len()).zip(&mut models) {
            Rows { scenario, topic, member }.check(name, model, outcome);
        }
    }
}

/// Every record is in the ledger as what it is.
fn ledgers(scenario: &Scenario, outcome: &Outcome) {
    for (topic, (name, facts)) in outcome.topics.iter().enumerate() {
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for (partition, log) in of_topic(scenario, topic) {
            let wanted = sums(log.entries.iter().map(|(_, meaning)| *meaning));
            let mut found = facts.ledger_of(partition);
            assert_eq!(found.imbalance(), 0, "{name}/{partition}");
            (found.counted, found.late) = (found.counted + found.late, 0);
            assert_eq!(found, wanted, "{name}/{partition}");
            for (_, meaning) in &log.entries {
                if let Meaning::Rejected(reason) = meaning {
                    *reasons.entry((*reason).to_owned()).or_default() += 1;
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
        for (entry, meaning) in &log.entries {
            if let Meaning::Rejected(reason) = meaning {
                wanted.insert((*place, entry.offset), *reason);
            }
        }
    }
    assert_eq!(outcome.letters, wanted);
}

fn of_topic(scenario: &Scenario, topic: usize) -> impl Iterator<Item = (Partition, &Log)> {
    let logs = scenario.logs.range(at(topic, 0)..at(topic + 1, 0));
    logs.map(|(place, log)| (place.partition, log))
}

/// The records by kind; nothing is late here.
fn sums(meanings: impl Iterator<Item = Meaning>) -> Ledger {
    let mut counts = Ledger::default();
    for meaning in meanings {
        counts.read += 1;
        match meaning {
            Meaning::Row { .. } => counts.counted += 1,
            Meaning::Ahead => counts.ahead += 1,
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
    fn all(&self) -> impl Iterator<Item = (Partition, i64, i64)> {
        of_topic(self.scenario, self.topic).flat_map(move |(partition, log)| {
            log.entries.iter().filter_map(move |(entry, meaning)| match *meaning {
                Meaning::Row { member, time_us } if member == self.member => {
                    Some((partition, entry.offset, time_us))
                }
                _ => None,
            })
        })
    }

    fn check(&self, model: &str, found: &ModelBytes, outcome: &Outcome) {
        let late_rows = found.decided.late_rows.iter();
        let late: BTreeSet<(Partition, i64)> =
            late_rows.map(|row| (row.partition, row.offset)).collect();
        let mut reported = 0;
        let mut before: BTreeMap<Partition, i64> = BTreeMap::new();
        for (_, (json, _)) in outcome.reports.iter().filter(|((of, _), _)| of == model) {
            let report = Report::from_json(json).unwrap();
            let cuts = report.window.cuts.values().next().cloned().unwrap_or_default();
            self.one(&report, &cuts, &late);
            self.strip(&report, &cuts, &mut before);
            reported += report.window.rows;
        }
        let rows = self.all().count() as u64;
        let (counted, late) = (found.counted.counted, found.counted.late);
        assert_eq!(counted + late, rows, "{model}");
        assert!(reported <= counted, "{model}");
        if self.scenario.closed {
            assert_eq!(reported + late, rows, "{model}: a row is in no report");
        }
        self.late_by_the_log(model, late);
        for (key, request) in &outcome.requests {
            let request: RetrainRequest = serde_json::from_slice(request).unwrap();
            if request.data.model == model {
                self.request(key, &request);
            }
        }
    }

    /// A report counted the rows of its window before its cuts, and no other.
    fn one(
        &self,
        report: &Report,
        cuts: &BTreeMap<Partition, Cut>,
        late: &BTreeSet<(Partition, i64)>,
    ) {
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
    fn strip(
        &self,
        report: &Report,
        cuts: &BTreeMap<Partition, Cut>,
        before: &mut BTreeMap<Partition, i64>,
    ) {
        let window = &report.window;
        let mut wanted = Ledger::default();
        for (partition, log) in of_topic(self.scenario, self.topic) {
            let place = at(self.topic, partition.0);
            let Some(cut) = cuts.get(&partition) else { continue };
            let from = before.insert(partition, cut.to).unwrap_or(log.first);
            assert_eq!(cut.from, from, "{} partition {partition}", window.id);
            let inside =
                log.entries.iter().filter(|(entry, _)| (cut.from..cut.to).contains(&entry.offset));
            wanted += sums(inside.map(|(_, meaning)| *meaning));
            let idle = cut.by == CutBy::Idle;
            let clock =
                self.scenario.milestones.iter().any(|milestone| {
                    milestone.quiet && milestone.ends.get(&place) == Some(&cut.to)
                });
            assert!(!idle || clock, "{}: idle where no clock spoke", window.id);
        }
        let found = window.ledger;
        let found = Ledger { counted: found.counted + found.late, late: 0, ..found };
        assert_eq!(found, wanted, "{} {:?} {cuts:?}", window.id, self.scenario.milestones);
    }

    /// Where nobody is quiet, a row is late if and only if its partition had passed its window.
    fn late_by_the_log(&self, model: &str, found: u64) {
        let mut stops = self.scenario.milestones.iter();
        // Rows of a partition that came later may belong to windows that closed without it.
        let partitions = stops.clone().map(|stop| stop.partitions.as_slice());
        let grew = partitions.collect::<BTreeSet<_>>().len() > 1;
        let log_alone = !grew && stops.all(|stop| !stop.quiet);
        if !log_alone {
            return;
        }
        let before: usize = TOPICS[..self.topic].iter().map(|(_, models)| models.len()).sum();
        let setups = &world(self.scenario.variant).setups;
        let lanes = setups[before + self.member].lanes();
        let mut late = 0;
        for (_, log) in of_topic(self.scenario, self.topic) {
            let mut clock = PlainClock::default();
            for (entry, meaning) in &log.entries {
                let (time_us, is_row) = match *meaning {
                    Meaning::Row { member, time_us } if member == self.member => (time_us, true),
                    Meaning::Heartbeat { member, time_us }
                        if member.is_none_or(|member| member == self.member) =>
                    {
                        (time_us, false)
                    }
                    _ => continue,
                };
                let end_us = lanes.drift.grid.end_us(lanes.drift.grid.start_us(time_us));
                late += u64::from(is_row && clock.passed_us >= end_us + lanes.drift.lateness_us);
                let said_us = time_us.min(entry.time_us.unwrap_or(time_us));
                clock.hear(said_us, is_row, &lanes);
            }
        }
        assert_eq!(found, late, "{model}: late rows");
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

/// RULES §1, rule 1, as it reads.
struct PlainClock {
    /// Least time, rows, whether it began with a jump, and its first time.
    stretches: Vec<(i64, u32, bool, i64)>,
    previous_us: Option<i64>,
    passed_us: i64,
}

impl Default for PlainClock {
    fn default() -> PlainClock {
        PlainClock { stretches: Vec::new(), previous_us: None, passed_us: i64::MIN }
    }
}

impl PlainClock {
    fn hear(&mut self, time_us: i64, is_row: bool, lanes: &PerLane<LaneSettings>) {
        let jump_us = lanes.drift.lateness_us.min(lanes.operations.lateness_us).max(SECOND_US);
        let every_us = lanes.drift.grid.every_us().min(lanes.operations.grid.every_us());
        let run_us = every_us.min(30 * SECOND_US);
        let way_us = self.previous_us.map_or(i64::MAX, |before_us| (time_us - before_us).abs());
        let jumped = way_us > jump_us;
        self.previous_us = Some(time_us);
        let jumps = |stretches: &[(i64, u32, bool, i64)]| stretches.iter().filter(|s| s.2).count();
        if jumped && jumps(&self.stretches) == 0 {
            self.stretches.clear();
        }
        let longest_us = match jumps(&self.stretches) {
            0 => 0,
            1..4 => run_us,
            _ => 2 * run_us,
        };
        let goes_on =
            |first_us: i64| !jumped && way_us < run_us && (time_us - first_us).abs() < longest_us;
        match self.stretches.last_mut() {
            Some(last) if goes_on(last.3) => {
                last.0 = last.0.min(time_us);
                last.1 = (last.1 + u32::from(is_row)).min(16);
            }
            _ => self.stretches.push((time_us, u32::from(is_row), jumped, time_us)),
        }
        if self.stretches.len() > 96 {
            self.stretches.remove(0);
        }
        let needed = if jumps(&self.stretches) >= 4 { 96 } else { 32 };
        if self.stretches.len() < needed {
            return;
        }
        let mut last = self.stretches[self.stretches.len() - needed..].to_vec();
        last.sort_unstable();
        // Heartbeats alone weigh a quarter of a row.
        let weight = |stretch: &(i64, u32, bool, i64)| (4 * stretch.1).max(1);
        let all: u32 = last.iter().map(weight).sum();
        let before = |instant_us: i64| -> u32 {
            last.iter().filter(|stretch| stretch.0 < instant_us).map(weight).sum()
        };
        let passed = last.iter().map(|stretch| stretch.0).filter(|us| 4 * before(*us) <= all);
        self.passed_us = self.passed_us.max(passed.max().unwrap_or(i64::MIN));
    }
}
