//! How a CSV is written: what separates its values, which lines are no rows, and its names.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::marks::{Evidence, Mark};
use super::{CsvFile, decoded};
use crate::error::FileError;

/// What separates values, the likelier first.
const DELIMITERS: [(u8, &str); 4] =
    [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];
/// Records that are looked at for each of them.
const RECORDS: usize = 1000;

/// What a sample says of a file, for one delimiter.
struct Look {
    delimiter: u8,
    records: Vec<ByteRecord>,
    names: ByteRecord,
    /// Which of the records the names are.
    header: usize,
    /// Whether the names stand behind the sign of a comment.
    hidden: bool,
    /// The share of rows with as many values as there are names.
    even: f64,
}

/// Reads the dialect from the beginning of a file; `whole` says that it is all of it.
pub(super) fn dialect(path: &Path, sample: &[u8], whole: bool) -> Result<CsvFile, FileError> {
    let said = said_delimiter(sample);
    let looks = DELIMITERS.iter().map(|(delimiter, _)| *delimiter);
    let looks = looks.filter(|delimiter| said.is_none_or(|said| said == *delimiter));
    let looks: Vec<Look> = looks.filter_map(|delimiter| look(sample, delimiter, whole)).collect();
    let mut best: Option<&Look> = None;
    for look in &looks {
        let better =
            |best: &Look| look.names.len() > 1 && (best.names.len() == 1 || look.even > best.even);
        if best.is_none_or(better) {
            best = Some(look);
        }
    }
    let name = path.display().to_string();
    let best = best.ok_or(FileError::Empty { name: name.clone(), what: "columns" })?;
    let mut names: Vec<String> =
        best.names.iter().map(|name| decoded(name).trim().to_owned()).collect();
    if best.hidden
        && let Some(first) = names.first_mut()
    {
        *first = first.trim_start_matches('#').trim().to_owned();
    }
    let mut evidence = vec![Evidence::default(); names.len()];
    for record in best.rows() {
        for (evidence, value) in evidence.iter_mut().zip(record) {
            evidence.look(&decoded(value));
        }
    }
    let by_comma = best.delimiter == b',';
    let marks: Vec<Mark> = evidence.into_iter().map(|it| it.mark(by_comma)).collect();
    Ok(CsvFile {
        path: path.to_owned(),
        delimiter: best.delimiter,
        head: best.header + 1,
        names,
        marks,
    })
}

/// What there is to say about a dialect that is not the usual one.
pub(super) fn remarks(file: &CsvFile) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some((_, name)) = DELIMITERS.iter().skip(1).find(|(it, _)| *it == file.delimiter) {
        remarks.push(format!("values are separated by {name}"));
    }
    for (mark, says) in
        [(Mark::Comma, "a decimal comma"), (Mark::Thousands, "commas between thousands")]
    {
        let columns = file.names.iter().zip(&file.marks).filter(|(_, it)| **it == mark);
        let columns: Vec<&str> = columns.map(|(name, _)| name.as_str()).collect();
        if !columns.is_empty() {
            remarks.push(format!("{says} in {}", columns.join(", ")));
        }
    }
    remarks
}

/// Excel writes `sep=;` as the first line.
fn said_delimiter(sample: &[u8]) -> Option<u8> {
    match sample {
        [b's', b'e', b'p', b'=', delimiter, b'\r' | b'\n', ..] => Some(*delimiter),
        _ => None,
    }
}

fn look(sample: &[u8], delimiter: u8, whole: bool) -> Option<Look> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(sample);
    let mut records: Vec<ByteRecord> =
        reader.byte_records().take(RECORDS).filter_map(Result::ok).collect();
    if !whole && records.len() < RECORDS && records.len() > 1 {
        // The last one is cut.
        records.pop();
    }
    let says = |record: &ByteRecord, start: &[u8]| {
        record.get(0).is_some_and(|first| first.starts_with(start))
    };
    let from = usize::from(records.first().is_some_and(|first| says(first, b"sep=")));
    let comments = records.iter().skip(from).take_while(|record| says(record, b"#")).count();
    let mut header = from + comments;
    // A last comment with as many values as the rows is no comment but the names.
    let before = header.checked_sub(1).filter(|_| comments > 0).and_then(|at| records.get(at));
    let hidden = match (before, records.get(header)) {
        (Some(names), Some(row)) => {
            names.len() > 1 && names.len() == row.len() && !says(names, b"# ")
        }
        (Some(_), None) => true,
        _ => false,
    };
    header -= usize::from(hidden);
    let names = records.get(header)?.clone();
    let rows: Vec<&ByteRecord> = records.iter().skip(header + 1).collect();
    let even = rows.iter().filter(|row| row.len() == names.len()).count() as f64;
    let even = if rows.is_empty() { 1.0 } else { even / rows.len() as f64 };
    Some(Look { delimiter, records, names, header, hidden, even })
}

impl Look {
    fn rows(&self) -> impl Iterator<Item = &ByteRecord> {
        self.records.iter().skip(self.header + 1)
    }
}
