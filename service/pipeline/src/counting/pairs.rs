//! Pairing: requests and responses that are records of their own become rows (RULES §1, docs/decisions/094).
//!
//! ```text
//! request ──► place (window, pane) ─┐                       ┌─► a row with both
//!                                   ├─ same key, in time? ──┤
//! response ─► what its log passed ──┘                       └─► waits ─► its window closes: a row without an
//!                                                                        answer, or an answer without a request
//! ```
//!
//! A pair belongs to its request. What becomes of it follows from the two records and from the cuts of the
//! request's windows in their partitions, never from which of them was read first.

mod halves;
mod kept;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use driftline_analytics::lane::{Passage, PerLane};
use driftline_analytics::report::PairCounts;
use driftline_capture::{CaptureRow, CaptureSchema, ModelHalves};
use driftline_config::{Partition, WindowGrid};
use serde::{Deserialize, Serialize};

use crate::setup::Setup;

use halves::{Half, RowNumber, joined, passed_at, rows_of, starts_of, weight};
pub(crate) use kept::{PairFacts, PairsDocument};

/// What waits may occupy so many bytes of one model: some hundred thousand requests, which is a day of a
/// busy model one of whose hundred answers never comes.
const WAITING_BYTES: usize = 64 << 20;
/// The status of a request that got no answer in time, as HTTP has it.
const NO_ANSWER: i32 = 504;

/// Where a half stands: it is found in this order, so that of two with one key the first in the log counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    partition: Partition,
    offset: i64,
    /// Of the rows of its record.
    row: u32,
}

#[derive(Debug, Clone, PartialEq)]
struct WaitingRequest {
    key: Option<Box<str>>,
    half: CaptureRow,
    /// Starts of the window and the pane that count it; `None` where that has closed, or never took it.
    waits: PerLane<Option<i64>>,
}

#[derive(Debug, Clone, PartialEq)]
struct WaitingResponse {
    key: Box<str>,
    half: CaptureRow,
    /// The last window ends that its partition had passed before it.
    passed: PerLane<i64>,
}

/// What waits of one model, and how its pairs went.
#[derive(Debug)]
pub(crate) struct Pairs {
    within_us: i64,
    grids: PerLane<WindowGrid>,
    requests: BTreeMap<Place, WaitingRequest>,
    responses: BTreeMap<Place, WaitingResponse>,
    requests_by_key: HashMap<Box<str>, Vec<Place>>,
    responses_by_key: HashMap<Box<str>, Vec<Place>>,
    /// Requests by the window that waits for them.
    requests_by_window: PerLane<BTreeMap<i64, BTreeSet<Place>>>,
    /// Responses by the drift window of their own time.
    responses_by_window: BTreeMap<i64, BTreeSet<Place>>,
    bytes: usize,
    most_bytes: usize,
    /// Of drift windows that are open.
    counts: BTreeMap<i64, PairCounts>,
    total: PairCounts,
    kept: kept::Minutes,
}

/// The halves of one stretch of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) partition: Partition,
    pub(crate) requests: Option<&'a ModelHalves>,
    pub(crate) responses: Option<&'a ModelHalves>,
    /// Of the requests.
    pub(crate) passage: &'a Passage,
    /// The last window ends that the partition had passed, or that had closed, before the stretch.
    pub(crate) passed: PerLane<i64>,
    /// A response from here on lies too far beyond our clock.
    pub(crate) ahead_from_us: i64,
}

/// A row that goes into a window and a pane, or into one of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairedRow {
    /// Of its request.
    pub(crate) partition: Partition,
    pub(crate) row: CaptureRow,
    pub(crate) starts: PerLane<Option<i64>>,
}

/// What a stretch or a close settled.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) rows: Vec<PairedRow>,
    /// Offsets of responses that came after their window was cut.
    pub(crate) late: Vec<i64>,
    /// Offsets of responses too far beyond our clock.
    pub(crate) ahead: Vec<i64>,
}

impl Pairs {
    /// Nothing waits. `None` for a model whose records are whole captures.
    pub(crate) fn new(setup: &Setup) -> Option<Pairs> {
        let pair = setup.model.captures.format.mapping()?.pair.as_ref()?;
        let lanes = setup.lanes();
        let grids = PerLane { drift: lanes.drift.grid, operations: lanes.operations.grid };
        Some(Pairs::with_limits(pair.within_us, grids, WAITING_BYTES))
    }

    pub(crate) fn with_limits(
        within_us: i64,
        grids: PerLane<WindowGrid>,
        most_bytes: usize,
    ) -> Pairs {
        Pairs {
            within_us,
            grids,
            requests: BTreeMap::new(),
            responses: BTreeMap::new(),
            requests_by_key: HashMap::new(),
            responses_by_key: HashMap::new(),
            requests_by_window: PerLane::default(),
            responses_by_window: BTreeMap::new(),
            bytes: 0,
            most_bytes,
            counts: BTreeMap::new(),
            total: PairCounts::default(),
            kept: kept::Minutes::default(),
        }
    }

