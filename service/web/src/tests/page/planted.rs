//! A rig in which everything has happened, with markup in whatever others can choose.

use std::collections::VecDeque;

use driftline_alerting::{Evidence, Measure, Transition, TransitionState, links};
use driftline_analytics::report::{BinShare, CategoryShare};
use driftline_analytics::report::{
    Check, Finding, Kind, Ks, Latency, NameCount, Ordered, Percentile, Psi, Release, Report, Share,
    Window,
};
use driftline_config::WindowGrid;
use driftline_pipeline::digest::{
    IncidentEntry, LastWindow, PaneFigures, ReceiptDigest, WindowDigest,
};
use driftline_pipeline::snapshot::{PageDocuments, WindowDocument};

use super::super::*;

/// Markup in every name that captures, people and receivers can choose.
const PLANTED: &str = "<script>alert('1')</script>\"&";
pub(super) const ESCAPED: &str = "&lt;script&gt;";
const START_US: i64 = 1_783_296_000_000_000; // 2026-07-06T00:00:00Z

pub(super) fn planted(kind: &str) -> String {
    format!("{kind}{PLANTED}")
}

fn finding(subject: &str, check: Check, level: Level) -> Finding {
    let mut finding = Finding::new(subject, check);
    (finding.n, finding.m, finding.level) = (800, 5000, level);
    finding.because = planted("because ");
    finding.notes = vec![planted("note ")];
    finding
}

fn numeric(level: Level) -> Finding {
    let mut finding = finding(&planted("feature:"), Check::Distribution, level);
    finding.kind = Some(Kind::Numeric);
    finding.ks = Some(Ks {
        value: 0.2,
        certified: [0.2, 0.2],
        bound: 0.12,
        confidence: 0.99,
        tolerance: 0.05,
        tolerance_from: planted("own windows "),
        baseline_error: 0.02,
        detectable: 0.1,
        at: Some(Ordered(1.5)),
        share_reference: Some(0.4),
        share_window: Some(0.6),
        p: 0.0,
        p_method: planted("method "),
        p_tolerance: 0.0,
        p_adjusted: Some(0.0),
        comparison: None,
    });
    finding
}

fn psi() -> Psi {
    let category = |name: Option<String>| CategoryShare {
        category: name,
        reference: 0.5,
        window: 0.4,
        contribution: 0.02,
    };
    Psi {
        value: 0.2,
        debiased: 0.18,
        bound: 0.1,
        bins: Vec::<BinShare>::new(),
        categories: vec![category(Some(planted("category "))), category(None)],
        confidence: Some(0.99),
        tolerance: Some(0.1),
        tolerance_from: Some("floor".to_owned()),
        detectable: Some(0.2),
        p: None,
        p_method: None,
        p_tolerance: None,
        p_adjusted: None,
    }
}

fn categories(subject: &str) -> [Finding; 2] {
    let mut distribution = finding(subject, Check::Distribution, Level::Warn);
    distribution.kind = Some(Kind::Categorical);
    distribution.psi = Some(psi());
    let mut new = finding(subject, Check::NewCategory, Level::Alarm);
    new.share = Some(Share {
        value: 0.1,
        bound: 0.08,
        confidence: 0.99,
        tolerance: 0.01,
        tolerance_from: "floor".to_owned(),
        reference: 0.0,
        detectable: Some(0.02),
        p_tolerance: Some(0.0),
        p_adjusted: Some(0.0),
        count: 80,
        names: vec![NameCount { name: planted("new "), count: 80 }],
        names_truncated: false,
    });
    [distribution, new]
}

pub(super) fn report() -> Report {
    let percentile = Percentile { value: 900, low: 800, high: Some(1000) };
    let id = WindowId::new(MODEL, START_US, &WindowGrid::every(DAY_US));
    let [distribution, new] = categories(&planted("feature:kind"));
    Report {
        driftline: 1,
        model: MODEL.to_owned(),
        versions: [(planted("version "), 800)].into(),
        window: Window {
            id: id.clone(),
            start: "2026-07-06T00:00:00Z".to_owned(),
            end: "2026-07-07T00:00:00Z".to_owned(),
            timezone: None,
            rows: 800,
            parts: 1,
            complete: true,
            previous: Some(WindowId::new(MODEL, START_US - DAY_US, &WindowGrid::every(DAY_US))),
            ledger: Ledger { read: 800, counted: 800, ..Ledger::default() },
            cuts: Default::default(),
            incomplete: Vec::new(),
            ahead: Default::default(),
            ahead_forgotten: false,
            pairs: None,
        },
        level: Level::Alarm,
        release: Some(Release { new: Vec::new(), moved: Vec::new(), because: planted("release ") }),
        changed: vec![planted("changed ")],
        findings: vec![new, numeric(Level::Alarm), distribution],
        latency: Some(Latency {
            n: 800,
            p50_us: percentile,
            p90_us: percentile,
            p99_us: percentile,
            max_us: 2000,
            over_objective: None,
        }),
        status: [("2xx".to_owned(), 790), ("5xx".to_owned(), 10)].into(),
        baseline_sha256: String::new(),
        config_sha256: String::new(),
        rules: 1,
        baselines: Default::default(),
        requests_weighted: None,
        names_truncated: Vec::new(),
        budget: None,
        repeated: None,
        not_computable: None,
    }
}

fn evidence() -> Evidence {
    Evidence {
        subject: planted("feature:").into(),
        check: "distribution".to_owned(),
        level: Level::Alarm,
        value: Some(0.2),
        bound: Some(0.12),
        tolerance: Some(0.05),
        unit: Measure::Statistic,
        because: planted("because "),
        first_over_us: None,
        rows: None,
        returned: false,
    }
}

