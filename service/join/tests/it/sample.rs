//! Over the bound on the disk the share of ids that is kept halves, and what is left is the sample's alone.

use driftline_join::{Column, Join, MemoryPages, Passed, Said, Settings, Value, drive};

use super::world::{Outcome, SECOND_US, id, label, prediction, settings};

#[test]
fn over_the_bound_half_of_the_ids_stays() {
    let settings = Settings { disk_bytes: 600_000, hot_rows: 4000, ..settings(true) };
    let mut join = Join::new(settings);
    let mut pages = MemoryPages::default();
    let mut outcome = Outcome::default();
    let rows = 20_000;
    for number in 0..rows {
        join.predict(prediction(id(&number.to_string()), i64::from(number % 20)));
        let said = Said::Value(Value::Code(1));
        if number % 2 == 0 {
            join.label(label(id(&number.to_string()), 30, number as u64, said));
        }
        if number % 500 == 0 {
            outcome.add(drive(&mut join, &pages).unwrap());
            let changes = join.commit().unwrap();
            pages.apply(&changes);
            join.committed();
        }
    }
    outcome.add(drive(&mut join, &pages).unwrap());
    let (halvings, bytes) = (join.halvings(), join.disk_bytes());
    assert!((1..4).contains(&halvings), "{halvings} halvings, {bytes} bytes");
    assert!(join.disk_bytes() <= settings.disk_bytes);
    let counters = join.counters();
    assert_eq!(counters.waiting + counters.sampled_out, rows as u64);
    let share = counters.waiting as f64 * f64::from(1_u32 << join.halvings()) / f64::from(rows);
    assert!((0.9..1.1).contains(&share), "{share}");
    let ledger = join.ledger();
    assert!(ledger.is_balanced());
    assert_eq!(ledger.count(Column::Joined), counters.labelled);
    assert_eq!(ledger.count(Column::SampledOut), rows as u64 / 2 - counters.labelled);
    assert_eq!(outcome.sums.len() as u64, counters.labelled, "what is not kept is taken back");
    // A restart keeps to the sample, and silence speaks for what is left of it.
    let changes = join.commit().unwrap();
    pages.apply(&changes);
    let resident = driftline_join::Pages::resident(&pages, settings.room).unwrap();
    let mut join = Join::restore(settings, resident).unwrap();
    assert_eq!(join.counters(), counters);
    join.passed(Passed { captures_us: 450 * SECOND_US, labels_us: 450 * SECOND_US });
    outcome.add(drive(&mut join, &pages).unwrap());
    // The rows of the last commit may have halved the share once more.
    let kept = rows as u64 - join.counters().sampled_out;
    assert!(kept >= counters.waiting / 3, "{kept}");
    assert_eq!(outcome.sums.len() as u64, kept);
}
