//! A prediction that waits, packed, and what it comes to once its label is known.

use crate::bytes::{Damaged, Reader};
use crate::id::IdHash;
use crate::run::Row;

/// Most columns whose bins wait with a prediction.
pub const BINS: usize = 8;
/// Most candidates whose scores wait with a prediction.
pub const CANDIDATES: usize = 8;

/// A number, or a label by its place among those that a model has.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    Number(f64),
    Code(u16),
}

/// What a candidate said of the same request.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Candidate {
    pub slot: u8,
    pub score: f64,
}

/// One row of a capture, as far as its label is concerned.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct Prediction {
    pub id: IdHash,
    /// Kept to the millisecond.
    pub ts_us: i64,
    /// The window that it counts for; `None` where it came too late for one.
    pub window: Option<u32>,
    /// The version's place among those that the model has.
    pub version: u8,
    pub value: Value,
    /// One over the share of requests that were captured.
    pub weight: f64,
    /// The bins of the explained columns, at most [`BINS`].
    pub bins: Box<[u8]>,
    /// At most [`CANDIDATES`].
    pub candidates: Box<[Candidate]>,
}

/// What became of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Truth {
    pub value: Value,
    /// Nobody said so: no label came within `after`.
    pub implied: bool,
    /// When it was known: the time of the label's order key, or capture and `after`.
    pub known_us: i64,
}

/// Whether something is added to what is known of a window, or taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    Add,
    Subtract,
}

/// A prediction with its truth, for the window and the version that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    pub sign: Sign,
    pub prediction: Prediction,
    pub truth: Truth,
}

/// Bytes before the value; the last one holds the flags.
const HEAD_BYTES: usize = 26;

const CODE: u8 = 1;
const LATE: u8 = 2;
const WEIGHED: u8 = 4;
const BINNED: u8 = 8;
const SCORED: u8 = 16;
const KNOWN: u8 = CODE | LATE | WEIGHED | BINNED | SCORED;

impl Value {
    fn ordered(self) -> (u8, u64) {
        match self {
            Value::Number(number) => (0, number.to_bits()),
            Value::Code(code) => (1, u64::from(code)),
        }
    }

    pub(crate) fn write(self, into: &mut Vec<u8>) {
        match self {
            Value::Number(number) => into.extend(number.to_le_bytes()),
            Value::Code(code) => into.extend(code.to_le_bytes()),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, is_code: bool) -> Result<Value, Damaged> {
        match is_code {
            true => Ok(Value::Code(reader.u16()?)),
            false => Ok(Value::Number(reader.f64()?)),
        }
    }
}

// By their bits: a NaN is itself, or a label of it would be taken back and given again for ever.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.ordered() == other.ordered()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> std::cmp::Ordering {
        self.ordered().cmp(&other.ordered())
    }
}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ordered().hash(state);
    }
}

/// Hash 16, ms since the bucket began 4, window 4, version 1, flags 1, score 8 or code 2; then what the flags say
/// is there: weight 8; number of bins 1, bins; number of candidates 1, each slot 1 and score 8.
impl Row for Prediction {
    const WHAT: &'static str = "a page of predictions";

    fn id(&self) -> IdHash {
        self.id
    }

    fn write(&self, from_us: i64, into: &mut Vec<u8>) {
        let is_code = matches!(self.value, Value::Code(_));
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(is_code, CODE)
            | flag(self.window.is_none(), LATE)
            | flag(self.weight.to_bits() != 1_f64.to_bits(), WEIGHED)
            | flag(!self.bins.is_empty(), BINNED)
            | flag(!self.candidates.is_empty(), SCORED);
        into.extend(self.id.0.to_le_bytes());
        into.extend((((self.ts_us - from_us) / 1000) as u32).to_le_bytes());
        into.extend(self.window.unwrap_or_default().to_le_bytes());
        into.extend([self.version, flags]);
        self.value.write(into);
        if flags & WEIGHED != 0 {
            into.extend(self.weight.to_le_bytes());
        }
        if flags & BINNED != 0 {
            into.push(self.bins.len() as u8);
            into.extend_from_slice(&self.bins);
        }
        if flags & SCORED != 0 {
            into.push(self.candidates.len() as u8);
            for candidate in &self.candidates {
                into.push(candidate.slot);
                into.extend(candidate.score.to_le_bytes());
            }
        }
    }

    fn length(row: &[u8]) -> Result<usize, Damaged> {
        let byte = |at: usize| {
            row.get(at).copied().map(usize::from).ok_or(Damaged::Short { what: Self::WHAT })
        };
        let flags = byte(HEAD_BYTES - 1)? as u8;
        let mut length = HEAD_BYTES + if flags & CODE != 0 { 2 } else { 8 };
        if flags & WEIGHED != 0 {
            length += 8;
        }
        if flags & BINNED != 0 {
            length += 1 + byte(length)?;
        }
        if flags & SCORED != 0 {
            length += 1 + 9 * byte(length)?;
        }
        Ok(length)
    }

    fn read(reader: &mut Reader<'_>, from_us: i64) -> Result<Prediction, Damaged> {
        let id = IdHash(reader.u128()?);
        let ts_us = from_us + i64::from(reader.u32()?) * 1000;
        let window = reader.u32()?;
        let version = reader.u8()?;
        let flags = reader.u8()?;
        if flags & !KNOWN != 0 {
            return Err(reader.unknown(u64::from(flags)));
        }
        let value = Value::read(reader, flags & CODE != 0)?;
        let weight = if flags & WEIGHED != 0 { reader.f64()? } else { 1.0 };
        let mut bins = Box::default();
        if flags & BINNED != 0 {
            let length = usize::from(reader.u8()?);
            bins = reader.take(length)?.into();
        }
        let mut candidates = Vec::new();
        if flags & SCORED != 0 {
            for _ in 0..reader.u8()? {
                candidates.push(Candidate { slot: reader.u8()?, score: reader.f64()? });
            }
        }
        let window = (flags & LATE == 0).then_some(window);
        let candidates = candidates.into();
        Ok(Prediction { id, ts_us, window, version, value, weight, bins, candidates })
    }
}
