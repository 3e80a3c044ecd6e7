//! The resolved configuration as JSON: for people without its secrets, and for the fingerprint that
//! every report carries without what does not change a report.

use serde_json::{Map, Value, json};

use crate::hash::sha256_hex;
use crate::login::{KafkaAuth, KafkaTls};
use crate::model::{
    Candidate, Captures, FalseAlarms, MinEffect, Model, Retrain, Start, Tolerance, Window,
};
use crate::service::{
    ChannelKind, Config, DeadLetters, MailTransport, MaxAge, Receiver, ReceiverKind, RegistryLogin,
};
use crate::template::Template;
use crate::time::{format_duration, format_instant};

impl Model {
    /// `config_sha256` of CONTRACTS §5: lower-case hex of the sha256 over the settings that decide
    /// what a report says, in a fixed order. Owner, receivers and paths are left out; candidates
    /// count by the sha256 of their file, and baselines by the versions they are for.
    pub fn fingerprint_sha256(&self) -> String {
        sha256_hex(settings(self).to_string())
    }
}

impl Config {
    /// Everything that is in force, defaults included, as indented JSON. Secrets are `<secret>`.
    pub fn render(&self) -> String {
        format!("{:#}", whole(self))
    }
}

/// What the fingerprint covers. Changing a name or the order changes every fingerprint.
pub(crate) fn settings(model: &Model) -> Value {
    let captures = &model.captures;
    let floor = model.tolerance.floor();
    let mut settings = json!({
        "name": model.name,
        "captures": self::captures(captures),
        "baseline_versions": model.baseline.keys().collect::<Vec<_>>(),
        "features": model.features.iter().map(|(name, feature)| (name.clone(), json!({
            "tolerance": feature.tolerance,
            "judge": feature.judge,
            "private": feature.private,
            "coerce": feature.coerce,
        }))).collect::<Map<_, _>>(),
        "window": window(&model.window),
        "operations": {
            "every_us": model.operations.every_us,
            "lateness_us": model.operations.lateness_us,
        },
        "tolerance": {
            "from": match model.tolerance {
                Tolerance::Auto => "auto",
                Tolerance::Fixed(_) => "fixed",
            },
            "ks": floor.ks,
            "psi": floor.psi,
            "missing": floor.missing,
            "wrong_type": floor.wrong_type,
            "new_category": floor.new_category,
        },
        "latency": model.latency.as_ref().map(|latency| json!({
            "under_us": latency.under_us,
            "objective": latency.objective,
        })),
        "errors": model.errors.as_ref().map(|errors| json!({ "objective": errors.objective })),
        "no_data": { "after_us": model.no_data.after_us },
        "shadow": model.shadow.iter().map(candidate).collect::<Vec<_>>(),
        "retrain": {
            "history_us": model.retrain.history_us,
            "cooldown_us": model.retrain.cooldown_us,
            "max_per_day": model.retrain.max_per_day,
        },
    });
    // Settings that came later stand in it only where somebody wrote them, so that fingerprints of
    // before stay as they were.
    if let Some(rows) = model.retrain.rows {
        settings["retrain"]["rows"] = json!(rows);
    }
    if model.retrain.wait_windows != Retrain::usual_wait() {
        settings["retrain"]["wait_windows"] = json!(model.retrain.wait_windows);
    }
    let (false_alarms, min_effect) = (model.false_alarms, model.min_effect);
    if false_alarms != FalseAlarms::default() {
        let FalseAlarms { at_most, per_us } = false_alarms;
        settings["false_alarms"] = json!({ "at_most": at_most, "per_us": per_us });
    }
    if min_effect != MinEffect::default() {
        let MinEffect { distribution, share } = min_effect;
        settings["min_effect"] = json!({ "distribution": distribution, "share": share });
    }
    settings
}

fn captures(captures: &Captures) -> Value {
    let mut settings = json!({
        "topic": captures.topic,
        "format": captures.format.name(),
        "start": match captures.start {
            Start::Earliest => "earliest".to_owned(),
            Start::Latest => "latest".to_owned(),
            Start::At(time_us) => format_instant(time_us),
        },
        "max_ahead_us": captures.max_ahead_us,
    });
    // Only where there is one: the fingerprints of all others stay what they are.
    if let (Some(mapping), Value::Object(settings)) = (captures.format.mapping(), &mut settings) {
        // A plain tree of texts and numbers, which always has a JSON.
        let mapping = serde_json::to_value(mapping).unwrap_or_default();
        settings.insert("map".to_owned(), mapping);
    }
    settings
}

