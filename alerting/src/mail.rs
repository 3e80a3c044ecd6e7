//! The mail about a transition: text under 40 lines, HTML, and identifiers that never change.

use driftline_config::WindowId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::incident::{Consequence, Transition, TransitionState};
use crate::links;
use crate::signal::{Class, Evidence};

mod html;
mod images;
mod wording;

pub use wording::{Mover, moved_together};

pub use images::{IMAGE_BYTES, IMAGES, Illustrate, Image, Pictured};

pub(crate) use html::with_images;
pub(crate) use images::Letter;

use wording::{Clocks, key_name, one_line, quantity, summary, what_it_means};

/// Findings that a mail explains; the rest is a number.
const FINDINGS_EXPLAINED: usize = 3;
/// Quantities that a mail lists as not moved, so that its text stays under 40 lines.
const UNMOVED_LISTED: usize = 8;
/// What stands above what follows from an incident.
const CONSEQUENCES: &str = "What follows from it, and is told here alone";
/// Characters of the names that are found beside the findings explained.
const OTHERS_CHARS: usize = 600;
/// Characters of one explanation.
const EXPLANATION_CHARS: usize = 400;

/// A mail without sender and recipients, which are the receiver's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Header `Subject`, one line.
    pub subject: String,
    /// The `text/plain` part.
    pub text: String,
    /// The `text/html` part: the same facts.
    pub html: String,
    /// Header `Message-ID` with its angle brackets: the same for the same outbox row.
    pub message_id: String,
    /// Headers `In-Reply-To` and `References`: the mail that opened the incident.
    pub in_reply_to: Option<String>,
    /// What its images show, the strongest finding first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictured: Vec<Pictured>,
}

/// Everything a mail says.
#[derive(Debug, Clone, PartialEq)]
pub struct MailContext<'a> {
    pub transition: &'a Transition,
    /// 0 for the first mail about it, then 1, 2, … for repeats.
    pub ordinal: u32,
    /// What did not move: errors, p99, volume, missing, versions, predictions.
    pub unmoved: &'a [Unmoved],
    pub retrain: &'a RetrainNote,
    pub replay: Option<&'a str>,
    /// Where people reach the page, without the last slash.
    pub external_url: Option<&'a str>,
    /// Where commands find the service, without the last slash.
    pub api: &'a str,
    /// Whether the API takes writes: whether a token is configured.
    pub may_write: bool,
}

/// A quantity that did not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmoved {
    /// Its name: `errors`.
    pub name: String,
    /// What it is now, with its unit.
    pub value: String,
    /// What it is in the baseline or its objective, with its unit.
    pub reference: String,
}

/// What was decided about retraining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrainNote {
    /// Nothing: retraining would not help, or was asked for already.
    None,
    /// A request is on its way.
    Requested { id: String, rows: u64 },
    /// It would be requested, if not for this.
    HeldBack {
        /// One sentence without the full stop.
        why: String,
    },
    /// It would be requested, and nobody is told of requests.
    NoReceiver,
}

/// The id of a mail or webhook about a transition: the transition's own, then its repeats.
pub fn message_key(transition_id: &str, ordinal: u32) -> String {
    match ordinal {
        0 => transition_id.to_owned(),
        _ => format!("{transition_id}.{ordinal}"),
    }
}

/// Writes the mail.
pub fn compose(context: &MailContext<'_>) -> Mail {
    let transition = context.transition;
    let key = message_key(&transition.id, context.ordinal);
    let opens = key == transition.incident;
    let story = Story::new(context);
    Mail {
        subject: format!("[driftline] {}", one_line(&story.title, 200)),
        text: story.text(),
        html: html::page(&story),
        message_id: format!("<{key}@driftline>"),
        in_reply_to: (!opens).then(|| format!("<{}@driftline>", transition.incident)),
        pictured: pictured(transition),
    }
}

/// The same in one line and in a few, for those who have no room for a mail.
pub(crate) fn brief(context: &MailContext<'_>) -> (String, String) {
    let story = Story::new(context);
    let mut lines = vec![story.sentence];
    lines.extend(story.findings.iter().map(|finding| format!("- {finding}")));
    lines.push(story.since);
    (one_line(&story.title, 200), lines.join("\n"))
}

/// The strongest subjects in the incident's last window; nothing where it is about no window.
fn pictured(transition: &Transition) -> Vec<Pictured> {
    let Some(window) = transition.windows.last() else { return Vec::new() };
    let subjects = transition.subjects.iter().take(FINDINGS_EXPLAINED);
    let of_window = |subject: &Evidence| Pictured {
        window: window.clone(),
        subject: subject.subject.clone(),
        check: subject.check.clone(),
    };
    subjects.map(of_window).collect()
}

