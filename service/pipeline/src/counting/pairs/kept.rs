//! What waits for its other half, in the checkpoint: a document for each minute that has any.

use std::collections::{BTreeMap, BTreeSet};

use driftline_analytics::lane::PerLane;
use driftline_analytics::report::PairCounts;
use driftline_capture::{CaptureRow, CaptureSchema, Cell};
use driftline_config::time::MINUTE_US;
use serde::{Deserialize, Serialize};

use super::{Pairs, Place, WaitingRequest, WaitingResponse};

/// The minutes of which the store has something else than what waits.
#[derive(Debug, Default)]
pub(super) struct Minutes {
    changed: BTreeSet<i64>,
    /// Minutes of which the store has a document.
    stored: BTreeSet<i64>,
}

impl Minutes {
    pub(super) fn touch(&mut self, time_us: i64) {
        self.changed.insert(minute_of(time_us));
    }
}

fn minute_of(time_us: i64) -> i64 {
    time_us.div_euclid(MINUTE_US)
}

/// How pairs went, as a model's document has it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PairFacts {
    /// Of open windows, by start.
    counts: BTreeMap<i64, PairCounts>,
    total: PairCounts,
}

/// What waits of one minute.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PairsDocument {
    /// The subjects of the rows' cells.
    columns: Vec<String>,
    requests: Vec<RequestDocument>,
    responses: Vec<ResponseDocument>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RequestDocument {
    at: Place,
    key: Option<Box<str>>,
    waits: PerLane<Option<i64>>,
    half: CaptureRow,
}

#[derive(Debug, Serialize, Deserialize)]
struct ResponseDocument {
    at: Place,
    key: Box<str>,
    passed: PerLane<i64>,
    half: CaptureRow,
}

impl Pairs {
    /// How pairs went so far.
    pub(crate) fn facts(&self) -> PairFacts {
        PairFacts { counts: self.counts.clone(), total: self.total }
    }

    /// Goes on with those of a checkpoint.
    pub(crate) fn begin_with(&mut self, facts: PairFacts) {
        (self.counts, self.total) = (facts.counts, facts.total);
    }

    /// The minutes that changed, with what waits of them; `None` where nothing does any more.
    pub(crate) fn changes(
        &mut self,
        schema: &CaptureSchema,
    ) -> BTreeMap<i64, Option<PairsDocument>> {
        let changed = std::mem::take(&mut self.kept.changed);
        let columns: Vec<String> =
            schema.columns.iter().map(|column| column.subject.as_str().to_owned()).collect();
        let mut documents: BTreeMap<i64, Option<PairsDocument>> =
            changed.iter().map(|minute| (*minute, None)).collect();
        let new = || PairsDocument { columns: columns.clone(), ..PairsDocument::default() };
        for (place, request) in &self.requests {
            // Others are as the store has them.
            let Some(document) = documents.get_mut(&minute_of(request.half.time_us)) else {
                continue;
            };
            document.get_or_insert_with(new).requests.push(RequestDocument {
                at: *place,
                key: request.key.clone(),
                waits: request.waits,
                half: request.half.clone(),
            });
        }
        for (place, response) in &self.responses {
            // As above.
            let Some(document) = documents.get_mut(&minute_of(response.half.time_us)) else {
                continue;
            };
            document.get_or_insert_with(new).responses.push(ResponseDocument {
                at: *place,
                key: response.key.clone(),
                passed: response.passed,
                half: response.half.clone(),
            });
        }
        let stored = &mut self.kept.stored;
        // What came and went between two commits was never there.
        documents.retain(|minute, document| document.is_some() || stored.contains(minute));
        for (minute, document) in &documents {
            match document {
                Some(_) => stored.insert(*minute),
                None => stored.remove(minute),
            };
        }
        documents
    }

    /// Goes on with what waited. Columns that are no longer read are dropped, new ones are missing.
    pub(crate) fn restore(&mut self, minute: i64, document: PairsDocument, schema: &CaptureSchema) {
        let place_of = |column: &driftline_capture::Column| {
            document.columns.iter().position(|name| name == column.subject.as_str())
        };
        let places: Vec<Option<usize>> = schema.columns.iter().map(place_of).collect();
        for request in document.requests {
            let RequestDocument { at, key, waits, half } = request;
            let half = arranged(half, &places);
            self.keep_request(at, WaitingRequest { key, half, waits });
        }
        for response in document.responses {
            let ResponseDocument { at, key, passed, half } = response;
            let half = arranged(half, &places);
            self.keep_response(at, WaitingResponse { key, half, passed });
        }
        self.kept.changed.remove(&minute);
        self.kept.stored.insert(minute);
    }
}

fn arranged(mut half: CaptureRow, places: &[Option<usize>]) -> CaptureRow {
    let cell = |place: &Option<usize>| {
        // A column that was not read then.
        place.and_then(|place| half.cells.get(place).cloned()).unwrap_or(Cell::Missing)
    };
    let cells = places.iter().map(cell).collect();
    let wrong = half.wrong.into_iter().filter_map(|(old, text)| {
        let new = places.iter().position(|place| *place == Some(old as usize))?;
        Some((u32::try_from(new).ok()?, text))
    });
    half.wrong = wrong.collect();
    half.cells = cells;
    half
}
