//! Which stretches of the log are read again, and which rows of them are taken.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_analytics::report::CutBy;

use super::*;

#[test]
fn a_window_is_read_from_its_first_row_or_its_ledger_to_its_cut() {
    // (first row, from, to) and the range.
    let table = [
        ((None, 10, 20), Some((10, 20))),
        ((Some(12), 10, 20), Some((10, 20))),
        ((Some(4), 10, 20), Some((4, 20))),
        ((None, 10, 10), None),
        ((Some(4), 10, 10), Some((4, 10))),
        ((None, 0, 0), None),
    ];
    for ((rows_from, from, to), expected) in table {
        let cut = Cut { from, to, by: CutBy::Log, rows_from };
        let found = ranges(&BTreeMap::from([(Partition(7), cut)]));
        let expected = expected.map(|(from, to)| OffsetRange { partition: Partition(7), from, to });
        assert_eq!(found, Vec::from_iter(expected), "{cut:?}");
    }
}

#[test]
fn rows_are_taken_by_time_version_and_lateness() {
    let numbers = |values: [i64; 5]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = vec![
        ("offset", numbers([10, 11, 12, 13, 14])),
        ("time_us", numbers([99, 100, 150, 199, 200])),
        ("record_time_us", numbers([0; 5])),
        ("id", texts(vec![None; 5])),
        ("version", texts(vec![Some("1"), Some("1"), None, Some("2"), Some("1")])),
        ("latency_us", numbers([0; 5])),
        ("status", Arc::new(Int32Array::from(vec![200; 5]))),
        ("sample_rate", Arc::new(Float64Array::from(vec![1.0; 5]))),
    ];
    let batch = CaptureBatch::new(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    let table = [
        (vec![], None, vec![1, 2, 3]),
        (vec!["1"], None, vec![1]),
        (vec!["1", "2"], None, vec![1, 3]),
        (vec![], Some((0, 12)), vec![1, 3]),
        (vec![], Some((1, 12)), vec![1, 2, 3]),
    ];
    for (versions, late, expected) in table {
        let selection = Selection {
            times_us: 100..200,
            versions: versions.iter().map(|&version| version.to_owned()).collect(),
            late: late
                .map(|(partition, offset)| (Partition(partition), offset))
                .into_iter()
                .collect(),
        };
        assert_eq!(selection.of(Partition(0), &batch), expected, "{versions:?} {late:?}");
    }
}

#[test]
fn gaps_are_named() {
    let gap = |partition, from, to| OffsetRange { partition: Partition(partition), from, to };
    assert_eq!(
        say_gaps("t", &[gap(0, 3, 10), gap(2, 0, 1)]),
        "the log of topic t does not hold offsets 3 to 9 of partition 0, offsets 0 to 0 of partition 2 (any more)"
    );
    let many: Vec<OffsetRange> = (0..8).map(|partition| gap(partition, 0, 2)).collect();
    assert!(say_gaps("t", &many).contains("of partition 4 and 3 more"));
}
