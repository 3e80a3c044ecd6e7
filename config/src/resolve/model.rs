//! One model: its captures, baseline, lanes, tolerances and objectives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::grid::is_whole_days;
use crate::model::{
    Captures, Errors, FalseAlarms, Feature, Format, Latency, MinEffect, Model, NoData, Operations,
    PartitionAfter, Retrain, Start, Tolerance, Tolerances, Window,
};
use crate::problem::About;
use crate::reader::{Context, Read, Section, Value, check_unique, names_of, wrong};
use crate::resolve::{Examine, format, shadow};
use crate::service::Limits;
use crate::template::{NAME_PLACE, NamePattern, Template};
use crate::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, parse_instant_us};
use crate::time_zone::TimeZone;
use crate::tree::{At, Entry, Node, Written};

/// Asks for a baseline made of a model's own first captures.
const LEARN: &str = "learn";

/// What a model may refer to.
pub(super) struct Scope<'a> {
    pub(super) receivers: Vec<String>,
    pub(super) reports: Option<String>,
    pub(super) limits: Limits,
    /// Who looks at the files that a model names.
    pub(super) examine: &'a Examine<'a>,
}

/// Reports what is wrong with `defaults`, also where no model inherits it.
pub(super) fn check_defaults(context: &Context<'_>, node: &Node, scope: &Scope<'_>) {
    let Some(entries) = (Value { context, node }).get(Value::map) else { return };
    for entry in entries.iter().filter(|entry| entry.key == "name" || entry.key == "match") {
        context.report(entry.key_at, wrong("`defaults` cannot hold a name"));
    }
    context.partially(|| read(Section::of(context, node, "model")?, scope));
}

/// What a section of `models` declares.
pub(super) enum Declared {
    Model(Box<Model>),
    Template(Box<Template>),
}

pub(super) fn declared(context: &Context<'_>, node: &Node, scope: &Scope<'_>) -> Option<Declared> {
    let mut section = Section::of(context, node, "model")?;
    if !section.has("match") {
        return read(section, scope).map(|model| Declared::Model(Box::new(model)));
    }
    let pattern = section.read("match", |value| {
        NamePattern::new(&value.filled()?)
            .map_err(|why| value.not("a pattern of names").hint(why.replace('\n', " ")))
    });
    let named = section.value("name").is_some();
    section.check("name", named, || {
        wrong("a section has either `name` or `match`")
            .hint("`match` is for all names of a pattern")
    });
    section.check("shadow", section.has("shadow"), || {
        wrong("candidates are of one model, and `match` is for many")
            .hint("give the model that has a candidate a section of its own, with its `name`")
    });
    let model = read(section, scope)?;
    Some(Declared::Template(Box::new(Template::new(pattern?, model))))
}

fn read(mut section: Section<'_>, scope: &Scope<'_>) -> Option<Model> {
    let is_template = section.has("match");
    let name = match section.value("match") {
        // As it is shown; each of its models has a name of its own.
        Some(pattern) => pattern.get(Value::filled),
        None => section.require("name", Value::name),
    };
    let owner = section.read("owner", Value::filled);
    let notify = section.value("notify").map(|value| notify(value, scope));
    let captures = section.part("captures", "captures").and_then(|part| captures(part, scope));
    let baseline_value = section.value("baseline");
    if baseline_value.is_none() {
        section.missing("baseline");
    }
    let baseline = baseline_value.and_then(baseline);
    check_versions(&mut section, baseline.as_ref(), scope.limits.versions);
    let features = section.map("features");
    let places = Places::new(section.at, baseline_value.map(|value| value.node), &features);
    let features = features
        .into_iter()
        .filter_map(|(entry, value)| Some((entry.key.clone(), feature(value)?)))
        .collect();
    let window = section.part("window", "window").map(window);
    let operations = section.part("operations", "operations").map(operations);
    let tolerance = section.value("tolerance").map(tolerance);
    let every_us = window.as_ref().map_or(DAY_US, |window| window.every_us);
    let false_alarms =
        section.part("false_alarms", "false_alarms").map(|part| false_alarms(part, every_us));
    let min_effect = section.value("min_effect").map(min_effect);
    let latency = section.value("latency").map(latency);
    let errors = section.value("errors").map(errors);
    let no_data = section.part("no_data", "no_data").map(|part| no_data(part, every_us));
    let candidates = section.list("shadow");
    let names = names_of(candidates.iter().map(|value| value.node));
    check_unique(section.context, "candidate", &names);
    let shadow = candidates.iter().filter_map(|value| shadow::candidate(*value)).collect();
    let retrain = section.part("retrain", "retrain").map(retrain);
    let context = section.context;
    section.finish();
    let model = Model {
        // What is wrong was reported, and nobody sees this model; its files are examined all the same.
        name: name.unwrap_or_default(),
        owner,
        notify: notify.unwrap_or_else(|| scope.receivers.clone()),
        captures: captures?,
        baseline: baseline?,
        features,
        window: window?,
        operations: operations?,
        tolerance: tolerance
            .unwrap_or(Some(Tolerance::Auto))
            .unwrap_or_else(|| Tolerance::Fixed(Tolerances::default())),
        false_alarms: false_alarms?,
        min_effect: min_effect.unwrap_or_else(|| Some(MinEffect::default()))?,
        latency: latency.unwrap_or_default(),
        errors: errors.unwrap_or_default(),
        no_data: no_data?,
        shadow,
        retrain: retrain?,
    };
    let holds_place = |path: &PathBuf| path.to_string_lossy().contains(NAME_PLACE);
    if !context.is_partial() {
        check_pair(&model, context, places.model);
        // Files of names that nobody has seen yet cannot be looked at.
        if is_template && model.baseline.values().any(holds_place) {
            return Some(model);
        }
        for complaint in (scope.examine)(&model, &scope.limits) {
            context.report(places.of(&complaint.about), wrong(complaint.says));
        }
    }
    Some(model)
}

