//! The page in a real browser, over the demo that runs as a newcomer runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::browser::Browser;
use crate::rig::{self, PATIENCE, Supervised, http};

/// Pictures are written into the folder that this names: `make screenshots` does.
const PICTURES: &str = "DRIFTLINE_SCREENSHOTS";
const MODEL: &str = "flight-delay";
/// How often a question is repeated while its answer is awaited.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The running demo.
struct Demo {
    process: Supervised,
    base: String,
    token: String,
    folder: PathBuf,
}

impl Demo {
    /// Starts the demo and waits until it says where its page is; `None` without ONNX Runtime.
    fn start(options: &[&str]) -> Option<Demo> {
        rig::onnx_runtime()?;
        // Relative, as a person would write it, and gone with the server.
        let kept = rig::server_folder("demo");
        let folder = kept.join("flights");
        let arguments = ["demo", "--port", "0", "--folder"].iter().map(PathBuf::from);
        let arguments =
            arguments.chain([PathBuf::from("flights")]).chain(options.iter().map(PathBuf::from));
        let arguments: Vec<PathBuf> = arguments.collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_driftline"));
        let process = Supervised::start(&kept, binary, &arguments);
        let (base, token) = process.wait_for(PATIENCE, "address", |lines| {
            lines.iter().find_map(|line| {
                let rest = line.strip_prefix("Page and API: ")?;
                let (url, token) = rest.split_once("/   token to accept and to silence: ")?;
                Some((url.to_owned(), token.trim().to_owned()))
            })
        });
        Some(Demo { process, base, token, folder })
    }

    /// The demo as it looked in November: an incident has just opened.
    fn in_november() -> Option<Demo> {
        let demo = Demo::start(&["--speed", "max", "--until", "2013-11-20T00:00:00Z"])?;
        demo.process.wait_for(PATIENCE, "end of the replay", |lines| {
            lines.iter().any(|line| line.starts_with("The page stays up")).then_some(())
        });
        demo.wait_until_shown();
        Some(demo)
    }

    /// Waits until what is shown is of now: gauges and board are set together, twice a second, and those
    /// of a moment ago may not know of the end.
    fn wait_until_shown(&self) {
        let age = || {
            let metrics = http::get(&format!("{}/metrics", self.base)).unwrap().body;
            let mut lines = metrics.lines();
            lines.find(|line| line.starts_with("driftline_checkpoint_age")).map(str::to_owned)
        };
        for _ in 0..2 {
            let before = age();
            let deadline = Instant::now() + PATIENCE;
            while age() == before {
                assert!(Instant::now() < deadline, "the gauges stand still: {before:?}");
                let _ = self.process.try_wait_for(ASK_EVERY, |_| None::<()>);
            }
        }
    }

