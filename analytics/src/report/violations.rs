//! What a report found, in the words of SageMaker's Model Monitor: its file `constraint_violations.json`.

use driftline_config::Level;
use serde::{Deserialize, Serialize};

use super::{Check, Finding, Report};

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violations {
    pub violations: Vec<Violation>,
}

/// One column that violates what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Without what tells features and predictions apart.
    pub feature_name: String,
    pub constraint_check_type: String,
    pub description: String,
}

impl Violations {
    /// Findings of columns at warning or alarm that may alarm. What no check of that program is about (volume,
    /// latency, errors) is not among them.
    pub fn of(report: &Report) -> Violations {
        let told = report.findings.iter().filter(|finding| finding.judged);
        let told = told.filter(|finding| matches!(finding.level, Level::Warn | Level::Alarm));
        Violations { violations: told.filter_map(violation).collect() }
    }

    /// As the file is written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn violation(finding: &Finding) -> Option<Violation> {
    let constraint_check_type = check_type(finding.check)?.to_owned();
    let (feature_name, description) = (finding.subject.name().to_owned(), finding.because.clone());
    Some(Violation { feature_name, constraint_check_type, description })
}

fn check_type(check: Check) -> Option<&'static str> {
    Some(match check {
        Check::Distribution => "baseline_drift_check",
        Check::Missing => "completeness_check",
        Check::WrongType => "data_type_check",
        Check::NewCategory => "categorical_values_check",
        Check::Absent => "missing_column_check",
        Check::NewColumn => "extra_column_check",
        // Of requests, and not of data.
        Check::Volume | Check::Latency | Check::Errors => return None,
    })
}
