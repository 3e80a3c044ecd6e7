//! The pipeline's state as a snapshot, and back: what a restart continues from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_analytics::DecodeError;
use driftline_analytics::lane::{Closed, Lane};
use driftline_analytics::pane::PaneState;
use driftline_analytics::window::WindowState;
use driftline_config::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::topic::TopicFacts;
use super::unit::{Closing, Facts, OpenPane, OpenWindow, Unit};
use super::{Effect, Pipeline};
use crate::checkpoint::{Increment, LaneKind, OutboxItem, Saved, Snapshot, WindowKey};
use crate::messages::OutboxBody;
use crate::setup::{BaselineFiles, Setup, SetupError};

/// Increments are folded into the base value when they are larger than it, and than this.
const FOLD_BYTES: usize = 64 << 10;
const PIPELINE_KEY: &str = "pipeline";

/// Why a checkpoint cannot be continued from.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A document is damaged.
    #[error(
        "checkpoint document {key}: {why}; start with `--rebuild` to count the open windows again"
    )]
    Document {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A window's counts are damaged.
    #[error(
        "checkpoint of model {model}, window {start_us}: {source}; start with `--rebuild` to count the open windows again"
    )]
    Window {
        /// Name of the model.
        model: String,
        /// Start of the window.
        start_us: i64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The settings of an open window are damaged.
    #[error(
        "checkpoint of model {model}: {source}; start with `--rebuild` to count the open windows again"
    )]
    Setup {
        /// Name of the model.
        model: String,
        /// What is wrong with them.
        source: Box<SetupError>,
    },
    /// The grid of windows changed under open windows.
    #[error(
        "model {model}: {what} changed while windows are open; set it back until they have closed, or start with `--rebuild` to count the open windows again under the new setting"
    )]
    Grid {
        /// Name of the model.
        model: String,
        /// Which settings.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct PipelineDocument {
    next_sequence: u64,
    silences: Vec<Silence>,
}

/// As it is written: what it tells of can be megabytes, so nothing is copied for it.
#[derive(Serialize)]
struct UnitState<'a> {
    topic: &'a str,
    setup: String,
    drift: &'a Lane,
    operations: &'a Lane,
    windows: BTreeMap<i64, (String, (usize, usize))>,
    panes: BTreeMap<i64, String>,
    closing: Vec<ClosingDocument>,
    facts: &'a Facts,
}

/// As it is read.
#[derive(Deserialize)]
pub(super) struct UnitDocument {
    pub(super) topic: String,
    /// sha256 of the set-up in force when it was written.
    setup: String,
    pub(super) drift: Lane,
    operations: Lane,
    /// Set-up and stored bytes of each open window, by start.
    windows: BTreeMap<i64, (String, (usize, usize))>,
    panes: BTreeMap<i64, String>,
    closing: Vec<ClosingDocument>,
    facts: Facts,
}

#[derive(Serialize, Deserialize)]
enum ClosingDocument {
    Window { closed: Closed, setup: String },
    Pane { start_us: i64, setup: String },
}

impl Pipeline {
    /// Whether something changed since the last snapshot.
    pub fn is_dirty(&self) -> bool {
        self.urgent
            || !self.pending.is_empty()
            || self.topics.iter().any(|topic| topic.dirty)
            || self.units.iter().any(|unit| unit.dirty)
    }