    fn json(&self, path: &str) -> Value {
        let answer = http::get(&format!("{}{path}", self.base)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Every view: a name for its pictures, and its address.
    fn views(&self) -> Vec<(&'static str, String)> {
        let alerts = self.json("/api/v1/alerts");
        let incident = alerts["incidents"][0]["id"].as_str().expect("an incident is open");
        let window = "flight-delay@20130708T000000Z.7d";
        vec![
            ("models", "/".to_owned()),
            ("model", format!("/models/{MODEL}")),
            ("window", format!("/models/{MODEL}/windows/{window}")),
            ("finding", format!("/models/{MODEL}/findings/feature:dep_delay?window={window}")),
            ("category", format!("/models/{MODEL}/findings/feature:dest?window={window}")),
            ("candidate", format!("/models/{MODEL}/candidates/spring")),
            ("alerts", "/alerts".to_owned()),
            ("incident", format!("/alerts/{incident}")),
            ("service", "/service".to_owned()),
        ]
    }
}

#[test]
fn every_view_is_sound_in_both_themes_and_widths() {
    let (Some(demo), Some(browser)) = (Demo::in_november(), Browser::start()) else { return };
    let pictures = std::env::var_os(PICTURES).map(PathBuf::from);
    if let Some(folder) = &pictures {
        fs::create_dir_all(folder).unwrap();
    }
    let mut faults = Vec::new();
    for (name, path) in demo.views() {
        for (dark, theme) in [(false, "light"), (true, "dark")] {
            for width in [1400, 320] {
                let view = format!("{name} at {width} pixels, {theme}");
                browser.look(width, dark);
                browser.open(&format!("{}{path}", demo.base));
                let listening = "document.documentElement.dataset.listening";
                browser.wait_for(&format!("{view} to listen"), listening);
                faults
                    .extend(browser.complaints().into_iter().map(|said| format!("{view}: {said}")));
                faults.extend(browser.barriers().into_iter().map(|said| format!("{view}: {said}")));
                let needed = browser.run("return document.documentElement.scrollWidth");
                if needed.as_u64() > Some(u64::from(width)) {
                    faults.push(format!("{view}: it is {needed} pixels wide"));
                }
                if let Some(folder) = &pictures {
                    let height = if width < 500 { 1600 } else { 1800 };
                    let file = folder.join(format!("{name}-{theme}-{width}.webp"));
                    fs::write(file, browser.picture(width, height)).unwrap();
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_views_show_what_the_replay_found() {
    let (Some(demo), Some(browser)) = (Demo::in_november(), Browser::start()) else { return };
    let views = demo.views();
    let expected = |name: &str| -> &[&str] {
        match name {
            "models" => &["flight-delay", "airport-operations", "1 incident is firing", "alarm"],
            "model" => &[
                "Open incidents",
                "prediction shift",
                "Levels per column",
                "dep_delay",
                "in the baseline",
                "spring",
            ],
            "window" => {
                &["54 % of requests have dep_delay > 1", "driftline replay --config", "counted"]
            }
            "finding" => &[
                "54 % of requests have dep_delay > 1",
                "KS",
                "Tolerance",
                "driftline replay --config",
            ],
            "category" => &["dest", "PSI"],
            "candidate" => &["spring", "Same label", "Kappa", "p99, one row at a time"],
            "alerts" => {
                &["flight-delay: input shift", "resolved", "delivered", "[driftline] flight-delay"]
            }
            "incident" => &["firing since", "What happened", "opened", "delivered", "Accept"],
            _ => &["the ledger balances", "flights.captures"],
        }
    };
    for (name, path) in views {
        browser.open(&format!("{}{path}", demo.base));
        // What is folded away belongs to the view.
        browser.run("document.querySelectorAll('details').forEach(details => details.open = true)");
        let text = browser.text();
        for part in expected(name) {
            assert!(text.contains(part), "{name}: no {part:?} in\n{text}");
        }
    }
}

#[test]
fn a_view_updates_by_itself_when_a_window_closes() {
    let Some(browser) = Browser::start() else { return };
    // Nine months in a few minutes: a window every few seconds.
    let Some(demo) = Demo::start(&["--speed", "300000x"]) else { return };
    let windows = "document.querySelector('#windows tbody')?.rows.length";
    let open = |path: &str| {
        browser.open(&format!("{}{path}", demo.base));
        browser.wait_for("the page to listen", "document.documentElement.dataset.listening");
        browser.run("window.marked = true");
    };
    open(&format!("/models/{MODEL}"));
    let before = browser.wait_for("the first window", windows).as_u64().unwrap();
    browser.wait_for("the next window", &format!("{windows} > {before}"));
    let updated = browser.run("return document.getElementById('updated').textContent");
    assert!(updated.as_str().unwrap().starts_with("Updated at "), "{updated}");
    open("/");
    let shown = "document.querySelector('.fleet tbody')?.innerText";
    let first = browser.wait_for("the models", shown);
    browser.wait_for("another last window", &format!("{shown} && {shown} !== {first}"));
    assert_eq!(browser.run("return window.marked"), true, "the document was never loaded again");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn an_incident_is_accepted_and_an_alert_silenced_from_the_page_a_mail_leads_to() {
    let Some(browser) = Browser::start() else { return };
    let Some(demo) = Demo::in_november() else { return };
    let incidents = demo.json("/api/v1/alerts")["incidents"].clone();
    let incident = incidents[0]["id"].as_str().expect("an incident is open at the end").to_owned();
    let link = format!("{}/alerts/{incident}", demo.base);
    let mails = fs::read_dir(demo.folder.join("mails")).unwrap();
    let mails: Vec<String> = mails
        .map(|mail| fs::read_to_string(mail.unwrap().path()).unwrap().replace("=\r\n", ""))
        .collect();
    assert!(mails.iter().any(|mail| mail.contains(&link)), "no mail carries {link}");

    browser.open(&link);
    let text = browser.text();
    assert!(text.contains("firing since") && text.contains("Accept"), "{text}");
    let send = |token: &str| {
        browser.fill("#act [name=by]", "on-call");
        browser.fill("#act [name=reason]", "a <b>known</b> storm");
        browser.fill("#act [name=token]", token);
        browser.click("#act button");
    };
    send("a guess");
    browser.wait_for("the refusal", "document.querySelector('[role=alert]')");
    assert_eq!(demo.json("/api/v1/alerts")["incidents"][0]["state"], "firing");
    // A refusal is an error of the request, which the console tells.
    browser.complaints();
    browser.open(&link);
    send(&demo.token);
    browser.wait_for("the acceptance", "document.body?.innerText.includes('Accepted by on-call')");
    assert_eq!(browser.url(), link, "a form ends on the view it changed");
    assert!(browser.text().contains("a <b>known</b> storm"), "{}", browser.text());
    let open = demo.json("/api/v1/alerts")["incidents"][0].clone();
    assert_eq!((&open["state"], &open["accepted"]["by"]), (&"accepted".into(), &"on-call".into()));

    browser.open(&format!("{}/alerts", demo.base));
    browser.run("document.querySelector('[name=model]').value = 'flight-delay'; document.querySelector('[name=class]').value = 'input shift';");
    browser.fill("form [name=by]", "on-call");
    browser.fill("form [name=reason]", "winter");
    browser.fill("form [name=token]", &demo.token);
    browser.click("form button");
    browser.wait_for(
        "the silence",
        "document.querySelector('#silences')?.innerText.includes('winter')",
    );
    let silence = demo.json("/api/v1/alerts")["silences"][0].clone();
    assert_eq!((&silence["model"], &silence["class"]), (&MODEL.into(), &"input shift".into()));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
