//! The series behind the metrics, under one bound.
//!
//! We keep them ourselves rather than in `prometheus::MetricVec`: that finds a series by a hash over
//! the label values run together, so topic `a` partition `11` and topic `a1` partition `1` would be
//! one series; and it neither bounds nor removes a model's series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prometheus::proto;

use super::families::{Family, Kind};

/// The name of our own bound among the limits.
pub(super) const OWN_LIMIT: &str = "series";

/// The values of a metric's labels, in the order of its definition.
pub(super) type Labels = Vec<String>;

/// How dearly a series is held when there is no room: a lower one makes way for a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Ok,
    /// A column of which nothing can be said.
    NotComputable,
    Warn,
    Alarm,
    Fixed,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Latencies {
    /// Upper bounds of the buckets in microseconds, ascending, each within its bucket.
    pub(super) bounds_us: Arc<[i64]>,
    /// Per bucket; the last is for what is beyond all bounds.
    pub(super) counts: Vec<u64>,
    pub(super) sum_us: f64,
}

#[derive(Debug, Clone)]
enum Sample {
    Number(f64),
    Latencies(Latencies),
}

#[derive(Debug)]
pub(super) struct Table {
    families: BTreeMap<Family, BTreeMap<Labels, Sample>>,
    limit: usize,
    used: usize,
    /// Those left out, so that each is counted once.
    refused: BTreeSet<(Family, Labels)>,
    /// Each column shown, by model and subject.
    columns: BTreeMap<(String, String), Column>,
    /// The same columns, the first to make way first.
    by_rank: BTreeSet<(Rank, String, String)>,
}

#[derive(Debug)]
struct Column {
    rank: Rank,
    series: Vec<(Family, Labels)>,
}

impl Latencies {
    pub(super) fn new(bounds_us: Arc<[i64]>) -> Latencies {
        let counts = vec![0; bounds_us.len() + 1];
        Latencies { bounds_us, counts, sum_us: 0.0 }
    }

    pub(super) fn observe(&mut self, latency_us: i64) {
        let bucket = self.bounds_us.partition_point(|bound_us| *bound_us < latency_us);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum_us += latency_us as f64;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    fn merge(&mut self, other: &Latencies) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_us += other.sum_us;
    }
}

impl Sample {
    /// The lines it takes when scraped: a histogram has one per bucket, and +Inf, sum and count.
    fn series(&self) -> usize {
        match self {
            Sample::Number(_) => 1,
            Sample::Latencies(latencies) => latencies.bounds_us.len() + 3,
        }
    }
}

impl Table {
    pub(super) fn new(limit: usize) -> Table {
        let mut table = Table {
            families: BTreeMap::new(),
            limit,
            used: 0,
            refused: BTreeSet::new(),
            columns: BTreeMap::new(),
            by_rank: BTreeSet::new(),
        };
        // Those that tell of the bound stand outside it.
        table.insert(Family::SeriesDropped, Vec::new(), Sample::Number(0.0));
        table.insert(Family::LimitReached, vec![OWN_LIMIT.to_owned()], Sample::Number(0.0));
        table
    }

    pub(super) fn add(&mut self, family: Family, labels: &[&str], amount: f64) {
        if let Some(Sample::Number(value)) = self.admitted(family, labels, Sample::Number(0.0)) {
            *value += amount;
        }
    }

    /// Sets a gauge, or a counter to a total that only grows.
    pub(super) fn set(&mut self, family: Family, labels: &[&str], number: f64) {
        if let Some(Sample::Number(value)) = self.admitted(family, labels, Sample::Number(0.0)) {
            *value = number;
        }
    }

    pub(super) fn observe(&mut self, family: Family, labels: &[&str], batch: &Latencies) {
        let empty = Sample::Latencies(Latencies::new(Arc::clone(&batch.bounds_us)));
        if let Some(Sample::Latencies(latencies)) = self.admitted(family, labels, empty) {
            latencies.merge(batch);
        }
    }

    pub(super) fn remove_one(&mut self, family: Family, labels: &[&str]) {
        let labels: Labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.remove(family, &labels);
    }

    /// Removes every series of a family whose first label is `first`.
    pub(super) fn remove_first(&mut self, family: Family, first: &str) {
        let Some(series) = self.families.get_mut(&family) else { return };
        let gone = series.extract_if(.., |labels, _| labels.first().is_some_and(|it| it == first));
        self.used -= gone.map(|(_, sample)| sample.series()).sum::<usize>();
    }

    /// Replaces what is shown of one column. Where there is no room it takes that of columns of a
    /// lower rank; where there are none, the column is left out.
    pub(super) fn show(
        &mut self,
        model: &str,
        subject: &str,
        rank: Rank,
        numbers: Vec<(Family, Labels, f64)>,
    ) {
        self.hide(model, subject);
        if !self.has_room(numbers.len(), rank) {
            for (family, labels, _) in numbers {
                self.refuse(family, labels);
            }
            return;
        }
        let mut shown = Vec::with_capacity(numbers.len());
        for (family, labels, number) in numbers {
            self.refused.remove(&(family, labels.clone()));
            shown.push((family, labels.clone()));
            self.insert(family, labels, Sample::Number(number));
        }
        let key = (model.to_owned(), subject.to_owned());
        self.by_rank.insert((rank, key.0.clone(), key.1.clone()));
        self.columns.insert(key, Column { rank, series: shown });
    }