fn window(window: &Window) -> Value {
    let mut settings = json!({
        "every_us": window.every_us,
        "lateness_us": window.lateness_us,
        "idle_us": window.idle_us,
        "at_least": window.at_least,
        "at_most_us": window.at_most_us,
    });
    // Named only where it is set: the fingerprints of all others stay what they were.
    if let (Some(zone), Some(settings)) = (&window.timezone, settings.as_object_mut()) {
        settings.insert("timezone".to_owned(), zone.name().into());
    }
    settings
}

fn candidate(candidate: &Candidate) -> Value {
    let output = &candidate.output;
    json!({
        "name": candidate.name,
        "sha256": candidate.sha256,
        "inputs": candidate.inputs,
        "output": {
            "label": output.label,
            "score": output.score,
            "score_column": output.score_column,
            "classes": output.classes,
            "champion_label": output.champion_label,
            "champion_score": output.champion_score,
        },
        "purpose": candidate.purpose.as_str(),
        "trained_until_us": candidate.trained_until_us,
        "sample": candidate.sample,
    })
}

fn whole(config: &Config) -> Value {
    let kafka = &config.kafka;
    let alerts = &config.alerts;
    json!({
        "file": config.path.display().to_string(),
        "kafka": {
            "bootstrap": kafka.bootstrap,
            "group": kafka.group,
            "properties": redacted(kafka.properties.keys()),
            "auth": kafka.auth.as_ref().map(auth),
            "tls": kafka.tls.as_ref().map(tls),
            "reports": kafka.reports.as_deref().unwrap_or("off"),
            "dead_letters": match &kafka.dead_letters {
                DeadLetters::Topic => "topic".to_owned(),
                DeadLetters::Off => "off".to_owned(),
                DeadLetters::Folder(folder) => format!("folder:{}", folder.display()),
            },
            "schema_registry": kafka.schema_registry.as_ref().map(|registry| json!({
                "url": registry.url,
                "cache": registry.cache.display().to_string(),
                "login": match registry.login {
                    RegistryLogin::None => "none",
                    RegistryLogin::Password { .. } => "user and password",
                    RegistryLogin::Token(_) => "token",
                },
            })),
        },
        "state": config.state.display().to_string(),
        "http": {
            "listen": config.http.listen,
            "external_url": config.http.external_url,
            "tokens": config.http.tokens.iter().map(|token| json!({
                "name": token.name,
                "token": token.token.to_string(),
                "scopes": token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "user": config.http.user.as_ref().map(|user| json!({
                "header": user.header,
                "from": user.from.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })),
            "token": config.http.token.as_ref().map(ToString::to_string),
            "tls": config.http.tls.as_ref().map(|tls| json!({
                "certificate": tls.certificate.display().to_string(),
                "key": tls.key.display().to_string(),
            })),
        },
        "models": config.models.iter().map(model).collect::<Vec<_>>(),
        "templates": config.templates.iter().map(template).collect::<Vec<_>>(),
        "alerts": {
            "for": { "drift": format!("{} of {}", alerts.drift.windows, alerts.drift.of) },
            "repeat": {
                "drift": format_duration(alerts.repeat_drift_us),
                "operations": format_duration(alerts.repeat_operations_us),
            },
            "max_age": match alerts.max_age {
                MaxAge::Default => "the larger of 1h and one window".to_owned(),
                MaxAge::Off => "off".to_owned(),
                MaxAge::After(age_us) => format_duration(age_us),
            },
        },
        "receivers": config.receivers.iter().map(receiver).collect::<Vec<_>>(),
        "reports": { "keep": format_duration(config.reports.keep_us) },
        "limits": limits(config),
        "shadow": {
            "memory": config.shadow.memory_bytes,
            "load": format_duration(config.shadow.load_us),
            "run": format_duration(config.shadow.run_us),
            "unsandboxed": config.shadow.unsandboxed,
        },
        "onnxruntime": config.onnxruntime.as_ref().map(|path| path.display().to_string()),
    })
}

fn auth(auth: &KafkaAuth) -> Value {
    let settings = match auth {
        KafkaAuth::AwsMskIam(msk) => json!({ "region": msk.region, "role": msk.role }),
        KafkaAuth::OAuthBearer(bearer) => json!({
            "token_url": bearer.token_url,
            "client_id": bearer.client_id,
            "client_secret": bearer.client_secret.to_string(),
            "scope": bearer.scope,
            "ca": bearer.ca.as_ref().map(|path| path.display().to_string()),
        }),
    };
    json!({ auth.name(): settings })
}

fn tls(tls: &KafkaTls) -> Value {
    let identity = tls.identity.as_ref();
    json!({
        "ca": tls.ca.as_ref().map(|path| path.display().to_string()),
        "certificate": identity.map(|identity| identity.certificate.display().to_string()),
        "key": identity.map(|identity| identity.key.display().to_string()),
        "key_password": identity
            .and_then(|identity| identity.key_password.as_ref().map(ToString::to_string)),
    })
}

fn model(model: &Model) -> Value {
    let baseline: Map<String, Value> = model
        .baseline
        .iter()
        .map(|(version, path)| (version.clone(), path.display().to_string().into()))
        .collect();
    let onnx: Map<String, Value> = model
        .shadow
        .iter()
        .map(|candidate| (candidate.name.clone(), candidate.onnx.display().to_string().into()))
        .collect();
    json!({
        "owner": model.owner,
        "notify": model.notify,
        "baseline": baseline,
        "onnx": onnx,
        "config_sha256": model.fingerprint_sha256(),
        "settings": settings(model),
    })
}

fn template(template: &Template) -> Value {
    json!({ "match": template.pattern().as_str(), "model": model(template.common()) })
}

fn receiver(receiver: &Receiver) -> Value {
    let kind = match &receiver.kind {
        ReceiverKind::Email(email) => {
            let transport = match &email.transport {
                MailTransport::Smtp { server, user, password, ca } => json!({
                    "server": server,
                    "user": user,
                    "password": password.as_ref().map(ToString::to_string),
                    "ca": ca.as_ref().map(|path| path.display().to_string()),
                }),
                MailTransport::Folder(folder) => json!({ "folder": folder.display().to_string() }),
            };
            json!({ "email": { "by": transport, "from": email.from, "to": email.to } })
        }
        ReceiverKind::Webhook(webhook) => json!({ "webhook": {
            "url": webhook.url.to_string(),
            "secret": webhook.secret.as_ref().map(ToString::to_string),
            "headers": redacted(webhook.headers.keys()),
            "ca": webhook.ca.as_ref().map(|path| path.display().to_string()),
        }}),
        ReceiverKind::Channel(to) => json!({ to.kind.name(): {
            "url": to.url.to_string(),
            "key": to.key.as_ref().map(ToString::to_string),
            "topic": match &to.kind {
                ChannelKind::Ntfy { topic } => Some(topic),
                ChannelKind::Slack | ChannelKind::Teams | ChannelKind::PagerDuty => None,
            },
            "ca": to.ca.as_ref().map(|path| path.display().to_string()),
        }}),
        ReceiverKind::Alertmanager(alertmanager) => json!({ "alertmanager": {
            "url": alertmanager.url.to_string(),
            "headers": redacted(alertmanager.headers.keys()),
            "ca": alertmanager.ca.as_ref().map(|path| path.display().to_string()),
            "resend_us": alertmanager.resend_us,
            "runbook": alertmanager.runbook,
        }}),
    };
    json!({ "name": receiver.name, "on": receiver.on, "to": kind })
}

fn limits(config: &Config) -> Value {
    let limits = &config.limits;
    json!({
        "models": limits.models,
        "columns": limits.columns,
        "categories": limits.categories,
        "category_hashes": limits.category_hashes,
        "versions": limits.versions,
        "open_windows": limits.open_windows,
        "record_bytes": limits.record_bytes,
        "string_bytes": limits.string_bytes,
        "batch_bytes": limits.batch_bytes,
        "dead_letter_bytes": limits.dead_letter_bytes,
        "outbox": limits.outbox,
        "series": limits.series,
        "report_bytes": limits.report_bytes,
        "onnx_bytes": limits.onnx_bytes,
        "shadow_rows": limits.shadow_rows,
    })
}

/// Keys with values that are not shown.
fn redacted<'a>(keys: impl Iterator<Item = &'a String>) -> Map<String, Value> {
    keys.map(|key| (key.clone(), "<secret>".into())).collect()
}
