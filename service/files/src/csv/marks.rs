//! Numbers as people write them: with a decimal comma, or with marks between thousands.

/// How the numbers of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mark {
    /// `1234.5`
    #[default]
    Point,
    /// `1234,5`, and `1.234,5`.
    Comma,
    /// `1,234.5`
    Thousands,
}

/// What the values of a column say about their marks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    /// Values whose comma can only be decimal.
    comma: u64,
    /// Values of at most three digits, a comma and three digits.
    either: u64,
    /// Values whose comma can only stand between thousands.
    thousands: u64,
    /// Values whose point can only be decimal.
    point: u64,
}

/// The digits of a number between its marks.
struct Groups<'a> {
    whole: &'a str,
    /// What stands behind the last mark, where there is one.
    last: Option<&'a str>,
    /// Groups between the first mark and the last.
    between: Vec<&'a str>,
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_group(text: &str) -> bool {
    text.len() == 3 && is_digits(text)
}

impl<'a> Groups<'a> {
    fn of(text: &'a str, mark: char) -> Option<Groups<'a>> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let mut groups: Vec<&str> = digits.split(mark).collect();
        let last = if groups.len() > 1 { groups.pop() } else { None };
        let whole = *groups.first()?;
        Some(Groups { whole, last, between: groups.split_off(1) })
    }

    /// Whether marks between thousands look like this.
    fn grouped(&self) -> bool {
        (1..=3).contains(&self.whole.len())
            && is_digits(self.whole)
            && self.between.iter().all(|group| is_group(group))
            && self.last.is_none_or(is_group)
    }
}

impl Evidence {
    pub(super) fn look(&mut self, text: &str) {
        let text = text.trim();
        if !text.contains([',', '.']) || text.len() > 40 {
            return;
        }
        match (text.rsplit_once(','), text.rsplit_once('.')) {
            (Some((before, after)), None) if is_digits(after) => {
                let Some(parts) = Groups::of(text, ',') else { return };
                let alone = parts.between.is_empty();
                match (parts.grouped(), alone) {
                    (true, true) if parts.whole != "0" => self.either += 1,
                    (true, false) => self.thousands += 1,
                    (_, true) if is_digits(before.trim_start_matches(['-', '+'])) => {
                        self.comma += 1
                    }
                    _ => {}
                }
            }
            (None, Some((before, after))) if is_digits(after) => {
                let plain = is_digits(before.trim_start_matches(['-', '+']));
                let grouped = Groups::of(text, '.').is_some_and(|parts| parts.grouped());
                self.point += u64::from(plain && !grouped);
            }
            (Some((before, after)), Some(_)) => {
                let grouped =
                    |text: &str, mark: char| Groups::of(text, mark).is_some_and(|it| it.grouped());
                if is_digits(after) && grouped(before, '.') {
                    self.comma += 1;
                } else if let Some((whole, fraction)) = text.rsplit_once('.') {
                    self.thousands += u64::from(is_digits(fraction) && grouped(whole, ','));
                }
            }
            _ => {}
        }
    }

    /// How the column is written; where nothing decides it, as programs write it. `by_comma` says that
    /// commas separate the values of the file.
    pub(super) fn mark(self, by_comma: bool) -> Mark {
        let Evidence { comma, either, thousands, point } = self;
        if thousands > 0 && comma == 0 {
            Mark::Thousands
        } else if point == 0 && thousands == 0 && (comma > 0 || (either > 0 && !by_comma)) {
            Mark::Comma
        } else {
            Mark::Point
        }
    }
}

impl Mark {
    /// The number as programs write it, where the text is one that is written with this mark.
    pub(super) fn plain(self, text: &str) -> Option<String> {
        let text = text.trim();
        let (decimal, between) = match self {
            Mark::Point => return None,
            Mark::Comma => (',', '.'),
            Mark::Thousands => ('.', ','),
        };
        let (whole, fraction) = match text.rsplit_once(decimal) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let parts = Groups::of(whole, between)?;
        let digits = is_digits(parts.whole) && (parts.last.is_none() || parts.grouped());
        let marked = fraction.is_some() || parts.last.is_some();
        if !digits || !marked || !fraction.is_none_or(is_digits) {
            return None;
        }
        let mut plain = whole.replace(between, "");
        if let Some(fraction) = fraction {
            plain.push('.');
            plain.push_str(fraction);
        }
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_what_the_values_can_only_mean() {
        let table: [(&[&str], bool, Mark); 11] = [
            (&["1,5", "20", "-3,25"], false, Mark::Comma),
            (&["1.234,5", "2"], false, Mark::Comma),
            (&["1,234", "5,678"], false, Mark::Comma),
            (&["1,234", "5,678"], true, Mark::Point),
            (&["0,125"], true, Mark::Comma),
            (&["1,234.5", "1,234"], true, Mark::Thousands),
            (&["1,234,567"], true, Mark::Thousands),
            (&["1.5", "2,5"], false, Mark::Point),
            (&["1.5", "2"], false, Mark::Point),
            (&["a,b", "Köln, am Rhein", "1,a"], true, Mark::Point),
            (&["12.05.2024", "2024-05-12"], false, Mark::Point),
        ];
        for (values, by_comma, expected) in table {
            let mut evidence = Evidence::default();
            values.iter().for_each(|value| evidence.look(value));
            assert_eq!(evidence.mark(by_comma), expected, "{values:?}");
        }
        let table = [
            (Mark::Comma, "1,5", Some("1.5")),
            (Mark::Comma, "-1.234,50", Some("-1234.50")),
            (Mark::Comma, "1.234", Some("1234")),
            (Mark::Comma, "12", None),
            (Mark::Comma, "12.05.2024", None),
            (Mark::Comma, "a,b", None),
            (Mark::Thousands, "1,234,567.5", Some("1234567.5")),
            (Mark::Thousands, "1,234", Some("1234")),
            (Mark::Thousands, "1,2", None),
            (Mark::Point, "1,5", None),
        ];
        for (mark, text, expected) in table {
            assert_eq!(mark.plain(text).as_deref(), expected, "{mark:?} {text}");
        }
    }
}
