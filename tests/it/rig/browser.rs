//! A real browser: headless Chromium behind its WebDriver, and axe-core inside the pages.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{PATIENCE, Supervised, http};

/// How often a question is repeated while its answer is awaited.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long a script may run: half a minute, which is the usual, is little for axe-core on a busy core.
/// Less than our patience, so that the driver's own words are heard.
const SCRIPT_MS: u64 = 110_000;
/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one tab. Chromium ends with its driver: they talk over a pipe.
pub(crate) struct Browser {
    _driver: Supervised,
    session: String,
    axe: String,
}

impl Browser {
    /// Starts a browser; `None` with a printed line where there is none.
    pub(crate) fn start() -> Option<Browser> {
        let program = super::part("DRIFTLINE_TEST_CHROMEDRIVER")?;
        let axe = super::part("DRIFTLINE_TEST_AXE")?;
        let chromium = super::part("DRIFTLINE_TEST_CHROMIUM")?;
        let folder = super::server_folder("browser");
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        // Asked to choose, the driver takes a port that is free for IPv6 and ends where it is not for IPv4.
        let port = super::free_port();
        let driver = Supervised::start(&folder, &program, &[format!("--port={port}")]);
        driver.wait_for(PATIENCE, "start", |lines| {
            lines.iter().any(|line| line.contains("started successfully on port")).then_some(())
        });
        let arguments = [
            "--headless=new",
            // Tests may run as root, and what is opened is our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": SCRIPT_MS},
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let session = call("POST", &base, &wanted);
        let id = session["sessionId"].as_str().expect("a session has an id");
        let axe = fs::read_to_string(axe).expect("axe-core can be read");
        Some(Browser { session: format!("{base}/{id}"), _driver: driver, axe })
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Shows pages as a screen of this width does, in the dark or not.
    pub(crate) fn look(&self, width: u32, dark: bool) {
        let height = if width < 500 { 700 } else { 900 };
        let mobile = width < 500;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression is something but null or false, and returns it.
    pub(crate) fn wait_for(&self, what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.run(&format!("return ({expression}) || null"));
            if !value.is_null() {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "we waited for {what}; the page says:\n{}",
                self.text()
            );
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// All text of the page.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Where the browser is.
    pub(crate) fn url(&self) -> String {
        let answer = call("GET", &format!("{}/url", self.session), &Value::Null);
        answer.as_str().expect("an address").to_owned()
    }

    /// Clicks an element.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into an element.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    fn find(&self, selector: &str) -> String {
        let query = json!({"using": "css selector", "value": selector});
        let element = self.post("element", &query);
        element[ELEMENT].as_str().expect("an element has an id").to_owned()
    }

    /// What the console holds since the last call, but for plain information.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a log is a list");
        let bad =
            entries.iter().filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        bad.map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// What axe-core finds serious or critical.
    pub(crate) fn barriers(&self) -> Vec<String> {
        self.run(&self.axe);
        let script = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations), error => done(String(error)));";
        let found = self.post("execute/async", &json!({"script": script, "args": []}));
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core failed: {found}"));
        let serious = found.iter().filter(|violation| {
            matches!(violation["impact"].as_str(), Some("serious" | "critical"))
        });
        let told = |violation: &Value| {
            let nodes = violation["nodes"].as_array().map_or(&[] as &[Value], Vec::as_slice);
            let nodes: Vec<String> = nodes
                .iter()
                .take(3)
                .map(|node| format!("{} ({})", node["html"], node["failureSummary"]))
                .collect();
            format!("{}: {}\n  {}", violation["id"], violation["help"], nodes.join("\n  "))
        };
        serious.map(told).collect()
    }

    /// A picture of the page from its top, at most `height` pixels high: WebP.
    pub(crate) fn picture(&self, width: u32, height: u64) -> Vec<u8> {
        let whole = self.run("return document.documentElement.scrollHeight").as_u64();
        let height = whole.unwrap_or(height).min(height);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let wanted =
            json!({"format": "webp", "quality": 72, "clip": clip, "captureBeyondViewport": true});
        let picture = self.command("Page.captureScreenshot", &wanted);
        let data = picture["data"].as_str().expect("a picture has data");
        STANDARD.decode(data).expect("a picture is base64")
    }

    /// A command of the developer tools.
    pub(crate) fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        call("POST", &format!("{}/{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium in good order; where that fails, it ends with its driver.
        let _ = http::exchange("DELETE", &self.session, "");
    }
}

/// One command of WebDriver: its `value`.
fn call(method: &str, url: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http::exchange(method, url, &body).expect("the driver answers");
    let document: Value = serde_json::from_str(&answer.body).expect("the driver answers JSON");
    assert_eq!(answer.status, 200, "{method} {url}: {}", document["value"]["message"]);
    document["value"].clone()
}
