//! A label, and which of several holds.

use crate::bytes::{Damaged, Reader};
use crate::id::IdHash;
use crate::prediction::Value;
use crate::run::Row;

/// Which of two labels of an id holds: the one of the greater key, by its fields in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    pub ts_us: i64,
    pub partition: u32,
    pub offset: u64,
}

/// What a label event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    Value(Value),
    /// What was said before is taken back.
    Retracted,
}

/// One label event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub id: IdHash,
    pub order: Order,
    pub said: Said,
    /// When the request was captured, where the event says so: to the second, at least.
    pub capture_ts_us: Option<i64>,
}

/// A label where a prediction of it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) label: Label,
    /// Whether the ledger counts it here: in one bucket, however many have predictions of its id.
    pub(crate) is_home: bool,
}

/// Bytes before the value; the last one holds the flags.
const HEAD_BYTES: usize = 37;

const CODE: u8 = 1;
const RETRACTED: u8 = 2;
const CAPTURED: u8 = 4;
const HOME: u8 = 8;
const KNOWN: u8 = CODE | RETRACTED | CAPTURED | HOME;

impl Order {
    pub(crate) const MIN: Order = Order { ts_us: i64::MIN, partition: 0, offset: 0 };
    pub(crate) const MAX: Order = Order { ts_us: i64::MAX, partition: u32::MAX, offset: u64::MAX };

    /// `record_us` is the record's own timestamp: nobody knew a label later than it was sent.
    pub fn new(observed_us: Option<i64>, record_us: i64, partition: u32, offset: u64) -> Order {
        Order { ts_us: observed_us.map_or(record_us, |it| it.min(record_us)), partition, offset }
    }
}

/// Hash 16, order key 8 + 4 + 8, flags 1, value 8 or 2 or none, and 8 for the time of its capture where it is said.
impl Row for Placed {
    const WHAT: &'static str = "a page of labels";

    fn id(&self) -> IdHash {
        self.label.id
    }

    fn write(&self, _: i64, into: &mut Vec<u8>) {
        let Label { id, order, said, capture_ts_us } = self.label;
        let said_as = match said {
            Said::Retracted => RETRACTED,
            Said::Value(Value::Code(_)) => CODE,
            Said::Value(Value::Number(_)) => 0,
        };
        let captured = if capture_ts_us.is_some() { CAPTURED } else { 0 };
        into.extend(id.0.to_le_bytes());
        into.extend(order.ts_us.to_le_bytes());
        into.extend(order.partition.to_le_bytes());
        into.extend(order.offset.to_le_bytes());
        into.push(said_as | captured | if self.is_home { HOME } else { 0 });
        if let Said::Value(value) = said {
            value.write(into);
        }
        if let Some(ts_us) = capture_ts_us {
            into.extend(ts_us.to_le_bytes());
        }
    }

    fn length(row: &[u8]) -> Result<usize, Damaged> {
        let flags = row.get(HEAD_BYTES - 1).ok_or(Damaged::Short { what: Self::WHAT })?;
        let value = match flags & (RETRACTED | CODE) {
            0 => 8,
            CODE => 2,
            _ => 0,
        };
        Ok(HEAD_BYTES + value + if flags & CAPTURED != 0 { 8 } else { 0 })
    }

    fn read(reader: &mut Reader<'_>, _: i64) -> Result<Placed, Damaged> {
        let id = IdHash(reader.u128()?);
        let order = Order { ts_us: reader.i64()?, partition: reader.u32()?, offset: reader.u64()? };
        let flags = reader.u8()?;
        if flags & !KNOWN != 0 {
            return Err(reader.unknown(u64::from(flags)));
        }
        let said = match flags & RETRACTED != 0 {
            true => Said::Retracted,
            false => Said::Value(Value::read(reader, flags & CODE != 0)?),
        };
        let capture_ts_us = if flags & CAPTURED != 0 { Some(reader.i64()?) } else { None };
        let label = Label { id, order, said, capture_ts_us };
        Ok(Placed { label, is_home: flags & HOME != 0 })
    }
}
