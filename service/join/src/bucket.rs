//! A bucket: all predictions of one stretch of time, in memory since the last run and in runs before it.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::bytes::Damaged;
use crate::cell::{Cell, LABELS};
use crate::id::IdHash;
use crate::label::{Order, Placed};
use crate::page::{PageKey, PageKind};
use crate::prediction::Prediction;
use crate::run::{Row, Run, rows_of};

/// Pages of each run that are looked through at once where a whole bucket is.
const SLICE_PAGES: usize = 64;

/// One stretch of captures' time, and what is known of it.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Which model and bucket, for the keys of its pages.
    pub(crate) room: u32,
    pub(crate) ordinal: i64,
    /// Where it begins.
    pub(crate) from_us: i64,
    /// In order of hash and arrival.
    pub(crate) hot_predictions: BTreeMap<(u128, u32), Prediction>,
    pub(crate) hot_labels: BTreeMap<(u128, Order), Placed>,
    pub(crate) prediction_runs: Vec<Run>,
    /// From the oldest to the newest: a newer row of a label holds.
    pub(crate) label_runs: Vec<Run>,
    pub(crate) is_implied: bool,
    pub(crate) rows: u64,
    /// Those with a label that somebody sent.
    pub(crate) labelled: u64,
    arrived: u32,
}

/// Pages that were read for what is to be done.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    pub(crate) pages: HashMap<PageKey, Arc<[u8]>>,
}

/// Hash prefixes from here to before `to`, or to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

impl AtHand {
    /// The rows of some pages of a run with these ids.
    pub(crate) fn rows<R: Row>(
        &self,
        pages: impl Iterator<Item = PageKey>,
        from_us: i64,
        ids: RangeInclusive<u128>,
    ) -> Result<Vec<R>, Damaged> {
        let mut rows = Vec::new();
        for key in pages {
            let page = self.pages.get(&key).ok_or(Damaged::Missing { what: R::WHAT })?;
            rows_of(page, from_us, ids.clone(), &mut rows)?;
        }
        Ok(rows)
    }
}

impl Slice {
    pub(crate) fn ids(self) -> RangeInclusive<u128> {
        let last = self.to.map_or(u128::MAX, |to| (u128::from(to) << 64).saturating_sub(1));
        u128::from(self.from) << 64..=last
    }
}

impl Bucket {
    pub(crate) fn new(room: u32, ordinal: i64, width_us: i64) -> Bucket {
        Bucket {
            room,
            ordinal,
            from_us: ordinal.saturating_mul(width_us),
            hot_predictions: BTreeMap::new(),
            hot_labels: BTreeMap::new(),
            prediction_runs: Vec::new(),
            label_runs: Vec::new(),
            is_implied: false,
            rows: 0,
            labelled: 0,
            arrived: 0,
        }
    }

    pub(crate) fn hot_rows(&self) -> usize {
        self.hot_predictions.len() + self.hot_labels.len()
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.prediction_runs.iter().chain(&self.label_runs)
    }

    /// Keeps a prediction in memory; counting it is the caller's.
    pub(crate) fn insert(&mut self, prediction: Prediction) {
        self.hot_predictions.insert((prediction.id.0, self.arrived), prediction);
        self.arrived = self.arrived.wrapping_add(1);
    }

    pub(crate) fn may_have(&self, id: IdHash) -> bool {
        self.prediction_runs.iter().any(|run| run.may_have(id))
            || self.hot_predictions.range((id.0, 0)..=(id.0, u32::MAX)).next().is_some()
    }

    /// The pages that a cell lies in.
    pub(crate) fn pages_of(&self, id: IdHash, into: &mut impl Extend<PageKey>) {
        for kind in [PageKind::Predictions, PageKind::Labels] {
            for run in self.runs_of(kind).iter().filter(|run| run.may_have(id)) {
                into.extend(self.keys(kind, run.number, run.pages_of(id.prefix())));
            }
        }
    }

