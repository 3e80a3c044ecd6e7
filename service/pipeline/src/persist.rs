//! The pipeline's state as a snapshot, and back: what a restart continues from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_analytics::DecodeError;
use driftline_analytics::budget::ScaleHistory;
use driftline_analytics::lane::{Closed, ClosingLane, PartitionClock, PerLane};
use driftline_analytics::report::{Ledger, PairCounts};
use driftline_config::{Limits, Partition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::counting::closed::{ClosedPane, ClosedWindow, Closing};
use crate::counting::model::{CountingFacts, ModelCounter};
use crate::counting::open::{OpenPane, OpenWindow, decode_pane, decode_window, whole};
use crate::counting::pairs::{PairFacts, Pairs, PairsDocument};
use crate::counting::topic::TopicFacts;
use crate::deciding::model::{DecidingFacts, ModelDecider};
use crate::setup::{BaselineFiles, Setup, SetupError};
use crate::snapshot::{DocumentKey, LaneKind, OutboxBody, OutboxItem, Saved, Snapshot, WindowKey};
use crate::{Effect, Pipeline};

/// Why a checkpoint cannot be continued from.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A document is damaged.
    #[error(
        "checkpoint document {key}: {why}; start with `--rebuild` to count the open windows again"
    )]
    Document { key: DocumentKey, why: String },
    /// A window's counts are damaged.
    #[error(
        "checkpoint of model {model}, window {start_us}: {source}; start with `--rebuild` to count the open windows again"
    )]
    Window { model: String, start_us: i64, source: DecodeError },
    /// A window that a model's document names is not there.
    #[error(
        "checkpoint of model {model}: it names the {lane:?} window {start_us} and holds no rows of it; put a backup back (`driftline state restore`), or start with `--rebuild`"
    )]
    Missing { model: String, lane: LaneKind, start_us: i64 },
    /// What was read is not what became of it.
    #[error(
        "checkpoint of topic {topic}: the ledger of partition {partition} is {imbalance} off balance: records were lost or counted twice, or the file was changed; put a backup back (`driftline state restore`), or start with `--rebuild`"
    )]
    Ledger { topic: String, partition: Partition, imbalance: i64 },
    /// The settings of an open window are damaged.
    #[error(
        "checkpoint of model {model}: {source}; start with `--rebuild` to count the open windows again"
    )]
    Setup { model: String, source: Box<SetupError> },
    /// The grid of windows changed under open windows (docs/decisions/004).
    #[error(
        "model {model}: {what} changed while windows are open; set it back until they have closed, or start with `--rebuild` to count the open windows again under the new setting"
    )]
    Grid { model: String, what: &'static str },
}

#[derive(Serialize, Deserialize)]
struct PipelineDocument {
    next_sequence: u64,
    silences: Vec<Silence>,
}

/// A model as it is written: what it tells of can be megabytes, so nothing is copied for it.
#[derive(Serialize)]
struct ModelState<'a> {
    topic: &'a str,
    setup: String,
    drift: &'a ClosingLane,
    operations: &'a ClosingLane,
    clock: &'a BTreeMap<Partition, PartitionClock>,
    windows: BTreeMap<i64, (String, (usize, usize))>,
    panes: BTreeMap<i64, String>,
    closing: Vec<ClosingDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<PairFacts>,
    facts: FactsState<'a>,
}

#[derive(Serialize)]
struct FactsState<'a> {
    #[serde(flatten)]
    counting: &'a CountingFacts,
    #[serde(flatten)]
    deciding: &'a DecidingFacts,
}

/// The half of a model's document that counting reads.
#[derive(Deserialize)]
pub(crate) struct CountingDocument {
    pub(crate) topic: String,
    /// sha256 of the set-up in force when it was written.
    setup: String,
    /// None before rules 2: its clocks begin anew.
    #[serde(default)]
    clock: BTreeMap<Partition, PartitionClock>,
    /// Set-up and stored bytes of each open window, by start.
    windows: BTreeMap<i64, (String, (usize, usize))>,
    panes: BTreeMap<i64, String>,
    #[serde(default)]
    pairs: Option<PairFacts>,
    facts: CountingFacts,
}

