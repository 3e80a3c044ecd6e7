//! What the operator says that columns are.

use anyhow::bail;

/// The columns of `--kind`, by what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) numeric: Vec<String>,
    pub(super) categorical: Vec<String>,
    pub(super) ignore: Vec<String>,
    /// The column that holds the event time.
    pub(super) time: Option<String>,
}

impl Kinds {
    /// Reads `COLUMN=KIND` each; a name may hold an equals sign.
    pub(super) fn parse(written: &[String]) -> anyhow::Result<Kinds> {
        let mut kinds = Kinds::default();
        for written in written {
            let Some((column, kind)) = written.rsplit_once('=').filter(|(it, _)| !it.is_empty())
            else {
                bail!("--kind: {written:?}: write COLUMN=number, category, ignore or time");
            };
            let column = column.to_owned();
            match kind {
                "number" | "numeric" => kinds.numeric.push(column),
                "category" | "categorical" => kinds.categorical.push(column),
                "ignore" => kinds.ignore.push(column),
                "time" => match &kinds.time {
                    None => kinds.time = Some(column),
                    Some(first) => bail!("--kind: two columns for the time, {first} and {column}"),
                },
                other => {
                    bail!("--kind: {column}: {other:?} is none of number, category, ignore, time")
                }
            }
        }
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_one_thing() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Kinds::parse(&words).map_err(|error| error.to_string())
        };
        let kinds = parse(&["zip=category", "id=ignore", "ts=time", "a=b=number"]).unwrap();
        assert_eq!(kinds.categorical, ["zip"]);
        assert_eq!(kinds.ignore, ["id"]);
        assert_eq!(kinds.numeric, ["a=b"]);
        assert_eq!(kinds.time.as_deref(), Some("ts"));
        assert!(parse(&["zip"]).unwrap_err().contains("write COLUMN=number"));
        assert!(parse(&["=time"]).is_err());
        assert!(parse(&["zip=code"]).unwrap_err().contains("none of number"));
        assert!(parse(&["a=time", "b=time"]).unwrap_err().contains("a and b"));
    }
}
