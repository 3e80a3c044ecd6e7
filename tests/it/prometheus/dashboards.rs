//! The dashboards of `deploy/grafana`: by the rules of dashboard-linter, and over a Prometheus that scrapes
//! the demo.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::promql::{Selector, selectors};
use super::rule_files::RULE_FILES;
use crate::rig::prometheus::Prometheus;
use crate::rig::service::Service;
use crate::rig::{self, PATIENCE};

const DASHBOARDS: [&str; 4] = ["fleet", "itself", "model", "shadow"];
/// The one that Grafana 10 to 13 reads from files.
const SCHEMA_VERSION: u64 = 42;
/// Variables that every dashboard has, and what they are called.
const VARIABLES: [(&str, &str); 4] = [
    ("datasource", "Data source"),
    ("job", "Job"),
    ("instance", "Instance"),
    ("page", "Driftline's page"),
];
/// Panels that show a moment rather than a course: their increase is over all that is shown.
const OF_A_MOMENT: [&str; 4] = ["stat", "gauge", "bargauge", "state-timeline"];

/// Matchers of rules that select nothing over the demo, and why; the same selector without them does.
const NOT_IN_THE_DEMO: [(&str, &str); 1] = [("class=~\"4xx|5xx\"", "no request of the demo fails")];

/// The rules that dashboard-linter has for Prometheus, by its names, then ours. `target-promql-rule` and
/// `panel-no-targets-rule` are also held over a live Prometheus below; those about Loki do not apply.
const RULES: [Rule; 15] = [
    ("template-datasource-rule", variables),
    ("template-job-rule, template-instance-rule", query_variables),
    ("template-on-time-change-reload-rule", variables_follow_the_time),
    ("panel-datasource-rule", panels_follow_the_data_source),
    ("panel-title-description-rule", panels_explain_themselves),
    ("panel-units-rule", panels_have_units),
    ("panel-no-targets-rule", panels_have_targets),
    ("target-job-rule, target-instance-rule", targets_are_of_the_instances_chosen),
    ("target-rate-interval-rule", rates_follow_the_interval),
    ("target-counter-agg-rule", counters_are_rates),
    ("uneditable-dashboard-rule", it_is_not_edited_in_place),
    ("a name for every line", legends_say_something),
    ("thresholds everywhere", panels_have_thresholds),
    ("the same bytes for the same dashboard", it_has_no_generated_parts),
    ("a way to Driftline's page", it_leads_to_the_page),
];

/// What it is called, and what of a dashboard does not keep it.
type Rule = (&'static str, fn(&Board) -> Vec<String>);

/// A dashboard, and what is looked at again and again.
struct Board {
    name: &'static str,
    json: Value,
    panels: Vec<Value>,
}

#[test]
fn every_dashboard_keeps_every_rule() {
    for board in boards() {
        let kept = |(rule, check): &Rule| {
            let broken = check(&board);
            (!broken.is_empty()).then(|| format!("{rule}: {broken:#?}"))
        };
        let broken: Vec<String> = RULES.iter().filter_map(kept).collect();
        assert!(broken.is_empty(), "{}: {}", board.name, broken.join("\n"));
    }
}

#[test]
fn a_broken_dashboard_breaks_every_rule() {
    let board = json!({
        "id": 7, "uid": "x", "schemaVersion": 41, "editable": true, "templating": {"list": [
            {"name": "job", "type": "query", "refresh": 1},
        ]},
        "panels": [
            {"id": 3, "type": "timeseries", "title": "", "datasource": {"uid": "prometheus"}, "targets": [
                {"expr": "sum(a_total)", "legendFormat": "", "datasource": {"uid": "x"}},
                {"expr": "rate(a_total{job=~\"$job\"}[5m])", "legendFormat": "__auto"},
            ]},
            {"id": 3, "type": "stat", "title": "b", "targets": []},
        ],
    });
    let board = Board::new("broken", board);
    for (rule, check) in RULES {
        assert!(!check(&board).is_empty(), "{rule} finds nothing");
    }
}

#[test]
fn the_demo_fills_every_panel_and_every_rule() {
    let Some(library) = rig::onnx_runtime() else { return };
    let demo = Service::demo(&library);
    let rules = RULE_FILES.map(|file| rig::repository(&format!("deploy/prometheus/{file}")));
    let Some(prometheus) = Prometheus::with_rules(demo.port(), &rules) else { return };
    // The first window of the last candidate has closed: from here on there is something of everything.
    prometheus.wait_for(
        "count(driftline_shadow_agreement_ratio) == 2 and sum(driftline_windows_total) > 16",
        PATIENCE,
    );
    for board in boards() {
        for (panel, target) in board.targets() {
            let expression = as_grafana_asks(target);
            let filled = prometheus.wait_for(&expression, PATIENCE);
            assert!(!filled.is_empty(), "{}: {panel}", board.name);
        }
    }
    let rules = prometheus.rules();
    assert!(rules.len() > 40, "{rules:#?}");
    for rule in &rules {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap());
        // Whatever it compares with, what it looks at is there.
        for selector in selectors(query) {
            prometheus.wait_for(&selector.in_the_demo(), PATIENCE);
        }
        if rule["type"] == "recording" {
            prometheus.wait_for(name, PATIENCE);
        }
    }
    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    every_metric_that_may_be_named_exists(&demo.get("/metrics"));
}

