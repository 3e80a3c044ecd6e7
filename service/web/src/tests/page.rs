//! The views: what they show is escaped, what they write needs the token and our own origin, and
//! listeners hear of what changed.

use std::collections::VecDeque;

use driftline_alerting::{Evidence, Measure, Transition, TransitionState, links};
use driftline_analytics::report::{BinShare, CategoryShare};
use driftline_analytics::report::{
    Check, Finding, Kind, Ks, Latency, NameCount, Ordered, Percentile, Psi, Release, Report, Share,
    Window,
};
use driftline_pipeline::digest::{
    IncidentEntry, LastWindow, PaneFigures, ReceiptDigest, WindowDigest,
};
use driftline_pipeline::snapshot::{PageDocuments, WindowDocument};

use super::*;
use crate::board::LISTENERS;

/// Markup in every name that captures, people and receivers can choose.
const PLANTED: &str = "<script>alert('1')</script>\"&";
const ESCAPED: &str = "&lt;script&gt;";
const START_US: i64 = 1_783_296_000_000_000; // 2026-07-06T00:00:00Z

fn planted(kind: &str) -> String {
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

fn report() -> Report {
    let percentile = Percentile { value: 900, low: 800, high: Some(1000) };
    let id = WindowId::new(MODEL, START_US, DAY_US);
    let [distribution, new] = categories(&planted("feature:kind"));
    Report {
        driftline: 1,
        model: MODEL.to_owned(),
        versions: [(planted("version "), 800)].into(),
        window: Window {
            id: id.clone(),
            start: "2026-07-06T00:00:00Z".to_owned(),
            end: "2026-07-07T00:00:00Z".to_owned(),
            rows: 800,
            parts: 1,
            complete: true,
            previous: Some(WindowId::new(MODEL, START_US - DAY_US, DAY_US)),
            ledger: Ledger { read: 800, counted: 800, ..Ledger::default() },
            cuts: Default::default(),
            incomplete: Vec::new(),
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
        quiet: false,
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
fn eventful() -> Rig {
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
fn views() -> Vec<(String, usize)> {
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

async fn get_page(rig: &Rig, path: &str) -> Answer {
    ask(rig, false, request(Method::GET, path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_view_escapes_what_it_shows_under_a_strict_policy() {
    let rig = eventful();
    for (path, least) in views() {
        let (status, headers, page) = get_page(&rig, &path).await;
        assert_eq!(status, 200, "{path}: {page}");
        assert!(page.matches(ESCAPED).count() >= least, "{path}: {page}");
        // The one script is ours, and no event handler or style stands in the markup.
        assert_eq!(page.matches("<script").count(), 1, "{path}");
        for attribute in [" style=", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(attribute), "{path}: {attribute}");
        }
        let policy = headers["content-security-policy"].to_str().unwrap();
        let parts: Vec<&str> = policy.split("; ").collect();
        assert_eq!(parts[0], "default-src 'none'", "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for hashed in ["style-src 'sha256-", "script-src 'sha256-"] {
            assert!(parts.iter().any(|part| part.starts_with(hashed)), "{policy}");
        }
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "same-origin");
    }
}

/// `check --html`: the same parts in a file that has no server behind it.
#[test]
fn a_comparison_stands_alone_and_lets_nothing_run() {
    let report = report();
    let page = standalone::findings_page(&standalone::ComparedFiles {
        report: &report,
        shapes: &Default::default(),
        notes: &[planted("left out ")],
        reference: &planted("reference "),
        current: &planted("current "),
        found: "2 at alarm",
        command: &planted("driftline check "),
    });
    assert!(!page.contains("<script") && !page.contains("href="), "{page}");
    assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"), "{page}");
    for kind in ["left out ", "reference ", "current ", "driftline check ", "because ", "new "] {
        assert!(page.contains(&format!("{kind}{ESCAPED}")), "{kind} in {page}");
    }
    for finding in &report.findings {
        assert!(page.contains(finding.check.name().split('_').next().unwrap()), "{page}");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).collect();
    assert_eq!(ids, [""; 0], "parts that a page has once stand here several times");
}

#[tokio::test]
async fn every_link_of_a_view_leads_to_a_view() {
    let rig = eventful();
    let gone = links::window(MODEL, &format!("{MODEL}@20260705T000000Z.1d"));
    for (path, _) in views() {
        let (_, _, page) = get_page(&rig, &path).await;
        let markup = page.split("<script>").next().unwrap();
        let hrefs = markup.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for href in hrefs.filter(|href| !href.starts_with('#')) {
            let target = resolved(&path, &href.replace("&amp;", "&"));
            if target != gone {
                let (status, _, _) = get_page(&rig, &target).await;
                assert_eq!(
                    status,
                    if target == "/readyz" { status } else { 200 },
                    "{path}: {href} is {target}"
                );
            }
        }
    }
}

/// A relative link, as a browser resolves it.
fn resolved(base: &str, link: &str) -> String {
    let base = base.split('?').next().unwrap();
    let mut segments: Vec<&str> = base.split('/').collect();
    segments.pop();
    let (path, query) =
        link.split_once('?').map_or((link, None), |(path, query)| (path, Some(query)));
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let path = segments.join("/");
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

#[tokio::test]
async fn what_is_not_there_is_told_on_a_page() {
    let rig = eventful();
    let table = [
        (links::model("nobody"), "No model is called nobody"),
        (links::window(MODEL, &format!("{MODEL}@20260101T000000Z.1d")), "No window has the id"),
        (links::window(MODEL, "x"), "No window has the id"),
        (links::finding(MODEL, "feature:weather", None), "says nothing of feature:weather"),
        (links::finding(MODEL, "latency", Some("x")), "No window has the id"),
        (links::candidate(MODEL, "nobody"), "has no candidate nobody"),
        (links::incident("nobody"), "No incident has the id"),
    ];
    for (path, sentence) in table {
        let (status, headers, page) = get_page(&rig, &path).await;
        assert_eq!(status, 404, "{path}");
        assert!(page.contains(sentence), "{path}: {page}");
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    let (status, _, page) = get_page(&rig, "/models/%ff").await;
    assert_eq!(status, 400, "{page}");
}

/// What a browser sends with a form of our own page.
const OURS: [(&str, &str); 3] = [
    ("host", "localhost:9464"),
    ("origin", "http://localhost:9464"),
    ("content-type", "application/x-www-form-urlencoded"),
];

async fn send_form(rig: &Rig, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let mut request = request(Method::POST, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(rig, false, request.body(Body::from(form.to_owned())).unwrap()).await
}

/// Sends a form while the driver, played here, carries out what it asks and shows the outcome.
async fn send_and_carry_out(
    rig: &Rig,
    path: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> (Answer, Command) {
    let driver = async {
        loop {
            let Ok(command) = rig.commands.try_recv() else {
                tokio::task::yield_now().await;
                continue;
            };
            let mut live = (*rig.board.live()).clone();
            match &command {
                Command::Accept { .. } => live.incidents.clear(),
                Command::Silence(silence) => live.silences.push(silence.clone()),
            }
            rig.board.publish(live);
            return command;
        }
    };
    tokio::join!(send_form(rig, path, headers, form), driver)
}

#[tokio::test]
async fn a_form_needs_the_token_and_our_own_origin() {
    let rig = eventful();
    let right = format!("by=Ada&reason=a+known+sale&token={TOKEN}");
    let with = |name: &'static str, value: &'static str| {
        let mut headers = OURS.to_vec();
        headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            headers.push((name, value));
        }
        headers
    };
    let fetched = |site: &'static str| {
        let mut headers = with("origin", "");
        headers.push(("sec-fetch-site", site));
        headers
    };
    let unsigned = right.replace("Ada", "+");
    let table = [
        (OURS.to_vec(), right.as_str(), 303),
        (fetched("same-origin"), right.as_str(), 303),
        (OURS.to_vec(), "by=Ada&reason=a+known+sale&token=guess", 403),
        (OURS.to_vec(), "by=Ada&reason=a+known+sale", 403),
        (OURS.to_vec(), unsigned.as_str(), 400),
        (with("origin", "https://evil.example.org"), right.as_str(), 403),
        (with("origin", "null"), right.as_str(), 403),
        // A browser that says nothing about the page could show anyone's.
        (with("origin", ""), right.as_str(), 403),
        (fetched("cross-site"), right.as_str(), 403),
        (fetched("same-site"), right.as_str(), 403),
        (with("host", "evil.example.org:9464"), right.as_str(), 403),
        (with("content-type", "text/plain"), right.as_str(), 400),
    ];
    let standing = (*rig.board.live()).clone();
    for (headers, form, expected) in table {
        rig.board.publish(standing.clone());
        let path = "/alerts/abc/accept";
        let answer = if expected == 303 {
            let (answer, command) = send_and_carry_out(&rig, path, &headers, form).await;
            assert_eq!(answer.1["location"], "../abc");
            let Command::Accept { incident, acceptance } = command else { panic!() };
            assert_eq!((&*incident, &*acceptance.by), ("abc", "Ada"));
            answer
        } else {
            send_form(&rig, path, &headers, form).await
        };
        assert_eq!(answer.0, expected, "{headers:?} {form}: {}", answer.2);
        assert!(rig.commands.try_recv().is_err(), "a refused form is no command");
    }
    let (status, _, page) =
        send_form(&rig, "/alerts/abc/accept", &OURS, "by=Ada&reason=a+known+sale&token=guess")
            .await;
    assert!(status == 403 && page.contains("Nothing was changed"), "{page}");
    assert!(page.contains("value=\"a known sale\"") && !page.contains("guess"), "{page}");
}

#[tokio::test]
async fn a_silence_of_the_page_goes_to_the_driver() {
    let rig = eventful();
    let form =
        format!("model={MODEL}&class=input+shift&length=1d&by=Ada&reason=a+sale&token={TOKEN}");
    let path = "/alerts/silences";
    let ((status, headers, page), command) = send_and_carry_out(&rig, path, &OURS, &form).await;
    assert_eq!(
        (status, headers.get("location").unwrap().to_str().unwrap()),
        (303, "../alerts"),
        "{page}"
    );
    let Command::Silence(silence) = command else { panic!() };
    assert_eq!((silence.model.as_deref(), silence.class), (Some(MODEL), Some(Class::InputShift)));
    let everything = form.replace(MODEL, "").replace("input+shift", "");
    let (_, command) = send_and_carry_out(&rig, path, &OURS, &everything).await;
    let Command::Silence(silence) = command else { panic!() };
    assert_eq!((silence.model, silence.class), (None, None));
    for (wrong, sentence) in [
        (form.replace("1d", "3d"), "choose how long"),
        (form.replace("input+shift", "weather"), "no such class"),
        (form.replace(MODEL, "nobody"), "no model is called nobody"),
    ] {
        let (status, _, page) = send_form(&rig, "/alerts/silences", &OURS, &wrong).await;
        assert!((400..=404).contains(&status) && page.contains(sentence), "{page}");
    }
    assert!(rig.commands.try_recv().is_err());
}

#[tokio::test]
async fn no_form_is_shown_where_nothing_can_be_written_and_no_get_writes() {
    let rig = rig("{}", 1);
    for path in ["/alerts", "/alerts/abc"] {
        let (_, _, page) = get_page(&rig, path).await;
        assert!(!page.contains("<form"), "{page}");
    }
    let (_, _, page) = get_page(&rig, "/alerts").await;
    assert!(page.contains("none is configured"), "{page}");
    for path in ["/alerts/abc/accept", "/alerts/silences"] {
        assert_eq!(get_page(&rig, path).await.0, 405, "{path}");
        let answer = send_form(&rig, path, &OURS, "by=Ada&reason=r&length=1d&token=").await;
        assert_eq!(answer.0, 403, "{}", answer.2);
    }
}

/// The next event of a stream.
async fn event(body: &mut axum::body::BodyDataStream) -> String {
    use futures_util::StreamExt;
    let piece = body.next().await.expect("the stream goes on").unwrap();
    String::from_utf8(piece.to_vec()).unwrap()
}

async fn listen(rig: &Rig) -> Response {
    let request = request(Method::GET, "/events").body(Body::empty()).unwrap();
    router(Arc::clone(&rig.board), false).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn listeners_hear_of_windows_and_incidents_and_of_nothing_else() {
    let rig = local();
    let mut stream = listen(&rig).await.into_body().into_data_stream();
    rig.board.publish(live());
    let mut changed = live();
    Arc::make_mut(&mut changed.models[0]).last_window = Some(LastWindow::new(&report()));
    rig.board.publish(changed.clone());
    let told = event(&mut stream).await;
    assert_eq!(
        told,
        format!("event: change\ndata: {{\"models\":[\"{MODEL}\"],\"alerts\":false}}\n\n")
    );
    Arc::make_mut(&mut changed.incidents[0]).state = "accepted";
    rig.board.publish(changed);
    let told = event(&mut stream).await;
    assert!(told.contains("{\"models\":[],\"alerts\":true}"), "{told}");
    rig.board.end_events();
    use futures_util::StreamExt;
    assert!(stream.next().await.is_none(), "the end of the service ends the stream");
}

#[tokio::test]
async fn listeners_are_bounded_and_counted() {
    let rig = local();
    let request = request(Method::GET, "/events").body(Body::empty()).unwrap();
    let refused = router(Arc::clone(&rig.board), true).oneshot(request).await.unwrap();
    assert_eq!(refused.status(), 401, "beyond loopback it needs the token as every view does");
    let mut listening = Vec::new();
    for _ in 0..LISTENERS {
        let response = listen(&rig).await;
        assert_eq!(response.status(), 200);
        listening.push(response);
    }
    assert_eq!(listen(&rig).await.status(), 503);
    let (_, metrics) = get_text(&rig, "/metrics").await;
    let counted = "driftline_limit_reached_total{limit=\"event_listeners\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    listening.pop();
    assert_eq!(listen(&rig).await.status(), 200, "a place that was left is free");
}
