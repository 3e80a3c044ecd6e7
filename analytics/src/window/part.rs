//! Some rows of a batch, and what their envelopes say, looked up for all at once where that can be.

use arrow::array::Array;
use driftline_capture::CaptureBatch;

use crate::cells::{Chosen, LatencyCell, RequestCell, StatusClass};

/// Rows of a batch that are counted.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) batch: &'a CaptureBatch,
    pub(crate) rows: &'a [u32],
}

impl<'a> Part<'a> {
    /// Counts the rows as requests, and their latencies.
    pub(crate) fn count(
        self,
        under_us: Option<i64>,
        requests: &mut RequestCell,
        latency: &mut LatencyCell,
    ) {
        match self.same_class() {
            Some(class) => requests.record_whole(class, self.rows.len() as u64),
            None => {
                let rates = self.batch.sample_rates();
                for &row in self.rows {
                    let rate = rates.get(row as usize).copied().unwrap_or(1.0);
                    requests.record(self.class(row), rate);
                }
            }
        }
        for &row in self.rows {
            if let Some(latency_us) = self.batch.latency_us(row as usize) {
                latency.record(latency_us, under_us);
            }
        }
    }

    /// The class of all rows, where they are a run of one status, each standing for itself; most often
    /// they are. `None` where it takes a look at each to tell.
    fn same_class(self) -> Option<StatusClass> {
        let run = Chosen::new(self.rows).run(self.batch.rows())?;
        let rates = self.batch.sample_rates().get(run.clone())?;
        if rates.iter().fold(false, |any, &rate| any | (rate < 1.0)) {
            return None;
        }
        let statuses = self.batch.statuses();
        if statuses.null_count() > 0 {
            let all = statuses.null_count() == statuses.len();
            return all.then_some(StatusClass::None);
        }
        let (first, others) = statuses.values().get(run)?.split_first()?;
        let same = others.iter().fold(true, |same, status| same & (status == first));
        same.then(|| StatusClass::of(Some(*first)))
    }

    /// The version of all rows, where they are a run of one; `None` where it takes a look at each.
    pub(crate) fn same_version(self) -> Option<&'a str> {
        let versions = self.batch.versions();
        let run = Chosen::new(self.rows).run(versions.len())?;
        if versions.null_count() > 0 {
            return (versions.null_count() == versions.len()).then_some("");
        }
        let offsets = versions.value_offsets().get(run.start..=run.end)?;
        let (&from, &to) = (offsets.first()?, offsets.last()?);
        let length = offsets.get(1)? - from;
        let even = offsets.iter().zip(0..).fold(true, |even, (&offset, index)| {
            even & (offset.wrapping_sub(from) == length.wrapping_mul(index))
        });
        let bytes = versions.value_data().get(from as usize..to as usize)?;
        // Equal to themselves moved by one text, all are the first.
        let moved = bytes.get(length as usize..)?;
        let same = even && bytes.get(..moved.len()).is_some_and(|bytes| bytes == moved);
        same.then(|| versions.value(run.start))
    }

    /// The rows that did not fail.
    pub(crate) fn without_failure(self) -> Vec<u32> {
        match self.same_class() {
            Some(class) if class.is_failure() => Vec::new(),
            Some(_) => self.rows.to_vec(),
            None => {
                let rows = self.rows.iter().copied();
                rows.filter(|&row| !self.class(row).is_failure()).collect()
            }
        }
    }

    /// First and last event time.
    pub(crate) fn span_us(self) -> Option<(i64, i64)> {
        let times_us = self.batch.times_us();
        let times_us = self.rows.iter().filter_map(|&row| times_us.get(row as usize).copied());
        times_us.fold(None, |span, time_us| {
            let (first, last) = span.unwrap_or((time_us, time_us));
            Some((first.min(time_us), last.max(time_us)))
        })
    }

    /// The version of a row; empty where the capture names none.
    pub(crate) fn version(self, row: u32) -> &'a str {
        self.batch.version(row as usize).unwrap_or_default()
    }

    pub(crate) fn class(self, row: u32) -> StatusClass {
        StatusClass::of(self.batch.status(row as usize))
    }
}
