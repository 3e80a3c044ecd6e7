//! The quantities of a window that did not move, as mails list them.

use driftline_alerting::Evidence;
use driftline_alerting::mail::Unmoved;
use driftline_analytics::report::{Check, Finding, Report};
use driftline_config::Level;

/// The share of answers over the latency objective's threshold, beside what the objective allows.
pub(crate) const SLOW: &str = "slow answers";

/// The quantities that a mail lists as not moved, with what they are compared with: only what was
/// compared and found in order. What is shown without a level must keep its objective.
pub(crate) fn unmoved(report: &Report) -> Vec<Unmoved> {
    let mut unmoved = Vec::new();
    let mut add = |name: &str, value: String, reference: String| {
        unmoved.push(Unmoved { name: name.to_owned(), value, reference });
    };
    for finding in report.findings.iter().filter(|finding| finding.level == Level::Ok) {
        let kept = finding.share.as_ref().filter(|share| share.value <= share.reference);
        match (finding.check, kept, &finding.volume) {
            (Check::Errors, Some(share), _) => {
                add("errors", percent(share.value), percent(share.reference));
            }
            (Check::Latency, Some(share), _) => {
                add(SLOW, percent(share.value), percent(share.reference));
            }
            (Check::Volume, _, Some(volume)) if finding.judged => {
                if let (Some(smallest), Some(largest)) = (volume.smallest, volume.largest) {
                    let range = format!("{smallest} to {largest} requests");
                    add("volume", format!("{:.0} requests", volume.value), range);
                }
            }
            _ => {}
        }
    }
    if let Some((value, reference)) = calm_share(report, Check::Missing) {
        add("missing", format!("at most {}", percent(value)), percent(reference));
    }
    if report.release.is_none() {
        let versions: Vec<&str> = report.versions.keys().map(String::as_str).collect();
        add("versions", versions.join(", "), "as before".to_owned());
    }
    let prediction = |finding: &&Finding| {
        finding.subject.is_prediction()
            && finding.check == Check::Distribution
            && finding.judged
            && finding.level == Level::Ok
    };
    for finding in report.findings.iter().filter(prediction).take(2) {
        if let Some(effect) = finding.effect() {
            let tolerance = format!("tolerance {:.3}", effect.tolerance);
            add(finding.subject.as_str(), format!("{:.3}", effect.value), tolerance);
        }
    }
    unmoved
}

/// Whether something that a window found in order is what this subject of an incident is about.
pub(crate) fn is_about(evidence: &Evidence, unmoved: &Unmoved) -> bool {
    match unmoved.name.as_str() {
        SLOW => evidence.check == Check::Latency.name(),
        name if name.starts_with("prediction:") => evidence.subject == *name,
        name => evidence.check == name,
    }
}

/// The largest share of a check and what it is compared with, where all of its findings are in order.
fn calm_share(report: &Report, check: Check) -> Option<(f64, f64)> {
    let judged = report.findings.iter().filter(|finding| finding.judged && finding.check == check);
    let calm = judged.clone().all(|finding| finding.level == Level::Ok);
    let shares = judged.filter(|_| calm).filter_map(|finding| finding.share.as_ref());
    shares.map(|share| (share.value, share.reference)).max_by(|a, b| a.0.total_cmp(&b.0))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A report with one finding of each kind that mails may list: errors, over the objective, missing,
    /// volume and a prediction.
    fn report(errors: f64, over: f64, levels: [&str; 3]) -> Report {
        let share = |value: f64, reference: f64| {
            json!({
                "value": value, "bound": 0.0, "confidence": 0.99, "tolerance": 0.01,
                "tolerance_from": "floor", "reference": reference, "detectable": null,
                "p_tolerance": null, "p_adjusted": null, "count": 2,
            })
        };
        let finding = |subject: &str, check: &str, level: &str| {
            json!({
                "subject": subject, "check": check, "n": 100, "m": 1000, "level": level,
                "because": "so it is", "first_over": null,
            })
        };
        let mut status = finding("status", "errors", "ok");
        status["share"] = share(errors, 0.01);
        let mut latency = finding("latency", "latency", "ok");
        latency["share"] = share(over, 0.01);
        let mut missing = finding("feature:x", "missing", levels[0]);
        missing["share"] = share(0.02, 0.01);
        let mut volume = finding("model", "volume", levels[1]);
        volume["volume"] = json!({"value": 100.0, "smallest": 90, "largest": 110, "windows": 9});
        let mut score = finding("prediction:score@3", "distribution", levels[2]);
        score["share"] = share(0.02, 0.01);
        let percentile = json!({"value": 900, "low": 800, "high": 1000});
        let report = json!({
            "driftline": 1, "model": "m", "versions": {"3": 100},
            "window": {
                "id": "m@20261109T000000Z.1d", "start": "2026-11-09T00:00:00Z",
                "end": "2026-11-10T00:00:00Z", "rows": 100, "parts": 1, "complete": true,
                "previous": null, "cuts": {},
                "ledger": {"read": 100, "counted": 100, "late": 0, "rejected": 0},
            },
            "level": "ok", "release": null, "changed": [],
            "findings": [status, latency, missing, volume, score],
            "latency": {
                "n": 100, "p50_us": percentile, "p90_us": percentile, "p99_us": percentile,
                "max_us": 1000, "over_objective": over,
            },
            "status": {"2xx": 100}, "baseline_sha256": "b", "config_sha256": "c", "rules": 1,
        });
        Report::from_json(&report.to_string()).unwrap()
    }

    /// Errors, volume and p99 were always listed, and predictions and missing values at `warn`.
    #[test]
    fn only_what_is_in_order_is_listed_as_not_moved() {
        let all = ["errors", SLOW, "volume", "missing", "versions", "prediction:score@3"];
        let table = [
            ((0.0, 0.0, ["ok"; 3]), &all[..]),
            ((0.2, 0.0, ["ok"; 3]), &all[1..]),
            (
                (0.0, 0.2, ["ok"; 3]),
                &["errors", "volume", "missing", "versions", "prediction:score@3"],
            ),
            ((0.0, 0.0, ["warn"; 3]), &["errors", SLOW, "versions"]),
            ((0.0, 0.0, ["not_computable"; 3]), &["errors", SLOW, "versions"]),
        ];
        for ((errors, over, levels), expected) in table {
            let unmoved = unmoved(&report(errors, over, levels));
            let names: Vec<&str> = unmoved.iter().map(|unmoved| unmoved.name.as_str()).collect();
            assert_eq!(names, expected, "{errors} {over} {levels:?}");
        }
    }
}
