//! Records of a log, and stretches of it as the readers would give them.

use std::collections::BTreeMap;

use driftline_capture::{Chunk, Fingerprint};
use driftline_config::{Partition, TopicId, TopicPartition};
use driftline_formats::{Decoder, Record};

use crate::{closing_times_us, heartbeat};

/// One record of a partition.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: i64,
    /// Kafka timestamp.
    pub time_us: Option<i64>,
    pub value: Option<Vec<u8>>,
}

impl Entry {
    /// As the decoder is given it.
    pub fn record(&self) -> Record<'_> {
        let (offset, time_us) = (self.offset, self.time_us);
        Record { value: self.value.as_deref(), offset, time_us }
    }
}

/// The log of one topic: its partitions from offset 0 on, without a hole.
#[derive(Debug, Clone, Default)]
pub struct Log(BTreeMap<i32, Vec<Entry>>);

impl Log {
    /// A log of so many empty partitions.
    pub fn new(partitions: i32) -> Log {
        Log((0..partitions).map(|partition| (partition, Vec::new())).collect())
    }

    /// Appends a record.
    pub fn push(&mut self, partition: i32, value: impl Into<Vec<u8>>, time_us: i64) {
        let entries = self.0.entry(partition).or_default();
        let (offset, time_us) = (entries.len() as i64, Some(time_us));
        entries.push(Entry { offset, time_us, value: Some(value.into()) });
    }

    /// Has all records written so much later than they were.
    pub fn stamp_later(&mut self, by_us: i64) {
        for entry in self.0.values_mut().flatten() {
            entry.time_us = entry.time_us.map(|time_us| time_us + by_us);
        }
    }

    /// Appends the same record to every partition.
    pub fn push_everywhere(&mut self, value: &str, time_us: i64) {
        for partition in self.partitions() {
            self.push(partition, value, time_us);
        }
    }

    /// Appends so many heartbeats to every partition that all windows before `time_us` are passed.
    pub fn close(&mut self, time_us: i64) {
        for beat_us in closing_times_us(time_us) {
            self.push_everywhere(&heartbeat(None, beat_us), beat_us);
        }
    }

    /// The partitions, in order.
    pub fn partitions(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    /// How many records a partition has: the offset of its next one.
    pub fn len(&self, partition: i32) -> usize {
        self.0[&partition].len()
    }

    /// Records of all partitions.
    pub fn total(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The records `[from, to)` of a partition.
    pub fn entries(&self, partition: i32, from: usize, to: usize) -> &[Entry] {
        &self.0[&partition][from..to]
    }
}

/// The partition of this number, of the topic at this place.
pub fn at(topic: usize, partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicId(topic), partition: Partition(partition) }
}

/// Where a [`Chunk`] lies.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    pub at: TopicPartition,
    pub from: i64,
    pub to: i64,
    /// Whether producers stamped the records.
    pub producer_timestamps: bool,
}

impl Stretch {
    /// Decodes the records of the stretch, which `decoder` reads.
    pub fn decode<'e>(
        self,
        decoder: &mut Decoder,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Chunk {
        let mut chunk = Chunk {
            topic: self.at.topic,
            partition: self.at.partition,
            from: self.from,
            to: self.to,
            producer_timestamps: self.producer_timestamps,
            ..Chunk::default()
        };
        for entry in entries {
            decoder.decode(&entry.record());
            chunk.records += 1;
            chunk.bytes += entry.value.as_ref().map_or(0, Vec::len);
            chunk.last_record_us = entry.time_us.or(chunk.last_record_us);
            let hash = entry.offset.unsigned_abs();
            chunk.fingerprint = Some(Fingerprint { offset: entry.offset, hash });
        }
        let decoded = decoder.take().expect("Arrow takes the columns");
        (chunk.rows, chunk.halves, chunk.marks) = (decoded.rows, decoded.halves, decoded.marks);
        (chunk.skipped_names, chunk.ignored) = (decoded.skipped_names, decoded.ignored);
        chunk
    }
}
