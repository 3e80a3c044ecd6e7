//! One topic as it is counted: how far it was read, and what became of its records.

use std::collections::BTreeMap;

use driftline_analytics::lane::{Heartbeat, Incomplete};
use driftline_analytics::report::Ledger;
use driftline_capture::{Chunk, Fingerprint, MarkKind};
use driftline_config::{ModelId, Partition};
use serde::{Deserialize, Serialize};

use super::ledger::{ChunkOutcomes, TopicLedger};

/// A topic and the models on it.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// In the order in which chunks name them.
    pub(crate) members: Vec<ModelId>,
    /// Known partitions; none before the broker has told of the topic.
    pub(crate) count: i32,
    pub(crate) facts: TopicFacts,
    /// Event time beyond which readers were told to wait, in microseconds.
    pub(crate) horizon_us: i64,
    pub(crate) dirty: bool,
    /// Names of skipped records that were not in their chunk, since it was last asked for.
    missed: u64,
}

/// What the checkpoint keeps of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicFacts {
    pub partitions: BTreeMap<Partition, Position>,
    pub ledger: TopicLedger,
    /// Unknown top-level keys that were ignored in accepted rows.
    pub unknown_keys: u64,
    /// Envelope fields that could not be used and count as absent.
    pub unusable_fields: u64,
    pub cut_strings: u64,
}

/// How far a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub position: i64,
    /// Offset and hash of the last record before it.
    pub fingerprint: Option<(i64, u64)>,
    /// Records before `position` were lost and no record came since.
    pub gap: bool,
    /// Where reading of this log began; none in a checkpoint that did not say so yet.
    #[serde(default)]
    pub began: Option<Began>,
}

/// Where reading of a log began: what a model that is met later knows of the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    pub offset: i64,
    /// What had become of the records of the partition by then.
    pub ledger: Ledger,
    /// Why records may be missing behind it; `None` where none can be.
    pub incomplete: Option<Incomplete>,
}

impl Position {
    /// Reading begins at `position`.
    pub fn beginning(position: i64, ledger: Ledger) -> Position {
        let incomplete = (position > 0).then_some(Incomplete::Started);
        let began = Some(Began { offset: position, ledger, incomplete });
        Position { position, fingerprint: None, gap: false, began }
    }
}

/// What the first record after a start or a gap means for windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning {
    /// Why rows may be missing before it; `None` where none can be.
    pub(crate) why: Option<Incomplete>,
    /// Whether the partition has never been read before.
    pub(crate) is_beginning: bool,
}

/// A heartbeat, and the topic's model that it is for; `None` stands for all.
pub(crate) struct Beat {
    pub(crate) member: Option<u32>,
    pub(crate) at: Heartbeat,
}

impl Topic {
    pub(crate) fn new(name: String, members: Vec<ModelId>) -> Topic {
        Topic {
            name,
            members,
            count: 0,
            facts: TopicFacts::default(),
            horizon_us: i64::MIN,
            dirty: false,
            missed: 0,
        }
    }

    /// How often a chunk named what it does not hold, since the last call: each is in the log.
    pub(crate) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    /// Notes that reading stands at `from`; tells where that is a beginning or the end of a gap.
    pub(crate) fn begin(&mut self, partition: Partition, from: i64) -> Option<Beginning> {
        self.dirty = true;
        match self.facts.partitions.get_mut(&partition) {
            None => {
                let reached = Position::beginning(from, self.facts.ledger_of(partition));
                self.facts.partitions.insert(partition, reached);
                let why = reached.began.and_then(|began| began.incomplete);
                Some(Beginning { why, is_beginning: true })
            }
            Some(reached) if reached.gap => {
                reached.gap = false;
                if let Some(began) = &mut reached.began {
                    began.incomplete = Some(Incomplete::RetentionGap);
                }
                let why = Some(Incomplete::RetentionGap);
                Some(Beginning { why, is_beginning: false })
            }
            Some(_) => None,
        }
    }

    /// Goes on at `to`, after records that will never be read.
    pub(crate) fn skip(&mut self, partition: Partition, to: i64) {
        self.dirty = true;
        // One that was not read yet begins there.
        let began = self.facts.partitions.get(&partition).and_then(|reached| reached.began);
        let beginning = Position::beginning(to, self.facts.ledger_of(partition));
        let reached = Position { gap: true, began: began.or(beginning.began), ..beginning };
        self.facts.partitions.insert(partition, reached);
    }

    /// Goes on at `offset` of another log.
    pub(crate) fn begin_anew(&mut self, partition: Partition, offset: i64) {
        self.dirty = true;
        let beginning = Position::beginning(offset, self.facts.ledger_of(partition));
        self.facts.partitions.insert(partition, Position { gap: true, ..beginning });
    }

    /// Adds a chunk to the ledger and moves the position behind it.
    pub(crate) fn enter(&mut self, chunk: &Chunk, outcomes: &ChunkOutcomes) {
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
                    let name = match chunk.skipped_names.get(name as usize) {
                        Some(name) => name,
                        None => {
                            self.missed += 1;
                            let offset = mark.offset;
                            tracing::error!(
                                offset,
                                "a record was skipped for a name that its chunk lacks, a defect"
                            );
                            ""
                        }
                    };
                    ledger.skip(name, 1);
                }
                MarkKind::Heartbeat { .. } => {}
            }
        }
        self.facts.unknown_keys += chunk.ignored.unknown_keys;
        self.facts.unusable_fields += chunk.ignored.unusable_fields;
        self.facts.cut_strings += chunk.ignored.cut_strings;
        let beginning = Position::beginning(chunk.from, Ledger::default());
        let reached = self.facts.partitions.entry(chunk.partition).or_insert(beginning);
        reached.position = chunk.to;
        if let Some(Fingerprint { offset, hash }) = chunk.fingerprint {
            reached.fingerprint = Some((offset, hash));
        }
    }
}

impl TopicFacts {
    /// What became of the records of one partition so far; nothing where none was read.
    pub fn ledger_of(&self, partition: Partition) -> Ledger {
        self.ledger.partitions.get(&partition).copied().unwrap_or_default()
    }

    /// The next offset to be read; 0 where none was.
    pub fn position(&self, partition: Partition) -> i64 {
        self.partitions.get(&partition).map_or(0, |reached| reached.position)
    }
}

/// The marks of a chunk as ledger outcomes.
pub(crate) fn outcomes_of_marks(chunk: &Chunk) -> ChunkOutcomes {
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

pub(crate) fn heartbeats_of(chunk: &Chunk) -> Vec<Beat> {
    let beats = chunk.marks.iter().filter_map(|mark| match mark.kind {
        MarkKind::Heartbeat { model, time_us, record_time_us } => {
            let at = Heartbeat { offset: mark.offset, time_us, record_time_us };
            Some(Beat { member: model, at })
        }
        _ => None,
    });
    beats.collect()
}