/// The half that deciding reads.
#[derive(Deserialize)]
pub(crate) struct DecidingDocument {
    pub(crate) topic: String,
    pub(crate) drift: ClosingLane,
    operations: ClosingLane,
    closing: Vec<ClosingDocument>,
    facts: DecidingFacts,
}

/// A model of which a store keeps something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptModel {
    pub name: String,
    pub topic: String,
}

#[derive(Serialize, Deserialize)]
enum ClosingDocument {
    Window {
        closed: Closed,
        setup: String,
        /// Where the strips of its cuts do not give it any more: the log was replaced after it closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ledger: Option<Ledger>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pairs: Option<PairCounts>,
    },
    Pane {
        start_us: i64,
        setup: String,
    },
}

impl Saved {
    /// The models that it has, by name. What cannot be read is left out: whoever continues from it is told.
    pub fn models(&self) -> Vec<KeptModel> {
        #[derive(Deserialize)]
        struct OfTopic {
            topic: String,
        }
        let prefix = DocumentKey::Model(String::new()).to_string();
        let documents = self.documents.range(prefix.clone()..);
        let documents = documents.take_while(|(key, _)| key.starts_with(&prefix));
        let kept = documents.filter_map(|(key, bytes)| {
            let OfTopic { topic } = serde_json::from_slice(bytes).ok()?;
            Some(KeptModel { name: key.strip_prefix(&prefix)?.to_owned(), topic })
        });
        kept.collect()
    }
}

