//! Whatever the order and whenever the process dies, the same comes of the same records.

use driftline_join::{Column, MemoryPages, Said};
use fastrand::Rng;

use super::world::{
    Record, as_label, expected, interleaved, read, read_through_crashes, records, settings,
};

/// Worlds, and orders of each.
const WORLDS: u64 = 2000;
const ORDERS: u64 = 5;

#[test]
fn any_order_of_arrival_comes_to_the_same() {
    for world in 0..WORLDS {
        let mut rng = Rng::with_seed(world);
        let settings = settings(rng.bool());
        let records = records(&mut rng);
        let mut first = None;
        for order in 0..ORDERS {
            let reads = interleaved(&records, &mut rng);
            let outcome = read(settings, &reads, &mut MemoryPages::default(), &mut rng);
            assert_eq!(outcome.sums, expected(settings, &records), "world {world}, order {order}");
            let first = first.get_or_insert_with(|| outcome.clone());
            assert_eq!(*first, outcome, "world {world}, order {order}");
        }
    }
}

#[test]
fn a_crash_at_any_step_changes_nothing() {
    for world in 0..WORLDS {
        let mut rng = Rng::with_seed(world);
        let settings = settings(rng.bool());
        let records = records(&mut rng);
        let reads = interleaved(&records, &mut rng);
        let whole = read(settings, &reads, &mut MemoryPages::default(), &mut rng);
        let mut pages = MemoryPages::default();
        let crashed = read_through_crashes(settings, &reads, &mut pages, &mut rng);
        assert_eq!(whole, crashed, "world {world}");
    }
}

#[test]
fn joined_and_all_retracted_leaves_nothing() {
    for world in 0..WORLDS {
        let mut rng = Rng::with_seed(world);
        let mut records = records(&mut rng);
        let taken_back: Vec<_> = records.iter().filter_map(as_label).copied().collect();
        for (number, mut label) in (0..).zip(taken_back) {
            label.order.partition = 9;
            label.order.offset = number;
            label.said = Said::Retracted;
            records.push(Record::Label(label));
        }
        let reads = interleaved(&records, &mut rng);
        let settings = settings(false);
        let outcome = read(settings, &reads, &mut MemoryPages::default(), &mut rng);
        assert!(outcome.sums.is_empty(), "world {world}: {:?}", outcome.sums);
        assert_eq!(outcome.counters.labelled, 0);
        let labels = records.iter().filter_map(as_label).count() as u64;
        let (read, rejected) = (outcome.ledger.read, outcome.ledger.count(Column::Rejected));
        assert_eq!((read, rejected), (labels, 0));
    }
}
