//! What Driftline tells Prometheus: one object that the pipeline's driver moves and a scrape reads.
//!
//! Label sets are bounded by the configuration, and all series together by `limits.series`. Counters
//! count since this process started; the exact ledger is in the API. The series of a model that left
//! the configuration are gone with the process that knew it, since a restart is the reload; those of
//! a column or version that left a model go with the next report.

mod families;
pub(crate) mod process;
mod requests;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use driftline_alerting::{Class, ModelAlerts, State};
use driftline_analytics::report::{
    BudgetSection, Check, Effect, Finding, Ledger, PairCounts, RULES, Report,
};
use driftline_config::{Config, Level, Model, Partition};
use driftline_pipeline::TopicLedger;
use driftline_pipeline::capture::CaptureBatch;
use prometheus::TextEncoder;

use families::Family;
use requests::Requests;
use table::{Labels, OWN_LIMIT, Rank, Table, seconds};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The commit that was built, where the build was told.
pub const REVISION: &str = match option_env!("DRIFTLINE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The one bound that is not ours: `max.message.bytes` of the reports topic.
pub const REPORT_TOO_LARGE: &str = "report_record_bytes";

/// The bounds of RULES §7 by the names of `limits`, and that of pages that listen.
const LIMITS: [&str; 21] = [
    "models",
    "columns",
    "categories",
    "category_hashes",
    "versions",
    "open_windows",
    "closed_windows",
    "record_bytes",
    "string_bytes",
    "batch_bytes",
    "dead_letter_bytes",
    "outbox",
    OWN_LIMIT,
    "report_bytes",
    REPORT_TOO_LARGE,
    "onnx_bytes",
    "shadow_rows",
    "event_listeners",
    "new_columns",
    "new_categories",
    "skipped_names",
];
const NOTIFICATION_OUTCOMES: [&str; 6] =
    ["delivered", "resent", "retry", "failed", "disabled", "silenced"];
/// The name under which a model lists the baseline of all versions without their own.
const DEFAULT_BASELINE: &str = "default";

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    kept: Mutex<Kept>,
    /// Versions of a model that are told apart.
    versions: usize,
}

#[derive(Debug)]
struct Kept {
    table: Table,
    models: BTreeMap<String, KnownModel>,
    /// Each topic's ledger when this process began to count.
    ledgers: BTreeMap<String, TopicLedger>,
}

#[derive(Debug)]
struct KnownModel {
    owner: String,
    requests: Requests,
}

/// What became of the rows that a candidate was shown, since its lane started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowRows {
    pub paired: u64,
    /// Dropped because the candidate was too slow.
    pub shed: u64,
    pub failed: u64,
}

impl Kept {
    /// Every counter of a model at 0 whose labels are known by now.
    fn add(&mut self, model: &Model, versions: usize) {
        let table = &mut self.table;
        let own: Vec<String> =
            model.baseline.keys().filter(|name| *name != DEFAULT_BASELINE).cloned().collect();
        let owner = model.owner.clone().unwrap_or_default();
        table.set(Family::ModelInfo, &[&model.name, &owner, &own.join(",")], 1.0);
        for class in Class::ALL {
            table.set(Family::AlertState, &[&model.name, class.name()], 0.0);
        }
        let latency = model.latency.as_ref().map(|latency| ("latency", latency.objective));
        let errors = model.errors.as_ref().map(|errors| ("errors", errors.objective));
        for (of, share) in latency.into_iter().chain(errors) {
            table.set(Family::Objective, &[&model.name, of], share);
        }
        for level in Level::ALL {
            table.add(Family::Windows, &[&model.name, level.name()], 0.0);
        }
        for candidate in &model.shadow {
            for (outcome, rows) in ShadowRows::default().outcomes() {
                table.set(Family::ShadowRows, &[&model.name, &candidate.name, outcome], rows);
            }
        }
        let under_us = model.latency.as_ref().map(|latency| latency.under_us);
        let requests = Requests::new(under_us, &own, versions);
        self.models.insert(model.name.clone(), KnownModel { owner, requests });
    }
}