impl Pipeline {
    /// Everything that changed since the last snapshot. The caller writes it and answers with
    /// [`crate::Event::Committed`]; until then there is no other.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        if self.outlet.is_writing() || !self.is_dirty() {
            return None;
        }
        let mut snapshot = self.outlet.begin_snapshot();
        let topics = self.counting.topics.iter_mut().map(|(_, topic)| topic);
        for topic in topics.filter(|topic| topic.dirty) {
            topic.dirty = false;
            snapshot.push(DocumentKey::Topic(topic.name.clone()), &topic.facts);
        }
        let halves = self.counting.models.iter_mut().zip(self.deciding.models.iter_mut());
        for ((_, counter), (_, decider)) in halves {
            if counter.dirty || decider.dirty {
                (counter.dirty, decider.dirty) = (false, false);
                save(counter, decider, &mut self.outlet.kept, &mut snapshot);
            }
        }
        let (next_sequence, silences) =
            (self.deciding.outbox.next_sequence, self.deciding.silences.clone());
        snapshot.push(DocumentKey::Pipeline, &PipelineDocument { next_sequence, silences });
        Some(snapshot)
    }

    /// Names of kept baselines and settings that neither a model nor an open window needs; kept reports
    /// may. None while a report that names some is not in the store.
    pub fn unused_names(&self) -> BTreeSet<String> {
        if self.outlet.is_writing() || !self.outlet.pending.reports.is_empty() {
            return BTreeSet::new();
        }
        let mut unused = self.outlet.kept.clone();
        let mut seen: Vec<*const Setup> = Vec::new();
        for setup in self.setups() {
            if !seen.contains(&Arc::as_ptr(setup)) {
                seen.push(Arc::as_ptr(setup));
                for name in setup.kept_names() {
                    unused.remove(&name);
                }
            }
        }
        unused
    }

    /// Lets go of what the store has of baseline files. To be called after a commit, before the next
    /// snapshot, and never where the store may lose what it has.
    pub fn let_go_of_files(&self) {
        for setup in self.setups() {
            setup.let_go_of_files(&self.outlet.kept);
        }
    }

    /// The store no longer has these.
    pub fn forget_names(&mut self, names: &BTreeSet<String>) {
        self.outlet.kept.retain(|name| !names.contains(name));
    }

    /// The set-ups in force, and those of everything that is open.
    fn setups(&self) -> impl Iterator<Item = &Arc<Setup>> {
        let counters = self.counting.models.iter().flat_map(|(_, counter)| {
            let windows = counter.windows.values().map(|window| &window.setup);
            let panes = counter.panes.values().map(|pane| &pane.setup);
            windows.chain(panes).chain([&counter.setup])
        });
        let deciders = self.deciding.models.iter();
        let closing = deciders.flat_map(|(_, decider)| decider.closing.iter().map(Closing::setup));
        counters.chain(closing)
    }

    /// Continues from what a store saved. Returns what is to be done at once: messages that are not
    /// delivered yet.
    ///
    /// # Errors
    /// [`RestoreError`]: the checkpoint is damaged, or does not fit the settings.
    pub fn restore(&mut self, saved: &Saved, limits: &Limits) -> Result<Vec<Effect>, RestoreError> {
        if let Some(document) = read::<PipelineDocument>(saved, &DocumentKey::Pipeline)? {
            self.deciding.outbox.next_sequence = document.next_sequence;
            self.deciding.silences = document.silences;
        }
        for (_, topic) in self.counting.topics.iter_mut() {
            let key = DocumentKey::Topic(topic.name.clone());
            if let Some(facts) = read::<TopicFacts>(saved, &key)? {
                check_balance(&topic.name, &facts)?;
                topic.facts = facts;
            }
        }
        self.outlet.kept.extend(saved.named.keys().cloned());
        let mut files = BaselineFiles::default();
        self.setups().for_each(|setup| setup.share_files(&mut files));
        let halves = self.counting.models.iter_mut().zip(self.deciding.models.iter_mut());
        for ((_, counter), (_, decider)) in halves {
            let key = DocumentKey::Model(counter.name().to_owned());
            let Some(counted) = read::<CountingDocument>(saved, &key)? else { continue };
            let Some(decided) = read::<DecidingDocument>(saved, &key)? else { continue };
            if *counted.topic == *decider.topic {
                let mut kept = Restored::new(saved, &counter.setup, &mut files, limits);
                let before = counted.setup.clone();
                restore_counter(counter, counted, &mut kept)?;
                restore_decider(decider, decided, counter, &mut kept)?;
                take_up_settings(counter, decider, &before, &mut kept)?;
            }
        }
        let (open, over): (Vec<&OutboxItem>, Vec<&OutboxItem>) =
            saved.outbox.iter().partition(|item| !self.is_over(item));
        self.deciding.outbox.open = open.len() as u64;
        self.deciding.unreported = self.deciding.count_unreported(&self.outlet);
        let done = &mut self.outlet.pending.outbox_done;
        done.extend(over.iter().map(|item| item.sequence).chain(saved.unreadable.iter().copied()));
        Ok(open.into_iter().cloned().map(Effect::Deliver).collect())
    }

    /// Whether a message is an alert that stands and that nothing will end: its incident is unknown,
    /// such as one of a model that left the configuration, or its receiver is not told any more.
    fn is_over(&self, item: &OutboxItem) -> bool {
        let OutboxBody::Message(row) = &item.body else { return false };
        let Some(alert) = row.kind.alert().filter(|alert| alert.is_standing()) else {
            return false;
        };
        let models = self.deciding.models.iter().map(|(_, model)| model);
        let mut told = models.filter(|model| {
            model.name() == row.model && model.setup.model.notify.contains(&row.receiver)
        });
        !told.any(|model| {
            model.facts.alerts.incidents().any(|incident| incident.id == alert.incident())
        })
    }
}

