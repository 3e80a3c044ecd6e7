//! The faults that docs/failures.md leaves to the simulation to prove, and how often each befell a run.

use std::collections::BTreeMap;

use driftline_analytics::report::{CutBy, Report};
use driftline_config::time::{DAY_US, HOUR_US, parse_instant_us};

use super::run::Outcome;

/// Something that may befall a log or its reading, or that must follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Crash,
    /// It dies while a window that closed has not been judged.
    DeathBeforeJudgement,
    /// A commit is durable, and the process dies before it hears so.
    LostCommit,
    FailedCommit,
    /// A value of the store is cut, changed or swapped while no process runs, and the next one notices.
    DamagedStore,
    /// Records that were counted come again.
    Redelivery,
    /// A message or a dead letter arrives, and nobody learns that it did.
    UnheardArrival,
    /// A snapshot waits for dead letters that have not arrived.
    AwaitedLetter,
    /// A window closed, its log was replaced before it was judged, and the process died: what the new log no
    /// longer tells of the window's records is in the checkpoint.
    ReplacedLog,
    /// A topic gets another partition while it is read.
    AddedPartition,
    /// The clock closes a window that a silent partition has not passed.
    IdleCut,
    /// A row of a producer whose clock is up to five hours fast.
    FastClock,
    /// The same of one that is slow.
    SlowClock,
    /// A producer sends many rows at once.
    Run,
    /// Records come in bursts, with pauses between.
    Burst,
    /// Heartbeats one after the other.
    BeatRun,
    /// A boundary that the log passed, not the clock.
    LogCut,
    /// The whole log goes on hours later.
    Jump,
    LateRow,
    /// A window of a zone's day on which clocks are put forward.
    ShortDay,
    /// The same where they are put back.
    LongDay,
    /// A row too far beyond our clock.
    RowAhead,
    Heartbeat,
    /// A row of a model that is not configured.
    Stranger,
    /// Offsets that the log does not hold.
    Hole,
    /// A record without a timestamp.
    Unstamped,
    /// An envelope that cannot be read, by reason.
    Rejected(&'static str),
    /// A window too small to be judged is part of a later report.
    CarriedWindow,
    /// A window that differs more than the stated number of false alarms allows.
    Page,
    Report,
    Message,
    RetrainRequest,
}

use Fault::Rejected;

/// Why envelopes are rejected.
const REASONS: [Fault; 9] = [
    Rejected("empty"),
    Rejected("invalid_utf8"),
    Rejected("invalid_json"),
    Rejected("not_an_object"),
    Rejected("missing_model"),
    Rejected("missing_ts"),
    Rejected("bad_timestamp"),
    Rejected("future"),
    Rejected("too_large"),
];

impl Fault {
    /// All that must happen.
    pub(super) const ALL: [Fault; 40] = [
        Fault::Crash,
        Fault::DeathBeforeJudgement,
        Fault::LostCommit,
        Fault::FailedCommit,
        Fault::DamagedStore,
        Fault::Redelivery,
        Fault::UnheardArrival,
        Fault::AwaitedLetter,
        Fault::ReplacedLog,
        Fault::AddedPartition,
        Fault::IdleCut,
        Fault::FastClock,
        Fault::SlowClock,
        Fault::Run,
        Fault::Burst,
        Fault::BeatRun,
        Fault::LogCut,
        Fault::Jump,
        Fault::LateRow,
        Fault::ShortDay,
        Fault::LongDay,
        Fault::RowAhead,
        Fault::Heartbeat,
        Fault::Stranger,
        Fault::Hole,
        Fault::Unstamped,
        REASONS[0],
        REASONS[1],
        REASONS[2],
        REASONS[3],
        REASONS[4],
        REASONS[5],
        REASONS[6],
        REASONS[7],
        REASONS[8],
        Fault::CarriedWindow,
        Fault::Page,
        Fault::Report,
        Fault::Message,
        Fault::RetrainRequest,
    ];
}

/// How the rows of docs/failures.md begin that the simulation proves, and what it does for each.
pub(super) const ROWS: [(&str, &[Fault]); 12] = [
    ("killed at any moment", &[Fault::Crash, Fault::LostCommit, Fault::UnheardArrival]),
    ("a window closed and the process died", &[Fault::DeathBeforeJudgement]),
    ("a commit fails", &[Fault::FailedCommit]),
    ("anything changes in the checkpoint file", &[Fault::DamagedStore]),
    ("the topic is deleted and made again", &[Fault::ReplacedLog]),
    ("partitions are added", &[Fault::AddedPartition]),
    ("records come again", &[Fault::Redelivery]),
    ("a partition is silent", &[Fault::IdleCut]),
    (
        "a producer's clock",
        &[
            Fault::FastClock,
            Fault::SlowClock,
            Fault::Run,
            Fault::Jump,
            Fault::RowAhead,
            Rejected("future"),
        ],
    ),
    ("envelopes that cannot be read", &REASONS),
    ("dead letters do not arrive", &[Fault::AwaitedLetter]),
    ("rows come late", &[Fault::LateRow]),
];

/// How often each fault befell a run.
#[derive(Debug, Default, Clone)]
pub(super) struct Befallen(BTreeMap<Fault, u64>);

impl Befallen {
    pub(super) fn note(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    pub(super) fn note_if(&mut self, happened: bool, fault: Fault) {
        self.add(fault, u64::from(happened));
    }

    pub(super) fn add(&mut self, fault: Fault, times: u64) {
        *self.0.entry(fault).or_default() += times;
    }

    pub(super) fn take_in(&mut self, other: &Befallen) {
        other.0.iter().for_each(|(fault, times)| self.add(*fault, *times));
    }

    pub(super) fn times(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }
}

/// What can be told from what a run came to.
pub(super) fn of_outcome(outcome: &Outcome, befallen: &mut Befallen) {
    for (json, _) in outcome.reports.values() {
        let Report { window, budget, .. } = Report::from_json(json).unwrap();
        befallen.note_if(budget.is_some_and(|budget| budget.pages), Fault::Page);
        let cuts: Vec<CutBy> =
            window.cuts.values().flat_map(|cuts| cuts.values()).map(|cut| cut.by).collect();
        let idle = cuts.iter().filter(|by| **by == CutBy::Idle).count();
        befallen.add(Fault::IdleCut, idle as u64);
        befallen.add(Fault::LogCut, (cuts.len() - idle) as u64);
        befallen.note_if(window.parts > 1, Fault::CarriedWindow);
        let [start_us, end_us] =
            [&window.start, &window.end].map(|at| parse_instant_us(at).unwrap());
        // Of whole days otherwise, and of zones alone.
        let over_us = (end_us - start_us) % DAY_US;
        let is_zoned = window.timezone.is_some();
        befallen.note_if(is_zoned && over_us == DAY_US - HOUR_US, Fault::ShortDay);
        befallen.note_if(is_zoned && over_us == HOUR_US, Fault::LongDay);
    }
    let late = outcome.models.iter().map(|(_, model)| model.counted.late);
    befallen.add(Fault::LateRow, late.sum());
    befallen.add(Fault::Report, outcome.reports.len() as u64);
    befallen.add(Fault::Message, outcome.messages.len() as u64);
    befallen.add(Fault::RetrainRequest, outcome.requests.len() as u64);
}
