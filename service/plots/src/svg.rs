//! The pieces of a picture: escaped text, short numbers, lines, marks, and the frame around them.

use std::fmt::Write;

use driftline_config::Level;

/// Width of most pictures, in units of about a pixel.
pub(super) const WIDTH: f64 = 360.0;
/// Where the area between the axes ends on the right.
pub(super) const RIGHT: f64 = 350.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
}

pub(super) fn at(x: f64, y: f64) -> Place {
    Place { x, y }
}

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug)]
pub(super) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// What a picture says to those who do not see it.
#[derive(Debug)]
pub(super) struct Caption {
    pub(super) title: String,
    pub(super) description: String,
}

impl Drawing {
    pub(super) fn new(width: f64, height: f64) -> Drawing {
        Drawing { width, height, body: String::new() }
    }

    pub(super) fn headed(height: f64, heading: &str) -> Drawing {
        let mut drawing = Drawing::new(WIDTH, height);
        drawing.text("head", at(6.0, 15.0), Anchor::Start, &shortened(heading, 52));
        drawing
    }

    pub(super) fn rect(&mut self, class: &str, corner: Place, width: f64, height: f64) {
        let (x, y) = (short(corner.x), short(corner.y));
        let (width, height) = (short(width), short(height));
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    pub(super) fn line(&mut self, class: &str, from: Place, to: Place) {
        let path = format!("M{}L{}", coordinates(from), coordinates(to));
        self.path(class, &path);
    }

    /// `path` is our own: numbers and letters of a path.
    pub(super) fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            let _ = write!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    pub(super) fn text(&mut self, class: &str, place: Place, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (short(place.x), short(place.y));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{}</text>",
            escaped(text)
        );
    }

    /// A mark whose shape says the level: triangle, diamond, dot, ring.
    pub(super) fn level(&mut self, level: Level, place: Place, size: f64) {
        let class = level_class(level);
        let top = coordinates(at(place.x, place.y - size));
        match level {
            Level::Alarm => {
                let (s, h, w) = (short(size), short(size * 1.8), short(size * 2.0));
                let path = format!("M{top}l{s} {h}h-{w}z");
                self.path(class, &path);
            }
            Level::Warn => {
                let s = short(size);
                let path = format!("M{top}l{s} {s}l-{s} {s}l-{s} -{s}z");
                self.path(class, &path);
            }
            Level::Ok | Level::NotComputable => {
                let (x, y, r) = (short(place.x), short(place.y), short(size * 0.7));
                let _ = write!(
                    self.body,
                    "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>"
                );
            }
        }
    }

    /// The picture: an image to screen readers, with its title and description.
    pub(super) fn finish(self, class: &str, caption: &Caption) -> String {
        let (width, height) = (short(self.width), short(self.height));
        let (title, description) = (escaped(&caption.title), escaped(&caption.description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" role=\"img\" viewBox=\"0 0 {width} {height}\"><title>{title}</title><desc>{description}</desc>{}</svg>",
            self.body
        )
    }
}

/// A path through places; its corners are straight.
pub(super) fn polyline(places: impl IntoIterator<Item = Place>) -> String {
    let mut path = String::new();
    for place in places {
        path.push(if path.is_empty() { 'M' } else { 'L' });
        path.push_str(&coordinates(place));
    }
    path
}

pub(super) fn level_class(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Alarm => "alarm",
        Level::NotComputable => "none",
    }
}

pub(super) fn coordinates(place: Place) -> String {
    format!("{} {}", short(place.x), short(place.y))
}

/// A coordinate to a tenth, without what says nothing.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// At most `most` characters, the last an ellipsis where some are missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Text that stands for itself in an element and in a quoted attribute, of XML as of HTML: letters
/// that XML cannot hold become the replacement character.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}
