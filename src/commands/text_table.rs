//! Tables for people: aligned columns, with colour where a terminal shows them.

use std::io::IsTerminal;

use driftline_config::Level;

#[derive(Debug)]
pub(crate) struct TextTable {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// Whether colours are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl TextTable {
    /// A table with these headings; those that begin with `>` are aligned to the right. The last
    /// column may be as long as it likes.
    pub(crate) fn new(headings: &[&str]) -> TextTable {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let headings = headings.iter().map(|h| h.trim_start_matches('>').to_owned()).collect();
        TextTable { right, rows: vec![headings] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.right.len();
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(visible(cell));
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let fill = " ".repeat(width - visible(cell));
                match right {
                    true => line.push_str(&format!("{fill}{cell}  ")),
                    false => line.push_str(&format!("{cell}{fill}  ")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

impl Paint {
    #[cfg(test)]
    pub(crate) fn on(on: bool) -> Paint {
        Paint { on }
    }

    /// Colours on a terminal that can show them, unless `NO_COLOR` asks for none (no-color.org).
    pub(crate) fn of(out: &impl IsTerminal) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint { on: out.is_terminal() && !refused && !dumb }
    }

    /// The name of a level, in its colour.
    pub(crate) fn level(self, level: Level) -> String {
        let name = match level {
            Level::Alarm => "alarm",
            Level::Warn => "warn",
            Level::Ok => "ok",
            Level::NotComputable => "not computable",
        };
        self.of_level(level, name)
    }

    /// A text in the colour of a level.
    pub(crate) fn of_level(self, level: Level, text: &str) -> String {
        let colour = match level {
            Level::Alarm => "31;1",
            Level::Warn => "33",
            Level::Ok => "32",
            Level::NotComputable => "2",
        };
        if self.on { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A text that cannot steer a terminal: what captures may bring of control characters is replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Characters that take room: those of colours do not.
fn visible(text: &str) -> usize {
    let mut count = 0;
    let mut in_colour = false;
    for character in text.chars() {
        match (character, in_colour) {
            ('\u{1b}', _) => in_colour = true,
            ('m', true) => in_colour = false,
            (_, true) => {}
            (_, false) => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_colours_take_no_room() {
        let mut table = TextTable::new(&["level", ">value", "because"]);
        table.row(vec![Paint::on(true).level(Level::Ok), "1.5".to_owned(), "ä b".to_owned()]);
        table.row(vec![Paint::on(false).level(Level::Alarm), "12".to_owned(), String::new()]);
        let expected =
            "level  value  because\n\u{1b}[32mok\u{1b}[0m       1.5  ä b\nalarm     12\n";
        assert_eq!(table.render(), expected);
    }
}