impl Metrics {
    /// The metrics of a configuration, with every counter at 0 whose labels are known by now.
    /// `rejections` are the reasons for which a record can be rejected.
    pub fn new(config: &Config, rejections: &[&str]) -> Metrics {
        let mut table = Table::new(config.limits.series);
        let rules = RULES.to_string();
        table.set(Family::BuildInfo, &[env!("CARGO_PKG_VERSION"), REVISION, &rules], 1.0);
        for limit in LIMITS {
            table.add(Family::LimitReached, &[limit], 0.0);
        }
        for receiver in &config.receivers {
            table.set(Family::OutboxPending, &[&receiver.name], 0.0);
            for outcome in NOTIFICATION_OUTCOMES {
                table.add(Family::Notifications, &[&receiver.name, outcome], 0.0);
            }
        }
        let mut kept = Kept { table, models: BTreeMap::new(), ledgers: BTreeMap::new() };
        for topic in config.topics() {
            for (outcome, records) in outcomes(&Ledger::default()) {
                kept.table.set(Family::Records, &[topic, outcome], records);
            }
            for reason in rejections {
                kept.table.add(Family::Rejected, &[topic, reason], 0.0);
            }
        }
        for model in &config.models {
            kept.add(model, config.limits.versions);
        }
        Metrics { kept: Mutex::new(kept), versions: config.limits.versions }
    }

    /// Begins to count a model that a template made.
    pub fn add(&self, model: &Model) {
        self.lock().add(model, self.versions);
    }

    /// Takes the ledger of a topic as an earlier process left it: its records are not counted again.
    /// Without it the topic begins at zero.
    pub fn begin(&self, topic: &str, ledger: &TopicLedger) {
        self.lock().ledgers.insert(topic.to_owned(), ledger.clone());
    }

    /// Moves the counters of a topic to where its ledger stands.
    pub fn ledger(&self, topic: &str, ledger: &TopicLedger) {
        let mut kept = self.lock();
        let Kept { table, ledgers, .. } = &mut *kept;
        let begun = ledgers.entry(topic.to_owned()).or_default();
        for (outcome, records) in outcomes(&(ledger.total() - begun.total())) {
            table.set(Family::Records, &[topic, outcome], records);
        }
        for (reason, records) in &ledger.reasons {
            let before = begun.reasons.get(reason).copied().unwrap_or_default();
            let since = records.saturating_sub(before);
            table.set(Family::Rejected, &[topic, reason], since as f64);
        }
    }

    /// Counts the requests of a batch, and their latencies.
    pub fn rows(&self, model: &str, rows: &CaptureBatch) {
        let mut kept = self.lock();
        let Kept { table, models, .. } = &mut *kept;
        let Some(state) = models.get_mut(model) else { return };
        for (version, counted) in state.requests.count(rows) {
            for (class, requests) in &counted.classes {
                table.add(Family::Requests, &[model, &version, class], *requests);
            }
            if !counted.latencies.is_empty() {
                let labels = [model, version.as_str()];
                table.observe(Family::RequestLatency, &labels, &counted.latencies);
                if state.requests.has_objective() {
                    table.add(Family::SlowRequests, &labels, counted.slow as f64);
                }
            }
        }
    }

    /// Counts a report and shows it.
    pub fn report(&self, report: &Report) {
        {
            let table = &mut self.lock().table;
            table.add(Family::Windows, &[&report.model, report.level.name()], 1.0);
            let of_report = |limit, name: &str| {
                report.names_truncated.iter().any(|kind| kind == name).then_some(limit)
            };
            let mut shares = report.findings.iter().filter_map(|finding| finding.share.as_ref());
            let of_columns = shares.any(|share| share.names_truncated).then_some("new_categories");
            let met = [
                of_report("versions", "version"),
                of_report("new_columns", "new_column"),
                of_columns,
            ];
            for limit in met.into_iter().flatten() {
                table.add(Family::LimitReached, &[limit], 1.0);
            }
        }
        self.show(report);
    }

