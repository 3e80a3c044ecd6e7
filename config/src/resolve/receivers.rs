//! Who is told: mail, webhook and Alertmanager receivers.

use std::collections::BTreeMap;

use crate::reader::{Section, Value, Wrong, wrong};
use crate::resolve::service::{is_http_url, is_port};
use crate::secret::Secret;
use crate::service::{
    Alertmanager, Channel, ChannelKind, Email, MailTransport, Receiver, ReceiverKind, Wants,
    Webhook,
};
use crate::time::{MINUTE_US, SECOND_US};

/// How often an alert is sent again to an Alertmanager: what Prometheus does.
const RESEND_US: i64 = MINUTE_US;
/// Beyond this an Alertmanager that started anew would know nothing for too long.
const RESEND_MOST_US: i64 = 10 * MINUTE_US;

pub(super) fn receiver(value: Value<'_>) -> Option<Receiver> {
    let mut section = Section::of(value.context, value.node, "receiver")?;
    let name = section.require("name", Value::name);
    let on = section.value("on").map(wants);
    let email = section.value("email");
    let webhook = section.value("webhook");
    let alertmanager = section.value("alertmanager");
    let channels = CHANNELS.map(|name| (name, section.value(name)));
    let named = [&email, &webhook, &alertmanager].into_iter().flatten().count();
    if named + channels.iter().filter(|(_, value)| value.is_some()).count() != 1 {
        section.report(wrong(
            "a receiver needs one of `email`, `webhook`, `alertmanager`, `slack`, `teams`, `pagerduty` and `ntfy`",
        ));
    }
    let channel = channels.into_iter().find_map(|(name, value)| Some((name, value?)));
    let told_nothing = |on: &Vec<Wants>| !on.is_empty() && !on.contains(&Wants::Alerts);
    if email.is_some() && on.iter().flatten().any(told_nothing) {
        let problem = wrong("a mail receiver is told about alerts only, and `on` leaves them out");
        section.report_at("on", problem.hint("write alerts, or use a webhook for retrain"));
    }
    let email = email.map(email_receiver);
    let webhook = webhook.map(webhook_receiver);
    let alertmanager = alertmanager.map(alertmanager_receiver);
    let channel = channel.map(|(name, value)| channel_receiver(name, value));
    let retrain = on.iter().flatten().flatten().any(|on| *on == Wants::Retrain);
    section.check("on", (alertmanager.is_some() || channel.is_some()) && retrain, || {
        wrong(if channel.is_some() {
            "only a webhook takes retraining requests"
        } else {
            "an Alertmanager takes no retraining requests"
        })
        .hint("write alerts, or leave `on` out")
    });
    section.finish();
    let (kind, default) = match (email, webhook, alertmanager, channel) {
        (Some(email), None, None, None) => (ReceiverKind::Email(email?), vec![Wants::Alerts]),
        (None, Some(webhook), None, None) => {
            (ReceiverKind::Webhook(webhook?), vec![Wants::Alerts, Wants::Retrain])
        }
        (None, None, Some(to), None) => (ReceiverKind::Alertmanager(to?), vec![Wants::Alerts]),
        (None, None, None, Some(to)) => (ReceiverKind::Channel(to?), vec![Wants::Alerts]),
        _ => return None,
    };
    let on = match on {
        Some(on) => on?,
        None => default,
    };
    Some(Receiver { name: name?, on, kind })
}

fn wants(value: Value<'_>) -> Option<Vec<Wants>> {
    let items = value.get(Value::list)?;
    if items.is_empty() {
        value.context.report(value.node.at, wrong("`on` names no class of messages"));
    }
    items
        .iter()
        .map(|item| {
            item.get(|item| match item.text()?.as_str() {
                "alerts" => Ok(Wants::Alerts),
                "retrain" => Ok(Wants::Retrain),
                _ => Err(item.not("a class of messages").hint("write alerts or retrain")),
            })
        })
        .collect()
}

