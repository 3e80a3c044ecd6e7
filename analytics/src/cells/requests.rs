//! Requests by class of status, counted and weighted by what each row stands for.

use crate::encoding::{DecodeError, Reader, put_varint};
use crate::exact::ExactSum;

/// The class of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusClass {
    /// No status was given, or one below 100. Counts as a success.
    None,
    /// 100 to 199.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 and above.
    ServerError,
}

/// The smallest share of its kind that a row can stand for. With one far smaller a single row outweighs all
/// that a window can hold, and the weights of two need not have a sum that is a number.
const SMALLEST_RATE: f64 = 1e-9;

/// How many requests a row stands for: 1 / `sample_rate`, and 1 where that is no rate from 1e-9 to 1.
pub fn weight(sample_rate: f64) -> f64 {
    if (SMALLEST_RATE..1.0).contains(&sample_rate) { 1.0 / sample_rate } else { 1.0 }
}

/// Requests by class of status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestCell {
    counts: [u64; StatusClass::ALL.len()],
    /// Sums of [`weight`]; `None` while every row stood for itself, which is nearly always.
    weights: Option<Box<[ExactSum; StatusClass::ALL.len()]>>,
}

impl StatusClass {
    /// All classes, in the order in which they are kept.
    pub const ALL: [StatusClass; 6] = [
        StatusClass::None,
        StatusClass::Informational,
        StatusClass::Success,
        StatusClass::Redirection,
        StatusClass::ClientError,
        StatusClass::ServerError,
    ];

    /// The class of a status.
    pub fn of(status: Option<i32>) -> StatusClass {
        match status {
            None | Some(..100) => StatusClass::None,
            Some(100..200) => StatusClass::Informational,
            Some(200..300) => StatusClass::Success,
            Some(300..400) => StatusClass::Redirection,
            Some(400..500) => StatusClass::ClientError,
            Some(500..) => StatusClass::ServerError,
        }
    }

    /// `none`, `1xx` to `5xx`.
    pub fn name(self) -> &'static str {
        match self {
            StatusClass::None => "none",
            StatusClass::Informational => "1xx",
            StatusClass::Success => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
        }
    }

    /// Whether the request failed, so that its features and predictions are not counted.
    pub fn is_failure(self) -> bool {
        matches!(self, StatusClass::ClientError | StatusClass::ServerError)
    }
}

impl RequestCell {
    /// Counts one request that stands for [`weight`]`(sample_rate)` requests.
    pub fn record(&mut self, class: StatusClass, sample_rate: f64) {
        let weight = weight(sample_rate);
        if weight != 1.0 && self.weights.is_none() {
            self.weights = Some(Box::new(self.counts.map(exact_count)));
        }
        self.counts[class as usize] += 1;
        if let Some(weights) = &mut self.weights {
            weights[class as usize].add(weight);
        }
    }

    /// Counts `count` requests that stand for themselves.
    pub fn record_whole(&mut self, class: StatusClass, count: u64) {
        self.counts[class as usize] += count;
        if let Some(weights) = &mut self.weights {
            weights[class as usize].merge(&exact_count(count));
        }
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &RequestCell) {
        if self.weights.is_some() || other.weights.is_some() {
            let mine = self.counts;
            let weights = self.weights.get_or_insert_with(|| Box::new(mine.map(exact_count)));
            let theirs = match &other.weights {
                Some(weights) => (**weights).clone(),
                None => other.counts.map(exact_count),
            };
            for (weight, added) in weights.iter_mut().zip(&theirs) {
                weight.merge(added);
            }
        }
        for (count, added) in self.counts.iter_mut().zip(other.counts) {
            *count += added;
        }
    }

    /// Requests of one class.
    pub fn count(&self, class: StatusClass) -> u64 {
        self.counts[class as usize]
    }

    /// Requests of one class, each weighted by what it stands for.
    pub fn weighted(&self, class: StatusClass) -> f64 {
        match &self.weights {
            Some(weights) => weights[class as usize].value(),
            None => self.count(class) as f64,
        }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Requests with a status of 400 or above.
    pub fn failures(&self) -> u64 {
        let failing = StatusClass::ALL.into_iter().filter(|class| class.is_failure());
        failing.map(|class| self.count(class)).sum()
    }

    /// All requests, weighted.
    pub fn weighted_requests(&self) -> f64 {
        self.weighted_sum(|_| true)
    }

    /// Requests with a status of 400 or above, weighted.
    pub fn weighted_failures(&self) -> f64 {
        self.weighted_sum(StatusClass::is_failure)
    }

    fn weighted_sum(&self, wanted: impl Fn(StatusClass) -> bool) -> f64 {
        let mut sum = ExactSum::default();
        for class in StatusClass::ALL.into_iter().filter(|&class| wanted(class)) {
            match &self.weights {
                Some(weights) => sum.merge(&weights[class as usize]),
                None => sum.merge(&exact_count(self.count(class))),
            }
        }
        sum.value()
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        let weights = self.weights.iter().flat_map(|weights| weights.iter());
        weights.map(|weight| weight.bytes() + size_of::<ExactSum>()).sum()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.counts.iter().for_each(|&count| put_varint(out, count));
        out.push(u8::from(self.weights.is_some()));
        for weight in self.weights.iter().flat_map(|weights| weights.iter()) {
            weight.encode(out);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<RequestCell, DecodeError> {
        const WHAT: &str = "requests";
        let mut cell = RequestCell::default();
        for count in &mut cell.counts {
            *count = reader.count(WHAT)?;
        }
        match reader.byte(WHAT)? {
            0 => {}
            1 => {
                let mut weights: Box<[ExactSum; StatusClass::ALL.len()]> = Box::default();
                for weight in weights.iter_mut() {
                    *weight = ExactSum::decode(reader)?;
                }
                cell.weights = Some(weights);
            }
            _ => return Err(DecodeError::Invalid { what: WHAT }),
        }
        Ok(cell)
    }
}

/// A count as an exact sum; counts stay below 2^53.
fn exact_count(count: u64) -> ExactSum {
    let mut sum = ExactSum::default();
    sum.add(count as f64);
    sum
}
