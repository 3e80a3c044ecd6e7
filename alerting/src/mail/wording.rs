//! Names, dates and sentences as people read them.

use driftline_config::time::DAY_US;
use driftline_config::{Subject, TimeZone, WindowId};

use crate::incident::Transition;
use crate::signal::{Class, Evidence};

/// Characters of one column name in a subject line.
const NAME_CHARS: usize = 60;

/// `dep_delay and 2 more`; nothing where the class says it all.
pub(super) fn summary(transition: &Transition) -> Option<String> {
    let first = transition.subjects.first().and_then(name)?;
    match transition.subjects_total.saturating_sub(1) {
        0 => Some(first),
        more => Some(format!("{first} and {more} more")),
    }
}

/// What a finding is about, without the prefix of reports.
fn name(evidence: &Evidence) -> Option<String> {
    match evidence.check.as_str() {
        "no_data" => None,
        check => Some(one_line(&subject_name(&evidence.subject, check), NAME_CHARS)),
    }
}

/// A key of [`Evidence::key`] as people read it: `dep_delay`, or `dep_delay (wrong type)` where it is
/// not about its distribution.
pub(super) fn key_name(key: &str) -> String {
    let (subject, check) = key.rsplit_once(' ').unwrap_or((key, ""));
    let name = subject_name(&subject.into(), check);
    let about = check.replace('_', " ");
    let long =
        if about == "distribution" || about == name { name } else { format!("{name} ({about})") };
    one_line(&long, NAME_CHARS)
}

fn subject_name(subject: &Subject, check: &str) -> String {
    subject.column_words().unwrap_or_else(|| match subject.as_str() {
        "model" if check == "rejected" => String::from("rejected records"),
        "model" | "status" => check.replace('_', " "),
        other => other.to_owned(),
    })
}

/// Columns that a message names as having moved together.
const MOVED_NAMED: usize = 5;

/// A column that moved, and since when.
#[derive(Debug, Clone, PartialEq)]
pub struct Mover {
    pub subject: Subject,
    /// Event time in microseconds; `None` where nobody knows.
    pub since_us: Option<i64>,
    /// It may have moved before.
    pub at_the_latest: bool,
}

/// Which columns moved together in a window, the first mover first: each once, as a line; nothing where
/// it is one column.
pub fn moved_together(movers: &[Mover], window: &WindowId, at_us: i64) -> Option<String> {
    let clocks = Clocks(WindowId::timezone(window));
    let mut named: Vec<(String, String)> = Vec::new();
    for Mover { subject, since_us, at_the_latest } in movers {
        let name = one_line(&subject_name(subject, ""), NAME_CHARS);
        if named.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let latest = if *at_the_latest { "at the latest since" } else { "since" };
        let since = since_us.map(|us| format!(" {latest} {}", clocks.day(us, at_us, false)));
        named.push((name, since.unwrap_or_default()));
    }
    if named.len() < 2 {
        return None;
    }
    let shown = &named[..named.len().min(MOVED_NAMED)];
    let alike = |one: &(String, String), other: &(String, String)| one.1 == other.1;
    let groups = shown.chunk_by(alike).map(|group| {
        let names: Vec<&str> = group.iter().map(|(name, _)| name.as_str()).collect();
        let since = group.first().map_or("", |(_, since)| since);
        format!("{}{since}", names.join(", "))
    });
    let text = groups.collect::<Vec<_>>().join("; ");
    let more = match named.len() - shown.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Some(format!("Moved together, the first mover first: {text}{more}"))
}

/// One sentence that says what a class is.
pub(super) fn what_it_means(class: Class, model: &str) -> String {
    match class {
        Class::BrokenInput => format!(
            "The requests of {model} do not look as they should: something upstream is broken, \
             which is not drift."
        ),
        Class::Serving => {
            format!("{model} is slower or fails more often than its objective allows.")
        }
        Class::Release => format!(
            "The predictions of {model} moved in a window in which its versions changed: look at \
             the release."
        ),
        Class::InputShift => format!("The requests of {model} differ from its baseline."),
        Class::PredictionShift => format!("The predictions of {model} differ from its baseline."),
        Class::NoData => format!("{model} is silent: no accepted request has been read."),
        Class::Candidate => format!("A candidate of {model} needs attention."),
        Class::Driftline => {
            format!("Driftline itself is in trouble, so {model} is not watched well.")
        }
    }
}

/// The clocks by which a text tells the time.
#[derive(Debug, Clone, Default)]
pub(super) struct Clocks(Option<TimeZone>);

impl Clocks {
    /// Those by whose midnights the windows of a transition begin and end, else UTC.
    pub(super) fn of(transition: &Transition) -> Clocks {
        Clocks(transition.windows.last().and_then(|id| WindowId::timezone(id)))
    }

    /// `24 June`, with the year where it is not that of `at_us`, and with the time of day where windows
    /// are shorter than a day.
    pub(super) fn day(&self, time_us: i64, at_us: i64, with_time: bool) -> String {
        let same_year = self.formatted(time_us, "%Y") == self.formatted(at_us, "%Y");
        let is_midnight = match &self.0 {
            Some(zone) => zone.is_day_start(time_us),
            None => time_us.rem_euclid(DAY_US) == 0,
        };
        let day = self.formatted(time_us, if same_year { "%-d %B" } else { "%-d %B %Y" });
        if is_midnight && !with_time {
            return day;
        }
        format!("{day} {} {}", self.formatted(time_us, "%H:%M"), self.name())
    }

    /// `24 June 2013 00:00 UTC`, `24 June 2013 02:00 Europe/Paris`.
    pub(super) fn instant(&self, time_us: i64) -> String {
        format!("{} {}", self.formatted(time_us, "%-d %B %Y %H:%M"), self.name())
    }

    fn name(&self) -> &str {
        self.0.as_ref().map_or("UTC", TimeZone::name)
    }

    fn formatted(&self, time_us: i64, pattern: &str) -> String {
        let text = match &self.0 {
            Some(zone) => zone.format(time_us, pattern),
            None => jiff::Timestamp::from_microsecond(time_us)
                .ok()
                .map(|instant| instant.strftime(pattern).to_string()),
        };
        text.unwrap_or_else(|| format!("{time_us}us"))
    }
}

/// `21 450`: groups of three digits.
pub(super) fn quantity(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// The text on one line of at most so many characters: names come from traffic, and a line break in
/// one must not become a header or a paragraph of ours.
pub(super) fn one_line(text: &str, most_chars: usize) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect();
    if clean.chars().count() <= most_chars {
        return clean;
    }
    let mut short: String = clean.chars().take(most_chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Line and paragraph separators and the marks that turn the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
