//! JSON that is not one object per line, as people have it, and how it becomes that.

use serde_json::{Map, Value};

use crate::error::FileError;

/// What a file of JSON is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// `[{…},{…}]`
    List,
    /// An object that goes on over several lines.
    Pretty,
    /// `{"column":{"0":…,"1":…}}`, which pandas writes by default, or rows by their index.
    Columns,
    /// `{"columns":[…],"index":[…],"data":[[…]]}`, or with a schema.
    Frame,
}

impl Other {
    /// Of a first line that is no object.
    pub(super) fn of_text(line: &[u8]) -> Option<Other> {
        match line {
            [b'[', ..] => Some(Other::List),
            [b'{'] => Some(Other::Pretty),
            _ => None,
        }
    }

    /// Of an object that may be all of the file.
    pub(super) fn of_object(object: &Map<String, Value>) -> Option<Other> {
        let list = |key: &str| object.get(key).is_some_and(Value::is_array);
        let column_names = list("columns") || object.get("schema").is_some_and(Value::is_object);
        if column_names && list("data") {
            return Some(Other::Frame);
        }
        let mut values = object.values().map(Value::as_object);
        let first = values.next()??;
        let like_first = |other: Option<&Map<String, Value>>| {
            other.is_some_and(|other| other.keys().eq(first.keys()))
        };
        (!first.is_empty() && values.all(like_first)).then_some(Other::Columns)
    }

    pub(super) fn refused(self, name: &str) -> FileError {
        const PANDAS: &str = ", in pandas with to_json(path, orient=\"records\", lines=True)";
        let (what, how) = match self {
            Other::List => ("one JSON list of all rows", PANDAS),
            Other::Pretty => ("a JSON object over several lines", ""),
            Other::Columns => {
                ("one JSON object of columns, as pandas' to_json() writes by default", PANDAS)
            }
            Other::Frame => ("one JSON object with the names beside the data", PANDAS),
        };
        FileError::Shape { name: name.to_owned(), what, how }
    }
}
