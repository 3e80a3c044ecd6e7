//! What a commit takes into the store, and what a start reads back.

use std::collections::BTreeMap;

use super::arrivals::{LABEL, PREDICTION};
use super::{Counters, Join, Passed};
use crate::bucket::Bucket;
use crate::bytes::{Damaged, Reader};
use crate::id::IdHash;
use crate::label::Placed;
use crate::ledger::{Column, Ledger};
use crate::page::{Changes, Page, PageKey, PageKind, PageRange};
use crate::prediction::Prediction;
use crate::run::{Row, Run, pages_of_bytes};
use crate::settings::Settings;

/// The format of everything that a join keeps: a reader refuses a newer one.
const FORMAT: u8 = 1;

impl Join {
    /// What the store must do so that a restart goes on from here, in the transaction that keeps how far the
    /// logs were read; `None` while a [step](Join::step) is to be made first. The next commit must wait until
    /// this one is [done](Join::committed).
    pub fn commit(&mut self) -> Option<Changes> {
        if self.asked.is_some() || !self.tasks.is_empty() || !self.events.is_empty() {
            return None;
        }
        let room = self.settings.room;
        if self.buckets.values().map(Bucket::hot_rows).sum::<usize>() >= self.settings.hot_rows {
            self.flush();
        }
        for bytes in self.unwritten.drain(..) {
            let (kind, page) = (PageKind::Journal, self.next_journal_page);
            let key = PageKey { room, kind, bucket: 0, run: 0, page };
            self.changes.written.insert(key, bytes.into());
            self.next_journal_page += 1;
        }
        let recents = self.recents.unwritten();
        self.changes.written.extend(recents.into_iter().map(|page| (page.key, page.bytes)));
        self.changes.remove(PageRange::of_kind(room, PageKind::State));
        let key = PageKey { room, kind: PageKind::State, bucket: 0, run: 0, page: 0 };
        let state = pages_of_bytes(key, &self.state());
        self.changes.written.extend(state.into_iter().map(|page| (page.key, page.bytes)));
        let changes = std::mem::take(&mut self.changes);
        let rows = changes.written.iter().filter(|(key, _)| key.kind > PageKind::Index);
        self.in_flight.extend(rows.map(|(key, bytes)| (*key, bytes.clone())));
        Some(changes)
    }

    /// The changes of the last commit are in the store.
    pub fn committed(&mut self) {
        self.in_flight.clear();
    }

    /// A join as its last commit left it, from [`Pages::resident`](crate::Pages::resident); a new one where there
    /// was none.
    ///
    /// # Errors
    /// [`Damaged`]: pages are not what was written, or were written by a newer release or with another horizon.
    pub fn restore(settings: Settings, mut pages: Vec<Page>) -> Result<Join, Damaged> {
        let mut join = Join::new(settings);
        pages.sort_unstable_by_key(|page| page.key);
        let of_kind = |kind: PageKind| pages.iter().filter(move |page| page.key.kind == kind);
        let state: Vec<u8> =
            of_kind(PageKind::State).flat_map(|page| page.bytes.iter().copied()).collect();
        if state.is_empty() {
            return Ok(join);
        }
        let mut indexes: BTreeMap<(i64, u32), Vec<u8>> = BTreeMap::new();
        for page in of_kind(PageKind::Index) {
            let index = indexes.entry((page.key.bucket, page.key.run)).or_default();
            index.extend_from_slice(&page.bytes);
        }
        join.read_state(&mut Reader::new(&state, "the state of waiting predictions"), &indexes)?;
        for page in of_kind(PageKind::Journal) {
            join.read_journal(&page.bytes)?;
        }
        let share = join.share();
        for page in of_kind(PageKind::Recent) {
            join.recents.restore(page, share)?;
        }
        Ok(join)
    }

