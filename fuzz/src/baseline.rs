//! Baseline files: what is accepted is written back the same, and a window is judged by it.

use std::sync::Arc;

use driftline_analytics::baseline::Baseline;

use crate::world;

/// Reads the bytes as a baseline file and lets what is accepted watch a model.
pub fn check(data: &[u8]) {
    let baseline = match Baseline::parse(data) {
        Ok(baseline) => baseline,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = baseline.to_json();
    let read = Baseline::parse(&written).expect("what we write is read");
    assert_eq!(read.columns, baseline.columns);
    assert_eq!(read.to_json(), written);
    // Settings may not fit it; then they say so.
    if let Ok(world) = world::of(data) {
        let reports = world::run(&world);
        assert!(!reports.is_empty(), "a window of many rows closes");
        for (report, json) in reports {
            assert_eq!(Arc::unwrap_or_clone(report).to_json(), json);
        }
    }
}