    /// Shows a report without counting its window: the series of the model's columns are those of its
    /// last window.
    pub fn show(&self, report: &Report) {
        let model = report.model.as_str();
        let mut kept = self.lock();
        let Kept { table, models, .. } = &mut *kept;
        if let Some(state) = models.get(model) {
            let versions: Vec<&str> = report.versions.keys().map(String::as_str).collect();
            table.remove_first(Family::ModelInfo, model);
            table.set(Family::ModelInfo, &[model, &state.owner, &versions.join(",")], 1.0);
        }
        show_budget(table, model, report.budget.as_ref());
        let mut subjects: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in &report.findings {
            subjects.entry(finding.subject.as_str()).or_default().push(finding);
        }
        table.hide_unless(model, &|subject| subjects.contains_key(subject));
        let mut columns: Vec<(Level, &str, Vec<&Finding>)> = subjects
            .into_iter()
            .filter_map(|(subject, findings)| {
                let levels = findings.iter().map(|finding| finding.level);
                Some((levels.reduce(Level::higher)?, subject, findings))
            })
            .collect();
        // Alarms first: where there is no room, it is the others that go without.
        columns.sort_by_key(|(level, subject, _)| (level.place(), *subject));
        for (level, subject, findings) in columns {
            table.show(model, subject, rank(level), series_of(model, subject, level, &findings));
        }
    }

    /// Shows where a model's incidents stand.
    pub fn alerts(&self, model: &str, alerts: &ModelAlerts) {
        let mut kept = self.lock();
        for class in Class::ALL {
            let state = match alerts.state(class) {
                State::Ok => 0.0,
                State::Pending => 1.0,
                State::Firing => 2.0,
                State::Accepted => 3.0,
            };
            kept.table.set(Family::AlertState, &[model, class.name()], state);
        }
    }

    /// Moves the counters of a candidate to what its lane has counted.
    pub fn shadow_rows(&self, model: &str, candidate: &str, rows: ShadowRows) {
        let mut kept = self.lock();
        for (outcome, rows) in rows.outcomes() {
            kept.table.set(Family::ShadowRows, &[model, candidate, outcome], rows);
        }
    }

    /// Shows the agreement of a candidate in its last window; `None` removes it.
    pub fn shadow_agreement(&self, model: &str, candidate: &str, agreement: Option<f64>) {
        let labels = [model, candidate];
        let mut kept = self.lock();
        match agreement {
            Some(share) => kept.table.set(Family::ShadowAgreement, &labels, share),
            None => kept.table.remove_one(Family::ShadowAgreement, &labels),
        }
    }

    /// Moves the counters of a model whose requests and responses are records of their own to how they went,
    /// and shows how many wait.
    pub fn pairs(&self, model: &str, counts: PairCounts, waiting: usize) {
        let mut kept = self.lock();
        for (outcome, pairs) in [
            ("paired", counts.paired),
            ("response_missing", counts.response_missing),
            ("request_missing", counts.request_missing),
            ("given_up", counts.given_up),
        ] {
            kept.table.set(Family::Pairs, &[model, outcome], pairs as f64);
        }
        kept.table.set(Family::PairsWaiting, &[model], waiting as f64);
    }

    /// Counts an attempt to deliver a message, by its outcome: one of those that receipts name.
    pub fn notification(&self, receiver: &str, outcome: &str) {
        self.lock().table.add(Family::Notifications, &[receiver, outcome], 1.0);
    }

    /// Counts what cannot happen and did.
    pub fn defects(&self, times: u64) {
        self.lock().table.add(Family::Defects, &[], times as f64);
    }

    /// Counts what a bound held back, by its name in `limits`.
    pub fn limit_reached(&self, limit: &str, times: u64) {
        self.lock().table.add(Family::LimitReached, &[limit], times as f64);
    }

    /// Shows how many records lie between a reader's position and the end of its partition.
    pub fn lag(&self, topic: &str, partition: Partition, records: u64) {
        self.set(Family::ConsumerLag, &[topic, &partition.to_string()], records as f64);
    }

    /// Shows the time since the last committed checkpoint.
    pub fn checkpoint_age(&self, age_us: i64) {
        self.set(Family::CheckpointAge, &[], seconds(age_us as f64));
    }

    /// Shows the time from when a window was due to its committed report.
    pub fn report_delay(&self, delay_us: i64) {
        self.set(Family::ReportDelay, &[], seconds(delay_us as f64));
    }

    /// Shows how many entries wait in a bounded queue.
    pub fn queue_depth(&self, queue: &str, entries: usize) {
        self.set(Family::QueueDepth, &[queue], entries as f64);
    }

    /// Shows how many messages to a receiver are decided and not delivered yet.
    pub fn outbox_pending(&self, receiver: &str, messages: usize) {
        self.set(Family::OutboxPending, &[receiver], messages as f64);
    }