fn email_receiver(value: Value<'_>) -> Option<Email> {
    let mut section = Section::of(value.context, value.node, "email")?;
    let server = section.value("server").map(|value| value.get(server));
    let folder = section.value("folder").map(|value| value.get(Value::path));
    let user = section.read("user", Value::filled);
    let password = section.read("password", Value::secret);
    let ca = section.read("ca", Value::path);
    let from = section.require("from", address);
    let to_value = section.value("to");
    if to_value.is_none() {
        section.missing("to");
    }
    let to = to_value.and_then(addresses);
    if server.is_some() == folder.is_some() {
        section.report(wrong("email needs either `server` or `folder`"));
    }
    if section.has("user") != section.has("password") {
        section.report(wrong("`user` and `password` belong together"));
    }
    for key in ["user", "password", "ca"] {
        if folder.is_some() && server.is_none() && section.has(key) {
            section.report_at(key, wrong(format!("`{key}` belongs to `server`, not to `folder`")));
        }
    }
    section.finish();
    let transport = match (server, folder) {
        (Some(server), None) => MailTransport::Smtp { server: server?, user, password, ca },
        (None, Some(folder)) => MailTransport::Folder(folder?),
        _ => return None,
    };
    Some(Email { transport, from: from?, to: to? })
}

fn server(value: Value<'_>) -> crate::reader::Read<String> {
    let text = value.text()?;
    let hint = "write smtp://host:port, smtps://host:port or smtp+insecure://host:port";
    // A user name and password inside the address would be printed with it: nothing is quoted.
    if text.contains('@') {
        return Err(wrong("the address of a mail server holds no user")
            .hint("use the keys `user` and `password`"));
    }
    let rest = ["smtp://", "smtps://", "smtp+insecure://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or_else(|| value.not("the address of a mail server").hint(hint))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if host.is_empty() || !host.chars().all(plain) || !port.is_none_or(is_port) {
        return Err(value.not("the address of a mail server").hint(hint));
    }
    Ok(text)
}

fn address(value: Value<'_>) -> crate::reader::Read<String> {
    let valid = |text: &str| {
        let sides = text.trim().rsplit_once('@');
        sides.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
            && !text.contains(char::is_control)
    };
    value.text_where(valid, || value.not("a mail address").hint("write user@host"))
}

fn addresses(value: Value<'_>) -> Option<Vec<String>> {
    let items = value.get(Value::list)?;
    if items.is_empty() {
        value.context.report(value.node.at, wrong("`to` names nobody"));
    }
    items.iter().map(|item| item.get(address)).collect()
}

fn webhook_receiver(value: Value<'_>) -> Option<Webhook> {
    let mut section = Section::of(value.context, value.node, "webhook")?;
    let url = section.require("url", |value| {
        let url = value.secret()?;
        if is_http_url(url.expose()) {
            Ok(url)
        } else {
            Err(wrong("the address of a webhook must start with http:// or https://"))
        }
    });
    let secret = section.read("secret", |value| {
        let secret = value.secret()?;
        if can_sign(secret.expose()) { Ok(secret) } else { Err(no_signature()) }
    });
    let ca = section.read("ca", Value::path);
    let headers = headers(&mut section);
    section.finish();
    Some(Webhook { url: url?, secret, headers, ca })
}

/// Whether a secret signs: after `whsec_` it is base64, any other text is its own bytes.
fn can_sign(secret: &str) -> bool {
    let Some(encoded) = secret.strip_prefix("whsec_") else { return !secret.is_empty() };
    let digits = encoded.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    !digits.is_empty()
        && encoded.len().is_multiple_of(4)
        && encoded.len() - digits.len() <= 2
        && digits.chars().all(is_digit)
}

fn no_signature() -> Wrong {
    wrong("the secret of a webhook starts with whsec_ but what follows is not base64").hint(
        "write whsec_ and the output of `openssl rand -base64 32`, or any text without whsec_",
    )
}