    /// How all pairs went since the first record.
    pub(crate) fn total(&self) -> PairCounts {
        self.total
    }

    fn note(&mut self, start_us: i64, count: impl Fn(&mut PairCounts)) {
        count(self.counts.entry(start_us).or_default());
        count(&mut self.total);
    }

    /// How many halves wait.
    pub(crate) fn waiting(&self) -> usize {
        self.requests.len() + self.responses.len()
    }

    /// The drift windows whose requests the responses may be of, with the first offset of those.
    pub(crate) fn needed_by(&self, responses: Option<&ModelHalves>) -> Vec<(i64, i64)> {
        let mut needed: BTreeMap<i64, i64> = BTreeMap::new();
        let rows = responses.map(|halves| &halves.rows);
        let times = rows.map(|rows| rows.offsets().iter().zip(rows.times_us()));
        for (&offset, &time_us) in times.into_iter().flatten() {
            for asked_us in [time_us.saturating_sub(self.within_us), time_us] {
                needed.entry(self.window_of(asked_us)).or_insert(offset);
            }
        }
        needed.into_iter().collect()
    }

    /// Takes the halves of a stretch, in the order of the log.
    pub(crate) fn take(&mut self, arrived: Arrived<'_>, schema: &CaptureSchema) -> Settled {
        let mut settled = Settled::default();
        let starts = starts_of(&arrived);
        let mut requests = rows_of(arrived.requests, schema).zip(starts).peekable();
        let mut responses = rows_of(arrived.responses, schema).peekable();
        let mut row = RowNumber::default();
        loop {
            let request = requests.peek().map(|(request, _)| request.half.offset);
            let response = responses.peek().map(|response| response.half.offset);
            match (request, response) {
                (None, None) => break,
                (Some(asked), answered) if answered.is_none_or(|offset| asked < offset) => {
                    let Some((half, waits)) = requests.next() else { break };
                    let place = row.place(arrived.partition, half.half.offset);
                    self.take_request(place, half, waits, &mut settled);
                }
                _ => {
                    let Some(half) = responses.next() else { break };
                    let place = row.place(arrived.partition, half.half.offset);
                    self.take_response(place, half, &arrived, &mut settled);
                }
            }
        }
        self.give_up(&mut settled);
        settled
    }

    fn take_request(
        &mut self,
        place: Place,
        half: Half,
        waits: PerLane<Option<i64>>,
        settled: &mut Settled,
    ) {
        if waits == PerLane::default() {
            // Late: no window takes it, whether it was answered or not.
            return;
        }
        let Half { key, half } = half;
        let request = WaitingRequest { key, half, waits };
        let answer = request.key.as_ref().and_then(|key| {
            // Its answer is to come.
            let places = self.responses_by_key.get(key)?;
            let of_place = |place: &&Place| {
                // Whatever is listed waits.
                self.responses.get(*place).is_some_and(|response| self.is_pair(&request, response))
            };
            places.iter().filter(of_place).min().copied()
        });
        match answer.and_then(|place| self.remove_response(place)) {
            Some(response) => self.join(place.partition, &request, response, settled),
            None => self.keep_request(place, request),
        }
    }

    fn take_response(
        &mut self,
        place: Place,
        half: Half,
        arrived: &Arrived<'_>,
        settled: &mut Settled,
    ) {
        let Half { key, half } = half;
        if half.time_us > arrived.ahead_from_us {
            settled.ahead.push(half.offset);
            return;
        }
        let passed = passed_at(arrived, half.offset);
        let start_us = self.grids.drift.start_us(half.time_us);
        if self.grids.drift.end_us(start_us) <= passed.drift {
            settled.late.push(half.offset);
            return;
        }
        let Some(key) = key else {
            self.note(start_us, |counts| counts.request_missing += 1);
            return;
        };
        let response = WaitingResponse { key, half, passed };
        // Its request is to come, or never will.
        let places = self.requests_by_key.get(&response.key);
        let of_place = |place: &&Place| {
            // Whatever is listed waits.
            self.requests.get(*place).is_some_and(|request| self.is_pair(request, &response))
        };
        // Its request is to come, or never will.
        let asked = places.and_then(|places| places.iter().filter(of_place).min().copied());
        let asked = asked.and_then(|asked| Some((asked, self.remove_request(asked)?)));
        match asked {
            Some((asked, request)) => self.join(asked.partition, &request, response, settled),
            None => self.keep_response(place, response),
        }
    }

