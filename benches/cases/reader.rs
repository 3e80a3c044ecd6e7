//! Our readers on one topic, and behind them one window and one pane: the service's hot path without
//! its checkpoint, metrics and rules of time.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use driftline_analytics::layout::Layout;
use driftline_analytics::pane::PaneState;
use driftline_analytics::window::WindowState;
use driftline_config::DeadLetters as Mode;
use driftline_config::Limits as ServiceLimits;
use driftline_ingest::{Clock, Connection, DeadLetters, Event, ReadLimits, ReadPlan, Readers};

use super::{BATCH_ROWS, decode};

/// Events that may wait between the reading thread and this one.
const QUEUE: usize = 16;

/// Reads `rows` rows of `topic`; `begun` is called at the first.
pub(crate) fn read(
    bootstrap: &str,
    topic: &str,
    rows: usize,
    mut begun: impl FnMut(),
) -> Result<(), Box<dyn Error>> {
    let layout = Layout::of_baseline(&Arc::new(decode::baseline()), &ServiceLimits::default());
    let mut plan = decode::plan(topic);
    for model in &mut plan.models {
        model.schema = layout.schema().clone();
        model.max_ahead_us = i64::MAX;
    }
    let connection = Connection { bootstrap: bootstrap.to_owned(), ..Connection::default() };
    let limits = ReadLimits::default();
    let letters = DeadLetters::start(&connection, &Mode::Off, limits.dead_letter_bytes)?;
    let (sender, events) = sync_channel(QUEUE);
    let plan = ReadPlan {
        connection,
        topics: vec![plan],
        positions: BTreeMap::new(),
        threads: Some(1),
        limits,
        newcomers: driftline_ingest::Newcomers::default(),
        clock: Clock::new(),
    };
    let readers = Readers::start(plan, letters, sender)?;
    let (mut window, mut pane) = (WindowState::default(), PaneState::default());
    let all: Vec<u32> = (0..BATCH_ROWS as u32).collect();
    let mut left = rows as u64;
    while left > 0 {
        let Event::Chunk { chunk, lease: _lease } = events.recv()? else { continue };
        if left == rows as u64 {
            begun();
        }
        for batch in chunk.rows {
            let some = all.get(..batch.rows.rows()).ok_or("a chunk has more rows")?;
            window.absorb(&layout, &batch.rows, some);
            pane.absorb(&layout, &batch.rows, some);
        }
        left = left.saturating_sub(chunk.records);
    }
    readers.stop();
    if window.rows() == rows as u64 { Ok(()) } else { Err("not every record was a row".into()) }
}
