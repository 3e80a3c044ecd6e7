//! Latencies of one window or pane: a histogram of two digits and exact counts around it.

use hdrhistogram::Histogram;

use crate::encoding::{DecodeError, Reader, put_varint};

const MOST_US: u64 = LatencyCell::MOST_US;

/// Latencies from 1 µs to 1 h with two digits. Empty, it owns no memory; it grows with the largest
/// latency seen.
#[derive(Debug, Clone, Default)]
pub struct LatencyCell {
    histogram: Option<Box<Histogram<u64>>>,
    n: u64,
    over: u64,
    beyond: u64,
    min_us: u64,
    max_us: u64,
}

impl LatencyCell {
    /// The largest latency that is told apart: an hour.
    pub const MOST_US: u64 = 3_600_000_000;

    /// Counts one latency; `under_us` is the objective's threshold. Negative ones are ignored.
    pub fn record(&mut self, latency_us: i64, under_us: Option<i64>) {
        let Ok(value_us) = u64::try_from(latency_us) else { return };
        self.max_us = self.max_us.max(value_us);
        self.min_us = if self.n == 0 { value_us } else { self.min_us.min(value_us) };
        self.n += 1;
        self.over += u64::from(under_us.is_some_and(|under_us| latency_us > under_us));
        self.beyond += u64::from(value_us > MOST_US);
        self.record_n(value_us.clamp(1, MOST_US), 1);
    }

    fn record_n(&mut self, value_us: u64, count: u64) {
        if self.histogram.is_none() {
            self.histogram = new_histogram();
        }
        if let Some(histogram) = &mut self.histogram {
            // Cannot fail: values are clamped and the histogram grows.
            let recorded = histogram.record_n(value_us, count);
            debug_assert!(recorded.is_ok());
        }
    }

    /// Adds everything `other` counted under the same objective.
    pub fn merge(&mut self, other: &LatencyCell) {
        if other.n == 0 {
            return;
        }
        self.min_us = if self.n == 0 { other.min_us } else { self.min_us.min(other.min_us) };
        self.max_us = self.max_us.max(other.max_us);
        self.n += other.n;
        self.over += other.over;
        self.beyond += other.beyond;
        for (value_us, count) in other.buckets() {
            self.record_n(value_us, count);
        }
    }

    /// Latencies counted.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Latencies above the objective's threshold; 0 where there is none.
    pub fn over(&self) -> u64 {
        self.over
    }

    /// Latencies above an hour, which stand in the histogram as an hour.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Smallest and largest latency, exact.
    pub fn range_us(&self) -> Option<(u64, u64)> {
        (self.n > 0).then_some((self.min_us, self.max_us))
    }

    /// The histogram, for percentiles; `None` while empty.
    pub fn histogram(&self) -> Option<&Histogram<u64>> {
        self.histogram.as_deref()
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.histogram.as_ref().map_or(0, |histogram| histogram.distinct_values() * 8 + 128)
    }

    /// Upper end of each used bucket with its count, ascending.
    fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let recorded = self.histogram.iter().flat_map(|histogram| histogram.iter_recorded());
        recorded.map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.n);
        if self.n == 0 {
            return;
        }
        for value in [self.over, self.beyond, self.min_us, self.max_us - self.min_us] {
            put_varint(out, value);
        }
        put_varint(out, self.buckets().count() as u64);
        let mut last = 0;
        for (value_us, count) in self.buckets() {
            put_varint(out, value_us - last);
            put_varint(out, count);
            last = value_us;
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<LatencyCell, DecodeError> {
        const WHAT: &str = "latencies";
        const MOST_BUCKETS: usize = 4096;
        let invalid = || DecodeError::Invalid { what: WHAT };
        let mut cell = LatencyCell { n: reader.count(WHAT)?, ..LatencyCell::default() };
        if cell.n == 0 {
            return Ok(cell);
        }
        cell.over = reader.count(WHAT)?;
        cell.beyond = reader.count(WHAT)?;
        cell.min_us = reader.varint(WHAT)?;
        cell.max_us = cell.min_us.checked_add(reader.varint(WHAT)?).ok_or_else(invalid)?;
        let buckets = reader.length(MOST_BUCKETS, WHAT)?;
        let (mut last, mut total) = (0_u64, 0_u64);
        for _ in 0..buckets {
            let gap = reader.varint(WHAT)?;
            let value_us = last.checked_add(gap).filter(|_| gap > 0).ok_or_else(invalid)?;
            let count = reader.count(WHAT)?;
            total = total.checked_add(count).filter(|_| count > 0).ok_or_else(invalid)?;
            // The end of the last bucket lies a little beyond an hour.
            if value_us > MOST_US + MOST_US / 100 {
                return Err(invalid());
            }
            cell.record_n(value_us, count);
            last = value_us;
        }
        if total != cell.n || cell.over > cell.n || cell.beyond > cell.n {
            return Err(invalid());
        }
        Ok(cell)
    }
}

impl PartialEq for LatencyCell {
    fn eq(&self, other: &LatencyCell) -> bool {
        let sums = |cell: &LatencyCell| (cell.n, cell.over, cell.beyond, cell.min_us, cell.max_us);
        sums(self) == sums(other) && self.buckets().eq(other.buckets())
    }
}

fn new_histogram() -> Option<Box<Histogram<u64>>> {
    let mut histogram = Histogram::new(2).ok()?;
    histogram.auto(true);
    Some(Box::new(histogram))
}
