//! What is wrong with a configuration: every problem of one reading, each with its place.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, where it stands, and what would be right. Never holds the text of a
/// secret or of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named on the command line or matched by `include`.
    pub file: PathBuf,
    /// Counted from 1; 0 where the problem is the whole file.
    pub line: usize,
    /// Counted in characters from 1; 0 where the problem is the whole file.
    pub column: usize,
    pub message: String,
    /// What would be right, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(formatter, "{}:{}:", self.line, self.column)?;
        }
        write!(formatter, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, ": {hint}"),
            None => Ok(()),
        }
    }
}

/// What a file that a model names has to say against the model's settings. Found by whoever can read
/// such files; [`crate::Config::load_examined`] gives it its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub about: About,
    /// A sentence: what is wrong, and what to do.
    pub says: String,
}

/// A part of a model's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The baseline of a version, or `default`.
    Baseline(String),
    Feature(String),
}

/// Every problem of a configuration, in the order of files, lines and columns; at least one.
/// `Display` prints one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}