    /// Removes the columns of a model for which `keep` says no.
    pub(super) fn hide_unless(&mut self, model: &str, keep: &dyn Fn(&str) -> bool) {
        let from = (model.to_owned(), String::new());
        let of_model = self.columns.range(from..).take_while(|((of, _), _)| of == model);
        let gone: Vec<String> = of_model
            .filter(|((_, subject), _)| !keep(subject))
            .map(|((_, subject), _)| subject.clone())
            .collect();
        for subject in gone {
            self.hide(model, &subject);
        }
    }

    /// Removes one column and tells how many series it had.
    fn hide(&mut self, model: &str, subject: &str) -> usize {
        let key = (model.to_owned(), subject.to_owned());
        let Some(Column { rank, series }) = self.columns.remove(&key) else { return 0 };
        self.by_rank.remove(&(rank, key.0, key.1));
        for (family, labels) in &series {
            self.remove(*family, labels);
        }
        series.len()
    }

    fn admitted(&mut self, family: Family, labels: &[&str], empty: Sample) -> Option<&mut Sample> {
        let labels: Labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let known = self.families.get(&family).is_some_and(|series| series.contains_key(&labels));
        if !known {
            if !self.has_room(empty.series(), Rank::Fixed) {
                self.refuse(family, labels);
                return None;
            }
            self.refused.remove(&(family, labels.clone()));
            self.insert(family, labels.clone(), empty);
        }
        self.families.get_mut(&family)?.get_mut(&labels)
    }

    fn insert(&mut self, family: Family, labels: Labels, sample: Sample) {
        self.used += sample.series();
        let before = self.families.entry(family).or_default().insert(labels, sample);
        self.used -= before.map_or(0, |sample| sample.series());
    }

    fn remove(&mut self, family: Family, labels: &Labels) {
        let removed = self.families.get_mut(&family).and_then(|series| series.remove(labels));
        self.used -= removed.map_or(0, |sample| sample.series());
    }

    /// Makes room for so many series; columns of a lower rank than `rank` make way.
    fn has_room(&mut self, series: usize, rank: Rank) -> bool {
        while self.used + series > self.limit {
            let first = self.by_rank.first().filter(|(of, _, _)| *of < rank).cloned();
            let Some((_, model, subject)) = first else { return false };
            let hidden = self.hide(&model, &subject);
            self.count_dropped(hidden);
        }
        true
    }

    fn refuse(&mut self, family: Family, labels: Labels) {
        // Beyond as many as may be shown, each further attempt counts.
        if self.refused.len() >= self.limit || self.refused.insert((family, labels)) {
            self.count_dropped(1);
        }
    }

    fn count_dropped(&mut self, series: usize) {
        let own = [(Family::SeriesDropped, None), (Family::LimitReached, Some(OWN_LIMIT))];
        for (family, label) in own {
            let labels: Labels = label.into_iter().map(str::to_owned).collect();
            let of_family = self.families.get_mut(&family);
            if let Some(Sample::Number(value)) = of_family.and_then(|of| of.get_mut(&labels)) {
                *value += series as f64;
            }
        }
    }

    /// The series as the text encoder takes them; metrics without a series are left out.
    pub(super) fn gather(&self) -> Vec<proto::MetricFamily> {
        let mut gathered = Vec::new();
        for (family, series) in self.families.iter().filter(|(_, series)| !series.is_empty()) {
            let definition = family.definition();
            let metrics = series.iter().map(|(labels, sample)| {
                let mut metric = match sample {
                    Sample::Number(number) => number_metric(definition.kind, *number),
                    Sample::Latencies(latencies) => histogram_metric(latencies),
                };
                let pairs = definition.labels.iter().zip(labels).map(|(name, value)| {
                    let mut pair = proto::LabelPair::default();
                    pair.set_name((*name).to_owned());
                    pair.set_value(value.clone());
                    pair
                });
                metric.set_label(pairs.collect());
                metric
            });
            let mut family = proto::MetricFamily::default();
            family.set_name(definition.name.to_owned());
            family.set_help(definition.help.to_owned());
            family.set_field_type(match definition.kind {
                Kind::Counter => proto::MetricType::COUNTER,
                Kind::Gauge => proto::MetricType::GAUGE,
                Kind::Histogram => proto::MetricType::HISTOGRAM,
            });
            family.set_metric(metrics.collect());
            gathered.push(family);
        }
        gathered
    }
}

fn number_metric(kind: Kind, number: f64) -> proto::Metric {
    let mut metric = proto::Metric::default();
    if kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(number);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(number);
        metric.set_gauge(gauge);
    }
    metric
}

fn histogram_metric(latencies: &Latencies) -> proto::Metric {
    let mut cumulative = 0;
    let mut buckets = Vec::with_capacity(latencies.bounds_us.len());
    for (bound_us, count) in latencies.bounds_us.iter().zip(&latencies.counts) {
        cumulative += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(seconds(*bound_us as f64));
        bucket.set_cumulative_count(cumulative);
        buckets.push(bucket);
    }
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(latencies.counts.iter().sum());
    histogram.set_sample_sum(seconds(latencies.sum_us));
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    metric
}

pub(super) fn seconds(time_us: f64) -> f64 {
    time_us / 1e6
}