/// Headers by name; their values may be secrets.
fn headers(section: &mut Section<'_>) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    for (entry, value) in section.map("headers") {
        if entry.key.is_empty() || !entry.key.chars().all(is_header_character) {
            value.context.report(entry.key_at, wrong("a header has no valid name"));
        }
        let secret = value.get(|value| {
            let secret = value.secret()?;
            if secret.expose().contains(|c: char| c.is_control() && c != '\t') {
                return Err(wrong("the value of a header holds a control character"));
            }
            Ok(secret)
        });
        if let Some(secret) = secret {
            headers.insert(entry.key.clone(), secret);
        }
    }
    headers
}

fn alertmanager_receiver(value: Value<'_>) -> Option<Alertmanager> {
    let mut section = Section::of(value.context, value.node, "alertmanager")?;
    let url = section.require("url", |value| {
        let url = value.secret()?;
        let text = url.expose();
        if !is_http_url(text) {
            return Err(wrong(
                "the address of an Alertmanager must start with http:// or https://",
            ));
        }
        let path = text.trim_end_matches('/');
        if text.contains(['?', '#']) || path.ends_with("/api/v2") || path.ends_with("/alerts") {
            return Err(wrong("the address of an Alertmanager names the server, not its API")
                .hint("write http://host:9093, and the path of --web.route-prefix if it has one"));
        }
        Ok(url)
    });
    let headers = headers(&mut section);
    let ca = section.read("ca", Value::path);
    let resend_us = section.read("resend", |value| {
        let resend_us = value.duration(SECOND_US, "1s")?;
        match resend_us <= RESEND_MOST_US {
            true => Ok(resend_us),
            false => Err(value.not("a duration up to 10m")),
        }
    });
    let runbook = section.read("runbook", |value| {
        value.text_where(
            |text| is_http_url(text) && !text.contains('#'),
            || value.not("a web address").hint("write http://… or https://…, without #anchor"),
        )
    });
    section.finish();
    let resend_us = resend_us.unwrap_or(RESEND_US);
    Some(Alertmanager { url: url?, headers, ca, resend_us, runbook })
}

/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
const CHANNELS: [&str; 4] = ["slack", "teams", "pagerduty", "ntfy"];

fn channel_receiver(name: &'static str, value: Value<'_>) -> Option<Channel> {
    let mut section = Section::of(value.context, value.node, name)?;
    let address = |value: Value<'_>| {
        let url = value.secret()?;
        match is_http_url(url.expose()) {
            true => Ok(url),
            false => Err(wrong("the address must start with http:// or https://")),
        }
    };
    let url = match name {
        "pagerduty" => section.read("url", address).or_else(|| Some(Secret::new(PAGERDUTY))),
        _ => section.require("url", address),
    };
    let filled = |value: Value<'_>| {
        let key = value.secret()?;
        match key.expose().trim().is_empty() {
            true => Err(wrong("the key is blank")),
            false => Ok(key),
        }
    };
    let (kind, key) = match name {
        "slack" => (Some(ChannelKind::Slack), None),
        "teams" => (Some(ChannelKind::Teams), None),
        "pagerduty" => {
            let key = section.require("routing_key", filled);
            (key.is_some().then_some(ChannelKind::PagerDuty), key)
        }
        _ => {
            let topic = section.require("topic", Value::filled);
            (topic.map(|topic| ChannelKind::Ntfy { topic }), section.read("token", filled))
        }
    };
    let ca = section.read("ca", Value::path);
    section.finish();
    Some(Channel { kind: kind?, url: url?, key, ca })
}

/// The characters of a token, RFC 9110 §5.6.2.
fn is_header_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret that was cut when it was copied was found out by the first message, which was lost.
    #[test]
    fn a_secret_that_cannot_sign_is_refused_at_the_start() {
        for secret in ["whsec_c2VjcmV0", "whsec_c2VjcmV0cw==", "any text", "whsecret"] {
            assert!(can_sign(secret), "{secret}");
        }
        for secret in
            ["", "whsec_", "whsec_c2VjcmV0cw", "whsec_c2-jcmV0", "whsec_====", "whsec_c==="]
        {
            assert!(!can_sign(secret), "{secret}");
        }
    }
}
