//! What a lane and the process of its candidate say to each other: frames of bytes over a pair of sockets.
//!
//! ```text
//! lane ─► model's inputs and outputs (JSON) ─► model's bytes ─► rows (Arrow IPC) ─► rows ─► …
//! lane ◄─ Greeting                          ◄─ Loaded        ◄─ Answer           ◄─ …
//! ```
//!
//! The process may be anything that a hostile model made of it: what it says is read with every length
//! checked.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use driftline_config::CandidateOutput;
use serde::{Deserialize, Serialize};

use crate::model::Scores;

/// Bytes of a frame's length, little-endian.
const LENGTH_BYTES: usize = 8;
/// Most bytes of anything that a candidate's process says: labels of 30 KiB for each of the 512 rows.
pub(crate) const LARGEST_REPLY: u64 = 16 << 20;
/// Rows that are to be scored one by one; all other columns are the candidate's features.
const SINGLE: &str = "single";

/// What of a candidate's configuration its process needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outline {
    pub(crate) inputs: Vec<String>,
    pub(crate) output: CandidateOutput,
}

/// The first word of a process, before it has seen a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// The ONNX Runtime library that was loaded.
    pub(crate) library: PathBuf,
    /// Locks that the kernel does not have; empty where all of them hold.
    pub(crate) lacks: Vec<String>,
}

/// What a process answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Greeting(Greeting),
    /// The model is loaded.
    Loaded,
    /// The library or the model cannot be used, and why.
    Refused(String),
    Answer(Answer),
}

/// What became of the rows of a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    /// Rows by their place in the request.
    pub(crate) scores: Scores,
    /// Rows that were scored together, and how long that took.
    pub(crate) batch_rows: u64,
    pub(crate) batch_ns: u64,
    /// How long each of the rows took that were scored one by one.
    pub(crate) single_ns: Vec<u64>,
    /// Processor time of all of it.
    pub(crate) ran_ns: u64,
    /// Why the rest of the rows has no scores.
    pub(crate) problem: Option<String>,
}

/// Writes a frame and sends it on its way.
pub(crate) fn write_frame(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

/// The next frame; `None` where the other side has ended between two of them.
///
/// # Errors
/// A frame that is longer than `limit` or ends early, and whatever reading meets.
pub(crate) fn read_frame(from: &mut impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH_BYTES];
    let mut filled = 0;
    while let Some(rest) = length.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u64::from_le_bytes(length);
    let invalid = || io::Error::new(ErrorKind::InvalidData, "a frame is too long");
    if length > limit {
        return Err(invalid());
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| invalid())?];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// The features of rows as a frame, with the length in front: one piece is written at once.
pub(crate) fn rows_frame(columns: RecordBatch, single: Vec<bool>) -> Result<Vec<u8>, ArrowError> {
    let (schema, mut arrays, _) = columns.into_parts();
    let single: ArrayRef = Arc::new(BooleanArray::from(single));
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(arrow::datatypes::Field::new(SINGLE, single.data_type().clone(), false)));
    let options = RecordBatchOptions::new().with_row_count(Some(single.len()));
    arrays.push(single);
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?;
    let mut writer = StreamWriter::try_new(vec![0; LENGTH_BYTES], &schema)?;
    writer.write(&batch)?;
    let mut frame = writer.into_inner()?;
    let length = (frame.len() - LENGTH_BYTES) as u64;
    if let Some(place) = frame.get_mut(..LENGTH_BYTES) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(frame)
}

/// The rows of a request, those to be scored together and those to be scored one by one.
#[derive(Debug)]
pub(crate) struct AskedRows {
    pub(crate) batch: RecordBatch,
    pub(crate) together: Vec<u32>,
    pub(crate) single: Vec<u32>,
}

impl AskedRows {
    pub(crate) fn read(frame: &[u8]) -> Result<AskedRows, ArrowError> {
        let mut reader = StreamReader::try_new(Cursor::new(frame), None)?;
        let none = || ArrowError::IpcError("a request holds no rows".to_owned());
        let batch = reader.next().ok_or_else(none)??;
        let single = batch.column_by_name(SINGLE).and_then(|column| column.as_boolean_opt());
        let flags: Vec<bool> = single.ok_or_else(none)?.values().iter().collect();
        let (single, together): (Vec<u32>, Vec<u32>) = (0..)
            .take(flags.len())
            .partition(|row| flags.get(*row as usize).copied().unwrap_or_default());
        Ok(AskedRows { batch, together, single })
    }
}

