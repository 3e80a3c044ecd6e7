//! Tables for people: aligned columns that fit the screen, with colour where it shows them.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use driftline_config::Level;

use super::screen::Screen;

#[derive(Debug)]
pub(crate) struct TextTable {
    headings: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// Whether colours are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    pub(super) on: bool,
}

impl TextTable {
    /// A table with these headings; those that begin with `>` are aligned to the right. A first column of
    /// levels is shown in their colours.
    pub(crate) fn new(headings: &[&str]) -> TextTable {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let headings = headings.iter().map(|h| h.trim_start_matches('>').to_owned()).collect();
        TextTable { headings, right, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines of the table, none of them wider than the screen.
    pub(crate) fn render(&self, screen: Screen) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        match screen.width.and_then(|width| u16::try_from(width).ok()) {
            // Two blanks stand behind the last column too, and are cut off again.
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.saturating_add(2)),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(&self.headings);
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::new));
        }
        for (column, right) in table.column_iter_mut().zip(&self.right) {
            column.set_padding((0, 2));
            if *right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines = table.lines().map(|line| screen.paint.line(line.trim_end()) + "\n");
        lines.collect()
    }
}

impl Paint {
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

    /// A line that begins with the name of a level, with that name in its colour.
    fn line(self, line: &str) -> String {
        for level in Level::ALL {
            let name = level_name(level);
            if let Some(rest) = line.strip_prefix(name)
                && (rest.is_empty() || rest.starts_with(' '))
            {
                return self.of_level(level, name) + rest;
            }
        }
        line.to_owned()
    }
}

/// The name of a level, as people are told.
pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Alarm => "alarm",
        Level::Warn => "warn",
        Level::Ok => "ok",
        Level::NotComputable => "not computable",
    }
}

/// A text that cannot steer a terminal: what captures may bring of control characters is replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable {
        let mut table = TextTable::new(&["level", ">value", "because"]);
        table.row(vec!["ok".to_owned(), "1.5".to_owned(), "ä b".to_owned()]);
        table.row(vec![
            "alarm".to_owned(),
            "12".to_owned(),
            "many words that go on and on".to_owned(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_and_colours_take_no_room() {
        let painted = Screen { paint: Paint { on: true }, width: None };
        let expected = "level  value  because\n\u{1b}[32mok\u{1b}[0m       1.5  ä b\n\u{1b}[31;1malarm\u{1b}[0m     12  many words that go on and on\n";
        assert_eq!(table().render(painted), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [24, 30, 40, 80] {
            let text = table().render(Screen { width: Some(width), ..Screen::PLAIN });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }
}
