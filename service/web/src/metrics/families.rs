//! Every metric by name, kind, labels and help: CONTRACTS §7.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Records,
    Requests,
    RequestLatency,
    SlowRequests,
    Windows,
    DriftStatistic,
    DriftLevel,
    NotComputable,
    ColumnShare,
    FalseAlarms,
    Extremeness,
    AlertState,
    Objective,
    ShadowRows,
    ShadowAgreement,
    Pairs,
    PairsWaiting,
    Rejected,
    Notifications,
    OutboxPending,
    LastEvent,
    Watermark,
    ConsumerLag,
    CheckpointAge,
    ReportDelay,
    QueueDepth,
    LimitReached,
    SeriesDropped,
    Defects,
    ModelInfo,
    BuildInfo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Family {
    /// Every metric, in the order of the contract.
    #[cfg(test)]
    pub(super) const ALL: [Family; 31] = [
        Family::Records,
        Family::Requests,
        Family::RequestLatency,
        Family::SlowRequests,
        Family::Windows,
        Family::DriftStatistic,
        Family::DriftLevel,
        Family::NotComputable,
        Family::ColumnShare,
        Family::FalseAlarms,
        Family::Extremeness,
        Family::AlertState,
        Family::Objective,
        Family::ShadowRows,
        Family::ShadowAgreement,
        Family::Pairs,
        Family::PairsWaiting,
        Family::Rejected,
        Family::Notifications,
        Family::OutboxPending,
        Family::LastEvent,
        Family::Watermark,
        Family::ConsumerLag,
        Family::CheckpointAge,
        Family::ReportDelay,
        Family::QueueDepth,
        Family::LimitReached,
        Family::SeriesDropped,
        Family::Defects,
        Family::ModelInfo,
        Family::BuildInfo,
    ];

    pub(super) fn definition(self) -> Definition {
        match self {
            Family::Records
            | Family::Requests
            | Family::RequestLatency
            | Family::SlowRequests
            | Family::Rejected
            | Family::ConsumerLag
            | Family::LastEvent
            | Family::Watermark => self.of_traffic(),
            Family::Windows
            | Family::DriftStatistic
            | Family::DriftLevel
            | Family::NotComputable
            | Family::ColumnShare
            | Family::FalseAlarms
            | Family::Extremeness
            | Family::AlertState
            | Family::Objective
            | Family::ModelInfo => self.of_models(),
            Family::ShadowRows | Family::ShadowAgreement | Family::Pairs | Family::PairsWaiting => {
                self.of_pairs()
            }
            _ => self.of_ourselves(),
        }
    }

    fn of_traffic(self) -> Definition {
        use Kind::{Counter, Gauge, Histogram};
        match self {
            Family::Requests => define(
                "driftline_requests_total",
                Counter,
                &["model", "version", "class"],
                "Captured requests by class of status, each weighted by the share of traffic it stands for.",
            ),
            Family::RequestLatency => define(
                "driftline_request_latency_seconds",
                Histogram,
                &["model", "version"],
                "Captured request latencies; the latency objective is always a bucket.",
            ),
            Family::SlowRequests => define(
                "driftline_slow_requests_total",
                Counter,
                &["model", "version"],
                "Captured requests with a latency over the model's `under`, of those that the latency histogram counts.",
            ),
            Family::Rejected => define(
                "driftline_rejected_total",
                Counter,
                &["topic", "reason"],
                "Records whose envelope could not be read, by reason.",
            ),
            Family::ConsumerLag => define(
                "driftline_consumer_lag",
                Gauge,
                &["topic", "partition"],
                "Records between the reader's position and the end of the partition.",
            ),
            Family::LastEvent => define(
                "driftline_last_event_timestamp_seconds",
                Gauge,
                &["model"],
                "Largest event time of an accepted row.",
            ),
            Family::Watermark => define(
                "driftline_watermark_timestamp_seconds",
                Gauge,
                &["model"],
                "Event time that the slowest partition of the model has reached.",
            ),
            _ => define(
                "driftline_records_total",
                Counter,
                &["topic", "outcome"],
                "Records read, by what became of them.",
            ),
        }
    }

    fn of_models(self) -> Definition {
        use Kind::{Counter, Gauge};
        match self {
            Family::DriftStatistic => define(
                "driftline_drift_statistic",
                Gauge,
                &["model", "subject", "statistic"],
                "Deciding drift statistic of the last window: its value, lower confidence bound and tolerance.",
            ),
            Family::DriftLevel => define(
                "driftline_drift_level",
                Gauge,
                &["model", "subject"],
                "Highest level of the subject's findings in the last window: 0 ok, 1 warn, 2 alarm; absent when not computable.",
            ),
            Family::FalseAlarms => define(
                "driftline_false_alarms",
                Gauge,
                &["model", "figure"],
                "False alarms in the operator's period: how many are accepted, how many to expect, and what that is at most for nine baselines in ten; and by how many own windows.",
            ),
            Family::Extremeness => define(
                "driftline_extremeness",
                Gauge,
                &["model", "maximum", "figure"],
                "How extreme the last window is among the baseline's own: its value, above what it pages, own windows that differed less, and windows that its leading column merges; absent where tolerances decide.",
            ),
            Family::NotComputable => define(
                "driftline_not_computable",
                Gauge,
                &["model", "subject"],
                "Whether nothing could have alarmed for the subject in the last window.",
            ),
            Family::ColumnShare => define(
                "driftline_column_share",
                Gauge,
                &["model", "subject", "share"],
                "Share of the column's rows in the last window that were missing, of the wrong type or of a new category.",
            ),
            Family::AlertState => define(
                "driftline_alert_state",
                Gauge,
                &["model", "class"],
                "State of the class's incident: 0 ok, 1 pending, 2 firing, 3 accepted.",
            ),
            Family::Objective => define(
                "driftline_objective_ratio",
                Gauge,
                &["model", "objective"],
                "Share of requests that is to be under the latency, or without error, as configured.",
            ),
            Family::ModelInfo => define(
                "driftline_model_info",
                Gauge,
                &["model", "owner", "versions"],
                "Always 1; who answers for the model and which versions answered in its last window.",
            ),
            _ => define(
                "driftline_windows_total",
                Counter,
                &["model", "level"],
                "Windows judged, by their level.",
            ),
        }
    }

    /// Of what is put together of two: candidates beside champions, requests and responses.
    fn of_pairs(self) -> Definition {
        use Kind::{Counter, Gauge};
        match self {
            Family::ShadowRows => define(
                "driftline_shadow_rows_total",
                Counter,
                &["model", "candidate", "outcome"],
                "Rows sampled for a candidate, by what became of them.",
            ),
            Family::ShadowAgreement => define(
                "driftline_shadow_agreement_ratio",
                Gauge,
                &["model", "candidate"],
                "Share of paired rows of the last window with the champion's label.",
            ),
            Family::Pairs => define(
                "driftline_pairs_total",
                Counter,
                &["model", "outcome"],
                "Requests and responses that are records of their own, by how they found each other.",
            ),
            _ => define(
                "driftline_pairs_waiting",
                Gauge,
                &["model"],
                "Requests and responses that wait for each other.",
            ),
        }
    }

    fn of_ourselves(self) -> Definition {
        use Kind::{Counter, Gauge};
        match self {
            Family::Notifications => define(
                "driftline_notifications_total",
                Counter,
                &["receiver", "outcome"],
                "Attempts to deliver a message, by their outcome.",
            ),
            Family::OutboxPending => define(
                "driftline_outbox_pending",
                Gauge,
                &["receiver"],
                "Messages that are decided and not yet delivered.",
            ),
            Family::CheckpointAge => define(
                "driftline_checkpoint_age_seconds",
                Gauge,
                &[],
                "Time since the last checkpoint was committed.",
            ),
            Family::ReportDelay => define(
                "driftline_report_delay_seconds",
                Gauge,
                &[],
                "Time from when the last window was due to its committed report.",
            ),
            Family::QueueDepth => define(
                "driftline_queue_depth",
                Gauge,
                &["queue"],
                "Entries that wait in a bounded queue.",
            ),
            Family::LimitReached => define(
                "driftline_limit_reached_total",
                Counter,
                &["limit"],
                "How often a bound held something back.",
            ),
            Family::SeriesDropped => define(
                "driftline_series_dropped_total",
                Counter,
                &[],
                "Metric series that the bound on series left out, those of columns at ok first.",
            ),
            Family::Defects => define(
                "driftline_defects_total",
                Counter,
                &[],
                "What cannot happen and did: each is in the log as an error. Absent until there is one.",
            ),
            _ => define(
                "driftline_build_info",
                Gauge,
                &["version", "revision", "rules"],
                "Always 1; the release that runs, the commit it was built from, the rules of its reports.",
            ),
        }
    }
}

fn define(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition { name, kind, labels, help }
}