fn save(
    counter: &mut ModelCounter,
    decider: &mut ModelDecider,
    kept: &mut BTreeSet<String>,
    snapshot: &mut Snapshot,
) {
    let mut known: BTreeMap<*const Setup, String> = BTreeMap::new();
    let mut name_of = |setup: &Arc<Setup>, snapshot: &mut Snapshot| {
        let name = known.entry(Arc::as_ptr(setup)).or_insert_with(|| setup.sha256().to_owned());
        if !kept.contains(name.as_str()) {
            match setup.keep(kept) {
                Ok(parts) => {
                    kept.extend(parts.iter().map(|(sha256, _)| sha256.clone()));
                    snapshot.named.extend(parts);
                }
                Err(error) => snapshot.lacks = Some(error.to_string()),
            }
        }
        name.clone()
    };
    save_open(counter, snapshot);
    save_pairs(counter, snapshot);
    let mut closing = Vec::new();
    let ledgers = decider.ledgers_of_strips();
    for (entry, of_strips) in decider.closing.iter_mut().zip(ledgers) {
        let setup = name_of(entry.setup(), snapshot);
        closing.push(match entry {
            Closing::Window(ClosedWindow { closed, ledger, pairs, .. }) => {
                let ledger = (of_strips != Some(*ledger)).then_some(*ledger);
                ClosingDocument::Window { closed: closed.clone(), setup, ledger, pairs: *pairs }
            }
            Closing::Pane(ClosedPane { start_us, state, saved, .. }) => {
                if !std::mem::replace(saved, true) {
                    let key = counter.key(LaneKind::Operations, *start_us);
                    snapshot.increments.push(whole(key, Arc::clone(state)));
                }
                ClosingDocument::Pane { start_us: *start_us, setup }
            }
        });
    }
    let (windows, panes) = (counter.windows.iter(), counter.panes.iter());
    let document = ModelState {
        topic: &decider.topic,
        setup: name_of(&counter.setup, snapshot),
        drift: &decider.lanes.drift,
        operations: &decider.lanes.operations,
        clock: counter.clock.partitions(),
        windows: windows
            .map(|(start, open)| (*start, (name_of(&open.setup, snapshot), open.stored)))
            .collect(),
        panes: panes.map(|(start, open)| (*start, name_of(&open.setup, snapshot))).collect(),
        closing,
        pairs: counter.pairs.as_ref().map(Pairs::facts),
        facts: FactsState { counting: &counter.facts, deciding: &decider.facts },
    };
    snapshot.push(DocumentKey::Model(counter.name().to_owned()), &document);
    if std::mem::replace(&mut decider.newest_dirty, false) {
        let key = DocumentKey::Scales(counter.name().to_owned());
        snapshot.documents.push((key, decider.newest.encode()));
    }
}

/// What open windows and panes counted since the last snapshot.
fn save_open(counter: &mut ModelCounter, snapshot: &mut Snapshot) {
    let model = counter.name().to_owned();
    let key = |lane, start_us| WindowKey::new(&model, lane, start_us);
    for (&start_us, window) in &mut counter.windows {
        snapshot.increments.extend(window.increment(key(LaneKind::Drift, start_us)));
    }
    for (&start_us, pane) in &mut counter.panes {
        snapshot.increments.extend(pane.increment(key(LaneKind::Operations, start_us)));
    }
}

/// What waits for its other half, as far as it changed.
fn save_pairs(counter: &mut ModelCounter, snapshot: &mut Snapshot) {
    let model = counter.name().to_owned();
    let setup = Arc::clone(&counter.setup);
    let Some(pairs) = &mut counter.pairs else { return };
    for (minute, document) in pairs.changes(setup.layout.schema()) {
        let key = DocumentKey::Pairs(model.clone(), minute);
        match document {
            Some(document) => snapshot.push(key, &document),
            None => snapshot.documents.push((key, Vec::new())),
        }
    }
}

/// What the store holds of one model, with the set-ups that its windows were opened under.
struct Restored<'a> {
    saved: &'a Saved,
    files: &'a mut BaselineFiles,
    limits: &'a Limits,
    model: String,
    setups: BTreeMap<String, Arc<Setup>>,
}