    /// All that is known of an id here.
    pub(crate) fn cell(&self, id: IdHash, at_hand: &AtHand) -> Result<Cell, Damaged> {
        let mut predictions = Vec::new();
        let mut labels = BTreeMap::new();
        for run in self.prediction_runs.iter().filter(|run| run.may_have(id)) {
            let pages = self.keys(PageKind::Predictions, run.number, run.pages_of(id.prefix()));
            predictions.extend(at_hand.rows::<Prediction>(pages, self.from_us, id.0..=id.0)?);
        }
        let hot = self.hot_predictions.range((id.0, 0)..=(id.0, u32::MAX));
        predictions.extend(hot.map(|(_, prediction)| prediction.clone()));
        for run in self.label_runs.iter().filter(|run| run.may_have(id)) {
            let pages = self.keys(PageKind::Labels, run.number, run.pages_of(id.prefix()));
            let rows = at_hand.rows::<Placed>(pages, self.from_us, id.0..=id.0)?;
            labels.extend(rows.into_iter().map(|it| (it.label.order, it)));
        }
        let hot = self.hot_labels.range((id.0, Order::MIN)..=(id.0, Order::MAX));
        labels.extend(hot.map(|((_, order), placed)| (*order, *placed)));
        Ok(self.filled(predictions, labels))
    }

    /// Where a slice ends that begins here and reaches no further than `end`.
    pub(crate) fn slice(&self, from: u64, end: Option<u64>) -> Slice {
        let ends = self.runs().filter_map(|run| run.slice_end(from, SLICE_PAGES));
        // A fence is beyond `from`, so that each slice makes some way.
        let to = ends.chain(end).filter(|to| *to > from).min();
        Slice { from, to }
    }

    /// The pages of a slice.
    pub(crate) fn pages_of_slice(&self, slice: Slice, into: &mut Vec<PageKey>) {
        for kind in [PageKind::Predictions, PageKind::Labels] {
            for run in self.runs_of(kind) {
                let pages = run.pages_between(slice.from, slice.to);
                into.extend(self.keys(kind, run.number, pages));
            }
        }
    }

    /// All cells of a slice with a prediction, in the order of their hashes.
    pub(crate) fn cells(&self, slice: Slice, at_hand: &AtHand) -> Result<Vec<Cell>, Damaged> {
        let mut predictions: Vec<Prediction> = Vec::new();
        for run in &self.prediction_runs {
            let pages = run.pages_between(slice.from, slice.to);
            let pages = self.keys(PageKind::Predictions, run.number, pages);
            predictions.extend(at_hand.rows(pages, self.from_us, slice.ids())?);
        }
        let (first, last) = slice.ids().into_inner();
        let hot = self.hot_predictions.range((first, 0)..=(last, u32::MAX));
        predictions.extend(hot.map(|(_, prediction)| prediction.clone()));
        predictions.sort_by_key(|it| it.id);
        let mut labels: BTreeMap<(u128, Order), Placed> = BTreeMap::new();
        for run in &self.label_runs {
            let pages = run.pages_between(slice.from, slice.to);
            let pages = self.keys(PageKind::Labels, run.number, pages);
            let rows = at_hand.rows::<Placed>(pages, self.from_us, slice.ids())?;
            labels.extend(rows.into_iter().map(|it| ((it.label.id.0, it.label.order), it)));
        }
        let hot = self.hot_labels.range((first, Order::MIN)..=(last, Order::MAX));
        labels.extend(hot.map(|(key, placed)| (*key, *placed)));
        let cells = predictions.chunk_by(|one, other| one.id == other.id).map(|predictions| {
            let of_id = predictions.first().map_or(0, |it| it.id.0);
            let of_id = labels.range((of_id, Order::MIN)..=(of_id, Order::MAX));
            let labels = of_id.map(|((_, order), placed)| (*order, *placed)).collect();
            self.filled(predictions.to_vec(), labels)
        });
        Ok(cells.collect())
    }

    pub(crate) fn runs_of(&self, kind: PageKind) -> &[Run] {
        match kind {
            PageKind::Labels => &self.label_runs,
            _ => &self.prediction_runs,
        }
    }

    pub(crate) fn runs_of_mut(&mut self, kind: PageKind) -> &mut Vec<Run> {
        match kind {
            PageKind::Labels => &mut self.label_runs,
            _ => &mut self.prediction_runs,
        }
    }

    /// The keys of some pages of a run.
    pub(crate) fn keys(
        &self,
        kind: PageKind,
        run: u32,
        pages: Range<u32>,
    ) -> impl Iterator<Item = PageKey> + use<> {
        let (room, bucket) = (self.room, self.ordinal);
        pages.map(move |page| PageKey { room, kind, bucket, run, page })
    }

    fn filled(&self, predictions: Vec<Prediction>, labels: BTreeMap<Order, Placed>) -> Cell {
        // Those of smaller keys were counted when there was no room for them.
        let skipped = labels.len().saturating_sub(LABELS);
        let labels = labels.into_values().skip(skipped).collect();
        Cell { predictions, labels, is_implied: self.is_implied }
    }
}
