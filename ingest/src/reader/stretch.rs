//! One partition between two chunks: what was read of it and not handed over yet.

use std::sync::Arc;
use std::time::Instant;

use arrow::error::ArrowError;
use driftline_capture::{Chunk, Fingerprint};
use driftline_config::{Partition, TopicPartition};
use driftline_formats::{
    Carried, Decoder, Header, Outcome, Record, Rejection, SchemaId, TopicLayout,
};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use sha2::{Digest, Sha256};

use crate::client::timestamp_us;
use crate::dead_letter::DeadLetter;

/// Records after which a partition's chunk is handed over.
const CHUNK_RECORDS: u64 = 8192;
/// Rows a model on average: a batch of one row costs nearly what one of ten does.
const ROWS_PER_MODEL: u64 = 32;
/// Bytes of a record that are kept to be hashed at the end of a chunk, rather than at once.
const KEPT_BYTES: usize = 64 * 1024;

pub(crate) struct Stretch {
    log: TopicPartition,
    decoder: Decoder,
    from: i64,
    position: i64,
    records: u64,
    value_bytes: usize,
    last: LastRecord,
    last_record_us: Option<i64>,
    producer_timestamps: bool,
    since: Option<Instant>,
}

/// What adding a record came to.
pub(crate) enum Added {
    Taken,
    /// It must become a dead letter.
    Rejected(Rejection),
    /// It was not taken: it is to come again with this schema.
    NeedsSchema(SchemaId),
    /// It was not taken: it is to come again once it is known whether this name is that of a model.
    NeedsModel(Box<str>),
}

/// The record that was read last, so that only one record of a chunk is hashed.
#[derive(Default)]
struct LastRecord {
    offset: i64,
    bytes: Vec<u8>,
    hash: Option<u64>,
}

impl Stretch {
    pub(crate) fn new(log: TopicPartition, position: i64, decoder: Decoder) -> Stretch {
        Stretch {
            log,
            decoder,
            from: position,
            position,
            records: 0,
            value_bytes: 0,
            last: LastRecord::default(),
            last_record_us: None,
            producer_timestamps: false,
            since: None,
        }
    }

    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Whether what waits is enough to be handed over: so many records, and where many models share the
    /// topic, so many rows of each that their batches are worth their cost.
    pub(crate) fn is_full(&self) -> bool {
        let rows = ROWS_PER_MODEL * self.decoder.active() as u64;
        self.records >= CHUNK_RECORDS.max(rows)
    }

    /// What they occupy, about.
    pub(crate) fn bytes(&self) -> usize {
        self.decoder.bytes()
    }

