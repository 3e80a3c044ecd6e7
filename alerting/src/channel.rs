//! What Slack, Microsoft Teams, PagerDuty and ntfy are told: one body a transition, in each one's own form.

use driftline_config::time::format_instant;
use driftline_config::{Channel, ChannelKind};
use serde_json::{Value, json};

use crate::incident::{Acceptance, TransitionState};
use crate::links;
use crate::mail::{MailContext, brief};

/// Characters of a headline: Slack's limit for a header is the least of the four.
const TITLE_CHARS: usize = 150;
/// Characters of the text below it: Slack's limit for a section, less what escaping may add.
const TEXT_CHARS: usize = 2000;

/// The body of the POST about a transition. Secrets are not in it: the sender adds them. `None` where the
/// channel keeps what it was told by itself, and repeats would tell nothing.
pub(crate) fn body(to: &Channel, context: &MailContext<'_>) -> Option<String> {
    if context.ordinal > 0 && to.kind == ChannelKind::PagerDuty {
        return None;
    }
    let told = Brief::new(context);
    let body = match &to.kind {
        ChannelKind::Slack => slack(&told),
        ChannelKind::Teams => teams(&told),
        ChannelKind::PagerDuty => pagerduty(&told, context),
        ChannelKind::Ntfy { topic } => ntfy(&told, topic),
    };
    Some(body.to_string())
}

/// What a channel is told of an incident that somebody accepted, where it knows such a thing.
pub(crate) fn accepted(
    to: &Channel,
    context: &MailContext<'_>,
    acceptance: &Acceptance,
) -> Option<String> {
    let incident = &context.transition.incident;
    let note = format!("Accepted by {}: {}", acceptance.by, acceptance.reason);
    (to.kind == ChannelKind::PagerDuty).then(|| {
        let details = json!({ "accepted": note });
        let payload = json!({
            "summary": cut(&note, TITLE_CHARS),
            "source": context.transition.model,
            "severity": "info",
            "custom_details": details,
        });
        json!({ "event_action": "acknowledge", "dedup_key": incident, "payload": payload })
            .to_string()
    })
}

/// What all four say.
struct Brief {
    title: String,
    text: String,
    link: Option<String>,
    state: TransitionState,
    /// Whether the service itself is in trouble, rather than its data.
    urgent: bool,
}

impl Brief {
    fn new(context: &MailContext<'_>) -> Brief {
        let transition = context.transition;
        let (title, mut text) = brief(context);
        for promise in &transition.promise {
            text.push('\n');
            text.push_str(promise);
        }
        let page = |url: &str| format!("{url}{}", links::incident(&transition.incident));
        Brief {
            title: cut(&title, TITLE_CHARS),
            text: cut(&text, TEXT_CHARS),
            link: context.external_url.map(page),
            state: transition.state,
            urgent: transition.class.is_operations(),
        }
    }

    fn is_over(&self) -> bool {
        self.state == TransitionState::Resolved
    }
}

/// Blocks of an incoming webhook, with the text that notifications show.
fn slack(told: &Brief) -> Value {
    let text = escaped(&told.text);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": told.title, "emoji": false } }),
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }),
    ];
    if let Some(link) = &told.link {
        let label = json!({ "type": "plain_text", "text": "Open incident" });
        let button = json!({ "type": "button", "text": label, "url": link });
        blocks.push(json!({ "type": "actions", "elements": [button] }));
    }
    json!({ "text": escaped(&told.title), "blocks": blocks })
}

/// The three characters that mean something to Slack.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An adaptive card, as the "When a Teams webhook request is received" flow of Workflows takes it.
fn teams(told: &Brief) -> Value {
    let colour = if told.is_over() { "Good" } else { "Attention" };
    let mut body = vec![json!({
        "type": "TextBlock", "text": told.title, "weight": "Bolder", "size": "Medium",
        "wrap": true, "color": colour,
    })];
    let lines =
        told.text.lines().map(|line| json!({ "type": "TextBlock", "text": line, "wrap": true }));
    body.extend(lines);
    let actions: Vec<Value> = told
        .link
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": "Open incident", "url": link }))
        .collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": body,
        "actions": actions,
        "msteams": { "width": "full" },
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });
    json!({ "type": "message", "attachments": [attachment] })
}

/// An event of Events API v2. All of an incident have one key: PagerDuty keeps one alert of it.
fn pagerduty(told: &Brief, context: &MailContext<'_>) -> Value {
    let transition = context.transition;
    let action = if told.is_over() { "resolve" } else { "trigger" };
    let severity = if told.urgent { "critical" } else { "warning" };
    let mut event = json!({
        "event_action": action,
        "dedup_key": transition.incident,
        "client": "Driftline",
        "payload": {
            "summary": told.title,
            "source": transition.model,
            "severity": severity,
            "timestamp": format_instant(transition.at_us),
            "component": transition.model,
            "group": "driftline",
            "class": transition.class.name(),
            "custom_details": { "explanation": told.text },
        },
    });
    if let (Some(link), Some(event)) = (&told.link, event.as_object_mut()) {
        event.insert("client_url".to_owned(), json!(link));
        event.insert("links".to_owned(), json!([{ "href": link, "text": "Incident" }]));
    }
    event
}

/// A message of ntfy, posted to the root of its server.
fn ntfy(told: &Brief, topic: &str) -> Value {
    let (priority, tag) = match (told.is_over(), told.urgent) {
        (true, _) => (2, "white_check_mark"),
        (false, true) => (5, "rotating_light"),
        (false, false) => (4, "warning"),
    };
    let mut message = json!({
        "topic": topic, "title": told.title, "message": told.text, "priority": priority, "tags": [tag],
    });
    if let (Some(link), Some(message)) = (&told.link, message.as_object_mut()) {
        message.insert("click".to_owned(), json!(link));
        let action = json!({ "action": "view", "label": "Open incident", "url": link });
        message.insert("actions".to_owned(), json!([action]));
    }
    message
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
