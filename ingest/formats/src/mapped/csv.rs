//! Comma-separated cells as RFC 4180 writes them, without a header.

use std::borrow::Cow;

/// The lines of a text.
pub(crate) struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        Lines { rest: text }
    }

    /// The cells of the next line; `None` behind the last. A line break at the end of the text begins no
    /// further line.
    ///
    /// # Errors
    /// A sentence: a quote that is not closed, or that something follows.
    pub(crate) fn next_line(&mut self) -> Result<Option<Vec<Cow<'a, str>>>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut cells = Vec::new();
        loop {
            cells.push(self.cell()?);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            self.rest = rest.or_else(|| self.rest.strip_prefix('\r')).unwrap_or_default();
            return Ok(Some(cells));
        }
    }

    fn cell(&mut self) -> Result<Cow<'a, str>, &'static str> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
            let (cell, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(Cow::Borrowed(cell));
        };
        let mut cell = Cow::Borrowed("");
        let mut rest = quoted;
        loop {
            let (piece, behind) = rest.split_once('"').ok_or("a quote of a cell is not closed")?;
            if cell.is_empty() {
                cell = Cow::Borrowed(piece);
            } else {
                cell.to_mut().push_str(piece);
            }
            match behind.strip_prefix('"') {
                Some(behind) => {
                    cell.to_mut().push('"');
                    rest = behind;
                }
                None => {
                    self.rest = behind;
                    break;
                }
            }
        }
        let ended = self.rest.is_empty() || self.rest.starts_with([',', '\n', '\r']);
        if ended { Ok(cell) } else { Err("something stands behind the quote of a cell") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Some(cells) = lines.next_line()? {
            all.push(cells.into_iter().map(Cow::into_owned).collect());
        }
        Ok(all)
    }

    #[test]
    fn cells_are_those_of_rfc_4180() {
        let table: &[(&str, &[&[&str]])] = &[
            ("", &[]),
            ("1", &[&["1"]]),
            ("1,2\n3,4\n", &[&["1", "2"], &["3", "4"]]),
            ("1,2\r\n3,4", &[&["1", "2"], &["3", "4"]]),
            ("107,,0,\n", &[&["107", "", "0", ""]]),
            ("\n\n", &[&[""], &[""]]),
            ("\"a,\"\"b\"\"\",\"\n\",\"\"\n", &[&["a,\"b\"", "\n", ""]]),
            (" a , b", &[&[" a ", " b"]]),
        ];
        for (text, expected) in table {
            assert_eq!(lines(text).unwrap(), *expected, "{text:?}");
        }
        for text in ["\"a", "\"a\"b", "1,\"\"\""] {
            assert!(lines(text).is_err(), "{text:?}");
        }
    }
}
