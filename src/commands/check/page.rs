//! A comparison as one HTML file that needs nothing else: summary, findings with their plots, numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_analytics::report::{Check, Finding, Level, Report};
use driftline_analytics::shape::Shape;
use sha2::{Digest, Sha256};

use crate::plots::{self, Bars, escaped};

/// Findings that are drawn; a picture takes some kilobytes, and nobody looks at more.
const DRAWN: usize = 200;
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#d8dee4}
@media(prefers-color-scheme:dark){:root{--line:#30363d}}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1rem;color:var(--plot-ink);background:var(--plot-surface)}
h1,h2,h3{line-height:1.25;overflow-wrap:anywhere}
a{color:var(--plot-window)}
table{border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line)}
th{font-weight:500}
td{overflow-wrap:anywhere}
.wide{overflow-x:auto}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem;margin:1rem 0}
section,details{border-top:1px solid var(--line);padding:.5rem 0}
summary{cursor:pointer}
code{font-size:.9em;overflow-wrap:anywhere}
.level{font-weight:600;white-space:nowrap}
.level.alarm{color:var(--plot-alarm)}.level.warn{color:var(--plot-warn)}.level.ok{color:var(--plot-ok)}
.level.none,.quiet{color:var(--plot-soft)}
";

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) report: &'a Report,
    pub(super) shapes: &'a BTreeMap<String, Shape>,
    /// One line for everything left out.
    pub(super) notes: &'a [String],
    /// What was compared with what.
    pub(super) reference: &'a str,
    pub(super) current: &'a str,
    /// The command that gives the same report.
    pub(super) command: &'a str,
}

/// The whole document.
pub(super) fn page(shown: Shown<'_>) -> String {
    let report = shown.report;
    let style = format!("{}{STYLE}", plots::style_sheet());
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let title = escaped(&format!("{}: {}", report.model, super::counts(report)));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\n\
         <style>{style}</style></head>\n<body><main>\n<h1>{title}</h1>\n"
    );
    summary(&mut html, shown);
    let (loud, quiet): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(|finding| is_loud(finding));
    html.push_str("<h2>Findings</h2>\n");
    if loud.is_empty() {
        html.push_str("<p>Nothing is over its tolerance.</p>\n");
    }
    for (index, finding) in loud.iter().enumerate() {
        section(&mut html, shown, finding, index);
    }
    rest(&mut html, shown, &quiet, loud.len());
    notes(&mut html, shown.notes);
    let _ = write!(
        html,
        "<h2>Again</h2>\n<p><code>{}</code></p>\n<p class=\"quiet\">baseline {} · settings {} · rules {}</p>\n</main></body></html>\n",
        escaped(shown.command),
        escaped(&report.baseline_sha256),
        escaped(&report.config_sha256),
        report.rules
    );
    html
}

fn is_loud(finding: &Finding) -> bool {
    finding.judged && matches!(finding.level, Level::Alarm | Level::Warn)
}

fn summary(html: &mut String, shown: Shown<'_>) {
    let report = shown.report;
    let ledger = report.window.ledger;
    let mut rows = vec![
        ("level", level(report.level)),
        ("reference", escaped(shown.reference)),
        ("current", escaped(shown.current)),
        ("rows", report.window.rows.to_string()),
    ];
    if ledger.read != ledger.counted {
        let text = format!(
            "{} read, {} rejected, {} of other models, {} heartbeats",
            ledger.read, ledger.rejected, ledger.skipped, ledger.control
        );
        rows.push(("records", text));
    }
    let columns = report.findings.iter().filter(|finding| finding.check == Check::Distribution);
    let (judged, all) = columns
        .fold((0, 0), |(judged, all), finding| (judged + usize::from(finding.judged), all + 1));
    rows.push(("columns", format!("{all} compared, {judged} of them judged")));
    if let Some(latency) = &report.latency {
        let us =
            |percentile: driftline_analytics::report::Percentile| percentile.value as f64 / 1e3;
        rows.push((
            "latency",
            format!(
                "p50 {} ms, p90 {} ms, p99 {} ms over {} requests",
                us(latency.p50_us),
                us(latency.p90_us),
                us(latency.p99_us),
                latency.n
            ),
        ));
    }
    html.push_str("<div class=\"wide\"><table>\n");
    for (name, value) in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    html.push_str("</table></div>\n");
}

/// One finding over its tolerance: sentence, pictures, numbers.
fn section(html: &mut String, shown: Shown<'_>, finding: &Finding, index: usize) {
    let _ = write!(
        html,
        "<section><h3>{}. {} {}: {}</h3>\n<p>{}.</p>\n",
        index + 1,
        level(finding.level),
        escaped(&finding.subject),
        finding.check.name().replace('_', " "),
        escaped(&finding.because)
    );
    if index < DRAWN {
        pictures(html, shown, finding);
    }
    numbers(html, finding);
    html.push_str("</section>\n");
}

