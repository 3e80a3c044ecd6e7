//! Who is told: mail and webhook receivers.

use std::collections::BTreeMap;

use crate::reader::{Section, Value, wrong};
use crate::resolve::service::{is_http_url, is_port};
use crate::service::{Email, MailTransport, Receiver, ReceiverKind, Webhook};

/// The classes of messages there are.
const CLASSES: [&str; 2] = ["alerts", "retrain"];

pub(super) fn receiver(value: Value<'_>) -> Option<Receiver> {
    let mut section = Section::of(value.context, value.node, "receiver")?;
    let name = section.require("name", Value::name);
    let classes = section.value("on").map(classes);
    let email = section.value("email");
    let webhook = section.value("webhook");
    if email.is_some() == webhook.is_some() {
        section.report(wrong("a receiver needs either `email` or `webhook`"));
    }
    let email = email.map(email_receiver);
    let webhook = webhook.map(webhook_receiver);
    section.finish();
    let (kind, default) = match (email, webhook) {
        (Some(email), None) => (ReceiverKind::Email(email?), &CLASSES[..1]),
        (None, Some(webhook)) => (ReceiverKind::Webhook(webhook?), &CLASSES[..]),
        _ => return None,
    };
    let on = match classes {
        Some(classes) => classes?,
        None => default.iter().map(|class| (*class).to_owned()).collect(),
    };
    Some(Receiver { name: name?, on, kind })
}

fn classes(value: Value<'_>) -> Option<Vec<String>> {
    let items = value.get(Value::list)?;
    if items.is_empty() {
        value.context.report(value.node.at, wrong("`on` names no class of messages"));
    }
    items
        .iter()
        .map(|item| {
            item.get(|item| {
                item.text_where(
                    |text| CLASSES.contains(&text),
                    || item.not("a class of messages").hint("write alerts or retrain"),
                )
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
    let secret = section.read("secret", Value::secret);
    let ca = section.read("ca", Value::path);
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
    section.finish();
    Some(Webhook { url: url?, secret, headers, ca })
}

/// The characters of a token, RFC 9110 §5.6.2.
fn is_header_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