impl<'a> Restored<'a> {
    fn new(
        saved: &'a Saved,
        in_force: &Arc<Setup>,
        files: &'a mut BaselineFiles,
        limits: &'a Limits,
    ) -> Restored<'a> {
        let setups = [(in_force.sha256().to_owned(), Arc::clone(in_force))].into();
        Restored { saved, files, limits, model: in_force.model.name.clone(), setups }
    }

    fn setup(&mut self, name: &str) -> Result<Arc<Setup>, RestoreError> {
        // Else it is read now.
        if let Some(setup) = self.setups.get(name) {
            return Ok(Arc::clone(setup));
        }
        // What is not there becomes an error of the set-up that needs it.
        let named =
            |sha256: &str| self.saved.named.get(sha256).filter(|bytes| !bytes.is_empty()).cloned();
        let setup = Setup::restore(name, &named, self.files, self.limits).map_err(|source| {
            RestoreError::Setup { model: self.model.clone(), source: Box::new(source) }
        })?;
        let setup = Arc::new(setup);
        self.setups.insert(name.to_owned(), Arc::clone(&setup));
        Ok(setup)
    }

    /// The increments of a window, oldest first. A window is kept in the commit of its first rows.
    fn increments(&self, lane: LaneKind, start_us: i64) -> Result<&'a [Vec<u8>], RestoreError> {
        let key = WindowKey::new(&self.model, lane, start_us);
        // One that is not there becomes an error: its rows are lost.
        let found = self.saved.windows.get(&key).map(Vec::as_slice);
        found.ok_or_else(|| RestoreError::Missing { model: self.model.clone(), lane, start_us })
    }

    /// The error of a window whose increments cannot be read.
    fn damaged(&self, start_us: i64) -> impl FnOnce(DecodeError) -> RestoreError {
        let model = self.model.clone();
        move |source| RestoreError::Window { model, start_us, source }
    }
}

fn restore_counter(
    counter: &mut ModelCounter,
    document: CountingDocument,
    kept: &mut Restored<'_>,
) -> Result<(), RestoreError> {
    for (start_us, (name, stored)) in document.windows {
        let increments = kept.increments(LaneKind::Drift, start_us)?;
        let window = OpenWindow::decode(kept.setup(&name)?, increments);
        let mut window = window.map_err(kept.damaged(start_us))?;
        window.stored = stored;
        counter.windows.insert(start_us, window);
    }
    for (start_us, name) in document.panes {
        let increments = kept.increments(LaneKind::Operations, start_us)?;
        let pane = OpenPane::decode(kept.setup(&name)?, increments);
        counter.panes.insert(start_us, pane.map_err(kept.damaged(start_us))?);
    }
    if let Some(pairs) = &mut counter.pairs {
        pairs.begin_with(document.pairs.unwrap_or_default());
        let schema = counter.setup.layout.schema();
        for (minute, key) in pair_documents(kept.saved, &counter.setup.model.name) {
            if let Some(document) = read::<PairsDocument>(kept.saved, &key)? {
                pairs.restore(minute, document, schema);
            }
        }
    }
    counter.clock.restore(document.clock);
    counter.facts = document.facts;
    Ok(())
}

fn restore_decider(
    decider: &mut ModelDecider,
    document: DecidingDocument,
    counter: &mut ModelCounter,
    kept: &mut Restored<'_>,
) -> Result<(), RestoreError> {
    check_grid(decider, &document)?;
    let settings = decider.setup.lanes();
    decider.lanes = PerLane { drift: document.drift, operations: document.operations };
    decider.lanes.drift.settle(settings.drift);
    decider.lanes.operations.settle(settings.operations);
    for partition in decider.lanes.drift.partitions() {
        let through_us = |lane: &ClosingLane| lane.passed_through_us(partition);
        counter.clock.pass(partition, decider.lanes.as_ref().map(through_us));
    }
    counter.clock.close_through(decider.lanes.as_ref().map(ClosingLane::closed_through_us));
    decider.facts = document.facts;
    let key = DocumentKey::Scales(decider.name().to_owned());
    // Before ranks decided there was none, and without a complete window there is none.
    if let Some(bytes) = kept.saved.document(&key) {
        let damaged = |why: DecodeError| RestoreError::Document { key, why: why.to_string() };
        decider.newest = ScaleHistory::decode(bytes).map_err(damaged)?;
    }
    for entry in document.closing {
        decider.closing.push_back(match entry {
            ClosingDocument::Window { closed, setup, ledger, pairs } => {
                let setup = kept.setup(&setup)?;
                let increments = kept.increments(LaneKind::Drift, closed.start_us)?;
                let state =
                    decode_window(&setup, increments).map_err(kept.damaged(closed.start_us))?;
                let ledger = ledger.unwrap_or_else(|| decider.ledger(&closed));
                let state = Arc::new(state);
                let records = decider.records(&closed);
                Closing::Window(ClosedWindow {
                    closed,
                    setup,
                    state,
                    ledger,
                    records,
                    pairs,
                    judging: false,
                })
            }
            ClosingDocument::Pane { start_us, setup } => {
                let setup = kept.setup(&setup)?;
                let increments = kept.increments(LaneKind::Operations, start_us)?;
                let state = decode_pane(&setup, increments).map_err(kept.damaged(start_us))?;
                Closing::Pane(ClosedPane { start_us, setup, state: Arc::new(state), saved: true })
            }
        });
    }
    Ok(())
}

