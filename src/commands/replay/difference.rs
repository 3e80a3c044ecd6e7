//! The first place where two reports differ.

use std::fmt;

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Keys and indices from the top, such as `findings[3].ks.value`.
    pub(crate) path: String,
    /// What the stored report says there.
    pub(crate) stored: String,
    pub(crate) computed: String,
}

/// What stands where a report has nothing.
const NOTHING: &str = "nothing";

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { path, stored, computed } = self;
        write!(formatter, "{path}: stored {stored}, computed {computed}")
    }
}

/// Compares byte for byte; `None` where there is no difference.
pub(crate) fn first_difference(stored: &str, computed: &str) -> Option<Difference> {
    if stored == computed {
        return None;
    }
    let parsed = (serde_json::from_str(stored), serde_json::from_str(computed));
    if let (Ok(stored), Ok(computed)) = parsed
        && let Some(difference) = compare(&stored, &computed, "")
    {
        return Some(difference);
    }
    // The same values, written in another way.
    let same = stored.bytes().zip(computed.bytes()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| -> String {
        text.bytes().skip(same.saturating_sub(20)).take(40).map(char::from).collect()
    };
    let path = format!("byte {same}");
    Some(Difference { path, stored: around(stored), computed: around(computed) })
}

fn compare(stored: &Value, computed: &Value, path: &str) -> Option<Difference> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (stored, computed) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                let found = match other.get(key) {
                    Some(computed) => compare(value, computed, &below(key)),
                    None => Some(different(&below(key), Some(value), None)),
                };
                if found.is_some() {
                    return found;
                }
            }
            let more = other.iter().find(|(key, _)| !one.contains_key(*key));
            more.map(|(key, value)| different(&below(key), None, Some(value)))
        }
        (Value::Array(one), Value::Array(other)) => {
            (0..one.len().max(other.len())).find_map(|index| {
                let path = format!("{path}[{index}]{}", label(one.get(index)));
                match (one.get(index), other.get(index)) {
                    (Some(stored), Some(computed)) => compare(stored, computed, &path),
                    (stored, computed) => Some(different(&path, stored, computed)),
                }
            })
        }
        _ if stored == computed => None,
        _ => Some(different(path, Some(stored), Some(computed))),
    }
}

/// The subject and the check of a finding, so that nobody has to count.
fn label(element: Option<&Value>) -> String {
    let text = |key: &str| element.and_then(|element| element.get(key)).and_then(Value::as_str);
    match (text("subject"), text("check")) {
        (Some(subject), Some(check)) => format!("({subject} {check})"),
        _ => String::new(),
    }
}

fn different(path: &str, stored: Option<&Value>, computed: Option<&Value>) -> Difference {
    let said = |value: Option<&Value>| value.map_or(NOTHING.to_owned(), Value::to_string);
    Difference { path: path.to_owned(), stored: said(stored), computed: said(computed) }
}
