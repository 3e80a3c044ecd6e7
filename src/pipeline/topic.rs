//! One topic as the pipeline holds it: how far it was read, and what became of its records.

use std::collections::BTreeMap;

use arrow::array::{Array, Int64Array};
use driftline_analytics::lane::{Heartbeat, Incomplete};
use driftline_ingest::{Chunk, Fingerprint, MarkKind};
use serde::{Deserialize, Serialize};

use super::ledger::{ChunkOutcomes, Counts, TopicLedger};

/// A topic and the units that read it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// Indices of its units, in the order of the topic's models.
    pub(super) units: Vec<usize>,
    /// Known partitions.
    pub(super) count: i32,
    pub(super) facts: TopicFacts,
    /// Wall time of the last record of each partition since the start, whatever it was.
    pub(super) last_record_wall_us: BTreeMap<i32, i64>,
    /// Event time beyond which readers were told to wait, in microseconds.
    pub(super) horizon_us: i64,
    pub(super) dirty: bool,
}

/// What the checkpoint keeps of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicFacts {
    /// How far each partition was read.
    pub partitions: BTreeMap<i32, Reading>,
    /// What became of every record.
    pub ledger: TopicLedger,
    /// Unknown top-level keys that were ignored in accepted rows.
    pub unknown_keys: u64,
    /// Envelope fields that could not be used and count as absent.
    pub unusable_fields: u64,
    /// String values that were cut.
    pub cut_strings: u64,
}

/// How far a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The next offset.
    pub position: i64,
    /// Offset and hash of the last record before it.
    pub fingerprint: Option<(i64, u64)>,
    /// Records before `position` were lost and no record came since.
    pub gap: bool,
}

/// What the first record after a start or a gap means for windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    /// Why rows may be missing before it; `None` where none can be.
    pub(super) why: Option<Incomplete>,
    /// Whether the partition has never been read before.
    pub(super) is_beginning: bool,
}

impl Topic {
    pub(super) fn new(name: String, units: Vec<usize>) -> Topic {
        Topic {
            name,
            units,
            count: 0,
            facts: TopicFacts::default(),
            last_record_wall_us: BTreeMap::new(),
            horizon_us: i64::MIN,
            dirty: false,
        }
    }

    /// Notes that reading stands at `from`; tells where that is a beginning or the end of a gap.
    pub(super) fn begin(&mut self, partition: i32, from: i64) -> Option<Beginning> {
        self.dirty = true;
        match self.facts.partitions.get_mut(&partition) {
            None => {
                let reading = Reading { position: from, fingerprint: None, gap: false };
                self.facts.partitions.insert(partition, reading);
                let why = (from > 0).then_some(Incomplete::Started);
                Some(Beginning { why, is_beginning: true })
            }
            Some(reading) if reading.gap => {
                reading.gap = false;
                let why = Some(Incomplete::RetentionGap);
                Some(Beginning { why, is_beginning: false })
            }
            Some(_) => None,
        }
    }

    /// Goes on at `to`, after records that will never be read.
    pub(super) fn skip(&mut self, partition: i32, to: i64) {
        self.dirty = true;
        let reading = Reading { position: to, fingerprint: None, gap: true };
        self.facts.partitions.insert(partition, reading);
    }

    /// The chunk without the records that were counted before; `None` where nothing is left.
    pub(super) fn without_counted(&self, mut chunk: Chunk) -> Option<Chunk> {
        let reading = self.facts.partitions.get(&chunk.partition)?;
        let position = reading.position;
        if chunk.from >= position {
            return Some(chunk);
        }
        if chunk.to <= position {
            return None;
        }
        for rows in &mut chunk.rows {
            let offsets = rows.rows.column(0).as_any().downcast_ref::<Int64Array>();
            let known = offsets
                .map_or(0, |offsets| offsets.values().partition_point(|offset| *offset < position));
            rows.rows = rows.rows.slice(known, rows.rows.num_rows() - known);
        }
        chunk.rows.retain(|rows| rows.rows.num_rows() > 0);
        chunk.marks.retain(|mark| mark.offset >= position);
        chunk.from = position;
        let rows: usize = chunk.rows.iter().map(|rows| rows.rows.num_rows()).sum();
        chunk.records = (rows + chunk.marks.len()) as u64;
        Some(chunk)
    }

    /// The marks of a chunk as ledger outcomes.
    pub(super) fn outcomes_of_marks(&self, chunk: &Chunk) -> ChunkOutcomes {
        let mut outcomes = ChunkOutcomes::default();
        for mark in &chunk.marks {
            let kind = match mark.kind {
                MarkKind::Rejected(_) => &mut outcomes.rejected,
                MarkKind::Skipped { .. } => &mut outcomes.skipped,
                MarkKind::Heartbeat { .. } => &mut outcomes.control,
            };
            kind.push(mark.offset);
        }
        outcomes
    }

    /// Adds a chunk to the ledger and moves the position behind it.
    pub(super) fn enter(&mut self, chunk: &Chunk, outcomes: &ChunkOutcomes) {
        self.dirty = true;
        let mut counts = outcomes.total();
        // What was read is the reader's count: the balance shows whether we lost any of it.
        counts.read = chunk.records;
        let ledger = &mut self.facts.ledger;
        *ledger.partitions.entry(chunk.partition).or_default() += counts;
        for mark in &chunk.marks {
            match mark.kind {
                MarkKind::Rejected(reason) => {
                    *ledger.reasons.entry(reason.as_str().to_owned()).or_default() += 1;
                }
                MarkKind::Skipped { name } => {
                    let name = chunk.skipped_names.get(name as usize);
                    ledger.skip(name.map_or("", |name| name), 1);
                }
                MarkKind::Heartbeat { .. } => {}
            }
        }
        self.facts.unknown_keys += chunk.ignored.unknown_keys;
        self.facts.unusable_fields += chunk.ignored.unusable_fields;
        self.facts.cut_strings += chunk.ignored.cut_strings;
        let reading = self.facts.partitions.entry(chunk.partition).or_insert(Reading {
            position: chunk.from,
            fingerprint: None,
            gap: false,
        });
        reading.position = chunk.to;
        if let Some(Fingerprint { offset, hash }) = chunk.fingerprint {
            reading.fingerprint = Some((offset, hash));
        }
    }
}

impl TopicFacts {
    /// The outcomes of one partition so far.
    pub fn counts(&self, partition: i32) -> Counts {
        self.ledger.partitions.get(&partition).copied().unwrap_or_default()
    }

    /// The next offset to be read; 0 where none was.
    pub fn position(&self, partition: i32) -> i64 {
        self.partitions.get(&partition).map_or(0, |reading| reading.position)
    }
}

/// A heartbeat, and the topic's model that it is for; `None` stands for all.
pub(super) struct Beat {
    pub(super) member: Option<u32>,
    pub(super) at: Heartbeat,
}

pub(super) fn heartbeats_of(chunk: &Chunk) -> Vec<Beat> {
    let beats = chunk.marks.iter().filter_map(|mark| match mark.kind {
        MarkKind::Heartbeat { model, time_us, record_time_us } => {
            let at = Heartbeat { offset: mark.offset, time_us, record_time_us };
            Some(Beat { member: model, at })
        }
        _ => None,
    });
    beats.collect()
}