const GREETING: u8 = 0;
const LOADED: u8 = 1;
const REFUSED: u8 = 2;
const ANSWER: u8 = 3;

impl Reply {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Reply::Greeting(greeting) => {
                // A path that is no text is shown as well as it can be.
                let library = greeting.library.to_string_lossy().into_owned().into();
                let greeting = Greeting { library, lacks: greeting.lacks.clone() };
                [vec![GREETING], serde_json::to_vec(&greeting).unwrap_or_default()].concat()
            }
            Reply::Loaded => vec![LOADED],
            Reply::Refused(reason) => [&[REFUSED], reason.as_bytes()].concat(),
            Reply::Answer(answer) => {
                let mut bytes = Bytes(vec![ANSWER]);
                bytes.answer(answer);
                bytes.0
            }
        }
    }

    /// Reads what a process said about a request of so many rows; `None` where that makes no sense.
    pub(crate) fn read(bytes: &[u8], rows: usize) -> Option<Reply> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            GREETING => serde_json::from_slice(rest).ok().map(Reply::Greeting),
            LOADED => rest.is_empty().then_some(Reply::Loaded),
            REFUSED => Some(Reply::Refused(String::from_utf8_lossy(rest).into_owned())),
            ANSWER => Parts(rest).answer(rows).map(Reply::Answer),
            _ => None,
        }
    }
}

/// Bytes of an answer that is written.
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn numbers(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.number(numbers.len() as u64);
        numbers.for_each(|number| self.number(number));
    }

    fn answer(&mut self, answer: &Answer) {
        let Answer { scores, batch_rows, batch_ns, single_ns, ran_ns, problem } = answer;
        self.numbers(scores.rows.iter().map(|row| u64::from(*row)));
        self.0.push(u8::from(scores.labels.is_some()));
        scores.labels.iter().flatten().for_each(|label| self.text(label));
        self.0.push(u8::from(scores.scores.is_some()));
        scores.scores.iter().flatten().for_each(|score| self.number(score.to_bits()));
        [*batch_rows, *batch_ns, *ran_ns].into_iter().for_each(|number| self.number(number));
        self.numbers(single_ns.iter().copied());
        self.text(problem.as_deref().unwrap_or_default());
    }
}

