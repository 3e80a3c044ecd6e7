//! The sections that are declared once for the whole service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::reader::{Read, Section, Value, wrong};
use crate::resolve::login;
use crate::secret::Secret;
use crate::service::{
    AlertRules, DeadLetters, DriftRule, Http, HttpTls, HttpToken, Kafka, Limits, MaxAge,
    RegistryLogin, SchemaRegistry, TokenScope, TrustedProxy,
};
use crate::time::{DAY_US, HOUR_US, MINUTE_US};

/// librdkafka properties that would contradict a key of ours or a promise, with what to do.
const RESERVED_PROPERTIES: [(&str, &str); 6] = [
    ("bootstrap.servers", "use kafka.bootstrap"),
    ("metadata.broker.list", "use kafka.bootstrap"),
    ("group.id", "use kafka.group"),
    ("enable.auto.commit", "Driftline commits after its own checkpoint"),
    ("enable.partition.eof", "Driftline needs it on"),
    ("auto.offset.reset", "use captures.start of the model"),
];

pub(super) fn kafka(mut section: Section<'_>, state: &Path) -> Option<Kafka> {
    let bootstrap = section.require("bootstrap", |value| {
        value.text_where(
            |text| text.split(',').all(is_broker),
            || value.not("a list of brokers").hint("write host:port, several separated by commas"),
        )
    });
    let group = section.read("group", Value::filled);
    let properties = properties(&mut section);
    let auth = section.value("auth").map(login::auth);
    let tls = section.value("tls").map(login::tls);
    let reports = section.read("reports", |value| {
        if value.text()? == "off" { Ok(None) } else { value.topic().map(Some) }
    });
    let dead_letters = section.read("dead_letters", dead_letters);
    let schema_registry = section.value("schema_registry");
    let schema_registry = schema_registry.map(|value| self::schema_registry(value, state));
    section.finish();
    let schema_registry = match schema_registry {
        Some(registry) => Some(registry?),
        None => None,
    };
    let auth = match auth {
        Some(auth) => Some(auth?),
        None => None,
    };
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some(Kafka {
        bootstrap: bootstrap?,
        group: group.unwrap_or_else(|| "driftline".to_owned()),
        properties,
        auth,
        tls,
        reports: reports.unwrap_or_else(|| Some("driftline.reports".to_owned())),
        dead_letters: dead_letters.unwrap_or(DeadLetters::Topic),
        schema_registry,
    })
}

/// librdkafka's, without those that other keys decide.
fn properties(section: &mut Section<'_>) -> BTreeMap<String, Secret> {
    let mut properties = BTreeMap::new();
    for (entry, value) in section.map("properties") {
        let reserved = RESERVED_PROPERTIES.iter().find(|(name, _)| *name == entry.key);
        let instead = reserved.map(|(_, instead)| (*instead).to_owned());
        match instead.or_else(|| login::property_problem(section, &entry.key)) {
            Some(instead) => {
                let problem = wrong(format!("`{}` cannot be set here", entry.key)).hint(instead);
                section.context.report(entry.key_at, problem);
            }
            None => {
                properties
                    .extend(value.get(Value::secret).map(|secret| (entry.key.clone(), secret)));
            }
        }
    }
    properties
}

/// Its cache is the folder `schemas` of the state, where none is written.
fn schema_registry(value: Value<'_>, state: &Path) -> Option<SchemaRegistry> {
    let mut section = Section::of(value.context, value.node, "kafka.schema_registry")?;
    let url = section.require("url", |value| {
        let text = value.text_where(is_http_url, || {
            value.not("a web address").hint("write http://… or https://…")
        })?;
        if text.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) {
            let problem = wrong("an address with a password in it is printed in logs");
            return Err(problem.hint("write `user` and `password` beside it"));
        }
        Ok(text.trim_end_matches('/').to_owned())
    });
    let cache = section.read("cache", Value::path);
    let user = section.read("user", Value::secret);
    let password = section.read("password", Value::secret);
    let token = section.read("token", Value::secret);
    let ca = section.read("ca", Value::path);
    let both = section.has("user") == section.has("password");
    section.check("user", !both, || wrong("`user` and `password` belong together"));
    section.check("token", section.has("token") && section.has("user"), || {
        wrong("a registry knows us by a token or by a password").hint("remove one of them")
    });
    section.finish();
    let login = match (user, password, token) {
        (Some(user), Some(password), _) => RegistryLogin::Password { user, password },
        (_, _, Some(token)) => RegistryLogin::Token(token),
        _ => RegistryLogin::None,
    };
    Some(SchemaRegistry {
        url: url?,
        cache: cache.unwrap_or_else(|| state.join("schemas")),
        login,
        ca,
    })
}