    /// Shows the largest event time of an accepted row.
    pub fn last_event(&self, model: &str, time_us: i64) {
        self.set(Family::LastEvent, &[model], seconds(time_us as f64));
    }

    /// Shows the event time that the model's slowest partition has reached.
    pub fn watermark(&self, model: &str, time_us: i64) {
        self.set(Family::Watermark, &[model], seconds(time_us as f64));
    }

    /// The metrics in the text exposition format.
    ///
    /// # Errors
    /// The encoder refuses a family; the series here give it no reason to.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        // Written outside the lock: the driver waits for the copy only.
        let gathered = self.lock().table.gather();
        TextEncoder::new().encode_to_string(&gathered)
    }

    fn set(&self, family: Family, labels: &[&str], number: f64) {
        self.lock().table.set(family, labels, number);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShadowRows {
    fn outcomes(self) -> [(&'static str, f64); 3] {
        [("paired", self.paired as f64), ("shed", self.shed as f64), ("failed", self.failed as f64)]
    }
}

fn outcomes(ledger: &Ledger) -> [(&'static str, f64); 6] {
    [
        ("counted", ledger.counted as f64),
        ("late", ledger.late as f64),
        ("ahead", ledger.ahead as f64),
        ("rejected", ledger.rejected as f64),
        ("skipped", ledger.skipped as f64),
        ("control", ledger.control as f64),
    ]
}

/// What number of false alarms is promised, and how extreme the last window is.
fn show_budget(table: &mut Table, model: &str, budget: Option<&BudgetSection>) {
    table.remove_first(Family::FalseAlarms, model);
    table.remove_first(Family::Extremeness, model);
    // By tolerances alone nothing is promised.
    let Some(budget) = budget.filter(|budget| !budget.maxima.is_empty()) else { return };
    let BudgetSection { at_most, expected, bound, own, .. } = budget;
    let figures =
        [("at_most", *at_most), ("expected", *expected), ("bound", *bound), ("own", *own as f64)];
    for (figure, number) in figures {
        table.set(Family::FalseAlarms, &[model, figure], number);
    }
    for maximum in &budget.maxima {
        let figures = [
            ("value", Some(maximum.value)),
            ("threshold", Some(maximum.threshold)),
            ("beyond", Some(maximum.beyond as f64)),
            ("scale", maximum.scale.map(f64::from)),
        ];
        for (figure, number) in figures {
            if let Some(number) = number {
                table.set(Family::Extremeness, &[model, &maximum.of, figure], number);
            }
        }
    }
}

/// The series of one subject: the deciding statistic of its distribution, its shares, its level.
fn series_of(
    model: &str,
    subject: &str,
    level: Level,
    findings: &[&Finding],
) -> Vec<(Family, Labels, f64)> {
    let labels = |more: &[&str]| -> Labels {
        [model, subject].iter().chain(more).map(|label| (*label).to_owned()).collect()
    };
    let mut numbers = Vec::new();
    for finding in findings {
        let share = finding.share.as_ref();
        match (finding.check, finding.effect(), share) {
            (Check::Distribution, Some(Effect { value, bound, tolerance }), _) => {
                for (name, number) in [("value", value), ("bound", bound), ("tolerance", tolerance)]
                {
                    numbers.push((Family::DriftStatistic, labels(&[name]), number));
                }
            }
            (Check::Missing | Check::WrongType | Check::NewCategory, _, Some(share)) => {
                let name = finding.check.name();
                numbers.push((Family::ColumnShare, labels(&[name]), share.value));
            }
            _ => {}
        }
    }
    let not_computable = f64::from(u8::from(level == Level::NotComputable));
    numbers.push((Family::NotComputable, labels(&[]), not_computable));
    let place = match level {
        Level::Ok => Some(0.0),
        Level::Warn => Some(1.0),
        Level::Alarm => Some(2.0),
        // A zero here would say that all is well.
        Level::NotComputable => None,
    };
    numbers.extend(place.map(|place| (Family::DriftLevel, labels(&[]), place)));
    numbers
}

fn rank(level: Level) -> Rank {
    match level {
        Level::Ok => Rank::Ok,
        Level::NotComputable => Rank::NotComputable,
        Level::Warn => Rank::Warn,
        Level::Alarm => Rank::Alarm,
    }
}