/// `tests/it/house/documents.rs` looks up every name that is written anywhere in the golden file; the demo
/// shows all of those but what never happens, and the contract promises them.
fn every_metric_that_may_be_named_exists(scraped: &str) {
    let families = |text: &str| -> BTreeSet<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
    };
    let read = |path: &str| fs::read_to_string(rig::repository(path)).unwrap();
    let golden = families(&read("service/web/src/metrics/golden/metrics.txt"));
    // Nothing that cannot happen happens, its captures are whole, and 12 own weeks are too few for ranks.
    let others = [
        "driftline_defects_total",
        "driftline_pairs_total",
        "driftline_pairs_waiting",
        "driftline_extremeness",
        "driftline_false_alarms",
    ];
    let in_order: BTreeSet<String> =
        golden.iter().filter(|name| !others.contains(&name.as_str())).cloned().collect();
    // Beside ours there are those of any process.
    let mut scraped = families(scraped);
    scraped.retain(|name| !name.starts_with("process_"));
    assert_eq!(scraped, in_order);
    let contract = read("docs/contracts.md");
    let unpromised = golden.iter().filter(|name| !contract.contains(&format!("`{name}")));
    assert_eq!(unpromised.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// An expression with its variables filled in, over a stretch that holds the whole replay.
fn as_grafana_asks(expression: &str) -> String {
    let variables = ["job", "instance", "model", "candidate"];
    let filled = variables.iter().fold(expression.to_owned(), |expression, name| {
        expression.replace(&format!("${name}"), ".+")
    });
    filled.replace("$__rate_interval", "30m").replace("$__range", "30m")
}

fn boards() -> Vec<Board> {
    let folder = rig::repository("deploy/grafana/dashboards");
    let files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let named: BTreeSet<String> = DASHBOARDS.map(|name| format!("{name}.json")).into();
    assert_eq!(files, named);
    let read = |name: &'static str| {
        let text = fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        Board::new(name, serde_json::from_str(&text).unwrap())
    };
    DASHBOARDS.map(read).into()
}

impl Selector {
    /// The newest sample of each of its series, as far as the demo has them.
    fn in_the_demo(&self) -> String {
        let known = NOT_IN_THE_DEMO.iter();
        let matchers = known.fold(self.matchers.clone(), |it, (absent, _)| it.replace(absent, ""));
        format!("{}{{{matchers}}}", self.metric)
    }
}

impl Board {
    fn new(name: &'static str, json: Value) -> Board {
        let panels = json["panels"].as_array().unwrap().iter();
        let panels = panels.filter(|panel| panel["type"] != "row").cloned().collect();
        Board { name, json, panels }
    }

    /// Title of the panel and expression of each target.
    fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.panels.iter().flat_map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(|target| (title(panel), target["expr"].as_str().unwrap_or_default()))
        })
    }

    fn variable(&self, name: &str) -> &Value {
        let mut variables = self.json["templating"]["list"].as_array().unwrap().iter();
        variables.find(|variable| variable["name"] == name).unwrap_or(&Value::Null)
    }

    /// The titles of panels that `holds` does not hold for.
    fn panels_unless(&self, holds: impl Fn(&Value) -> bool) -> Vec<String> {
        self.panels
            .iter()
            .filter(|panel| !holds(panel))
            .map(|panel| title(panel).to_owned())
            .collect()
    }

    /// The selectors that `holds` does not hold for, each with the type of its panel.
    fn selectors_unless(&self, holds: impl Fn(&str, &Selector) -> bool) -> Vec<String> {
        let mut broken = Vec::new();
        for panel in &self.panels {
            let kind = panel["type"].as_str().unwrap();
            for target in panel["targets"].as_array().unwrap() {
                let found = selectors(target["expr"].as_str().unwrap_or_default());
                let found = found.iter().filter(|selector| !holds(kind, selector));
                broken.extend(found.map(|selector| format!("{}: {selector:?}", title(panel))));
            }
        }
        broken
    }
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap_or_default()
}

fn unless(holds: bool, what: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![what.to_owned()] }
}