/// The facts in reading order; text and HTML are two ways to print them.
struct Story {
    title: String,
    sentence: String,
    findings_title: String,
    findings: Vec<String>,
    /// What was found beside them, by its full names.
    others: Option<String>,
    /// What follows from it.
    consequences: Vec<String>,
    since: String,
    promise: Vec<String>,
    unmoved: Vec<(String, String, String)>,
    todo: Vec<(String, String)>,
    links: Vec<(String, String)>,
    incident: String,
}

impl Story {
    fn new(context: &MailContext<'_>) -> Story {
        let transition = context.transition;
        let shown = transition.subjects.len().min(FINDINGS_EXPLAINED);
        let explain = |subject: &Evidence| one_line(&subject.because, EXPLANATION_CHARS);
        Story {
            title: title(context),
            sentence: sentence(context),
            findings_title: match (transition.state, transition.subjects_total) {
                (_, total) if total <= shown => String::from("What was found"),
                (_, total) => format!("What was found, the {shown} strongest of {total}"),
            },
            findings: transition.subjects.iter().take(shown).map(explain).collect(),
            others: others(context, shown),
            consequences: transition.consequences.iter().map(consequence).collect(),
            since: since(transition),
            promise: transition
                .promise
                .iter()
                .map(|text| one_line(text, EXPLANATION_CHARS))
                .collect(),
            unmoved: context
                .unmoved
                .iter()
                .take(UNMOVED_LISTED)
                .map(|unmoved| {
                    let part = |text: &str| one_line(text, 60);
                    (part(&unmoved.name), part(&unmoved.value), part(&unmoved.reference))
                })
                .collect(),
            todo: todo(context),
            links: links(context),
            incident: transition.incident.clone(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![self.title.clone(), String::new(), self.sentence.clone()];
        if !self.findings.is_empty() {
            lines.extend([String::new(), format!("{}:", self.findings_title)]);
            let numbered = self.findings.iter().enumerate();
            lines.extend(numbered.map(|(index, finding)| format!("{}. {finding}", index + 1)));
        }
        lines.extend(self.others.iter().cloned());
        if !self.consequences.is_empty() {
            lines.extend([String::new(), format!("{CONSEQUENCES}:")]);
            lines.extend(self.consequences.iter().map(|it| format!("- {it}")));
        }
        lines.extend([String::new(), self.since.clone()]);
        lines.extend(self.promise.iter().cloned());
        if !self.unmoved.is_empty() {
            lines.extend([String::new(), String::from("What did not move:")]);
            lines.extend(self.unmoved.iter().map(|(name, value, reference)| {
                format!("- {name}: {value} (reference {reference})")
            }));
        }
        if !self.todo.is_empty() {
            lines.extend([String::new(), String::from("What to do:")]);
            lines.extend(self.todo.iter().map(|(what, how)| format!("- {what}: {how}")));
        }
        if !self.links.is_empty() {
            lines.push(String::new());
            lines.extend(self.links.iter().map(|(what, url)| format!("{what}: {url}")));
        }
        lines.extend([String::new(), format!("Incident {}", self.incident)]);
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }
}

/// `flight-delay: input shift in dep_delay and 2 more since 24 June`.
fn title(context: &MailContext<'_>) -> String {
    let transition = context.transition;
    let (model, class) = (&transition.model, transition.class);
    let what = summary(transition);
    let in_what = what.as_ref().map(|what| format!(" in {what}")).unwrap_or_default();
    let since = Clocks::of(transition).day(transition.since_us, transition.at_us, transition.panes);
    match (transition.state, context.ordinal) {
        (TransitionState::Resolved, _) => {
            format!("{model}: {class}{in_what} resolved, began {since}")
        }
        (TransitionState::Changed, 0) => {
            format!("{model}: {class} has grown, now{in_what} since {since}")
        }
        (_, 0) => format!("{model}: {class}{in_what} since {since}"),
        _ => format!("{model}: still {class}{in_what} since {since}"),
    }
}

fn sentence(context: &MailContext<'_>) -> String {
    let transition = context.transition;
    let model = &transition.model;
    if transition.state == TransitionState::Resolved {
        return format!(
            "The {} of {model} is over: everything in it is back under tolerance. The findings \
             below are its peaks.",
            transition.class
        );
    }
    let mut sentence = what_it_means(transition.class, model);
    if transition.state == TransitionState::Changed {
        let name = |keys: &[String]| {
            let names: Vec<String> = keys.iter().map(|key| key_name(key)).collect();
            one_line(&names.join(", "), OTHERS_CHARS)
        };
        if !transition.joined.is_empty() {
            sentence
                .push_str(&format!(" New since the last message: {}.", name(&transition.joined)));
        }
        if !transition.grown.is_empty() {
            sentence.push_str(&format!(" Grown by half or more: {}.", name(&transition.grown)));
        }
    }
    if transition.looks_like != transition.class {
        sentence.push_str(&format!(
            " Look at the {} of this model first: it comes before this and may explain it.",
            transition.looks_like
        ));
    }
    sentence
}

/// The names of what is not explained; where there are more than a transition names, the page has them.
fn others(context: &MailContext<'_>, shown: usize) -> Option<String> {
    let transition = context.transition;
    let names: Vec<String> =
        transition.subjects.iter().skip(shown).map(|it| key_name(&it.key())).collect();
    if names.is_empty() {
        return None;
    }
    let rest = transition.subjects_total.saturating_sub(transition.subjects.len());
    let page =
        context.external_url.map(|url| format!("{url}{}", links::incident(&transition.incident)));
    let rest = match (rest, page) {
        (0, _) => String::new(),
        (rest, Some(page)) => format!("; {rest} further: {page}"),
        (rest, None) => format!("; {rest} further are on the page of the incident"),
    };
    Some(format!("Also: {}{rest}", one_line(&names.join(", "), OTHERS_CHARS)))
}

fn consequence(consequence: &Consequence) -> String {
    let because = one_line(&consequence.because, EXPLANATION_CHARS);
    let name =
        consequence.subjects.first().map(|subject| key_name(&format!("{subject} distribution")));
    let name = name.filter(|_| consequence.class.is_drift());
    let name = name.map(|name| format!(" in {name}")).unwrap_or_default();
    format!("{}{name}: {because}", consequence.class)
}

fn since(transition: &Transition) -> String {
    let clocks = Clocks::of(transition);
    let since = clocks.instant(transition.since_us);
    let (over, of) = (transition.over, transition.of);
    let unit = if transition.panes { "pane" } else { "window" };
    // What only the clock shows is of no window or pane.
    let of_the_clock = transition.windows.is_empty() && !transition.panes;
    let is_open = transition.state != TransitionState::Resolved;
    if matches!(transition.class, Class::NoData | Class::Driftline) || (of_the_clock && is_open) {
        return format!("Since: {since}");
    }
    match (transition.state, of) {
        (TransitionState::Resolved, _) => {
            format!("Since: {since}; resolved {}", clocks.instant(transition.at_us))
        }
        (_, 0 | 1) => format!("Since: {since}; the last {unit} is at alarm"),
        _ => format!("Since: {since}; {over} of the last {of} {unit}s at alarm"),
    }
}

fn todo(context: &MailContext<'_>) -> Vec<(String, String)> {
    let transition = context.transition;
    let mut todo = Vec::new();
    let mut add = |what: &str, how: String| todo.push((what.to_owned(), how));
    match context.retrain {
        RetrainNote::None => {}
        RetrainNote::Requested { id, rows } => {
            let rows = quantity(*rows);
            add("Retraining", format!("requested as {id} on {rows} rows"));
        }
        RetrainNote::HeldBack { why } => {
            add("Retraining", format!("held back: {}", one_line(why, EXPLANATION_CHARS)));
        }
        RetrainNote::NoReceiver => {
            let how = "not requested: no receiver of this model takes requests (a webhook with on: [retrain])";
            add("Retraining", how.to_owned());
        }
    }
    if let Some(replay) = context.replay {
        add("Reproduce", one_line(replay, EXPLANATION_CHARS));
    }
    if transition.state != TransitionState::Resolved {
        let accept = json!({"by": "you", "reason": "why"});
        let silence = json!({
            "model": transition.model, "class": transition.class, "for": "24h", "by": "you", "reason": "why",
        });
        let path = format!("alerts/{}/accept", transition.incident);
        add("Accept, silent until it grows", curl(context, &path, &accept));
        add("Silence for a day", curl(context, "silences", &silence));
    }
    todo
}

/// A line that works as it is printed, once the token is in the environment of the shell.
fn curl(context: &MailContext<'_>, path: &str, body: &Value) -> String {
    if !context.may_write {
        return String::from("needs a token: set http.token and start again");
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let (body, url) =
        (quoted(&body.to_string()), quoted(&format!("{}/api/v1/{path}", context.api)));
    let headers =
        "-H \"Authorization: Bearer $DRIFTLINE_TOKEN\" -H 'Content-Type: application/json'";
    format!("curl {headers} -d {body} {url}")
}

fn links(context: &MailContext<'_>) -> Vec<(String, String)> {
    let Some(url) = context.external_url else { return Vec::new() };
    let transition = context.transition;
    let model = &transition.model;
    let mut links = Vec::new();
    let mut add = |what: &str, path: String| links.push((what.to_owned(), format!("{url}{path}")));
    add("Incident", links::incident(&transition.incident));
    let window = transition.windows.last();
    if let Some(strongest) = transition.subjects.first().filter(|_| window.is_some()) {
        let path = links::finding(model, &strongest.subject, window.map(WindowId::as_str));
        add(&one_line(key_name(&strongest.key()).as_str(), 60), path);
    }
    if let Some(window) = window {
        add("Window", links::window(model, window));
    }
    add("Model", links::model(model));
    links
}
