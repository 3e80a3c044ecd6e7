//! Nothing moved, nothing said: halves of one file, windows of the baseline's own rows, its own weeks.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

use arrow::compute::concat_batches;
use driftline_analytics::judgement::{ALPHA, History, JudgeInput, judge};
use driftline_analytics::report::{Ledger, Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_batch::setups::load_setup;
use driftline_capture::CaptureBatch;
use driftline_config::{Config, Level, Tolerance, Tolerances, WindowId};
use driftline_files::{Mapping, Table};
use driftline_pipeline::setup::Setup;
use serde_json::{Value, json};

use super::oracle;
use crate::rig::service;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights");
/// What the demo fills into the example's configuration; no judgement depends on it.
const DEMO_VARIABLES: [(&str, &str); 8] = [
    ("DEMO_TOKEN", "a token of nobody"),
    ("DEMO_BOOTSTRAP", "127.0.0.1:9"),
    ("DEMO_LISTEN", "127.0.0.1:9464"),
    ("DEMO_SPRING_SHA256", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("DEMO_RECENT_SHA256", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("DEMO_RECENT_UNTIL", "2013-07-01T00:00:00Z"),
    ("DEMO_WEBHOOK", "http://127.0.0.1:9/retrain"),
    ("DEMO_SECRET", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
];

/// Past the harness: these figures are worth seeing in a passing run.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[test]
fn random_halves_of_a_month_do_not_differ() {
    const HALVINGS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"do": "halves", "flights": format!("{EXAMPLE}/flights-2013.parquet"),
                         "folder": folder.path(), "seed": 20130101, "count": HALVINGS});
    let Some(pairs) = oracle::files(&request) else { return };
    let exits = |pairs: &[(String, String)]| -> Vec<Option<i32>> {
        let run = |(left, right): &(String, String)| {
            let mut command = service::driftline();
            service::run(command.args(["check", "--reference", left, "--current", right])).0
        };
        pairs.iter().map(run).collect()
    };
    let (first, second) = pairs.split_at(HALVINGS / 2);
    let exits: Vec<Option<i32>> = thread::scope(|scope| {
        let first = scope.spawn(|| exits(first));
        let second = exits(second);
        first.join().unwrap().into_iter().chain(second).collect()
    });
    assert!(exits.iter().all(|exit| matches!(exit, Some(0 | 1))), "{exits:?}");
    let alarms = exits.iter().filter(|exit| **exit == Some(1)).count();
    say(&format!("null: {alarms} of {HALVINGS} random halves of January alarm"));
    assert!(alarms <= 1, "{alarms} of {HALVINGS}");
}

/// The example's model with its baseline, and the rows that the baseline was built from.
struct Flights {
    setup: Setup,
    rows: CaptureBatch,
}

impl Flights {
    fn load() -> Flights {
        let variables: BTreeMap<&str, &str> = DEMO_VARIABLES.into();
        let environment = |name: &str| variables.get(name).map(|&value| value.to_owned());
        let path = Path::new(EXAMPLE).join("driftline.yaml");
        let config = Config::load(&path, &environment).unwrap();
        let mut model = config.models[0].clone();
        // The weather too: of the baseline's own rows it is as it was.
        model.features.clear();
        let setup = load_setup(&model, &config.limits).unwrap();
        let table = Table::open(&format!("{EXAMPLE}/baseline-rows.parquet"), &|_| ()).unwrap();
        let mapping =
            Mapping { time: Some("departed".into()), envelope: true, ..Mapping::default() };
        let batches = table.captures(setup.layout.schema(), &mapping, &config.limits);
        let batches: Vec<CaptureBatch> = batches.unwrap().map(Result::unwrap).collect();
        let batches = batches.iter().map(CaptureBatch::record_batch);
        let columns = batches.clone().next().unwrap().schema();
        let rows = CaptureBatch::new(concat_batches(&columns, batches).unwrap()).unwrap();
        Flights { setup, rows }
    }

    fn judge(&self, tolerance: Tolerance, rows: &[u32]) -> Report {
        let mut model = self.setup.model.clone();
        model.tolerance = tolerance;
        let mut state = WindowState::default();
        state.absorb(&self.setup.layout, &self.rows, rows);
        let n = rows.len() as u64;
        let drawn = WindowMeta::new(WindowId::from("drawn"), 0..model.window.every_us);
        let window =
            WindowMeta { ledger: Ledger { read: n, counted: n, ..Ledger::default() }, ..drawn };
        let input = JudgeInput {
            model: &model,
            config_sha256: "",
            layout: &self.setup.layout,
            baselines: &self.setup.baselines,
            state: &state,
            window,
            history: &History::default(),
        };
        judge(&input).0
    }
}

/// Row numbers that look random and are the same in every run (Knuth's MMIX).
struct Draws(u64);

impl Draws {
    fn window(&mut self, rows: usize, n: usize) -> Vec<u32> {
        let mut draw = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((u128::from(self.0) * rows as u128) >> 64) as u32
        };
        (0..n).map(|_| draw()).collect()
    }
}

/// α, and three standard errors of a share of `windows` above it.
fn most_alarms(windows: usize) -> usize {
    let windows = windows as f64;
    (ALPHA * windows + 3.0 * (ALPHA * (1.0 - ALPHA) * windows).sqrt()).floor() as usize
}

/// Independent draws with replacement: the null hypothesis itself. The tolerances are those of the
/// rules; then none at all for numbers, where the test alone must hold the line.
#[test]
fn windows_drawn_from_the_baselines_own_rows_alarm_no_more_often_than_alpha() {
    let flights = Flights::load();
    let floor = Tolerances::default();
    let sharp = Tolerance::Fixed(Tolerances { ks: 0.0, ..floor });
    let cases = [
        ("own windows", Tolerance::Auto),
        ("the floor", Tolerance::Fixed(floor)),
        ("no tolerance for KS", sharp),
    ];
    for (name, tolerance) in cases {
        for (n, windows) in [(20, 500), (50, 500), (100, 500), (300, 500), (1000, 400), (6000, 200)]
        {
            let mut draws = Draws(n as u64);
            let mut alarms = Vec::new();
            for _ in 0..windows {
                let drawn = draws.window(flights.rows.rows(), n);
                let report = flights.judge(tolerance.clone(), &drawn);
                if report.level == Level::Alarm {
                    let alarm = report.findings.iter().find(|f| f.level == Level::Alarm).unwrap();
                    alarms.push(format!("{} {:?}", alarm.subject, alarm.check));
                }
            }
            say(&format!(
                "null: {} of {windows} windows of {n} rows alarm, tolerance: {name}",
                alarms.len()
            ));
            assert!(alarms.len() <= most_alarms(windows), "{name}, {n} rows: {alarms:?}");
        }
    }
}

#[test]
fn a_backtest_of_the_baselines_own_weeks_notifies_nobody() {
    let mut command = service::driftline();
    command.envs(DEMO_VARIABLES).args(["backtest", "--json", "--time", "departed"]);
    command.arg("--config").arg(format!("{EXAMPLE}/driftline.yaml"));
    command.arg("--data").arg(format!("{EXAMPLE}/baseline-rows.parquet"));
    let (code, stdout, stderr) = service::run(&mut command);
    let found: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{code:?} {stderr}"));
    let windows = found["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 13);
    assert_eq!(code, Some(0), "{stderr}");
    for list in ["transitions", "messages", "requests"] {
        assert_eq!(found[list], json!([]), "{list}");
    }
    let counted: u64 = windows.iter().map(|w| w["window"]["rows"].as_u64().unwrap()).sum();
    assert_eq!(json!(counted), found["ledger"]["counted"]);
    assert_eq!(found["ledger"]["read"], found["ledger"]["counted"]);
    let at = |level: &str| windows.iter().filter(|window| window["level"] == level).count();
    say(&format!(
        "null: {} own weeks, {} at alarm, {} at warning",
        windows.len(),
        at("alarm"),
        at("warn")
    ));
}