fn is_broker(text: &str) -> bool {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        // Colons of an IPv6 address without a port stand inside brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    !host.is_empty()
        && !host.contains(|c: char| c.is_whitespace() || c == '/')
        && port.is_none_or(is_port)
}

/// Whether a text is a port that can be connected to.
pub(super) fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn dead_letters(value: Value<'_>) -> Read<DeadLetters> {
    match value.text()?.as_str() {
        "topic" => Ok(DeadLetters::Topic),
        "off" => Ok(DeadLetters::Off),
        text => match text.strip_prefix("folder:").map(str::trim) {
            Some(folder) if !folder.is_empty() => Ok(DeadLetters::Folder(value.resolve(folder))),
            _ => Err(value.not("a place for dead letters").hint("write topic, off or folder:PATH")),
        },
    }
}

pub(super) fn http(mut section: Section<'_>) -> Option<Http> {
    let listen = section.read("listen", |value| {
        let address: SocketAddr = value.text()?.trim().parse().map_err(|_| {
            value.not("an address to listen on").hint("write address:port, such as 127.0.0.1:9464")
        })?;
        Ok(address)
    });
    let external_url = section.read("external_url", |value| {
        let text = value.text_where(is_http_url, || {
            value.not("a web address").hint("write http://… or https://…")
        })?;
        Ok(text.trim_end_matches('/').to_owned())
    });
    let token = section.read("token", Value::token);
    let listed = section.list("tokens");
    let tokens: Vec<HttpToken> = listed.iter().filter_map(|value| http_token(*value)).collect();
    for (at, token) in tokens.iter().enumerate() {
        if tokens.iter().take(at).any(|other| other.name == token.name) {
            section.report_at("tokens", wrong("two tokens have the same name"));
        }
    }
    let user = section.value("user").map(trusted_proxy);
    let tls = section.value("tls").map(http_tls);
    let no_token = token.is_none() && listed.is_empty();
    let open = listen.is_some_and(|address| !address.ip().is_loopback());
    section.check("listen", open && no_token, || {
        wrong("listening beyond this machine needs a token")
            .hint("add `token`, or listen on 127.0.0.1")
    });
    section.finish();
    let listen = listen.map_or_else(|| "127.0.0.1:9464".to_owned(), |address| address.to_string());
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    let user = match user {
        Some(user) => Some(user?),
        None => None,
    };
    Some(Http { listen, external_url, token, tokens, user, tls })
}

fn http_token(value: Value<'_>) -> Option<HttpToken> {
    let mut section = Section::of(value.context, value.node, "http.tokens")?;
    let name = section.require("name", |value| {
        let name = value.text()?;
        let fits = (1..=64).contains(&name.len()) && !name.contains(char::is_control);
        if fits { Ok(name) } else { Err(value.not("a name of up to 64 bytes")) }
    });
    let token = section.require("token", Value::token);
    let scopes = section.require("scopes", |value| {
        let scopes: Read<BTreeSet<TokenScope>> = value.list()?.into_iter().map(scope).collect();
        scopes.and_then(|scopes| match scopes.is_empty() {
            true => Err(wrong("a token without a scope is for nothing")),
            false => Ok(scopes),
        })
    });
    section.finish();
    Some(HttpToken { name: name?, token: token?, scopes: scopes? })
}

fn scope(value: Value<'_>) -> Read<TokenScope> {
    let text = value.text()?;
    let found = TokenScope::ALL.into_iter().find(|scope| scope.name() == text);
    found.ok_or_else(|| value.not("a scope").hint("write read, write, ingest or hooks"))
}

fn trusted_proxy(value: Value<'_>) -> Option<TrustedProxy> {
    let mut section = Section::of(value.context, value.node, "http.user")?;
    let header = section.require("header", |value| {
        let name = value.text()?.to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let sound = !name.is_empty() && name.chars().all(fits);
        if sound { Ok(name) } else { Err(value.not("the name of a header")) }
    });
    let from = section.require("from", |value| {
        let address = |value: Value<'_>| {
            let address = value.text()?.parse::<IpAddr>();
            address.map_err(|_| value.not("the address of a proxy"))
        };
        value.list()?.into_iter().map(address).collect::<Read<Vec<IpAddr>>>()
    });
    section.finish();
    Some(TrustedProxy { header: header?, from: from? })
}

