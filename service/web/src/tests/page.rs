//! The views: what they show is escaped, what they write needs the token and our own origin, and
//! listeners hear of what changed.

mod planted;

use driftline_alerting::links;
use driftline_pipeline::digest::LastWindow;

use planted::{ESCAPED, eventful, planted, report, views};

use super::*;
use crate::board::LISTENERS;

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
                Command::TakeBack { .. } => live.incidents.clear(),
                Command::EndSilence { id, .. } => live.silences.retain(|known| known.id != *id),
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

/// A silence by mistake held for its thirty days, and what was accepted could not be taken back.
#[tokio::test]
async fn a_silence_is_ended_and_an_acceptance_taken_back_from_the_page() {
    let rig = eventful();
    let form = format!("by=Ada&reason=a+mistake&token={TOKEN}");
    let (_, _, page) = get_page(&rig, "/alerts").await;
    assert!(page.contains("/alerts/silences/s/end"), "{page}");
    let path = "/alerts/silences/s/end";
    let ((status, headers, _), command) = send_and_carry_out(&rig, path, &OURS, &form).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (303, "../../../alerts"));
    let Command::EndSilence { id, by } = command else { panic!() };
    assert_eq!((&*id, &*by.by, &*by.reason), ("s", "Ada", "a mistake"));
    let (status, _, page) = send_form(&rig, path, &OURS, &form).await;
    assert!(status == 404 && page.contains("no silence in force"), "{page}");

    let mut live = (*rig.board.live()).clone();
    let accepted = Acceptance { by: "Bob".to_owned(), reason: "known".to_owned(), at_us: 1 };
    Arc::make_mut(&mut live.incidents[0]).accepted =
        Some(crate::live::AcceptanceStatus::new(&accepted));
    rig.board.publish(live);
    let (_, _, page) = get_page(&rig, "/alerts/abc").await;
    assert!(page.contains("/alerts/abc/take-back"), "{page}");
    let path = "/alerts/abc/take-back";
    let ((status, ..), command) = send_and_carry_out(&rig, path, &OURS, &form).await;
    let Command::TakeBack { incident, by } = command else { panic!() };
    assert_eq!((status, &*incident, &*by.by), (303, "abc", "Ada"));
    let unsigned = format!("by=&reason=&token={TOKEN}");
    assert_eq!(send_form(&rig, path, &OURS, &unsigned).await.0, 400);
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
