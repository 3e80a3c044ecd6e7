//! What the terminal tells: a dozen lines, with dates, of what the replay found.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use driftline_alerting::deliver::Outcome;
use driftline_alerting::outbox::RowKind;
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::Report;
use driftline_config::Level;
use driftline_config::time::parse_instant_us;

use super::quality::Quality;
use crate::monitor::{Notice, ShadowRecord};

#[derive(Debug)]
pub(super) struct Story {
    started: Instant,
    quietly: bool,
    windows: u64,
    alarms: u64,
    mails: u64,
    webhooks: u64,
    /// Start of the quiet windows since the last alarm, and how many they are.
    quiet: Option<(String, u64)>,
    agreement: Vec<Agreement>,
    requests: BTreeSet<String>,
    over: bool,
}

#[derive(Debug)]
struct Agreement {
    candidate: String,
    windows: u64,
    rows: u64,
    agreed: f64,
    problem: Option<String>,
}

impl Story {
    /// A story that has not begun. `quietly` leaves the page out: nobody will look at it.
    pub(super) fn new(quietly: bool) -> Story {
        Story {
            started: Instant::now(),
            quietly,
            windows: 0,
            alarms: 0,
            mails: 0,
            webhooks: 0,
            quiet: None,
            agreement: Vec::new(),
            requests: BTreeSet::new(),
            over: false,
        }
    }

    pub(super) fn windows(&self) -> u64 {
        self.windows
    }

    pub(super) fn alarms(&self) -> u64 {
        self.alarms
    }

    pub(super) fn mails(&self) -> u64 {
        self.mails
    }

    pub(super) fn webhooks(&self) -> u64 {
        self.webhooks
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn begin(&self, page: SocketAddr, token: &str, folder: &Path) {
        say(
            "Flights from New York, April to December 2013: will this one arrive more than 15 minutes late?",
        );
        say(
            "The model learned on January to March. Every departure is a request; windows are weeks.",
        );
        if !self.quietly {
            say(&format!("Page and API: http://{page}/   token to accept and to silence: {token}"));
            say(&format!("Mails, state, configuration: {}", folder.display()));
        }
    }

    pub(super) fn tell(&mut self, notice: &Notice) {
        match notice {
            Notice::Report(report) => self.window(report),
            Notice::Attempt(attempt) => {
                if attempt.receipt.outcome != Outcome::Delivered {
                    return;
                }
                match &attempt.row.kind {
                    RowKind::Mail(mail) => {
                        self.mails += 1;
                        say(&format!("      mail: {}", mail.subject));
                    }
                    RowKind::Webhook { .. } => self.webhooks += 1,
                    RowKind::Alert(_) | RowKind::Channel { .. } => {}
                }
            }
            Notice::Shadow(record) => self.compare(record),
            // Told when the training job has it.
            Notice::Request(_) => {}
        }
    }

    pub(super) fn requested(&mut self, request: &RetrainRequest) {
        let data = &request.data;
        if !self.requests.insert(data.retrain_id.clone()) {
            return;
        }
        let offsets: Vec<String> = data
            .train_on
            .ranges
            .iter()
            .map(|range| format!("{}:{}-{}", range.partition, range.from, range.to))
            .collect();
        say(&format!(
            "      retraining requested: {} rows from {} to {}, offsets {}",
            data.train_on.rows,
            day(data.train_on.select.ts_from),
            day(data.train_on.select.ts_before),
            offsets.join(" ")
        ));
    }

    /// The end: candidates beside the champion, and what the arrivals said afterwards.
    pub(super) fn end(&mut self, quality: Quality, shadow_rows: u64) {
        self.over = true;
        self.flush_quiet();
        for agreement in &self.agreement {
            match &agreement.problem {
                Some(problem) => say(&format!("candidate {}: {problem}", agreement.candidate)),
                None => say(&format!(
                    "candidate {}: scored beside the champion on {} flights of {} weeks, same answer in {:.1} %",
                    agreement.candidate,
                    agreement.rows,
                    agreement.windows,
                    100.0 * agreement.agreed / (agreement.rows.max(1)) as f64,
                )),
            }
        }
        say("known afterwards from the arrivals (area under the ROC curve):");
        for (title, months) in [("August and September", 8..=9), ("November and December", 11..=12)]
        {
            let of = |model| quality.auc(model, months.clone());
            let line: Vec<String> = ["champion", "spring", "recent"]
                .into_iter()
                .filter_map(|model| of(model).map(|auc| format!("{model} {auc:.3}")))
                .collect();
            say(&format!("  {title}: {}", line.join(", ")));
        }
        say(&format!(
            "{} windows, {} at alarm, {} mails, {} retraining requests, {shadow_rows} candidate scores in {:.1} s",
            self.windows,
            self.alarms,
            self.mails,
            self.requests.len(),
            self.started.elapsed().as_secs_f64()
        ));
        if !self.quietly {
            say("The page stays up. Ctrl-C ends.");
        }
    }

    fn window(&mut self, report: &Report) {
        self.windows += 1;
        let start = report.window.start.as_str();
        if report.level != Level::Alarm {
            let (_, count) = self.quiet.get_or_insert_with(|| (start.to_owned(), 0));
            *count += 1;
            if self.windows == 1 {
                say(&format!(
                    "{}  first window closed: {} flights",
                    week(start),
                    report.window.rows
                ));
            }
            return;
        }
        self.flush_quiet();
        self.alarms += 1;
        let alarms: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Alarm)
            .map(|finding| finding.because.as_str())
            .collect();
        let more = match alarms.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        say(&format!("{}  ALARM  {}{more}", week(start), alarms.first().unwrap_or(&"")));
    }

    fn flush_quiet(&mut self) {
        if let Some((start, count)) = self.quiet.take() {
            let weeks = if count == 1 { "week" } else { "weeks" };
            say(&format!("{}  {count} {weeks} within tolerance", week(&start)));
        }
    }

    fn compare(&mut self, record: &ShadowRecord) {
        for report in &record.shadow {
            let known =
                self.agreement.iter_mut().position(|known| known.candidate == report.candidate);
            let at = known.unwrap_or_else(|| {
                self.agreement.push(Agreement {
                    candidate: report.candidate.clone(),
                    windows: 0,
                    rows: 0,
                    agreed: 0.0,
                    problem: None,
                });
                self.agreement.len() - 1
            });
            let Some(known) = self.agreement.get_mut(at) else { continue };
            known.problem.clone_from(&report.problem);
            if report.paired > 0 {
                known.windows += 1;
                known.rows += report.paired;
                known.agreed += report.agreement.unwrap_or(0.0) * report.paired as f64;
            }
        }
    }
}

/// People read the story on stderr; stdout is for programs.
fn say(line: &str) {
    eprintln!("{line}");
}

fn week(start: &str) -> String {
    format!("week of {:>6}", parse_instant_us(start).map_or_else(|_| start.to_owned(), day))
}

fn day(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us).map_or_else(
        |_| String::from("?"),
        |instant| instant.to_zoned(jiff::tz::TimeZone::UTC).strftime("%-d %b").to_string(),
    )
}
