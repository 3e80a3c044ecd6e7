//! What a comparison found, for people: findings first, the rest as a count.

use driftline_analytics::report::Finding;
use driftline_batch::check::Compared;
use driftline_config::Level;

use super::super::screen::Screen;
use super::super::text_table::{TextTable, level_name, printable};

/// From here on every number has a column of its own.
const WIDE: usize = 150;
/// Below this a sentence has lines of its own, below its finding.
const NARROW: usize = 100;

/// The findings, aligned, with a summary above them; `all` shows what is ok too, and every column's kind.
pub(super) fn table(compared: &Compared, screen: Screen, all: bool) -> String {
    let report = &compared.report;
    let found = screen.paint.of_level(report.level, &counts(compared));
    let mut text = format!("{} rows: {found}\n", report.window.rows);
    let shown: Vec<&Finding> =
        report.findings.iter().filter(|finding| all || tells(finding)).collect();
    if !shown.is_empty() {
        text.push('\n');
        text.push_str(&findings(&shown, screen));
    }
    let quiet = report.findings.iter().filter(|it| it.level == Level::Ok && of_column(it)).count();
    if !all && quiet > 0 {
        let says =
            format!("{quiet} of {} distributions ok (--all shows them)", distributions(compared));
        text.push_str(&format!("\n{}\n", screen.wrapped(&says, 0)));
    }
    if all && !compared.kinds.is_empty() {
        text.push('\n');
        text.push_str(&kinds(compared, screen));
    }
    text
}

/// `2 at alarm, 1 at warning; 3 columns skipped`
pub(super) fn counts(compared: &Compared) -> String {
    let findings = &compared.report.findings;
    let at = |level: Level| findings.iter().filter(|f| f.judged && f.level == level).count();
    let count = |count: usize, name: &str| (count > 0).then(|| format!("{count} {name}"));
    let counts: Vec<String> = [
        count(at(Level::Alarm), "at alarm"),
        count(at(Level::Warn), "at warning"),
        count(at(Level::NotComputable), "not computable"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let found = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
    match compared.skipped {
        0 => found,
        1 => format!("{found}; 1 column skipped"),
        skipped => format!("{found}; {skipped} columns skipped"),
    }
}

/// The name of the statistic that decides.
pub(super) fn statistic(finding: &Finding) -> &'static str {
    match (&finding.ks, &finding.psi) {
        (Some(_), _) => "KS",
        (None, Some(_)) => "PSI",
        (None, None) => finding.check.name(),
    }
}

/// What is worth a line by itself.
fn tells(finding: &Finding) -> bool {
    finding.level != Level::Ok
}

/// A quiet share says nothing that its column's distribution does not.
fn of_column(finding: &Finding) -> bool {
    finding.ks.is_some() || finding.psi.is_some()
}

fn distributions(compared: &Compared) -> usize {
    compared.report.findings.iter().filter(|finding| of_column(finding)).count()
}

fn findings(shown: &[&Finding], screen: Screen) -> String {
    if screen.width.is_some_and(|width| width < NARROW) {
        return stacked(shown, screen);
    }
    let number = |value: Option<f64>| value.map(|v| format!("{v:.4}")).unwrap_or_default();
    let wide = screen.width.is_none_or(|width| width >= WIDE);
    let mut table = TextTable::new(if wide {
        &["level", "subject", "statistic", ">value", ">bound", ">tolerance", "because"]
    } else {
        &["level", "subject", "value/tolerance", "because"]
    });
    for finding in shown {
        let effect = finding.effect();
        let (level, subject) = (level_name(finding.level).to_owned(), printable(&finding.subject));
        let because = printable(&finding.because);
        table.row(if wide {
            vec![
                level,
                subject,
                statistic(finding).to_owned(),
                number(effect.map(|effect| effect.value)),
                number(effect.map(|effect| effect.bound)),
                number(effect.map(|effect| effect.tolerance)),
                because,
            ]
        } else {
            vec![level, subject, value_of_tolerance(finding), because]
        });
    }
    table.render(screen)
}

/// Each finding as a heading with its sentence set in below it.
fn stacked(shown: &[&Finding], screen: Screen) -> String {
    const INDENT: usize = 7;
    let mut text = String::new();
    for finding in shown {
        let name = level_name(finding.level);
        let heading =
            format!("{name:<5}  {}  {}", printable(&finding.subject), value_of_tolerance(finding));
        let heading = screen.wrapped(&heading, INDENT);
        let behind = heading.strip_prefix(name).unwrap_or(&heading);
        let painted = screen.paint.of_level(finding.level, name);
        let because = format!("{}{}", " ".repeat(INDENT), printable(&finding.because));
        text.push_str(&format!("{painted}{behind}\n{}\n", screen.wrapped(&because, INDENT)));
    }
    text
}

fn value_of_tolerance(finding: &Finding) -> String {
    finding.effect().map_or_else(
        || finding.check.name().to_owned(),
        |it| format!("{} {:.3}/{:.3}", statistic(finding), it.value, it.tolerance),
    )
}

fn kinds(compared: &Compared, screen: Screen) -> String {
    let mut table = TextTable::new(&["column", "kind", "because"]);
    for column in &compared.kinds {
        let kind = match column.kind {
            Some(driftline_capture::Kind::Numeric) => "numeric",
            Some(driftline_capture::Kind::Categorical) => "categorical",
            None => "skipped",
        };
        table.row(vec![printable(&column.column), kind.to_owned(), printable(&column.why)]);
    }
    let hint = "another kind: --kind COLUMN=number|category|ignore|time";
    format!("{}{}\n", table.render(screen), screen.wrapped(hint, 0))
}
