//! Who is told how a computation goes: what it leaves out, and how far it is.

/// Whoever waits for a result, as two functions: a terminal shows both, a test neither.
pub struct Audience<'a> {
    /// Takes a sentence about something that was left out or read otherwise than it looks.
    pub note: &'a mut dyn FnMut(&str),
    /// Takes how far it is.
    pub progress: &'a dyn Fn(Progress<'_>),
}

/// How far a computation is. At most one piece of work is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A piece of work begins; `rows` is how many rows it has, where that is known.
    Begins {
        what: &'a str,
        rows: Option<u64>,
    },
    Rows(u64),
    /// The piece of work is done, or given up.
    Ends,
}

impl Audience<'_> {
    /// Runs one piece of work, which is told where to count its rows; ended also where it fails.
    pub fn watch<T>(
        &self,
        what: &str,
        rows: Option<u64>,
        work: impl FnOnce(&dyn Fn(u64)) -> T,
    ) -> T {
        (self.progress)(Progress::Begins { what, rows });
        let done = work(&|rows| (self.progress)(Progress::Rows(rows)));
        (self.progress)(Progress::Ends);
        done
    }

    /// Tells of several things.
    pub fn notes(&mut self, sentences: &[String]) {
        sentences.iter().for_each(|sentence| self.note(sentence));
    }

    /// Tells of something that was left out.
    pub fn note(&mut self, sentence: &str) {
        (self.note)(sentence);
    }
}
