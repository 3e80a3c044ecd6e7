//! A model with everything around it, small enough to be run from its first row to its report.

use std::sync::Arc;

use driftline_analytics::report::Report;
use driftline_pipeline::inline::Inline;
use driftline_pipeline::setup::SetupError;
use driftline_pipeline::snapshot::{Saved, Snapshot};
use driftline_pipeline::{Event, Read};
use driftline_world::{Log, T0, World, capture, heartbeat};

const MINUTE_US: i64 = 60_000_000;
const ROWS: i64 = 150;

const CONFIG: &str = r#"
kafka: {bootstrap: "localhost:1"}
alerts: {max_age: off}
models:
  - name: one
    captures: {topic: shared}
    baseline: one.json
    window: {every: 1h, lateness: 5m, idle: off, at_least: 20, at_most: 4h}
    operations: {every: 10m, lateness: 5m}
    tolerance: {ks: 0.05, psi: 0.1}
    errors: {objective: 0.99}
receivers:
  - {name: mail, email: {folder: mails, from: a@example.org, to: [b@example.org]}}
  - {name: hook, webhook: {url: "http://127.0.0.1:1/"}}
"#;

/// The world whose model is compared with this baseline file, where it fits.
pub(crate) fn of(baseline: &[u8]) -> Result<World, SetupError> {
    World::try_new(CONFIG, baseline)
}

/// The reports over rows of more than two hours, and what ends every window.
pub(crate) fn run(world: &World) -> Vec<(Arc<Report>, String)> {
    let mut log = rows(0);
    let end_us = T0 + 24 * 60 * MINUTE_US;
    log.push(0, heartbeat(None, end_us), end_us);
    let mut inline = Inline::new(world.pipeline_over(1));
    let chunk = world.chunk(&log, 0, 0, log.len(0));
    inline.feed(Event::Read(Read::Chunk(chunk)), end_us);
    inline.reports
}

/// What the store would hold in the middle of a window, after one that was judged.
pub(crate) fn saved(world: &World) -> Saved {
    let mut saved = Saved::default();
    let mut keep = |snapshot: &Snapshot| {
        for (key, document) in &snapshot.documents {
            saved.documents.insert(key.to_string(), document.clone());
        }
        for increment in &snapshot.increments {
            let mut bytes = Vec::new();
            (increment.encode)(&mut bytes);
            let stored = saved.windows.entry(increment.window.clone()).or_default();
            if increment.replaces {
                stored.clear();
            }
            stored.push(bytes);
        }
        saved.named.extend(snapshot.named.iter().cloned());
        saved.outbox.extend(snapshot.outbox.iter().cloned());
        for key in &snapshot.dropped {
            saved.windows.remove(key);
        }
    };
    let log = rows(400);
    let mut inline = Inline::new(world.pipeline_over(1));
    let chunk = world.chunk(&log, 0, 0, log.len(0));
    inline.feed_keeping(Event::Read(Read::Chunk(chunk)), T0, &mut keep);
    inline.commit(T0, &mut keep);
    saved
}

/// A row a minute.
fn rows(shift: i64) -> Log {
    let mut log = Log::new(1);
    for row in 0..ROWS {
        let time_us = T0 + row * MINUTE_US;
        log.push(0, capture("one", time_us, row, shift), time_us);
    }
    log
}
