//! What is written to: whether it shows colours, and how wide it is.

use std::io::IsTerminal;

use clap::ValueEnum;

use super::text_table::Paint;

/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;
/// Below this nothing is readable in any layout.
const LEAST_WIDTH: usize = 40;

/// When colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that can show them.
    #[default]
    Auto,
    Always,
    Never,
}

/// Where a text is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) paint: Paint,
    /// Characters of a line; without one, for programs, a line is as long as it likes.
    pub(crate) width: Option<usize>,
}

impl Screen {
    /// For programs and tests: no colours, lines of any length.
    #[cfg(test)]
    pub(crate) const PLAIN: Screen = Screen { paint: Paint { on: false }, width: None };

    pub(crate) fn of(out: &impl IsTerminal, color: Color) -> Screen {
        let terminal = out.is_terminal();
        let on = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => colours(terminal, &|name| std::env::var(name).ok()),
        };
        Screen { paint: Paint { on }, width: terminal.then(width) }
    }

    /// A paragraph in lines that fit, those after the first set in by `indent` blanks; a word that fits on no
    /// line is broken.
    pub(crate) fn wrapped(self, text: &str, indent: usize) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        let begins = text.chars().take_while(|letter| *letter == ' ').count();
        let mut lines = Vec::new();
        let (mut line, mut used) = (" ".repeat(begins), begins);
        let mut empty = true;
        for word in text.trim_start().split(' ') {
            let mut word: Vec<char> = word.chars().collect();
            let gap = usize::from(!empty);
            if !empty && used + gap + word.len() > width {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                (used, empty) = (indent, true);
            }
            while used + word.len() > width && used < width {
                let rest = word.split_off(width - used);
                line.extend(word);
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                (used, word) = (indent, rest);
            }
            if !empty {
                line.push(' ');
                used += 1;
            }
            used += word.len();
            line.extend(word);
            empty = false;
        }
        lines.push(line);
        lines.join("\n")
    }
}

/// By no-color.org, force-color.org and bixense.com/clicolors, in this order.
fn colours(terminal: bool, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    if set("FORCE_COLOR") || set("CLICOLOR_FORCE") {
        return true;
    }
    let refused = variable("CLICOLOR").is_some_and(|value| value == "0");
    terminal && !refused && variable("TERM").is_none_or(|term| term != "dumb")
}

/// As `COLUMNS` says, or the terminal.
fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    said.or_else(terminal).unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables, whether it is a terminal, and whether there are colours.
    type Case<'a> = (&'a [(&'a str, &'a str)], bool, bool);

    #[test]
    fn the_usual_variables_decide_over_colours() {
        let table: [Case<'_>; 8] = [
            (&[], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR", "0")], true, false),
            (&[("TERM", "dumb")], true, false),
        ];
        for (variables, terminal, expected) in table {
            let variable = |name: &str| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(colours(terminal, &variable), expected, "{variables:?} {terminal}");
        }
    }

    #[test]
    fn paragraphs_fit() {
        let screen = Screen { width: Some(12), ..Screen::PLAIN };
        assert_eq!(screen.wrapped("one two three four", 2), "one two\n  three four");
        assert_eq!(screen.wrapped("a  b", 2), "a  b");
        assert_eq!(screen.wrapped("1 abcdefghijklmnop", 2), "1\n  abcdefghij\n  klmnop");
        assert_eq!(Screen::PLAIN.wrapped("one two three four", 2), "one two three four");
    }
}