fn check_versions(
    section: &mut Section<'_>,
    baseline: Option<&BTreeMap<String, PathBuf>>,
    limit: usize,
) {
    let own_baselines = baseline.map_or(0, |versions| versions.len().saturating_sub(1));
    section.check("baseline", own_baselines > limit, || {
        wrong(format!(
            "baselines of {own_baselines} versions are more than limits.versions ({limit})"
        ))
        .hint("raise it, or leave the versions to `default` that nobody serves any more")
    });
}

/// Where the parts stand that name files, or columns of files.
struct Places {
    model: At,
    baseline: At,
    versions: BTreeMap<String, At>,
    features: BTreeMap<String, At>,
}

impl Places {
    fn new(model: At, baseline: Option<&Node>, features: &[(&Entry, Value<'_>)]) -> Places {
        let versions = match baseline.map(|node| &node.value) {
            Some(Written::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        Places {
            model,
            baseline: baseline.map_or(model, |node| node.at),
            versions: versions.iter().map(|entry| (entry.key.clone(), entry.value.at)).collect(),
            features: features.iter().map(|(entry, _)| (entry.key.clone(), entry.key_at)).collect(),
        }
    }

    fn of(&self, about: &About) -> At {
        let place = match about {
            About::Baseline(version) => self.versions.get(version),
            About::Feature(feature) => self.features.get(feature),
        };
        place.copied().unwrap_or(self.baseline)
    }
}

/// A response that may come after the cut of its request's window would be missing in every one.
fn check_pair(model: &Model, context: &Context<'_>, at: At) {
    let pair = model.captures.format.mapping().and_then(|mapping| mapping.pair.as_ref());
    let longer = pair.is_some_and(|pair| pair.within_us > model.window.lateness_us);
    if longer {
        let problem = wrong("`pair.within` is longer than `window.lateness`");
        context.report(
            at,
            problem.hint("a pair counts where both records come before its window is cut"),
        );
    }
}

/// Each receiver once, in the order they are named.
fn notify(value: Value<'_>, scope: &Scope<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let known = |name: &str| scope.receivers.iter().any(|receiver| receiver == name);
    value
        .get(Value::list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| {
            item.get(|item| {
                item.text_where(known, || {
                    let problem = item.not("the name of a receiver");
                    match scope.receivers.as_slice() {
                        [] => problem.hint("no receiver is declared"),
                        names => problem.hint(format!("declared are {}", names.join(", "))),
                    }
                })
            })
        })
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

fn captures(mut section: Section<'_>, scope: &Scope<'_>) -> Option<Captures> {
    let topic = section.require("topic", |value| {
        let topic = value.topic()?;
        if scope.reports.as_ref() == Some(&topic) || topic.ends_with(".driftline.dead-letter") {
            return Err(wrong("Driftline writes to this topic itself"));
        }
        Ok(topic)
    });
    let format = format::format(&mut section);
    let start = section.read("start", |value| match value.text()?.as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        text => parse_instant_us(text).map(Start::At).map_err(|_| {
            value.not("a place to start").hint("write earliest, latest or 2026-11-02T00:00:00Z")
        }),
    });
    let max_ahead_us = section.read("max_ahead", |value| value.duration(0, "0s"));
    section.finish();
    Some(Captures {
        topic: topic.unwrap_or_default(),
        format: format.unwrap_or(Format::DriftlineJson),
        start: start.unwrap_or(Start::Earliest),
        max_ahead_us: max_ahead_us.unwrap_or(HOUR_US),
    })
}

/// One path for all versions, or a map from versions to paths.
fn baseline(value: Value<'_>) -> Option<BTreeMap<String, PathBuf>> {
    if value.written().is_ok_and(|text| text == LEARN) {
        let problem = wrong("baselines that are learnt from captures are not built yet");
        let hint =
            "build one with `driftline baseline --captures`; a file of that name is `./learn`";
        value.context.report(value.node.at, problem.hint(hint));
        return None;
    }
    if value.written().is_ok() {
        return value.get(Value::path).map(|path| BTreeMap::from([("default".to_owned(), path)]));
    }
    let Ok(entries) = value.map() else {
        let problem = value.not("a baseline").hint("write a path, or {default: PATH, \"4\": PATH}");
        value.context.report(value.node.at, problem);
        return None;
    };
    let context = value.context;
    if !entries.iter().any(|entry| entry.key == "default") {
        let problem = wrong("missing key `default` in baseline");
        context.report_unless_partial(value.node.at, problem);
    }
    crate::reader::report_duplicates(context, entries);
    entries
        .iter()
        .map(|entry| {
            let path = Value { context, node: &entry.value }.get(Value::path)?;
            Some((entry.key.clone(), path))
        })
        .collect()
}

fn feature(value: Value<'_>) -> Option<Feature> {
    let mut section = Section::of(value.context, value.node, "feature")?;
    let default = Feature::default();
    let feature = Feature {
        tolerance: section.read("tolerance", share),
        judge: section.read("judge", Value::boolean).unwrap_or(default.judge),
        private: section.read("private", Value::boolean).unwrap_or(default.private),
        coerce: section.read("coerce", Value::boolean).unwrap_or(default.coerce),
    };
    section.finish();
    Some(feature)
}

/// A share or distance above 0 and at most 1.
pub(super) fn share(value: Value<'_>) -> Read<f64> {
    value.number(|number| number > 0.0 && number <= 1.0, "above 0 and at most 1")
}

fn objective(value: Value<'_>) -> Read<f64> {
    value.number(|number| number > 0.0 && number < 1.0, "between 0 and 1, both excluded")
}

fn window(mut section: Section<'_>) -> Window {
    let every_us = section.read("every", length).unwrap_or(DAY_US);
    let timezone = section.read("timezone", timezone);
    section.check("timezone", timezone.is_some() && !is_whole_days(every_us), || {
        wrong("`timezone` says where days begin, and `every` is not a whole number of days")
            .hint("set `every` to 1d, 7d or the like, or leave `timezone` out")
    });
    let lateness_us = section.read("lateness", |value| value.duration(0, "0s"));
    let idle_us = section.read("idle", |value| value.duration_or_off(SECOND_US, "1s"));
    let at_least = section.read("at_least", |value| value.whole(1));
    let at_most_us = section.read("at_most", |value| value.duration(SECOND_US, "1s"));
    section.check("at_most", at_most_us.is_some_and(|at_most_us| at_most_us < every_us), || {
        wrong("`at_most` is shorter than `every`").hint("a window grows from `every` to `at_most`")
    });
    section.finish();
    Window {
        every_us,
        timezone,
        lateness_us: lateness_us.unwrap_or(HOUR_US),
        idle_us: idle_us.unwrap_or(Some(30 * SECOND_US)),
        at_least: at_least.unwrap_or(300),
        // A window of a month is not forbidden by a default that was made for days.
        at_most_us: at_most_us.unwrap_or(every_us.max(14 * DAY_US)),
    }
}

fn timezone(value: Value<'_>) -> Read<TimeZone> {
    let name = value.text()?;
    TimeZone::named(&name).ok_or_else(|| {
        let unknown = value.not("the name of a time zone");
        match TimeZone::nearest(&name) {
            Some(meant) => unknown.hint(format!("did you mean {meant}?")),
            None => unknown.hint("write one of the IANA database, such as Europe/Paris"),
        }
    })
}

fn length(value: Value<'_>) -> Read<i64> {
    value.duration(SECOND_US, "1s")
}

fn operations(mut section: Section<'_>) -> Operations {
    let every_us = section.read("every", length);
    let lateness_us = section.read("lateness", |value| value.duration(0, "0s"));
    section.finish();
    Operations {
        every_us: every_us.unwrap_or(MINUTE_US),
        lateness_us: lateness_us.unwrap_or(MINUTE_US),
    }
}

fn tolerance(value: Value<'_>) -> Option<Tolerance> {
    if value.written().is_ok() {
        return value.get(|value| match value.text()?.as_str() {
            "auto" => Ok(Tolerance::Auto),
            _ => Err(value.not("a tolerance").hint("write auto, or {ks: 0.05, psi: 0.1}")),
        });
    }
    let mut section = Section::of(value.context, value.node, "tolerance")?;
    let mut tolerances = Tolerances::default();
    for name in Tolerances::NAMES {
        let number = section.read(name, |value| {
            Tolerances::number(name, &value.text()?).map_err(|expected| value.not(expected))
        });
        if let (Some(number), Some(place)) = (number, tolerances.place(name)) {
            *place = number;
        }
    }
    section.finish();
    Some(Tolerance::Fixed(tolerances))
}

fn false_alarms(mut section: Section<'_>, every_us: i64) -> FalseAlarms {
    let default = FalseAlarms::default();
    let at_most = section.read("at_most", |value| {
        value.number(|number| number > 0.0 && number <= 1000.0, "above 0 and at most 1000")
    });
    let per_us = section.read("per", length);
    // A window of months is not forbidden by a default that was made for days.
    let default_us = default.per_us.max(every_us);
    section.check("per", per_us.is_some_and(|per_us| per_us < every_us), || {
        wrong("`per` is shorter than a window").hint("false alarms are counted in windows")
    });
    section.finish();
    FalseAlarms {
        at_most: at_most.unwrap_or(default.at_most),
        per_us: per_us.unwrap_or(default_us),
    }
}

/// One number for both, or each by its name.
fn min_effect(value: Value<'_>) -> Option<MinEffect> {
    if value.written().is_ok() {
        let both = value.get(smallest_share)?;
        return Some(MinEffect { distribution: both, share: both });
    }
    let mut section = Section::of(value.context, value.node, "min_effect")?;
    let default = MinEffect::default();
    let distribution = section.read("distribution", smallest_share);
    let share = section.read("share", smallest_share);
    section.finish();
    Some(MinEffect {
        distribution: distribution.unwrap_or(default.distribution),
        share: share.unwrap_or(default.share),
    })
}

fn smallest_share(value: Value<'_>) -> Read<f64> {
    value.number(|number| (0.0..1.0).contains(&number), "at least 0 and below 1")
}

fn latency(value: Value<'_>) -> Option<Latency> {
    let mut section = Section::of(value.context, value.node, "latency")?;
    let under_us = section.require("under", |value| value.duration(1, "1us"));
    let objective = section.require("objective", objective);
    section.finish();
    Some(Latency { under_us: under_us?, objective: objective? })
}

fn errors(value: Value<'_>) -> Option<Errors> {
    let mut section = Section::of(value.context, value.node, "errors")?;
    let objective = section.require("objective", objective);
    section.finish();
    Some(Errors { objective: objective? })
}

/// RULES §5: three windows, but at most a day and at least a quarter of an hour.
fn no_data(mut section: Section<'_>, every_us: i64) -> NoData {
    let after_us = section.read("after", |value| value.duration(SECOND_US, "1s"));
    let partition_after =
        section.read("partition_after", |value| value.duration_or_off(SECOND_US, "1s"));
    section.finish();
    let partition_after = match partition_after {
        None => PartitionAfter::Auto,
        Some(None) => PartitionAfter::Off,
        Some(Some(after_us)) => PartitionAfter::Us(after_us),
    };
    let three_windows_us = every_us.saturating_mul(3).clamp(15 * MINUTE_US, DAY_US);
    NoData { after_us: after_us.unwrap_or(three_windows_us), partition_after }
}

fn retrain(mut section: Section<'_>) -> Retrain {
    let history_us = section.read("history", |value| value.duration(0, "0s"));
    let cooldown_us = section.read("cooldown", |value| value.duration(0, "0s"));
    let max_per_day = section.read("max_per_day", |value| {
        u32::try_from(value.whole(1)?).map_err(|_| value.not("a sensible number"))
    });
    let rows = section.read("rows", |value| value.whole(1));
    let wait_windows = section.read("wait", |value| {
        u32::try_from(value.whole(1)?).map_err(|_| value.not("a sensible number of windows"))
    });
    section.finish();
    Retrain {
        rows,
        wait_windows: wait_windows.unwrap_or_else(Retrain::usual_wait),
        history_us: history_us.unwrap_or(90 * DAY_US),
        cooldown_us: cooldown_us.unwrap_or(DAY_US),
        max_per_day: max_per_day.unwrap_or(2),
    }
}