/// Everything within tolerance: one line each, the pictures of distributions behind it.
fn rest(html: &mut String, shown: Shown<'_>, quiet: &[&Finding], before: usize) {
    // A quiet share says nothing that its column's distribution does not.
    let told = quiet
        .iter()
        .filter(|finding| finding.level != Level::Ok || finding.check == Check::Distribution);
    html.push_str("<h2>The rest</h2>\n");
    for (index, finding) in told.enumerate() {
        let judged = if finding.judged { "" } else { " (shown, not judged)" };
        let _ = writeln!(
            html,
            "<details><summary>{} {}{judged}: {}</summary>",
            level(finding.level),
            escaped(&finding.subject),
            escaped(&finding.because)
        );
        if before + index < DRAWN {
            pictures(html, shown, finding);
        }
        numbers(html, finding);
        html.push_str("</details>\n");
    }
}

fn pictures(html: &mut String, shown: Shown<'_>, finding: &Finding) {
    let name = finding.subject.split_once(':').map_or(finding.subject.as_str(), |(_, name)| name);
    let mut pictures = Vec::new();
    if finding.check == Check::Distribution {
        if let Some(Shape::Numeric { points }) = shown.shapes.get(&finding.subject) {
            pictures.push(plots::ecdf(name, points, finding.ks.as_ref()));
        }
        if let Some(bars) = Bars::of(finding) {
            pictures.push(plots::histogram(name, bars));
            pictures.push(plots::contributions(name, bars));
        }
    }
    if !pictures.is_empty() {
        let _ = writeln!(html, "<div class=\"plots\">{}</div>", pictures.concat());
    }
}

/// The numbers of a finding, as in the report.
fn numbers(html: &mut String, finding: &Finding) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut add = |name: &'static str, value: Option<String>| {
        rows.extend(value.map(|value| (name, value)));
    };
    let plain = |value: f64| format!("{value:.4}");
    add("n (window)", Some(finding.n.to_string()));
    add("m (baseline)", Some(finding.m.to_string()));
    let from = if let Some(ks) = &finding.ks {
        add("KS", Some(plain(ks.value)));
        if ks.certified[0] != ks.certified[1] {
            add("KS at most", Some(plain(ks.certified[1])));
        }
        add("detectable", Some(plain(ks.detectable)));
        add("p of the ordinary test", Some(probability(ks.p)));
        Some(&ks.tolerance_from)
    } else if let Some(psi) = &finding.psi {
        add("PSI, debiased", Some(plain(psi.debiased)));
        add("detectable", psi.detectable.map(plain));
        add("p of the ordinary test", psi.p.map(probability));
        psi.tolerance_from.as_ref()
    } else if let Some(share) = &finding.share {
        add("share", Some(plain(share.value)));
        add("share of the baseline", Some(plain(share.reference)));
        add("rows", Some(share.count.to_string()));
        Some(&share.tolerance_from)
    } else {
        None
    };
    if let Some(effect) = finding.effect() {
        add("effect at least, with 99 % confidence", Some(plain(effect.bound)));
        add("tolerance", Some(plain(effect.tolerance)));
    }
    add("tolerance from", from.map(|from| escaped(from)));
    add("adjusted p under the tolerance", finding.p_adjusted().map(probability));
    if let (Some(psi), Some(_)) = (&finding.psi, &finding.ks) {
        add("PSI, debiased", Some(plain(psi.debiased)));
    }
    if let Some(shift) = &finding.shift {
        let moments = |of: &Option<driftline_analytics::report::Moments>| {
            let of = (*of)?;
            Some(format!("mean {}, sd {}", plain(of.mean?), plain(of.sd?)))
        };
        add("baseline", moments(&shift.reference));
        add("window", moments(&shift.window));
        add("Jensen-Shannon (bits)", Some(plain(shift.jensen_shannon)));
    }
    let names = finding.share.iter().flat_map(|share| &share.names);
    let names: Vec<String> =
        names.map(|name| format!("{} ({})", escaped(&name.name), name.count)).collect();
    add("values", (!names.is_empty()).then(|| names.join(", ")));
    html.push_str("<div class=\"wide\"><table>\n");
    for (name, value) in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    }
    html.push_str("</table></div>\n");
    for note in &finding.notes {
        let _ = writeln!(html, "<p class=\"quiet\">{}.</p>", escaped(note));
    }
}

/// Zero is what numbers cannot hold, not what a test can say.
fn probability(p: f64) -> String {
    if p > 0.0 { format!("{p:.2e}") } else { "under 1e-300".to_owned() }
}

fn notes(html: &mut String, notes: &[String]) {
    html.push_str("<h2>Left out</h2>\n");
    if notes.is_empty() {
        html.push_str("<p>Every column was compared.</p>\n");
        return;
    }
    html.push_str("<ul>\n");
    for note in notes {
        let _ = writeln!(html, "<li>{}</li>", escaped(note));
    }
    html.push_str("</ul>\n");
}

/// The name of a level with a mark of its own, so that it is seen without colour.
fn level(level: Level) -> String {
    let (class, mark, name) = match level {
        Level::Alarm => ("alarm", "▲", "alarm"),
        Level::Warn => ("warn", "◆", "warn"),
        Level::Ok => ("ok", "●", "ok"),
        Level::NotComputable => ("none", "○", "not computable"),
    };
    format!("<span class=\"level {class}\">{mark} {name}</span>")
}
