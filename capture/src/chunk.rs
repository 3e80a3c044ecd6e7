//! One stretch of one partition's log: its rows per model, and what the other records were.

use std::sync::Arc;

use driftline_config::{Partition, TopicId, TopicPartition};

use crate::batch::CaptureBatch;
use crate::half::ModelHalves;
use crate::mark::Mark;

/// One stretch of one partition's log, `[from, to)`: every record in it is a row or a mark.
#[derive(Debug, Default)]
pub struct Chunk {
    pub topic: TopicId,
    pub partition: Partition,
    pub from: i64,
    pub to: i64,
    /// Records read, marks included. Offsets may have holes (compaction, transaction markers), so
    /// this is never `to - from` by right.
    pub records: u64,
    /// Rows per model, each in offset order; by ascending model, those without rows are absent.
    pub rows: Vec<ModelRows>,
    /// Requests and responses that are records of their own, by ascending model, requests first.
    pub halves: Vec<ModelHalves>,
    /// Records that are no rows, in offset order.
    pub marks: Vec<Mark>,
    /// Names of the models in `marks` that this topic is not configured for.
    pub skipped_names: Vec<Arc<str>>,
    pub ignored: Ignored,
    /// Size of the records' values in bytes.
    pub bytes: usize,
    /// The last record; `None` where `records` is 0.
    pub fingerprint: Option<Fingerprint>,
    /// Kafka timestamp of the last record that had one, in microseconds.
    pub last_record_us: Option<i64>,
    /// Whether the timestamps are the producers' (`CreateTime`) rather than the broker's.
    pub producer_timestamps: bool,
    /// Whether its partition's reader waits now until it is told to go on: a row lies beyond the
    /// topic's horizon.
    pub stopped: bool,
}

impl Chunk {
    /// The chunk without the records before `position`, which were counted when they were read before:
    /// after a restart, or where reading began anew. `None` where nothing is left. Whoever counts a chunk
    /// asks here first, so that all of them count the same records.
    #[must_use]
    pub fn without_counted(mut self, position: i64) -> Option<Chunk> {
        if self.from >= position {
            return Some(self);
        }
        if self.to <= position {
            return None;
        }
        for rows in &mut self.rows {
            rows.rows = rows.rows.from_offset(position);
        }
        self.rows.retain(|rows| rows.rows.rows() > 0);
        for half in &mut self.halves {
            *half = half.from_offset(position);
        }
        self.halves.retain(|half| half.rows.rows() > 0);
        self.marks.retain(|mark| mark.offset >= position);
        self.from = position;
        let of_rows = self.rows.iter().map(|rows| rows.rows.records());
        let of_halves = self.halves.iter().map(|half| half.rows.records());
        let records: usize = of_rows.chain(of_halves).sum();
        // Between the offsets there may be holes, so what is left is counted and not reckoned.
        self.records = (records + self.marks.len()) as u64;
        Some(self)
    }

    /// The log that it is a stretch of.
    pub fn log(&self) -> TopicPartition {
        TopicPartition { topic: self.topic, partition: self.partition }
    }
}

/// Counts of what was ignored inside accepted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Top-level keys that CONTRACTS §3 does not name.
    pub unknown_keys: u64,
    /// Optional envelope fields whose value has the wrong type or range; they count as absent. An
    /// `id` of more than 256 bytes is one.
    pub unusable_fields: u64,
    /// String values longer than the limit; they were cut.
    pub cut_strings: u64,
}

impl Ignored {
    /// Adds the counts of another stretch.
    pub fn add(&mut self, other: Ignored) {
        self.unknown_keys += other.unknown_keys;
        self.unusable_fields += other.unusable_fields;
        self.cut_strings += other.cut_strings;
    }
}

/// The accepted rows of one model in one stretch.
#[derive(Debug, Clone)]
pub struct ModelRows {
    /// Index in the topic's models.
    pub model: usize,
    pub rows: CaptureBatch,
}

/// Which record stood where: tells a log from another log of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub offset: i64,
    /// First eight bytes of the sha256 over its timestamp, key and value.
    pub hash: u64,
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, new_null_array,
    };
    use arrow::datatypes::DataType;

    use super::*;
    use crate::columns::{CaptureSchema, batch_schema};
    use crate::mark::MarkKind;

    fn rows(offsets: &[i64]) -> CaptureBatch {
        let count = offsets.len();
        let numbers = || Arc::new(Int64Array::from(offsets.to_vec())) as ArrayRef;
        let texts = || new_null_array(&DataType::Utf8, count);
        let columns = vec![
            numbers(),
            numbers(),
            numbers(),
            texts(),
            texts(),
            numbers(),
            Arc::new(Int32Array::from(vec![200; count])),
            Arc::new(Float64Array::from(vec![1.0; count])),
        ];
        let schema = Arc::new(batch_schema(&CaptureSchema::default()));
        CaptureBatch::new(RecordBatch::try_new(schema, columns).unwrap()).unwrap()
    }

    /// A record of three rows is one record, also when its neighbours are cut off.
    #[test]
    fn records_are_counted_and_not_rows() {
        let mut chunk = chunk();
        chunk.rows = vec![ModelRows { model: 0, rows: rows(&[10, 12, 12, 12, 15]) }];
        assert_eq!(chunk.rows[0].rows.records(), 3);
        let left = chunk.without_counted(11).unwrap();
        assert_eq!((left.rows[0].rows.rows(), left.records), (4, 4));
    }

    /// Rows at 10, 12 and 15 of one model, at 11 of another, skipped records at 13 and 14, and a hole
    /// from 16 on.
    fn chunk() -> Chunk {
        let skipped =
            |offset| Mark { offset, record_time_us: None, kind: MarkKind::Skipped { name: 0 } };
        Chunk {
            topic: TopicId(0),
            partition: Partition(0),
            from: 10,
            to: 20,
            records: 6,
            rows: vec![
                ModelRows { model: 0, rows: rows(&[10, 12, 15]) },
                ModelRows { model: 1, rows: rows(&[11]) },
            ],
            halves: Vec::new(),
            marks: vec![skipped(13), skipped(14)],
            skipped_names: vec!["ships".into()],
            ignored: Ignored::default(),
            bytes: 0,
            fingerprint: None,
            last_record_us: None,
            producer_timestamps: false,
            stopped: false,
        }
    }

    #[test]
    fn what_was_counted_is_cut_off_and_no_more() {
        let left = |position| {
            let chunk = chunk().without_counted(position)?;
            let offsets = |rows: &ModelRows| rows.rows.offsets().to_vec();
            let rows: Vec<(usize, Vec<i64>)> =
                chunk.rows.iter().map(|rows| (rows.model, offsets(rows))).collect();
            Some((chunk.from, chunk.records, rows, chunk.marks.len()))
        };
        let whole = Some((10, 6, vec![(0, vec![10, 12, 15]), (1, vec![11])], 2));
        assert_eq!([left(0), left(10)], [whole.clone(), whole]);
        assert_eq!(left(12), Some((12, 4, vec![(0, vec![12, 15])], 2)));
        assert_eq!(left(14), Some((14, 2, vec![(0, vec![15])], 1)));
        assert_eq!(left(16), Some((16, 0, Vec::new(), 0)));
        assert_eq!(left(20), None);
    }
}
