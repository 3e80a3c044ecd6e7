//! A baseline that moves says so; one that wanders, jumps, or stands still does not.

use super::*;

const DAYS: usize = 90;
const ROWS: usize = 400;

/// Ninety days of delays of 0 to 999, moved by `mean` of the day, with a score that nothing moves.
fn days(seed: u64, mean: &mut dyn FnMut(usize, &mut Lehmer) -> f64) -> Vec<Day> {
    let mut random = Lehmer::new(seed);
    (0..DAYS)
        .map(|day| {
            let mean = mean(day, &mut random);
            let mut row = || Row {
                delay: Some(random.next(1000) as f64 + mean),
                carrier: Some(["UA", "AA", "B6", "DL"][random.next(4) as usize].to_owned()),
                score: Some(random.next(1000) as f64 / 1000.0),
                ..Row::default()
            };
            (0..ROWS).map(|_| row()).collect()
        })
        .collect()
}

/// How many of `SEEDS` baselines name a trend, and that it is never one of another column.
fn named(mean: impl Fn() -> Box<dyn FnMut(usize, &mut Lehmer) -> f64>) -> usize {
    let of_seed = |seed: u64| {
        let monitored = Monitored::new(&days(seed, &mut *mean()), |_| ());
        let trends = monitored.budget.trends(&monitored.built.baseline);
        let of_delays = |trend: &Trend| trend.subject == "feature:delay";
        assert!(trends.iter().all(of_delays), "{trends:?}");
        trends.len()
    };
    (1..=SEEDS).map(of_seed).sum()
}

const SEEDS: u64 = 20;

#[test]
fn what_moves_through_a_baseline_is_named() {
    // A tenth of a standard deviation at either end, and a wave of which the baseline has a quarter.
    let trend = named(|| Box::new(|day, _| day as f64 * 1.5));
    assert!(trend >= 18, "{trend} of {SEEDS}");
    let wave = named(|| Box::new(|day, _| 150.0 * (day as f64 / 57.0).sin()));
    assert!(wave >= 18, "{wave} of {SEEDS}");
}

#[test]
fn what_does_not_is_not() {
    let still = named(|| Box::new(|_, _| 0.0));
    assert_eq!(still, 0, "nothing moves");
    // Weekdays, and days that resemble the day before.
    let weekdays = named(|| Box::new(|day, _| if day % 7 < 2 { 150.0 } else { 0.0 }));
    assert_eq!(weekdays, 0, "weekdays");
    let wandering = named(|| {
        let mut mean = 0.0;
        Box::new(move |_, random| {
            mean = 0.5 * mean + random.next(200) as f64 - 99.5;
            mean
        })
    });
    assert!(wandering <= 1, "{wandering} of {SEEDS}");
}

#[test]
fn a_few_windows_have_no_order() {
    let monitored = Monitored::new(&days(1, &mut |day, _| day as f64 * 40.0)[..11], |_| ());
    assert_eq!(monitored.budget.trends(&monitored.built.baseline), []);
    let without = Monitored::new(&days(1, &mut |day, _| day as f64 * 40.0)[..1], |_| ());
    assert_eq!(without.budget.trends(&without.built.baseline), []);
}