    /// Everything that changed since the last snapshot. The caller writes it and answers with
    /// [`super::Event::Committed`]; until then there is no other.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        if self.in_flight.is_some() || !self.is_dirty() {
            return None;
        }
        let mut snapshot = std::mem::take(&mut self.pending);
        self.epoch += 1;
        snapshot.epoch = self.epoch;
        for topic in self.topics.iter_mut().filter(|topic| topic.dirty) {
            topic.dirty = false;
            push(&mut snapshot, format!("topic/{}", topic.name), &topic.facts);
        }
        for unit in self.units.iter_mut().filter(|unit| unit.dirty) {
            unit.dirty = false;
            let topic = self.topics.get(unit.topic).map_or("", |topic| &topic.name);
            unit.save(topic, &mut self.kept, &mut snapshot);
        }
        let silences = self.silences.clone();
        let document = PipelineDocument { next_sequence: self.next_sequence, silences };
        push(&mut snapshot, PIPELINE_KEY.to_owned(), &document);
        self.urgent = false;
        self.rows_since_snapshot = 0;
        self.in_flight = Some((self.epoch, std::mem::take(&mut self.after_commit)));
        Some(snapshot)
    }

    /// Names of kept baselines and settings that neither a model nor an open window needs; kept reports
    /// may. None while a report that names some is not in the store.
    pub fn unused_names(&self) -> BTreeSet<String> {
        if self.in_flight.is_some() || !self.pending.reports.is_empty() {
            return BTreeSet::new();
        }
        let mut unused = self.kept.clone();
        let mut seen: Vec<*const Setup> = Vec::new();
        for setup in self.units.iter().flat_map(Unit::setups) {
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
        for setup in self.units.iter().flat_map(Unit::setups) {
            setup.let_go_of_files(&self.kept);
        }
    }

    /// The store no longer has these.
    pub fn forget_names(&mut self, names: &BTreeSet<String>) {
        self.kept.retain(|name| !names.contains(name));
    }

    /// Continues from what a store saved. Returns what is to be done at once: messages that are not
    /// delivered yet.
    ///
    /// # Errors
    /// [`RestoreError`]: the checkpoint is damaged, or does not fit the settings.
    pub fn restore(&mut self, saved: &Saved, limits: &Limits) -> Result<Vec<Effect>, RestoreError> {
        if let Some(document) = read::<PipelineDocument>(saved, PIPELINE_KEY)? {
            self.next_sequence = document.next_sequence;
            self.silences = document.silences;
        }
        for topic in &mut self.topics {
            if let Some(facts) = read::<TopicFacts>(saved, &format!("topic/{}", topic.name))? {
                topic.facts = facts;
            }
        }
        self.kept.extend(saved.named.keys().cloned());
        let mut files = BaselineFiles::default();
        self.units.iter().for_each(|unit| unit.setup.share_files(&mut files));
        for unit in &mut self.units {
            let key = format!("model/{}", unit.name());
            let Some(document) = read::<UnitDocument>(saved, &key)? else { continue };
            let topic = self.topics.get(unit.topic).map_or("", |topic| topic.name.as_str());
            if document.topic == topic {
                unit.restore(document, saved, &mut files, limits)?;
            }
        }
        let (open, over): (Vec<&OutboxItem>, Vec<&OutboxItem>) =
            saved.outbox.iter().partition(|item| !self.is_over(item));
        self.outbox_open = open.len() as u64;
        self.unreported = self.count_unreported();
        self.pending.outbox_done.extend(over.iter().map(|item| item.sequence));
        Ok(open.into_iter().cloned().map(Effect::Deliver).collect())
    }

    /// Whether a message is an alert that stands and that nothing will end: its incident is unknown,
    /// such as one of a model that left the configuration, or its receiver is not told any more.
    fn is_over(&self, item: &OutboxItem) -> bool {
        let Ok(OutboxBody::Message(row)) = serde_json::from_str(&item.body) else { return false };
        let Some(alert) = row.kind.alert().filter(|alert| alert.is_standing()) else {
            return false;
        };
        let mut units = self.units.iter().filter(|unit| {
            unit.name() == row.model && unit.setup.model.notify.contains(&row.receiver)
        });
        !units.any(|unit| {
            unit.facts.alerts.incidents().any(|incident| incident.id == alert.incident())
        })
    }

    /// Notes how many bytes of an open window a commit brought into the store.
    pub(super) fn stored(&mut self, window: &WindowKey, bytes: usize) {
        let unit = self.by_name.get(&window.model).and_then(|unit| self.units.get_mut(*unit));
        let open = unit.and_then(|unit| unit.windows.get_mut(&window.start_us));
        if let Some(open) = open {
            match open.stored.0 {
                0 => open.stored.0 = bytes,
                _ => open.stored.1 += bytes,
            }
        }
    }
}

impl Unit {
    /// The set-up in force, and those of everything that is open.
    fn setups(&self) -> impl Iterator<Item = &Arc<Setup>> {
        let closing = self.closing.iter().map(|closing| match closing {
            Closing::Window { setup, .. } | Closing::Pane { setup, .. } => setup,
        });
        let windows = self.windows.values().map(|window| &window.setup);
        let panes = self.panes.values().map(|pane| &pane.setup);
        closing.chain(windows).chain(panes).chain([&self.setup])
    }

