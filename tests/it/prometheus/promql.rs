//! As much of PromQL as it takes to name the series that an expression selects.

/// One selector of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Name of the metric.
    pub(crate) metric: String,
    /// What stands between its braces.
    pub(crate) matchers: String,
    /// What stands between brackets behind it.
    pub(crate) range: Option<String>,
    /// The function or aggregation that it is the argument of.
    pub(crate) within: Option<String>,
}

/// Words that are neither metrics nor functions; a list of labels may follow the first five.
const WORDS: [&str; 12] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "Inf",
];

/// The selectors of an expression, in order. What is no PromQL is Prometheus's to refuse.
pub(crate) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found: Vec<Selector> = Vec::new();
    let mut functions: Vec<Option<String>> = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let name_length = rest.find(|c: char| !(c.is_alphanumeric() || "_:.$".contains(c)));
        let (word, behind) = rest.split_at(name_length.unwrap_or(rest.len()));
        if word.is_empty() {
            match first {
                '(' => functions.push(None),
                ')' => drop(functions.pop()),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = behind.trim_start();
        if first.is_ascii_digit() {
            continue;
        }
        if let Some(place) = WORDS.iter().position(|known| *known == word) {
            if place < 6 && rest.starts_with('(') {
                rest = inside(rest, ')').1;
            }
            continue;
        }
        if let Some(arguments) = rest.strip_prefix('(') {
            functions.push(Some(word.to_owned()));
            rest = arguments;
            continue;
        }
        // An aggregation may name its labels before its argument.
        if let Some(list) = rest.strip_prefix("by").or_else(|| rest.strip_prefix("without")) {
            let behind = inside(list.trim_start(), ')').1.trim_start();
            functions.push(Some(word.to_owned()));
            rest = behind.strip_prefix('(').expect("an argument follows the labels");
            continue;
        }
        let (matchers, behind) = inside(rest, '}');
        let (range, behind) = match behind.starts_with('[') {
            true => inside(behind, ']'),
            false => ("", behind),
        };
        rest = behind;
        found.push(Selector {
            metric: word.to_owned(),
            matchers: matchers.to_owned(),
            range: (!range.is_empty()).then(|| range.to_owned()),
            within: functions.iter().rev().flatten().next().cloned(),
        });
    }
    found
}

/// What stands between the bracket that `text` starts with and `closing`, and what follows. Nothing
/// where it starts with another character.
fn inside(text: &str, closing: char) -> (&str, &str) {
    let opening = match closing {
        ')' => '(',
        ']' => '[',
        _ => '{',
    };
    let Some(text) = text.strip_prefix(opening) else { return ("", text) };
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted ^= c == '"';
        if c == closing && !quoted {
            return (&text[..at], &text[at + c.len_utf8()..]);
        }
    }
    (text, "")
}

#[test]
fn selectors_are_found_with_what_belongs_to_them() {
    let found = |expression: &str| -> Vec<String> {
        let written = |it: Selector| {
            let range = it.range.map(|range| format!("[{range}]")).unwrap_or_default();
            format!("{}: {}{{{}}}{range}", it.within.unwrap_or_default(), it.metric, it.matchers)
        };
        selectors(expression).into_iter().map(written).collect()
    };
    for (expression, expected) in [
        ("vector(1)", vec![]),
        ("up == 0 or absent(up{job=\"a}b\"})", vec![": up{}", "absent: up{job=\"a}b\"}"]),
        (
            "sum by (job, le) (rate(a_total{x=~\"4|5\"}[5m] offset 1d)) / on (job) group_left (m) b:c:d > 1.5",
            vec!["rate: a_total{x=~\"4|5\"}[5m]", ": b:c:d{}"],
        ),
        ("sum(a == bool 2) by (model) unless on () b", vec!["sum: a{}", ": b{}"]),
        (
            "histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval])))",
            vec!["rate: a_bucket{}[$__rate_interval]"],
        ),
    ] {
        assert_eq!(found(expression), expected, "{expression}");
    }
}