    /// Whether the response came in time, by its own clock and before the cut of a window that waits.
    fn is_pair(&self, request: &WaitingRequest, response: &WaitingResponse) -> bool {
        let after_us = response.half.time_us.saturating_sub(request.half.time_us);
        let in_time = self.in_time(request, response);
        (0..=self.within_us).contains(&after_us)
            && (in_time.drift.is_some() || in_time.operations.is_some())
    }

    /// The windows that wait for the request and in whose strip of the log the response lies.
    fn in_time(
        &self,
        request: &WaitingRequest,
        response: &WaitingResponse,
    ) -> PerLane<Option<i64>> {
        let (waits, passed) = (request.waits, response.passed);
        let of = |start_us: Option<i64>, grid: &WindowGrid, passed_us: i64| {
            start_us.filter(|start_us| grid.end_us(*start_us) > passed_us)
        };
        PerLane {
            drift: of(waits.drift, &self.grids.drift, passed.drift),
            operations: of(waits.operations, &self.grids.operations, passed.operations),
        }
    }

    /// Two halves become a row; a window that was cut before the response has one without an answer.
    fn join(
        &mut self,
        partition: Partition,
        request: &WaitingRequest,
        response: WaitingResponse,
        settled: &mut Settled,
    ) {
        let starts = self.in_time(request, &response);
        let without = |lane: Option<i64>, with: Option<i64>| lane.filter(|_| with.is_none());
        let missed = PerLane {
            drift: without(request.waits.drift, starts.drift),
            operations: without(request.waits.operations, starts.operations),
        };
        if let Some(start_us) = starts.drift {
            self.note(start_us, |counts| counts.paired += 1);
        }
        self.miss_response(partition, &request.half, missed, settled);
        let row = joined(&request.half, response.half);
        settled.rows.push(PairedRow { partition, row, starts });
    }

    /// A request goes into windows without an answer.
    fn miss_response(
        &mut self,
        partition: Partition,
        half: &CaptureRow,
        starts: PerLane<Option<i64>>,
        settled: &mut Settled,
    ) {
        if starts == PerLane::default() {
            return;
        }
        if let Some(start_us) = starts.drift {
            self.note(start_us, |counts| counts.response_missing += 1);
        }
        let mut row = half.clone();
        row.status = row.status.filter(|status| *status >= 400).or(Some(NO_ANSWER));
        settled.rows.push(PairedRow { partition, row, starts });
    }

    /// A drift window takes nothing more: what waits for it gets no answer, and answers of its time get no
    /// request.
    pub(crate) fn close_window(&mut self, start_us: i64, settled: &mut Settled) {
        // Nothing may wait for it.
        for place in self.requests_by_window.drift.remove(&start_us).unwrap_or_default() {
            // Whatever is listed waits.
            let Some(request) = self.requests.get_mut(&place) else { continue };
            let half = request.half.clone();
            request.waits.drift = None;
            let waits = request.waits;
            self.kept.touch(half.time_us);
            let starts = PerLane { drift: Some(start_us), operations: None };
            self.miss_response(place.partition, &half, starts, settled);
            if waits == PerLane::default() {
                self.remove_request(place);
            }
        }
        self.drop_responses(start_us);
    }

    /// The same of a pane.
    pub(crate) fn close_pane(&mut self, start_us: i64, settled: &mut Settled) {
        // Nothing may wait for it.
        for place in self.requests_by_window.operations.remove(&start_us).unwrap_or_default() {
            // Whatever is listed waits.
            let Some(request) = self.requests.get_mut(&place) else { continue };
            let half = request.half.clone();
            request.waits.operations = None;
            let waits = request.waits;
            self.kept.touch(half.time_us);
            let starts = PerLane { drift: None, operations: Some(start_us) };
            self.miss_response(place.partition, &half, starts, settled);
            if waits == PerLane::default() {
                self.remove_request(place);
            }
        }
    }

    /// The drift window of a time.
    pub(crate) fn window_of(&self, time_us: i64) -> i64 {
        self.grids.drift.start_us(time_us)
    }

    /// Nothing more comes.
    pub(crate) fn close_all(&mut self, settled: &mut Settled) {
        let starts: Vec<i64> = self.requests_by_window.drift.keys().copied().collect();
        for start_us in starts {
            self.close_window(start_us, settled);
        }
        self.close_through(i64::MAX);
    }

    /// Drops the answers of windows that end at or before `through_us`, which has closed, whether they ever
    /// had a row.
    pub(crate) fn close_through(&mut self, through_us: i64) {
        while let Some((&start_us, _)) = self.responses_by_window.first_key_value()
            && self.grids.drift.end_us(start_us) <= through_us
        {
            self.drop_responses(start_us);
        }
        let grid = &self.grids.drift;
        self.counts.retain(|start_us, _| grid.end_us(*start_us) > through_us);
    }