    fn save(&mut self, topic: &str, kept: &mut BTreeSet<String>, snapshot: &mut Snapshot) {
        let mut setups: BTreeMap<*const Setup, String> = BTreeMap::new();
        let mut name_of = |setup: &Arc<Setup>| {
            let name =
                setups.entry(Arc::as_ptr(setup)).or_insert_with(|| setup.sha256().to_owned());
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
        let model = self.setup.model.name.clone();
        let key = |lane, start_us| WindowKey { model: model.clone(), lane, start_us };
        for (&start_us, window) in &mut self.windows {
            snapshot.increments.extend(window.increment(key(LaneKind::Drift, start_us)));
        }
        for (&start_us, pane) in self.panes.iter_mut().filter(|(_, pane)| pane.dirty) {
            pane.dirty = false;
            let state = pane.counted.clone();
            snapshot.increments.push(whole(key(LaneKind::Operations, start_us), Arc::new(state)));
        }
        let mut closing = Vec::new();
        for entry in &mut self.closing {
            closing.push(match entry {
                Closing::Window { closed, setup, .. } => {
                    ClosingDocument::Window { closed: closed.clone(), setup: name_of(setup) }
                }
                Closing::Pane { start_us, setup, state, saved } => {
                    if !std::mem::replace(saved, true) {
                        let key = key(LaneKind::Operations, *start_us);
                        snapshot.increments.push(whole(key, Arc::clone(state)));
                    }
                    ClosingDocument::Pane { start_us: *start_us, setup: name_of(setup) }
                }
            });
        }
        let windows = self.windows.iter();
        let panes = self.panes.iter();
        let document = UnitState {
            topic,
            setup: name_of(&self.setup),
            drift: &self.drift,
            operations: &self.operations,
            windows: windows
                .map(|(start, open)| (*start, (name_of(&open.setup), open.stored)))
                .collect(),
            panes: panes.map(|(start, open)| (*start, name_of(&open.setup))).collect(),
            closing,
            facts: &self.facts,
        };
        push(snapshot, format!("model/{model}"), &document);
    }

    fn restore(
        &mut self,
        document: UnitDocument,
        saved: &Saved,
        files: &mut BaselineFiles,
        limits: &Limits,
    ) -> Result<(), RestoreError> {
        let model = self.name().to_owned();
        self.check_grid(&document)?;
        let current = self.setup.sha256().to_owned();
        let mut setups: BTreeMap<String, Arc<Setup>> =
            [(current.clone(), Arc::clone(&self.setup))].into();
        let mut setup_of = |name: &str| -> Result<Arc<Setup>, RestoreError> {
            if let Some(setup) = setups.get(name) {
                return Ok(Arc::clone(setup));
            }
            let named =
                |sha256: &str| saved.named.get(sha256).filter(|bytes| !bytes.is_empty()).cloned();
            let setup = Setup::restore(name, &named, files, limits).map_err(|source| {
                RestoreError::Setup { model: model.clone(), source: Box::new(source) }
            })?;
            let setup = Arc::new(setup);
            setups.insert(name.to_owned(), Arc::clone(&setup));
            Ok(setup)
        };
        let increments = |lane, start_us| {
            let key = WindowKey { model: self.setup.model.name.clone(), lane, start_us };
            saved.windows.get(&key).map_or(&[] as &[Vec<u8>], |increments| increments.as_slice())
        };
        for (start_us, (name, stored)) in document.windows {
            let setup = setup_of(&name)?;
            let counted =
                decode_window(&setup, increments(LaneKind::Drift, start_us)).map_err(|source| {
                    RestoreError::Window { model: model.clone(), start_us, source }
                })?;
            let mut open = OpenWindow::new(setup);
            (open.counted, open.stored) = (counted, stored);
            self.windows.insert(start_us, open);
        }
        for (start_us, name) in document.panes {
            let setup = setup_of(&name)?;
            let counted = decode_pane(&setup, increments(LaneKind::Operations, start_us)).map_err(
                |source| RestoreError::Window { model: model.clone(), start_us, source },
            )?;
            self.panes.insert(start_us, OpenPane { setup, counted, dirty: false });
        }
        for entry in document.closing {
            let window = |start_us| {
                let model = model.clone();
                move |source| RestoreError::Window { model, start_us, source }
            };
            self.closing.push_back(match entry {
                ClosingDocument::Window { closed, setup } => {
                    let setup = setup_of(&setup)?;
                    let stored = increments(LaneKind::Drift, closed.start_us);
                    let state = decode_window(&setup, stored).map_err(window(closed.start_us))?;
                    Closing::Window { closed, setup, state: Arc::new(state), judging: false }
                }
                ClosingDocument::Pane { start_us, setup } => {
                    let setup = setup_of(&setup)?;
                    let stored = increments(LaneKind::Operations, start_us);
                    let state = decode_pane(&setup, stored).map_err(window(start_us))?;
                    Closing::Pane { start_us, setup, state: Arc::new(state), saved: true }
                }
            });
        }
        (self.drift, self.operations) = (document.drift, document.operations);
        self.drift.settle(self.setup.drift_lane());
        self.operations.settle(self.setup.operations_lane());
        self.facts = document.facts;
        if document.setup != current {
            let before = setup_of(&document.setup)?;
            // What an earlier restart changed may not have been told yet.
            self.facts.changed.extend(changed(&before, &self.setup));
            self.facts.changed.sort();
            self.facts.changed.dedup();
            self.drift.begin_era();
            self.operations.begin_era();
        }
        Ok(())
    }

    fn check_grid(&self, document: &UnitDocument) -> Result<(), RestoreError> {
        let model = || self.name().to_owned();
        let (old, new) = (document.drift.settings(), self.setup.drift_lane());
        let open = document.drift.open_windows() > 0;
        if open && (old.every_us, old.lateness_us) != (new.every_us, new.lateness_us) {
            return Err(RestoreError::Grid {
                model: model(),
                what: "window.every or window.lateness",
            });
        }
        let (old, new) = (document.operations.settings(), self.setup.operations_lane());
        let open = document.operations.open_windows() > 0;
        if open && (old.every_us, old.lateness_us) != (new.every_us, new.lateness_us) {
            let what = "operations.every or operations.lateness";
            return Err(RestoreError::Grid { model: model(), what });
        }
        Ok(())
    }

    /// What a closing window counted since the last snapshot.
    pub(super) fn last_increment(&mut self, start_us: i64) -> Option<Increment> {
        let model = self.setup.model.name.clone();
        let key = WindowKey { model, lane: LaneKind::Drift, start_us };
        self.windows.get_mut(&start_us).and_then(|window| window.increment(key))
    }
}

impl OpenWindow {
    /// What was counted since the last snapshot, or everything where that is less to keep.
    fn increment(&mut self, key: WindowKey) -> Option<Increment> {
        if !std::mem::replace(&mut self.dirty, false) {
            return None;
        }
        let layout = &self.setup.layout;
        let fresh = std::mem::replace(&mut self.fresh, WindowState::new(layout));
        self.counted.merge(layout, &fresh);
        let (base, increments) = self.stored;
        let replaces = increments > base.max(FOLD_BYTES);
        if replaces {
            self.stored = (0, 0);
        }
        let state = if replaces { self.counted.clone() } else { fresh };
        let encode = Box::new(move |buffer: &mut Vec<u8>| state.encode(buffer));
        Some(Increment { window: key, replaces, encode })
    }
}

fn whole(window: WindowKey, state: Arc<PaneState>) -> Increment {
    let encode = Box::new(move |buffer: &mut Vec<u8>| state.encode(buffer));
    Increment { window, replaces: true, encode }
}

fn decode_window(setup: &Setup, increments: &[Vec<u8>]) -> Result<WindowState, DecodeError> {
    let mut sum = WindowState::new(&setup.layout);
    for bytes in increments {
        sum.merge(&setup.layout, &WindowState::decode(&setup.layout, bytes)?);
    }
    Ok(sum)
}

fn decode_pane(setup: &Setup, increments: &[Vec<u8>]) -> Result<PaneState, DecodeError> {
    let mut sum = PaneState::new(&setup.layout);
    for bytes in increments {
        sum.merge(&setup.layout, &PaneState::decode(&setup.layout, bytes)?);
    }
    Ok(sum)
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

pub(super) fn push<T: Serialize>(snapshot: &mut Snapshot, key: String, document: &T) {
    match serde_json::to_vec(document) {
        Ok(bytes) => snapshot.documents.push((key, bytes)),
        Err(error) => snapshot.lacks = Some(format!("{key}: {error}")),
    }
}

pub(super) fn read<T: DeserializeOwned>(
    saved: &Saved,
    key: &str,
) -> Result<Option<T>, RestoreError> {
    let Some(bytes) = saved.documents.get(key) else { return Ok(None) };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| RestoreError::Document { key: key.to_owned(), why: error.to_string() })
}
