//! What a comparison found, for the programs of a pipeline: Markdown, JUnit, SARIF, annotations of GitHub.

use clap::ValueEnum;
use driftline_analytics::report::{Check, Finding, Report};
use driftline_batch::check::Compared;
use driftline_config::Level;
use serde_json::{Value, json};

use super::super::text_table::level_name;
use super::table::{counts, statistic};

/// How the outcome is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    Table,
    /// The report (docs/contracts.md, section 5)
    Json,
    /// A comment on a change
    Markdown,
    /// Test results, one case per column and check
    Junit,
    /// Results of a static analysis, version 2.1.0
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
    /// constraint_violations.json of SageMaker Model Monitor
    Sagemaker,
}

/// At which level a comparison fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Warn,
    Alarm,
    Never,
}

/// A comparison with what its outputs name.
pub(super) struct Outcome<'a> {
    pub(super) compared: &'a Compared,
    /// The current rows, as they were named.
    pub(super) current: &'a str,
    pub(super) reference: &'a str,
    pub(super) fail_on: FailOn,
}

impl FailOn {
    /// Whether a level fails.
    pub(super) fn fails(self, level: Level) -> bool {
        match self {
            FailOn::Warn => matches!(level, Level::Warn | Level::Alarm),
            FailOn::Alarm => level == Level::Alarm,
            FailOn::Never => false,
        }
    }
}

impl Outcome<'_> {
    fn report(&self) -> &Report {
        &self.compared.report
    }

    /// What is worth telling: what may alarm, and is not ok.
    fn told(&self) -> impl Iterator<Item = &Finding> {
        self.report().findings.iter().filter(|it| it.judged && it.level != Level::Ok)
    }

    pub(super) fn markdown(&self) -> String {
        let rows = self.report().window.rows;
        let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let mut text = format!(
            "### Driftline: {}\n\n{rows} rows of `{}`, compared with `{}`\n",
            counts(self.compared),
            self.current.replace('`', "'"),
            self.reference.replace('`', "'")
        );
        if self.told().next().is_some() {
            text.push_str(
                "\n| level | subject | value | tolerance | because |\n|---|---|---:|---:|---|\n",
            );
        }
        for finding in self.told() {
            let effect = finding.effect();
            let number =
                |value: Option<f64>| value.map(|it| format!("{it:.4}")).unwrap_or_default();
            text.push_str(&format!(
                "| {} | {} | {} {} | {} | {} |\n",
                level_name(finding.level),
                cell(&finding.subject),
                statistic(finding),
                number(effect.map(|effect| effect.value)),
                number(effect.map(|effect| effect.tolerance)),
                cell(&finding.because)
            ));
        }
        text
    }

    /// A case per finding that is judged: what fails is a failure, what could not be judged is skipped.
    pub(super) fn junit(&self) -> String {
        let judged: Vec<&Finding> = self.report().findings.iter().filter(|it| it.judged).collect();
        let failures = judged.iter().filter(|it| self.fail_on.fails(it.level)).count();
        let skipped = judged.iter().filter(|it| it.level == Level::NotComputable).count();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"driftline check {}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"0\">\n",
            xml(self.current),
            judged.len()
        );
        for finding in judged {
            let name = format!("{} {}", finding.subject.as_str(), finding.check.name());
            let because = xml(&finding.because);
            let inner = match finding.level {
                level if self.fail_on.fails(level) => {
                    format!("<failure type=\"{}\" message=\"{because}\"/>", level_name(level))
                }
                Level::NotComputable => format!("<skipped message=\"{because}\"/>"),
                Level::Warn | Level::Alarm => {
                    format!("<system-out>{}: {because}</system-out>", level_name(finding.level))
                }
                Level::Ok => String::new(),
            };
            text.push_str(&format!(
                "    <testcase classname=\"driftline.{}\" name=\"{}\" time=\"0\">{inner}</testcase>\n",
                finding.check.name(),
                xml(&name)
            ));
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }

    pub(super) fn sarif(&self) -> Value {
        let mut checks: Vec<Check> = self.told().map(|finding| finding.check).collect();
        checks.sort_unstable_by_key(|check| check.name());
        checks.dedup();
        let rule = |check: &Check| json!({"id": check.name(), "shortDescription": {"text": meaning(*check)}});
        let results: Vec<Value> = self.told().map(|finding| self.result(finding)).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "driftline",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": checks.iter().map(rule).collect::<Vec<Value>>(),
                }},
                "results": results,
            }],
        })
    }

    fn result(&self, finding: &Finding) -> Value {
        let level = match finding.level {
            Level::Alarm => "error",
            Level::Warn => "warning",
            Level::Ok | Level::NotComputable => "note",
        };
        let subject = finding.subject.as_str();
        json!({
            "ruleId": finding.check.name(),
            "level": level,
            "message": {"text": format!("{subject}: {}", finding.because)},
            "locations": [{
                "physicalLocation": {"artifactLocation": {"uri": uri(self.current)}},
                "logicalLocations": [{"fullyQualifiedName": subject}],
            }],
            "partialFingerprints": {"driftline/v1": format!("{}/{subject}", finding.check.name())},
        })
    }

    /// Workflow commands: one line each, with the signs escaped that would end one.
    pub(super) fn github(&self) -> String {
        let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
        let mut text = String::new();
        for finding in self.told() {
            let command = match finding.level {
                level if self.fail_on.fails(level) => "error",
                Level::Warn | Level::Alarm => "warning",
                Level::Ok | Level::NotComputable => "notice",
            };
            text.push_str(&format!(
                "::{command} title={}::{}\n",
                property(&format!("{} {}", finding.subject.as_str(), level_name(finding.level))),
                data(&finding.because)
            ));
        }
        text.push_str(&format!("{} rows: {}\n", self.report().window.rows, counts(self.compared)));
        text
    }
}

fn meaning(check: Check) -> &'static str {
    match check {
        Check::Distribution => "The values are spread otherwise than in the baseline",
        Check::Missing => "More values are missing than in the baseline",
        Check::WrongType => "Values are not of the kind of their column",
        Check::NewCategory => "Values are of categories that the baseline does not have",
        Check::Absent => "A monitored column is not there",
        Check::NewColumn => "A column is not in the baseline",
        Check::Volume => "The number of requests is unusual",
        Check::Latency => "Requests are slower than the objective allows",
        Check::Errors => "More requests fail than the objective allows",
    }
}

/// A text between tags or quotes; XML has no word for most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// What was named, as a relative or absolute reference of RFC 3986.
fn uri(name: &str) -> String {
    let mut uri = String::new();
    for byte in name.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b':' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
