//! Tests of operations panes.

use super::*;
use crate::window::fixtures::{Row, batch, layout, ordinary_rows};

fn absorb(rows: &[Row]) -> PaneState {
    let mut pane = PaneState::default();
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    pane.absorb(&layout(), &batch(rows), &all);
    pane
}

fn bytes(pane: &PaneState) -> Vec<u8> {
    let mut out = Vec::new();
    pane.encode(&mut out);
    out
}

fn mixed_rows() -> Vec<Row> {
    let mut rows = ordinary_rows();
    for (i, row) in rows.iter_mut().enumerate() {
        row.status = (i % 10 == 0).then_some(503);
        row.latency_us = (i % 3 == 0).then_some(i as i64 * 1000);
        row.sample_rate = Some(if i % 4 == 0 { 0.3 } else { 1.0 });
        row.delay_text = (i % 50 == 1).then(|| "late".to_owned());
        row.score = (i % 5 != 2).then_some(f64::NAN).filter(|_| i % 2 == 1).or(row.score);
    }
    rows
}

fn records(read: u64, rejected: u64) -> PaneRecords {
    let mut records = PaneRecords { read, rejected, rows: read / 2, ..PaneRecords::default() };
    let counts = ClockCounts { late: read / 9, ahead: 1, fast: 2, off_s: 3, apart: 1 };
    records.add_clock(Partition(5), counts);
    records
}

#[test]
fn failures_count_for_requests_and_latency_only() {
    let failed = Row { status: Some(500), latency_us: Some(10), ..Row::default() };
    let mut pane = absorb(&[failed]);
    assert_eq!((pane.rows(), pane.requests().failures(), pane.latency().n()), (1, 1, 1));
    assert!(pane.columns().is_empty());
    pane.add_records(&records(4, 3));
    assert_eq!(*pane.records(), records(4, 3));
    assert!(!pane.is_empty());
}

#[test]
fn broken_input_is_counted_per_column() {
    let good =
        Row { delay: Some(1.0), carrier: Some("UA".into()), score: Some(0.1), ..Row::default() };
    let broken = Row { delay_text: Some("x".into()), score: Some(f64::NAN), ..Row::default() };
    let pane = absorb(&[good, broken]);
    let health = |n, missing, wrong_type| ColumnHealth { n, missing, wrong_type };
    assert_eq!(pane.columns(), [health(1, 0, 1), health(1, 1, 0), health(1, 1, 0)]);
}

#[test]
fn any_split_and_order_gives_the_same_bytes() {
    let layout = layout();
    let rows = mixed_rows();
    let mut whole = absorb(&rows);
    whole.add_records(&records(900, 7));
    for size in [1, 3, 64, 400] {
        let mut merged = PaneState::default();
        for part in rows.chunks(size).rev() {
            let mut pane = PaneState::decode(&layout, &bytes(&absorb(part))).unwrap();
            pane.merge(&layout, &merged);
            merged = pane;
        }
        merged.add_records(&records(900, 7));
        assert_eq!(bytes(&merged), bytes(&whole), "parts of {size}");
    }
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    let layout = layout();
    let good = bytes(&absorb(&mixed_rows()));
    for length in 0..good.len() {
        assert!(PaneState::decode(&layout, &good[..length]).is_err(), "{length} bytes");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        if let Ok(mut pane) = PaneState::decode(&layout, &bad) {
            pane.merge(&layout, &absorb(&mixed_rows()));
        }
    }
}