    /// The event time of the last row among them, in microseconds; `i64::MIN` where there is none.
    pub(crate) fn last_us(&self) -> i64 {
        self.decoder.last_us()
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Takes the next record. Records before the position were taken already and are dropped.
    pub(crate) fn add(&mut self, message: &BorrowedMessage<'_>) -> Added {
        let offset = message.offset();
        if offset < self.position {
            return Added::Taken;
        }
        let value = message.payload();
        let (time_us, producers) = timestamp_us(message.timestamp());
        let record = Record { value, offset, time_us };
        let outcome = match self.decoder.wants_carried() {
            true => {
                let headers = headers_of(message);
                let carried = Carried { key: message.key(), headers: &headers };
                self.decoder.decode_carried(&record, &carried)
            }
            false => self.decoder.decode(&record),
        };
        let rejection = match outcome {
            Outcome::NeedsSchema(id) => return Added::NeedsSchema(id),
            Outcome::NeedsModel(name) => return Added::NeedsModel(name),
            Outcome::Rejected(rejection) => Some(rejection),
            _ => None,
        };
        self.since.get_or_insert_with(Instant::now);
        self.records += 1;
        self.value_bytes += value.map_or(0, <[u8]>::len);
        self.last.set(message);
        self.last_record_us = time_us.or(self.last_record_us);
        self.producer_timestamps |= producers;
        self.position = offset + 1;
        rejection.map_or(Added::Taken, Added::Rejected)
    }

    /// Goes on with a layout that has further models.
    pub(crate) fn take_up(&mut self, layout: Arc<TopicLayout>) {
        self.decoder.take_up(layout);
    }

    /// No model is made of this name.
    pub(crate) fn refuse(&mut self, name: &str) {
        self.decoder.refuse(name);
    }

    /// The log holds nothing more before `offset`.
    pub(crate) fn advance(&mut self, offset: i64) {
        self.position = self.position.max(offset);
    }

    /// Reading goes on at `offset`; what was not handed over stays and must be handed over before.
    pub(crate) fn restart(&mut self, offset: i64) {
        self.position = offset;
        self.from = offset;
    }

    /// Hands over what was read, `None` where that is nothing at all.
    pub(crate) fn take(&mut self) -> Result<Option<Chunk>, ArrowError> {
        if self.position == self.from {
            return Ok(None);
        }
        let decoded = self.decoder.take()?;
        let fingerprint = (self.records > 0).then(|| self.last.fingerprint());
        self.since = None;
        let from = std::mem::replace(&mut self.from, self.position);
        Ok(Some(Chunk {
            topic: self.log.topic,
            partition: self.log.partition,
            from,
            to: self.position,
            records: std::mem::take(&mut self.records),
            rows: decoded.rows,
            halves: decoded.halves,
            marks: decoded.marks,
            skipped_names: decoded.skipped_names,
            ignored: decoded.ignored,
            bytes: std::mem::take(&mut self.value_bytes),
            fingerprint,
            last_record_us: self.last_record_us,
            producer_timestamps: std::mem::take(&mut self.producer_timestamps),
            stopped: false,
        }))
    }
}

impl LastRecord {
    fn set(&mut self, message: &BorrowedMessage<'_>) {
        self.offset = message.offset();
        self.bytes.clear();
        self.hash = None;
        if message.payload_len() + message.key_len() > KEPT_BYTES {
            self.hash = Some(fingerprint_of(message));
            return;
        }
        record_bytes(message, |part| self.bytes.extend_from_slice(part));
    }

    fn fingerprint(&self) -> Fingerprint {
        let hash = self.hash.unwrap_or_else(|| short(&Sha256::digest(&self.bytes)));
        Fingerprint { offset: self.offset, hash }
    }
}

/// What a map may read beside the value. A header without a value is none.
fn headers_of<'a>(message: &'a BorrowedMessage<'_>) -> Vec<Header<'a>> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let headers = headers.filter_map(|it| Some(Header { name: it.key, value: it.value? }));
    headers.collect()
}

/// The hash in a record's [`Fingerprint`].
pub(crate) fn fingerprint_of(message: &BorrowedMessage<'_>) -> u64 {
    let mut digest = Sha256::new();
    record_bytes(message, |part| digest.update(part));
    short(&digest.finalize())
}

fn record_bytes(message: &BorrowedMessage<'_>, mut put: impl FnMut(&[u8])) {
    let time_us = timestamp_us(message.timestamp()).0.unwrap_or(-1);
    put(&time_us.to_le_bytes());
    let key = message.key();
    // A length, so that no other split of the same bytes into key and value has the same hash.
    put(&key.map_or(u64::MAX, |key| key.len() as u64).to_le_bytes());
    put(key.unwrap_or_default());
    put(message.payload().unwrap_or_default());
}

fn short(digest: &[u8]) -> u64 {
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// A rejected record as it was.
pub(crate) fn dead_letter(
    topic: &str,
    message: &BorrowedMessage<'_>,
    rejection: Rejection,
) -> DeadLetter {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    DeadLetter {
        topic: topic.to_owned(),
        partition: Partition(message.partition()),
        offset: message.offset(),
        timestamp_us: timestamp_us(message.timestamp()).0,
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        reason: rejection.reason,
        detail: driftline_formats::cut_text(&rejection.detail, 256).to_owned(),
    }
}