fn transition() -> Transition {
    Transition {
        id: "abc".to_owned(),
        model: MODEL.to_owned(),
        class: Class::InputShift,
        looks_like: Class::InputShift,
        incident: "abc".to_owned(),
        state: TransitionState::Firing,
        at_us: START_US,
        since_us: START_US,
        subjects: vec![evidence()],
        subjects_total: 1,
        joined: Vec::new(),
        grown: Vec::new(),
        over: 2,
        of: 3,
        panes: false,
        windows: vec![report().window.id],
        promise: vec![planted("promise ")],
        quiet: false,
        folded_into: None,
        consequences: Vec::new(),
    }
}

fn receipt() -> ReceiptDigest {
    ReceiptDigest {
        at_us: START_US,
        receiver: planted("receiver "),
        what: "mail".to_owned(),
        title: Some(planted("title ")),
        model: MODEL.to_owned(),
        class: Class::InputShift,
        id: "abc".to_owned(),
        caused_by: "abc".to_owned(),
        outcome: "retry".to_owned(),
        why: Some(planted("why ")),
        attempt: 2,
        next_at_us: Some(START_US),
    }
}

fn shadow_record() -> String {
    json!({"driftline": 1, "model": MODEL, "window": {"id": report().window.id}, "shadow": [{
        "candidate": "spring", "purpose": "better", "sampled": 800, "paired": 790, "shed": 5, "failed": 5,
        "agreement": 0.9, "kappa": 0.8, "classes": [planted("late "), "on-time"], "table": [[700, 10], [20, 60]],
        "score": {"mean_difference": 0.01, "psi": 0.02, "largest_difference": 0.5, "largest_at": planted("id ")},
        "batch_us_per_row": 2.0, "single_us": {"n": 64, "p50": 9.0, "p99": 40.0}, "problem": planted("problem ")}]})
    .to_string()
}

/// A rig in which everything has happened, with planted texts wherever they can come from.
pub(super) fn eventful() -> Rig {
    let rig = local();
    let report = report();
    let span = (START_US, START_US + DAY_US);
    let digest = serde_json::to_vec(&WindowDigest::new(&report, span.0..span.1)).unwrap();
    let of_window =
        |document: Vec<u8>| WindowDocument { model: MODEL.to_owned(), start_us: span.0, document };
    let pane =
        PaneFigures { start_us: span.0, requests: 60, errors: 3, latency_us: Some((900, 2000)) };
    let step = IncidentEntry::Step(Box::new(transition()));
    let accepted = IncidentEntry::Accepted(Acceptance {
        by: planted("by "),
        reason: planted("reason "),
        at_us: START_US,
    });
    let shown = PageDocuments {
        digests: vec![of_window(digest)],
        shadow: vec![of_window(shadow_record().into_bytes())],
        panes: vec![pane.of(MODEL, 60_000_000)],
        entries: [step.of("abc", "abc", START_US), accepted.of("abc", "accepted", START_US + 1)]
            .into_iter()
            .flatten()
            .collect(),
        receipts: vec![(7, serde_json::to_vec(&receipt()).unwrap())],
    };
    let stored = StoredReport {
        model: MODEL.to_owned(),
        start_us: span.0,
        end_us: span.1,
        report: report.to_json(),
        history: String::new(),
        config_sha256: String::new(),
        coarse: String::new(),
    };
    rig.store.commit(&Snapshot { reports: vec![stored], shown, ..Snapshot::default() }).unwrap();
    let mut live = live();
    let model = Arc::make_mut(&mut live.models[0]);
    model.owner = Some(planted("owner "));
    model.last_window = Some(LastWindow::new(&report));
    model.recent =
        vec![RecentWindow { start_us: Some(START_US), level: Level::Alarm, strength: Some(3.0) }];
    model.last_pane = Some(PaneStatus::new(&pane, 60_000_000));
    model.pane_us = 60_000_000;
    model.candidates = vec![CandidateStatus {
        name: "spring".to_owned(),
        purpose: "better",
        state: CheckState::Degraded,
        says: planted("says "),
    }];
    let incident = Arc::make_mut(&mut live.incidents[0]);
    incident.subjects = vec![evidence()];
    incident.windows = vec![report.window.id.clone()];
    live.history = [Step::new(&transition(), START_US)].into();
    live.receipts = Arc::new(VecDeque::from([receipt()]));
    live.silences = vec![Silence {
        id: "s".to_owned(),
        model: None,
        class: None,
        until_us: START_US,
        by: planted("by "),
        reason: planted("reason "),
    }];
    let name = planted("check ");
    live.checks.push(ReadyCheck { name, state: CheckState::Degraded, says: planted("says ") });
    live.dead_letters[0].detail = planted("detail ");
    rig.board.publish(live);
    rig
}

/// Every view of [`eventful`], and how many planted texts it must at least show.
pub(super) fn views() -> Vec<(String, usize)> {
    let window = report().window.id;
    vec![
        (links::MODELS.to_owned(), 3),
        (links::model(MODEL), 10),
        (links::window(MODEL, window.as_str()), 10),
        (links::finding(MODEL, &planted("feature:"), Some(window.as_str())), 8),
        (links::finding(MODEL, &planted("feature:kind"), None), 8),
        (links::candidate(MODEL, "spring"), 4),
        (links::ALERTS.to_owned(), 8),
        (links::incident("abc"), 6),
        ("/service".to_owned(), 3),
    ]
}
