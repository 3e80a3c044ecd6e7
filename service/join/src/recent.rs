//! Labels for which predictions may still come, whether one has come already or not.

use std::collections::BTreeMap;

use crate::bytes::{Damaged, Reader};
use crate::id::IdHash;
use crate::label::{Label, Order, Placed, Said};
use crate::page::{PAGE_BYTES, Page, PageKey, PageKind};
use crate::run::Row;

/// The bucket in which the ledger counts a label: of those with predictions of it the first, and one with a prediction
/// in time before all with late ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    pub(crate) is_late: bool,
    pub(crate) bucket: i64,
}

/// A label that is remembered, with its home where a prediction is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recent {
    pub(crate) label: Label,
    pub(crate) home: Option<Home>,
}

/// All labels that are remembered.
#[derive(Debug)]
pub(crate) struct Recents {
    room: u32,
    width_us: i64,
    labels: BTreeMap<(u128, Order), Rest>,
    spans: BTreeMap<i64, Span>,
}

/// What a remembered label says beside its key.
#[derive(Debug, Clone, Copy)]
struct Rest {
    said: Said,
    capture_ts_us: Option<i64>,
    home: Option<Home>,
}

/// Labels of one stretch of time, which are forgotten together.
#[derive(Debug, Default)]
struct Span {
    keys: Vec<(u128, Order)>,
    /// What the next commit writes, in pages.
    unwritten: Vec<Vec<u8>>,
    next_page: u32,
}

impl Recents {
    pub(crate) fn new(room: u32, width_us: i64) -> Recents {
        Recents { room, width_us, labels: BTreeMap::new(), spans: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn has_any(&self, id: IdHash) -> bool {
        !self.labels.is_empty() && self.labels.range(keys_of(id)).next().is_some()
    }

    pub(crate) fn of(&self, id: IdHash) -> Vec<Recent> {
        self.labels.range(keys_of(id)).map(|(key, rest)| rest.with(key.0, key.1)).collect()
    }

    pub(crate) fn has(&self, label: &Label) -> bool {
        self.labels.contains_key(&(label.id.0, label.order))
    }

    /// The stretch of time that a label is forgotten with.
    pub(crate) fn span_of(&self, label: &Label) -> i64 {
        label.order.ts_us.div_euclid(self.width_us)
    }

    /// Where a stretch of time ends.
    pub(crate) fn end_us(&self, span: i64) -> i64 {
        (span + 1).saturating_mul(self.width_us)
    }

    pub(crate) fn first_span(&self) -> Option<i64> {
        self.spans.keys().next().copied()
    }

    /// Remembers a label, or where it is now.
    pub(crate) fn put(&mut self, recent: Recent) {
        let mut bytes = Vec::new();
        recent.write(&mut bytes);
        let span = self.insert(recent);
        match span.unwritten.last_mut() {
            Some(page) if page.len() + bytes.len() <= PAGE_BYTES => page.extend(bytes),
            _ => span.unwritten.push(bytes),
        }
    }

    /// Forgets a stretch of time, and returns its labels.
    pub(crate) fn forget(&mut self, span: i64) -> Vec<Recent> {
        // It is forgotten once.
        let Some(gone) = self.spans.remove(&span) else { return Vec::new() };
        gone.keys
            .iter()
            .filter_map(|key| Some(self.labels.remove(key)?.with(key.0, key.1)))
            .collect()
    }

    /// Forgets the labels of ids that are not in a sample.
    pub(crate) fn forget_from(&mut self, prefix: u64) -> Vec<Recent> {
        let from = (u128::from(prefix) << 64, Order::MIN);
        for span in self.spans.values_mut() {
            span.keys.retain(|key| *key < from);
        }
        self.labels.split_off(&from).iter().map(|(key, rest)| rest.with(key.0, key.1)).collect()
    }

    /// What the next commit writes.
    pub(crate) fn unwritten(&mut self) -> Vec<Page> {
        let mut pages = Vec::new();
        for (bucket, span) in &mut self.spans {
            for bytes in span.unwritten.drain(..) {
                let (room, page) = (self.room, span.next_page);
                let key = PageKey { room, kind: PageKind::Recent, bucket: *bucket, run: 0, page };
                pages.push(Page { key, bytes: bytes.into() });
                span.next_page += 1;
            }
        }
        pages
    }

    /// Reads a page back; pages come in the order in which they were written.
    pub(crate) fn restore(&mut self, page: &Page, share: Option<u64>) -> Result<(), Damaged> {
        let mut reader = Reader::new(&page.bytes, "a page of recent labels");
        while !reader.is_empty() {
            let recent = Recent::read(&mut reader)?;
            if share.is_none_or(|share| recent.label.id.prefix() < share) {
                self.insert(recent);
            }
        }
        self.spans.entry(page.key.bucket).or_default().next_page = page.key.page + 1;
        Ok(())
    }

    fn insert(&mut self, recent: Recent) -> &mut Span {
        let Recent { label, home } = recent;
        let Label { id, order, said, capture_ts_us } = label;
        let before = self.labels.insert((id.0, order), Rest { said, capture_ts_us, home });
        let span = self.spans.entry(self.span_of(&label)).or_default();
        if before.is_none() {
            span.keys.push((id.0, order));
        }
        span
    }
}

impl Rest {
    fn with(&self, id: u128, order: Order) -> Recent {
        let Rest { said, capture_ts_us, home } = *self;
        Recent { label: Label { id: IdHash(id), order, said, capture_ts_us }, home }
    }
}

impl Recent {
    fn write(&self, into: &mut Vec<u8>) {
        Placed { label: self.label, is_home: self.home.is_some() }.write(0, into);
        if let Some(Home { is_late, bucket }) = self.home {
            into.push(u8::from(is_late));
            into.extend(bucket.to_le_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Recent, Damaged> {
        let Placed { label, is_home } = Placed::read(reader, 0)?;
        let home = match is_home {
            true => Some(Home { is_late: reader.u8()? != 0, bucket: reader.i64()? }),
            false => None,
        };
        Ok(Recent { label, home })
    }
}

fn keys_of(id: IdHash) -> std::ops::RangeInclusive<(u128, Order)> {
    (id.0, Order::MIN)..=(id.0, Order::MAX)
}