fn variables(board: &Board) -> Vec<String> {
    let named = VARIABLES.iter().filter(|(name, label)| board.variable(name)["label"] != *label);
    let mut broken: Vec<String> = named.map(|(name, _)| (*name).to_owned()).collect();
    let datasource = board.variable("datasource");
    let is_prometheus = datasource["type"] == "datasource" && datasource["query"] == "prometheus";
    broken.extend(unless(is_prometheus, "a data source to choose"));
    broken
}

fn query_variables(board: &Board) -> Vec<String> {
    let of_all = ["job", "instance"].iter().filter(|name| {
        let variable = board.variable(name);
        !(variable["type"] == "query"
            && variable["datasource"]["uid"] == "${datasource}"
            && variable["multi"] == true
            && variable["includeAll"] == true
            && variable["allValue"] == ".+"
            && variable["query"]["query"]
                .as_str()
                .is_some_and(|query| query.contains("driftline_")))
    });
    of_all.map(|name| (*name).to_owned()).collect()
}

fn variables_follow_the_time(board: &Board) -> Vec<String> {
    let variables = board.json["templating"]["list"].as_array().unwrap().iter();
    let stale = variables.filter(|it| it["type"] == "query" && it["refresh"] != 2);
    stale.map(|it| it["name"].to_string()).collect()
}

fn panels_follow_the_data_source(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| {
        let targets = panel["targets"].as_array().unwrap().iter();
        let mut all = targets.chain([panel]);
        all.all(|it| it["datasource"] == json!({"type": "prometheus", "uid": "${datasource}"}))
    })
}

fn panels_explain_themselves(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| {
        let description = panel["description"].as_str().unwrap_or_default();
        !title(panel).is_empty()
            && description.ends_with('.')
            && description.len() > title(panel).len()
    })
}

fn panels_have_units(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| {
        panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty())
    })
}

fn panels_have_targets(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| panel["targets"].as_array().is_some_and(|it| !it.is_empty()))
}

/// What Prometheus recorded is of a job, without instances.
fn targets_are_of_the_instances_chosen(board: &Board) -> Vec<String> {
    board.selectors_unless(|_, selector| {
        let chosen = |name: &str| selector.matchers.contains(&format!("{name}=~\"${name}\""));
        chosen("job") && (chosen("instance") || selector.metric.contains(':'))
    })
}

fn rates_follow_the_interval(board: &Board) -> Vec<String> {
    board.selectors_unless(|kind, selector| match selector.range.as_deref() {
        None | Some("$__rate_interval") => true,
        Some("$__range") => OF_A_MOMENT.contains(&kind),
        Some(_) => false,
    })
}

fn counters_are_rates(board: &Board) -> Vec<String> {
    let ends = ["_total", "_bucket", "_count", "_sum"];
    board.selectors_unless(|_, selector| {
        let is_counter = ends.iter().any(|end| selector.metric.ends_with(end));
        !is_counter || matches!(selector.within.as_deref(), Some("rate" | "increase"))
    })
}

fn it_is_not_edited_in_place(board: &Board) -> Vec<String> {
    unless(board.json["editable"] == false, "editable")
}

fn legends_say_something(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| {
        let mut targets = panel["targets"].as_array().unwrap().iter();
        !panel["targets"].as_array().unwrap().is_empty()
            && targets.all(|target| {
                let legend = target["legendFormat"].as_str().unwrap_or_default();
                !legend.is_empty() && legend != "__auto"
            })
    })
}

fn panels_have_thresholds(board: &Board) -> Vec<String> {
    board.panels_unless(|panel| {
        let steps = &panel["fieldConfig"]["defaults"]["thresholds"]["steps"];
        steps.as_array().is_some_and(|steps| steps.first().is_some_and(|it| it["value"].is_null()))
    })
}

fn it_has_no_generated_parts(board: &Board) -> Vec<String> {
    let json = &board.json;
    let ids: Vec<u64> =
        json["panels"].as_array().unwrap().iter().filter_map(|it| it["id"].as_u64()).collect();
    let numbered = ids.iter().zip(1..).all(|(id, place)| *id == place);
    let stable = json["uid"] == format!("driftline-{}", board.name)
        && json["schemaVersion"] == SCHEMA_VERSION
        && json.get("id").is_none()
        && json.get("iteration").is_none();
    [unless(numbered, "panels are not numbered in order"), unless(stable, "uid or version")]
        .concat()
}

fn it_leads_to_the_page(board: &Board) -> Vec<String> {
    let links = board.json["links"].as_array().cloned().unwrap_or_default();
    let leads = |link: &Value| link["url"].as_str().is_some_and(|url| url.starts_with("${page}/"));
    unless(links.iter().any(leads), "no link")
}