    fn state(&self) -> Vec<u8> {
        let mut into = vec![FORMAT];
        let times = [
            self.settings.width_us(),
            self.settings.recent_width_us(),
            self.passed.captures_us,
            self.passed.labels_us,
        ];
        times.into_iter().for_each(|us| into.extend(us.to_le_bytes()));
        let numbers = [self.halvings, self.next_journal_page, self.next_run];
        numbers.into_iter().for_each(|number| into.extend(number.to_le_bytes()));
        into.extend(self.ledger.read.to_le_bytes());
        self.ledger.columns().into_iter().for_each(|count| into.extend(count.to_le_bytes()));
        let Counters { expired, sampled_out, gone, given_up, .. } = self.counters;
        let counters = [expired, sampled_out, gone, given_up];
        counters.into_iter().for_each(|count| into.extend(count.to_le_bytes()));
        into.extend((self.buckets.len() as u32).to_le_bytes());
        for (ordinal, bucket) in &self.buckets {
            into.extend(ordinal.to_le_bytes());
            into.push(u8::from(bucket.is_implied));
            into.extend(bucket.rows.to_le_bytes());
            into.extend(bucket.labelled.to_le_bytes());
            for runs in [&bucket.prediction_runs, &bucket.label_runs] {
                into.extend((runs.len() as u32).to_le_bytes());
                for run in runs {
                    into.extend(run.number.to_le_bytes());
                    into.push(u8::from(run.is_merged));
                    into.extend(run.rows.to_le_bytes());
                }
            }
        }
        into
    }

    fn read_state(
        &mut self,
        reader: &mut Reader<'_>,
        indexes: &BTreeMap<(i64, u32), Vec<u8>>,
    ) -> Result<(), Damaged> {
        let found = reader.u8()?;
        if found > FORMAT {
            return Err(Damaged::Newer { found, known: FORMAT });
        }
        for asked in [self.settings.width_us(), self.settings.recent_width_us()] {
            let stored = reader.i64()?;
            if stored != asked {
                return Err(Damaged::Width { stored, asked });
            }
        }
        self.passed = Passed { captures_us: reader.i64()?, labels_us: reader.i64()? };
        self.halvings = reader.u32()?;
        self.next_journal_page = reader.u32()?;
        self.next_run = reader.u32()?;
        let read = reader.u64()?;
        let mut columns = [0; Column::ALL.len()];
        for count in &mut columns {
            *count = reader.i64()?;
        }
        self.ledger = Ledger::restored(read, columns);
        self.counters.expired = reader.u64()?;
        self.counters.sampled_out = reader.u64()?;
        self.counters.gone = reader.u64()?;
        self.counters.given_up = reader.u64()?;
        for _ in 0..reader.u32()? {
            let ordinal = reader.i64()?;
            let mut bucket = Bucket::new(self.settings.room, ordinal, self.settings.width_us());
            bucket.is_implied = reader.u8()? != 0;
            bucket.rows = reader.u64()?;
            bucket.labelled = reader.u64()?;
            for kind in [PageKind::Predictions, PageKind::Labels] {
                *bucket.runs_of_mut(kind) = read_runs(reader, ordinal, indexes)?;
            }
            self.buckets.insert(ordinal, bucket);
        }
        Ok(())
    }

    fn read_journal(&mut self, page: &[u8]) -> Result<(), Damaged> {
        let share = self.share();
        let mut reader = Reader::new(page, "a page of the journal");
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let ordinal = reader.i64()?;
            let from_us = ordinal.saturating_mul(self.settings.width_us());
            // A bucket that went leaves its rows in the journal until the next run is written.
            let bucket = self.buckets.get_mut(&ordinal);
            let bucket_of =
                |id: IdHash| bucket.filter(|_| share.is_none_or(|share| id.prefix() < share));
            match kind {
                PREDICTION => {
                    let row = Prediction::read(&mut reader, from_us)?;
                    if let Some(bucket) = bucket_of(row.id) {
                        bucket.insert(row);
                    }
                }
                LABEL => {
                    let row = Placed::read(&mut reader, from_us)?;
                    if let Some(bucket) = bucket_of(row.label.id) {
                        bucket.hot_labels.insert((row.label.id.0, row.label.order), row);
                    }
                }
                kind => return Err(reader.unknown(u64::from(kind))),
            }
        }
        Ok(())
    }
}

fn read_runs(
    reader: &mut Reader<'_>,
    bucket: i64,
    indexes: &BTreeMap<(i64, u32), Vec<u8>>,
) -> Result<Vec<Run>, Damaged> {
    let mut runs = Vec::new();
    for _ in 0..reader.u32()? {
        let (number, is_merged, rows) = (reader.u32()?, reader.u8()? != 0, reader.u64()?);
        let index = indexes.get(&(bucket, number));
        let index = index.ok_or(Damaged::Missing { what: "the index of a run" })?;
        runs.push(Run::restored(number, is_merged, rows, index)?);
    }
    Ok(runs)
}
