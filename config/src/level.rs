//! How bad it is: one scale for findings, windows, classes and metrics.

use serde::{Deserialize, Serialize};

/// The level of a finding, a window or a class: CONTRACTS §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Within tolerance, or shown without being judged.
    Ok,
    /// Over tolerance without the evidence, or nearly over it with. Shown, never notified.
    Warn,
    /// Over tolerance with evidence that holds over all columns.
    Alarm,
    /// Nothing could have alarmed: says neither good nor bad.
    NotComputable,
}

impl Level {
    /// Every level, from good to unknown.
    pub const ALL: [Level; 4] = [Level::Ok, Level::Warn, Level::Alarm, Level::NotComputable];

    /// The name that reports, metrics and the API write.
    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Alarm => "alarm",
            Level::NotComputable => "not_computable",
        }
    }

    /// The name as people read it, without underscores.
    pub fn words(self) -> &'static str {
        match self {
            Level::NotComputable => "not computable",
            other => other.name(),
        }
    }

    /// The place of a finding of this level in a report: alarms first.
    pub fn place(self) -> u8 {
        match self {
            Level::Alarm => 0,
            Level::Warn => 1,
            Level::Ok => 2,
            Level::NotComputable => 3,
        }
    }

    /// The higher of two levels: `not_computable` is the lowest, so that it stays only where all
    /// are.
    pub fn higher(self, other: Level) -> Level {
        if other.place() < self.place() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_json_writes() {
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
    }
}