/// The minutes of which something waits, with their documents.
fn pair_documents(saved: &Saved, model: &str) -> Vec<(i64, DocumentKey)> {
    let prefix = DocumentKey::Pairs(model.to_owned(), 0).to_string();
    let prefix = prefix.trim_end_matches('0');
    let keys = saved.documents.range(prefix.to_owned()..);
    let keys = keys.take_while(|(key, _)| key.starts_with(prefix));
    let minutes = keys.filter_map(|(key, _)| key.strip_prefix(prefix)?.parse().ok());
    minutes.map(|minute| (minute, DocumentKey::Pairs(model.to_owned(), minute))).collect()
}

/// A ledger that does not balance has lost something, or is not what was written.
fn check_balance(topic: &str, facts: &TopicFacts) -> Result<(), RestoreError> {
    let mut off = facts.ledger.partitions.iter().map(|(at, ledger)| (*at, ledger.imbalance()));
    match off.find(|(_, imbalance)| *imbalance != 0) {
        Some((partition, imbalance)) => {
            Err(RestoreError::Ledger { topic: topic.to_owned(), partition, imbalance })
        }
        None => Ok(()),
    }
}

/// Notes what differs from the settings that were in force: the next report tells it.
fn take_up_settings(
    counter: &mut ModelCounter,
    decider: &mut ModelDecider,
    before: &str,
    kept: &mut Restored<'_>,
) -> Result<(), RestoreError> {
    if before == counter.setup.sha256() {
        return Ok(());
    }
    let before = kept.setup(before)?;
    // What an earlier restart changed may not have been told yet.
    let facts = &mut decider.facts;
    facts.changed.extend(changed(&before, &counter.setup));
    facts.changed.sort();
    facts.changed.dedup();
    decider.lanes.drift.begin_era();
    decider.lanes.operations.begin_era();
    Ok(())
}

fn check_grid(decider: &ModelDecider, document: &DecidingDocument) -> Result<(), RestoreError> {
    let settings = decider.setup.lanes();
    let lanes = [
        (&document.drift, settings.drift, "window.every, window.timezone or window.lateness"),
        (&document.operations, settings.operations, "operations.every or operations.lateness"),
    ];
    for (lane, new, what) in lanes {
        let old = lane.settings();
        let differs = (&old.grid, old.lateness_us) != (&new.grid, new.lateness_us);
        if differs && lane.open_windows() > 0 {
            return Err(RestoreError::Grid { model: decider.name().to_owned(), what });
        }
    }
    Ok(())
}

/// Which parts of a model's set-up differ, in words for the next report.
fn changed(before: &Setup, after: &Setup) -> Vec<String> {
    let mut changed = Vec::new();
    if before.config_sha256 != after.config_sha256 {
        changed.push("config".to_owned());
    }
    if !before.has_baselines_of(after) {
        changed.push("baseline".to_owned());
    }
    changed
}

/// The document under a key, where there is one.
pub(crate) fn read<T: DeserializeOwned>(
    saved: &Saved,
    key: &DocumentKey,
) -> Result<Option<T>, RestoreError> {
    let Some(bytes) = saved.document(key) else { return Ok(None) };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| RestoreError::Document { key: key.clone(), why: error.to_string() })
}
