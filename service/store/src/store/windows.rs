//! Windows as the store keeps them: their increments in order, each in pieces.

use driftline_pipeline::snapshot::{Increment, LaneKind, WindowKey};

use crate::seal::{self, Definition, Seals, Table};

/// Longest value of the windows table.
const PIECE_BYTES: usize = 256 << 10;

/// Key: model, lane, start, increment number, piece number.
pub(super) type WindowRow = (&'static str, u8, i64, u64, u32);
pub(super) const WINDOWS: Definition<WindowRow> = Definition::new("windows");

type RowKey<'k> = (&'k str, u8, i64, u64, u32);

pub(super) fn lane_of(number: u8) -> Option<LaneKind> {
    match number {
        0 => Some(LaneKind::Drift),
        1 => Some(LaneKind::Operations),
        _ => None,
    }
}

fn lane_number(lane: LaneKind) -> u8 {
    match lane {
        LaneKind::Drift => 0,
        LaneKind::Operations => 1,
    }
}

pub(super) fn write_increment(
    windows: &mut Table<'_, WindowRow>,
    increment: &Increment,
) -> Result<usize, redb::Error> {
    let WindowKey { model, lane, start_us } = &increment.window;
    if increment.replaces {
        remove_window(windows, &increment.window)?;
    }
    let mut bytes = Vec::new();
    (increment.encode)(&mut bytes);
    let number = next_number(windows, &increment.window)?;
    for (piece, chunk) in (0u32..).zip(bytes.chunks(PIECE_BYTES)) {
        let key = (model.as_str(), lane_number(*lane), *start_us, number, piece);
        seal::put(windows, &key, chunk)?;
    }
    Ok(bytes.len())
}

/// The number of the next increment of a window: one more than its last.
fn next_number(windows: &Table<'_, WindowRow>, window: &WindowKey) -> Result<u64, redb::Error> {
    use redb::ReadableTable;
    let (from, to) = window_range(window);
    let last = windows.range(from..=to)?.next_back().transpose()?;
    Ok(last.map_or(0, |(key, _)| key.value().3 + 1))
}

fn window_range(window: &WindowKey) -> (RowKey<'_>, RowKey<'_>) {
    let lane = lane_number(window.lane);
    let model = window.model.as_str();
    ((model, lane, window.start_us, 0, 0), (model, lane, window.start_us, u64::MAX, u32::MAX))
}

pub(super) fn remove_window(
    windows: &mut Table<'_, WindowRow>,
    window: &WindowKey,
) -> Result<(), redb::Error> {
    let (from, to) = window_range(window);
    windows.retain_in(from..=to, |_, _| false)?;
    Ok(())
}

pub(super) fn move_window(
    windows: &mut Table<'_, WindowRow>,
    from: &WindowKey,
    into: &WindowKey,
) -> Result<(), redb::Error> {
    use redb::ReadableTable;
    let (first, last) = window_range(from);
    let mut rows = Vec::new();
    for entry in windows.range(first..=last)? {
        let (key, value) = entry?;
        let (_, _, _, number, piece) = key.value();
        let value = Seals::Checked.open::<WindowRow>("windows", &key.value(), value.value())?;
        rows.push((number, piece, value));
    }
    let base = next_number(windows, into)?;
    let lane = lane_number(into.lane);
    for (number, piece, value) in rows {
        let key = (into.model.as_str(), lane, into.start_us, base + number, piece);
        seal::put(windows, &key, &value)?;
    }
    remove_window(windows, from)
}