/// Bytes of an answer that are not read yet.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// How many of something there are, at most so many.
    fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= most)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn answer(&mut self, rows: usize) -> Option<Answer> {
        let scored = self.count(rows)?;
        let mut seen = vec![false; rows];
        let mut scores = Scores { rows: Vec::with_capacity(scored), labels: None, scores: None };
        for _ in 0..scored {
            let row = self.number()?;
            // A row that came twice would be counted twice.
            let place = seen.get_mut(usize::try_from(row).ok()?).filter(|seen| !**seen)?;
            *place = true;
            scores.rows.push(u32::try_from(row).ok()?);
        }
        if self.flag()? {
            scores.labels = Some((0..scored).map(|_| self.text()).collect::<Option<_>>()?);
        }
        if self.flag()? {
            let score = |_| self.number().map(f64::from_bits);
            scores.scores = Some((0..scored).map(score).collect::<Option<_>>()?);
        }
        let batch_rows = self.number().filter(|batch| *batch <= rows as u64)?;
        let (batch_ns, ran_ns) = (self.number()?, self.number()?);
        let singles = self.count(rows)?;
        let single_ns = (0..singles).map(|_| self.number()).collect::<Option<_>>()?;
        let problem = Some(self.text()?).filter(|problem| !problem.is_empty());
        let answer = Answer { scores, batch_rows, batch_ns, single_ns, ran_ns, problem };
        self.0.is_empty().then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn answer() -> Answer {
        Answer {
            scores: Scores {
                rows: vec![2, 0, 1],
                labels: Some(vec!["late".to_owned(), String::new(), "zu spät".to_owned()]),
                scores: Some(vec![0.5, f64::INFINITY, -0.0]),
            },
            batch_rows: 2,
            batch_ns: 1234,
            single_ns: vec![u64::MAX],
            ran_ns: 99,
            problem: Some("the third failed".to_owned()),
        }
    }

    #[test]
    fn what_is_said_is_heard() {
        let greeting = Greeting { library: "/opt/ort.so".into(), lacks: vec!["seccomp".into()] };
        let table = [
            Reply::Greeting(greeting),
            Reply::Loaded,
            Reply::Refused("not an ONNX model".to_owned()),
            Reply::Answer(answer()),
            Reply::Answer(Answer::default()),
        ];
        for reply in table {
            let mut line = Vec::new();
            write_frame(&mut line, &reply.to_bytes()).expect("written");
            let mut rest = line.as_slice();
            let frame = read_frame(&mut rest, LARGEST_REPLY).expect("read").expect("a frame");
            assert_eq!(Reply::read(&frame, 3), Some(reply));
            assert!(read_frame(&mut rest, LARGEST_REPLY).expect("read").is_none());
            let cut = read_frame(&mut &line[..line.len() - 1], LARGEST_REPLY);
            assert_eq!(cut.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
        }
        let long = read_frame(&mut u64::MAX.to_le_bytes().as_slice(), LARGEST_REPLY);
        assert_eq!(long.map_err(|error| error.kind()), Err(ErrorKind::InvalidData));
    }

    #[test]
    fn rows_that_nobody_asked_for_are_no_answer() {
        let bytes = |change: fn(&mut Answer)| {
            let mut answer = answer();
            change(&mut answer);
            Reply::Answer(answer).to_bytes()
        };
        let table = [
            bytes(|answer| answer.scores.rows = vec![0, 0, 1]),
            bytes(|answer| answer.scores.rows = vec![0, 3, 1]),
            bytes(|answer| answer.scores.rows.push(3)),
            bytes(|answer| answer.scores.scores = Some(vec![0.5])),
            bytes(|answer| answer.batch_rows = 4),
            bytes(|answer| answer.single_ns = vec![0; 4]),
            [Reply::Answer(answer()).to_bytes(), vec![0]].concat(),
            [Reply::Loaded.to_bytes(), vec![0]].concat(),
            vec![9],
            Vec::new(),
        ];
        for (position, bytes) in table.into_iter().enumerate() {
            assert_eq!(Reply::read(&bytes, 3), None, "row {position}");
        }
    }

    #[test]
    fn rows_arrive_in_two_parts() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("feature:x", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
            ("feature:y", Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]))),
        ];
        for (columns, rows) in [(columns, 3), (Vec::new(), 2)] {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let (names, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            let fields = names.into_iter().zip(&arrays).map(|(name, array): (&str, &ArrayRef)| {
                arrow::datatypes::Field::new(name, array.data_type().clone(), true)
            });
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let batch = RecordBatch::try_new_with_options(schema, arrays, &options).expect("rows");
            let single = (0..rows).map(|row| row == 1).collect();
            let frame = rows_frame(batch.clone(), single).expect("a frame");
            let rest = read_frame(&mut frame.as_slice(), u64::MAX).expect("read").expect("a frame");
            let read = AskedRows::read(&rest).expect("rows");
            let together: Vec<u32> = (0..rows as u32).filter(|row| *row != 1).collect();
            assert_eq!((read.together, read.single), (together, vec![1]));
            for (position, column) in batch.columns().iter().enumerate() {
                assert_eq!(format!("{column:?}"), format!("{:?}", read.batch.column(position)));
            }
        }
    }

    proptest! {
        /// A process that a model has taken over may say anything.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::read(&bytes, 3);
            let mut whole = Reply::Answer(answer()).to_bytes();
            for (place, byte) in whole.iter_mut().zip(&bytes).skip(1) {
                if *byte < 32 { *place = *byte; }
            }
            let read = Reply::read(&whole, 3);
            if let Some(Reply::Answer(read)) = read {
                prop_assert!(read.scores.rows.iter().all(|row| *row < 3));
            }
        }
    }
}