fn http_tls(value: Value<'_>) -> Option<HttpTls> {
    let mut section = Section::of(value.context, value.node, "http.tls")?;
    let certificate = section.require("certificate", Value::path);
    let key = section.require("key", Value::path);
    section.finish();
    Some(HttpTls { certificate: certificate?, key: key? })
}

/// Whether a text is `http://host…` or `https://host…` without white space.
pub(super) fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

pub(super) fn alerts(mut section: Section<'_>) -> Option<AlertRules> {
    let drift = section.part("for", "alerts.for").map(|mut part| {
        let drift = part.read("drift", k_of_n);
        part.finish();
        drift.unwrap_or(DriftRule { windows: 2, of: 3 })
    });
    let repeat = section.part("repeat", "alerts.repeat").map(|mut part| {
        let drift = part.read("drift", |value| value.duration(MINUTE_US, "1m"));
        let operations = part.read("operations", |value| value.duration(MINUTE_US, "1m"));
        part.finish();
        (drift.unwrap_or(7 * DAY_US), operations.unwrap_or(4 * HOUR_US))
    });
    let max_age = section.read("max_age", |value| {
        let age_us = value.duration_or_off(MINUTE_US, "1m")?;
        Ok(age_us.map_or(MaxAge::Off, MaxAge::After))
    });
    section.finish();
    let (repeat_drift_us, repeat_operations_us) = repeat?;
    Some(AlertRules {
        drift: drift?,
        repeat_drift_us,
        repeat_operations_us,
        max_age: max_age.unwrap_or_default(),
    })
}

fn k_of_n(value: Value<'_>) -> Read<DriftRule> {
    let text = value.text()?;
    let rule = text.split_once(" of ").and_then(|(windows, of)| {
        Some(DriftRule { windows: windows.trim().parse().ok()?, of: of.trim().parse().ok()? })
    });
    match rule {
        Some(rule) if 1 <= rule.windows && rule.windows <= rule.of && rule.of <= 100 => Ok(rule),
        _ => Err(value
            .not("a number of windows out of a number of windows")
            .hint("write 2 of 3: the first from 1 to the second, the second at most 100")),
    }
}

pub(super) fn limits(mut section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        models: count(&mut section, "models", default.models),
        columns: count(&mut section, "columns", default.columns),
        categories: count(&mut section, "categories", default.categories),
        category_hashes: count(&mut section, "category_hashes", default.category_hashes),
        versions: count(&mut section, "versions", default.versions),
        open_windows: count(&mut section, "open_windows", default.open_windows),
        record_bytes: count(&mut section, "record_bytes", default.record_bytes),
        string_bytes: count(&mut section, "string_bytes", default.string_bytes),
        batch_bytes: count(&mut section, "batch_bytes", default.batch_bytes),
        dead_letter_bytes: count(&mut section, "dead_letter_bytes", default.dead_letter_bytes),
        outbox: count(&mut section, "outbox", default.outbox),
        series: count(&mut section, "series", default.series),
        report_bytes: bytes(&mut section, "report_bytes", default.report_bytes),
        onnx_bytes: bytes(&mut section, "onnx_bytes", default.onnx_bytes),
        shadow_rows: count(&mut section, "shadow_rows", default.shadow_rows),
    };
    section.finish();
    limits
}

fn count(section: &mut Section<'_>, key: &'static str, default: usize) -> usize {
    let number = section.read(key, |value| {
        usize::try_from(size(value)?).map_err(|_| value.not("a number this machine can count to"))
    });
    number.unwrap_or(default)
}

fn bytes(section: &mut Section<'_>, key: &'static str, default: u64) -> u64 {
    section.read(key, size).unwrap_or(default)
}

/// A positive whole number, optionally in `KiB`, `MiB` or `GiB`.
pub(super) fn size(value: Value<'_>) -> Read<u64> {
    let text = value.text()?;
    let text = text.trim();
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)))
        .unwrap_or((text, 0));
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|number| *number > 0)
        .ok_or_else(|| {
            value.not("a positive whole number").hint("sizes may be written as 64KiB, 64MiB, 5GiB")
        })
}