    fn drop_responses(&mut self, start_us: i64) {
        // None may have come.
        for place in self.responses_by_window.remove(&start_us).unwrap_or_default() {
            self.remove_response(place);
            self.note(start_us, |counts| counts.request_missing += 1);
        }
    }

    /// How the pairs of a drift window went that closes, or goes on in another one.
    pub(crate) fn take_counts(&mut self, start_us: i64) -> PairCounts {
        // A window of no halves has none.
        self.counts.remove(&start_us).unwrap_or_default()
    }

    /// Adds those of a window that went on in this one.
    pub(crate) fn add_counts(&mut self, start_us: i64, counts: PairCounts) {
        *self.counts.entry(start_us).or_default() += counts;
    }

    /// The oldest wait no longer where too many do.
    fn give_up(&mut self, settled: &mut Settled) {
        while self.bytes > self.most_bytes {
            if let Some((&place, _)) = self.oldest_request() {
                let Some(request) = self.remove_request(place) else { break };
                if let Some(start_us) = request.waits.drift {
                    self.note(start_us, |counts| counts.given_up += 1);
                }
                self.miss_response(place.partition, &request.half, request.waits, settled);
            } else if let Some((&start_us, places)) = self.responses_by_window.first_key_value()
                && let Some(&place) = places.first()
            {
                self.remove_response(place);
                self.note(start_us, |counts| {
                    counts.given_up += 1;
                    counts.request_missing += 1;
                });
            } else {
                break;
            }
        }
    }

    fn oldest_request(&self) -> Option<(&Place, i64)> {
        let lanes = &self.requests_by_window;
        let first = |lane: &'_ BTreeMap<i64, BTreeSet<Place>>| {
            lane.first_key_value().map(|(start_us, _)| *start_us)
        };
        let start_us = first(&lanes.drift).or_else(|| first(&lanes.operations))?;
        let lane = if first(&lanes.drift).is_some() { &lanes.drift } else { &lanes.operations };
        // Sets of places are never empty.
        lane.get(&start_us)?.first().map(|place| (place, start_us))
    }

    fn keep_request(&mut self, place: Place, request: WaitingRequest) {
        self.bytes += weight(&request.half, request.key.as_deref());
        self.kept.touch(request.half.time_us);
        if let Some(key) = &request.key {
            self.requests_by_key.entry(key.clone()).or_default().push(place);
        }
        let lanes = &mut self.requests_by_window;
        for (start_us, lane) in [
            (request.waits.drift, &mut lanes.drift),
            (request.waits.operations, &mut lanes.operations),
        ] {
            if let Some(start_us) = start_us {
                lane.entry(start_us).or_default().insert(place);
            }
        }
        self.requests.insert(place, request);
    }

    fn keep_response(&mut self, place: Place, response: WaitingResponse) {
        self.bytes += weight(&response.half, Some(&response.key));
        self.kept.touch(response.half.time_us);
        self.responses_by_key.entry(response.key.clone()).or_default().push(place);
        let start_us = self.grids.drift.start_us(response.half.time_us);
        self.responses_by_window.entry(start_us).or_default().insert(place);
        self.responses.insert(place, response);
    }

    fn remove_request(&mut self, place: Place) -> Option<WaitingRequest> {
        let request = self.requests.remove(&place)?;
        self.bytes -= weight(&request.half, request.key.as_deref());
        self.kept.touch(request.half.time_us);
        if let Some(key) = &request.key {
            forget(&mut self.requests_by_key, key, place);
        }
        let lanes = &mut self.requests_by_window;
        for (start_us, lane) in [
            (request.waits.drift, &mut lanes.drift),
            (request.waits.operations, &mut lanes.operations),
        ] {
            if let Some(start_us) = start_us {
                forget_in(lane, start_us, place);
            }
        }
        Some(request)
    }

    fn remove_response(&mut self, place: Place) -> Option<WaitingResponse> {
        let response = self.responses.remove(&place)?;
        self.bytes -= weight(&response.half, Some(&response.key));
        self.kept.touch(response.half.time_us);
        forget(&mut self.responses_by_key, &response.key, place);
        let start_us = self.grids.drift.start_us(response.half.time_us);
        forget_in(&mut self.responses_by_window, start_us, place);
        Some(response)
    }
}

fn forget(by_key: &mut HashMap<Box<str>, Vec<Place>>, key: &str, place: Place) {
    // Whatever waits under a key is in its list.
    let Some(places) = by_key.get_mut(key) else { return };
    places.retain(|other| *other != place);
    if places.is_empty() {
        by_key.remove(key);
    }
}

fn forget_in(by_window: &mut BTreeMap<i64, BTreeSet<Place>>, start_us: i64, place: Place) {
    // A window that closes takes its list along.
    let Some(places) = by_window.get_mut(&start_us) else { return };
    places.remove(&place);
    if places.is_empty() {
        by_window.remove(&start_us);
    }
}
