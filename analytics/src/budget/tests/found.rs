//! What is found, and what is not, after a baseline of ninety days.

use proptest::prelude::*;

use super::*;

const DAYS: usize = 90;
const ROWS: usize = 400;

/// A row of an ordinary day: delays of -20 to 79, carriers, scores.
fn usual(random: &mut Lehmer) -> Row {
    Row {
        delay: Some(random.next(100) as f64 - 20.0),
        carrier: Some(["UA", "AA", "B6", "DL"][(random.next(10) / 3) as usize].to_owned()),
        score: Some(random.next(1000) as f64 / 1000.0),
        ..Row::default()
    }
}

fn day(random: &mut Lehmer, change: &dyn Fn(&mut Lehmer, &mut Row)) -> Day {
    (0..ROWS)
        .map(|_| {
            let mut row = usual(random);
            change(random, &mut row);
            row
        })
        .collect()
}

fn ninety(random: &mut Lehmer, change: &dyn Fn(&mut Lehmer, &mut Row)) -> Vec<Day> {
    (0..DAYS).map(|_| day(random, change)).collect()
}

#[test]
fn three_ranks_are_affordable_in_ninety_days() {
    let mut random = Lehmer::new(1);
    let monitored = Monitored::new(&ninety(&mut random, &|_, _| ()), |_| ());
    let budget = &monitored.budget;
    assert_eq!(Maximum::ALL.map(|maximum| budget.own_of(maximum)), [84, 90, 89]);
    assert_eq!(Maximum::ALL.map(|maximum| budget.rank(maximum)), [1, 1, 1]);
    assert!((budget.expected() - 28.0 * (1.0 / 85.0 + 1.0 / 91.0 + 1.0 / 90.0)).abs() < 1e-12);
    assert!(budget.bound() > budget.expected() && budget.bound() < 2.3);
    assert_eq!((budget.own_windows(), budget.scales()), (90, [1, 2, 4, 7]));
}

#[test]
fn ranks_that_cannot_be_afforded_are_not_dealt() {
    let mut random = Lehmer::new(2);
    let days = ninety(&mut random, &|_, _| ());
    let few = Monitored::new(&days[..20], |_| ());
    assert!(!few.budget.ranks_drift() && !few.budget.ranks_broken_input());
    assert_eq!(few.budget.own_windows_needed(), 27);
    let hourly = Monitored::new(&days, |model| model.window.every_us = DAY_US / 24);
    assert_eq!(hourly.budget.own_windows(), 0, "the own windows are days");
    let strict = Monitored::new(&days, |model| model.false_alarms.at_most = 0.4);
    assert_eq!(Maximum::ALL.map(|maximum| strict.budget.rank(maximum)), [1, 0, 0]);
}

/// What is found within so many days, and of which column.
struct Expected {
    what: &'static str,
    within: usize,
    column: usize,
    measured: Measured,
}

#[track_caller]
fn finds(
    expected: &Expected,
    before: &dyn Fn(&mut Lehmer, &mut Row),
    after: &dyn Fn(&mut Lehmer, &mut Row),
) {
    let Expected { what, within, column, measured } = *expected;
    let mut random = Lehmer::new(3);
    let mut monitored = Monitored::new(&ninety(&mut random, before), |_| ());
    let found = (0..within).find_map(|_| paged(&monitored.next(day(&mut random, after))));
    let (_, of_column, of) = found.unwrap_or_else(|| panic!("{what}: not in {within} days"));
    assert_eq!((of_column, of), (column, measured), "{what}");
}

fn nothing(_: &mut Lehmer, _: &mut Row) {}

#[test]
fn what_moved_pages_within_days_and_is_named() {
    let expected = |what, within, column, measured| Expected { what, within, column, measured };
    finds(
        &expected("a third of a deviation", 1, 0, Measured::Distribution),
        &nothing,
        &|_, row| row.delay = row.delay.map(|delay| delay + 10.0),
    );
    finds(
        &expected("a category up ten points", 3, 1, Measured::Distribution),
        &nothing,
        &|random, row| {
            if random.next(10) == 0 {
                row.carrier = Some("DL".to_owned());
            }
        },
    );
    let fees = |random: &mut Lehmer, row: &mut Row| {
        row.delay = Some(if random.next(25) == 0 { 1.0 + random.next(90) as f64 } else { 0.0 });
    };
    finds(
        &expected("a hundred times the fee where there is one", 1, 0, Measured::OtherPart),
        &fees,
        &|random, row| {
            fees(random, row);
            row.delay = row.delay.map(|fee| fee * 100.0);
        },
    );
    finds(
        &expected("a rare class of the prediction", 8, 2, Measured::Class(3)),
        &|random, row| row.score = Some(f64::from(random.next(500) == 0)),
        &|random, row| row.score = Some(f64::from(random.next(60) == 0)),
    );
}

#[test]
fn what_broke_pages_within_days_and_is_named() {
    let expected = |what, within, column, measured| Expected { what, within, column, measured };
    finds(
        &expected("missing from none to four in a hundred", 1, 0, Measured::Missing),
        &nothing,
        &|random, row| row.delay = row.delay.filter(|_| random.next(25) > 0),
    );
    finds(
        &expected("a value that a constant never had", 2, 0, Measured::NewValues),
        &|_, row| row.delay = Some(7.5),
        &|random, row| row.delay = Some(if random.next(50) == 0 { 0.0 } else { 7.5 }),
    );
    finds(
        &expected("a sentinel in a discrete number", 1, 0, Measured::NewValues),
        &|random, row| row.delay = Some(random.next(5) as f64),
        &|random, row| {
            let broken = random.next(20) == 0;
            row.delay = Some(if broken { -999.0 } else { random.next(5) as f64 });
        },
    );
    finds(&expected("an unknown category", 1, 1, Measured::NewValues), &nothing, &|random, row| {
        if random.next(30) == 0 {
            row.carrier = Some("XX".to_owned());
        }
    });
}

#[test]
fn what_a_baseline_does_not_know_to_begin_with_is_expected() {
    // Nine hundred shops, of which each day has some that no other day has.
    let shops = |random: &mut Lehmer, row: &mut Row| {
        let rank = random.next(30) * random.next(30) + random.next(40);
        row.carrier = Some(format!("shop {rank}"));
    };
    let mut random = Lehmer::new(4);
    let mut monitored = Monitored::new(&ninety(&mut random, &shops)[..60], |model| {
        model.false_alarms.at_most = 2.0;
    });
    let effects = monitored.built.baseline.own_effects.clone().unwrap();
    let new = effects
        .measures
        .iter()
        .find(|own| own.subject == "feature:carrier" && own.measured == Measured::NewValues);
    let [count, of] = new.unwrap().expected.unwrap();
    assert!(count > 0 && of == 60 * ROWS as u64, "{count} of {of}");
    let pages = (0..40).filter(|_| {
        let standing = monitored.next(day(&mut random, &shops));
        paged(&standing).is_some_and(|(maximum, ..)| maximum == Maximum::BrokenInput)
    });
    assert!(pages.count() <= 2);
}

#[test]
fn effects_under_the_smallest_are_none() {
    let mut random = Lehmer::new(5);
    let days = ninety(&mut random, &|_, _| ());
    let later = |_: &mut Lehmer, row: &mut Row| row.delay = row.delay.map(|delay| delay + 10.0);
    let rows = day(&mut random, &later);
    let mut deaf = Monitored::new(&days, |model| model.min_effect.distribution = 0.9);
    assert_eq!(paged(&deaf.next(rows.clone())), None);
    let mut shown = Monitored::new(&days, |model| {
        let feature = driftline_config::Feature { judge: false, ..Default::default() };
        model.features.insert("delay".to_owned(), feature);
    });
    let standing = shown.next(rows);
    assert_eq!(paged(&standing), None);
    let delay = standing.numbers.iter().find(|number| number.column == 0).unwrap();
    assert!(!delay.judged && delay.value > 0.0, "it is shown all the same");
}

#[test]
fn a_shift_is_dated_to_its_day_and_a_ramp_at_the_latest() {
    let shifted = |by: f64| {
        move |_: &mut Lehmer, row: &mut Row| row.delay = row.delay.map(|delay| delay + by)
    };
    let mut random = Lehmer::new(6);
    let mut monitored = Monitored::new(&ninety(&mut random, &|_, _| ()), |_| ());
    for _ in 0..12 {
        monitored.next(day(&mut random, &|_, _| ()));
    }
    let mut standing = monitored.next(day(&mut random, &shifted(20.0)));
    for _ in 0..2 {
        standing = monitored.next(day(&mut random, &shifted(20.0)));
    }
    assert_eq!(monitored.since(&standing, Maximum::ShortDrift), Some((102, false)));
    for step in 1..9 {
        standing = monitored.next(day(&mut random, &shifted(20.0 + 5.0 * f64::from(step))));
    }
    let (since, at_the_latest) = monitored.since(&standing, Maximum::ShortDrift).unwrap();
    assert!((102..108).contains(&since) && at_the_latest, "{since} {at_the_latest}");
}

#[test]
fn half_the_traffic_of_the_baseline_is_no_drift() {
    let mut random = Lehmer::new(7);
    let mut monitored = Monitored::new(&ninety(&mut random, &|_, _| ()), |_| ());
    let pages = (0..56).filter(|_| {
        let mut rows = day(&mut random, &|_, _| ());
        rows.truncate(ROWS / 4);
        paged(&monitored.next(rows)).is_some()
    });
    assert!(pages.count() <= 4);
}

/// A day on which two rows in ten miss a delay, or a score, as `fails` says.
fn with_outage(random: &mut Lehmer, fails: &dyn Fn(&mut Row)) -> Day {
    day(random, &|random, row| {
        if random.next(10) < 2 {
            fails(row);
        }
    })
}

/// A source that fails on a day now and then is in the baseline; when another failed that had not yet, it
/// paged, since the baseline's own outage was a tenth of it only by being part of what it was measured with.
#[test]
fn an_outage_like_one_in_the_baseline_is_no_page_in_another_column() {
    let mut random = Lehmer::new(11);
    let mut days = ninety(&mut random, &|_, _| ());
    days[40] = with_outage(&mut random, &|row| row.delay = None);
    days[70] = with_outage(&mut random, &|row| row.delay = None);
    let mut monitored = Monitored::new(&days, |_| ());
    let outage = with_outage(&mut random, &|row| row.score = None);
    assert_eq!(paged(&monitored.next(outage)).map(|(_, column, _)| column), Some(2));
    // Once it is in the baseline, by whichever column.
    days[20] = with_outage(&mut random, &|row| row.carrier = None);
    let mut monitored = Monitored::new(&days, |_| ());
    let outage = day(&mut random, &|random, row| {
        if random.next(20) < 3 {
            row.score = None;
        }
    });
    assert_eq!(paged(&monitored.next(outage)), None);
}

/// One value in a hundred was missing, in no own window a hundredth more: with an eighth of the traffic
/// chance alone brings that about on one day in ten, and each of them paged.
#[test]
fn a_share_of_few_rows_does_not_page_by_chance() {
    let mut random = Lehmer::new(12);
    let some_missing = |random: &mut Lehmer, row: &mut Row| {
        if random.next(100) == 0 {
            row.delay = None;
        }
    };
    let days: Vec<Day> =
        (0..DAYS).map(|_| (0..4).flat_map(|_| day(&mut random, &some_missing)).collect()).collect();
    let mut monitored = Monitored::new(&days, |_| ());
    let pages = (0..60).filter(|_| {
        let mut few = day(&mut random, &some_missing);
        few.truncate(ROWS / 2);
        paged(&monitored.next(few)).is_some_and(|(maximum, ..)| maximum == Maximum::BrokenInput)
    });
    let pages = pages.count();
    assert!(pages <= 1, "{pages} of 60 days");
}

#[test]
fn a_file_that_ends_in_the_morning_has_no_own_window_of_that_day() {
    let mut random = Lehmer::new(8);
    let days = ninety(&mut random, &|_, _| ());
    let rows: Vec<Row> =
        (0..).zip(&days[..12]).flat_map(|(day, rows)| at_day(day, rows.clone())).collect();
    let ends_at = |hours: i64| {
        let until_us = start_us(11) + hours * DAY_US / 24;
        let kept: Vec<Row> = rows.iter().filter(|row| row.time_us < until_us).cloned().collect();
        build(&kept).baseline.windows.unwrap().windows.len()
    };
    assert_eq!((ends_at(6), ends_at(24)), (11, 12));
    let begins: Vec<Row> =
        rows.iter().filter(|row| row.time_us >= start_us(0) + DAY_US / 2).cloned().collect();
    assert_eq!(build(&begins).baseline.windows.unwrap().windows.len(), 11);
}

#[test]
fn the_newest_windows_come_back_from_the_checkpoint() {
    let mut random = Lehmer::new(9);
    let mut monitored = Monitored::new(&ninety(&mut random, &|_, _| ())[..12], |_| ());
    for _ in 0..70 {
        monitored.next(day(&mut random, &|_, _| ()));
    }
    let newest = monitored.newest();
    assert_eq!(newest.len(), KEPT);
    let bytes = newest.encode();
    assert_eq!(ScaleHistory::decode(&bytes).as_ref(), Ok(newest));
    for length in 0..bytes.len().min(200) {
        assert!(ScaleHistory::decode(&bytes[..length]).is_err());
    }
    assert_eq!(newest.under(&monitored.built.baseline.sha256), *newest);
    assert!(newest.under("another").is_empty());
    let mut restarted = newest.clone();
    restarted.restart();
    assert!(restarted.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_split_of_the_rows_stands_the_same(
        seed in 0_u64..1000,
        cut in 0_usize..ROWS,
    ) {
        let mut random = Lehmer::new(seed);
        let mut monitored = Monitored::new(&ninety(&mut random, &|_, _| ())[..30], |model| {
            model.false_alarms.at_most = 9.0;
        });
        let rows = day(&mut random, &|_, row| row.delay = row.delay.map(|delay| delay + 6.0));
        let (left, right) = rows.split_at(cut);
        let mut merged = monitored.coarse(right.to_vec());
        merged.add(&monitored.coarse(left.to_vec()));
        let whole = monitored.coarse(rows.clone());
        prop_assert_eq!(&merged, &whole);
        let standing = monitored.next(rows);
        let mut again = ScaleHistory::new(&monitored.built.baseline.sha256);
        again.push(start_us(30), &merged);
        let other = monitored.budget.standing(&merged, &again, true, &|_| false);
        prop_assert_eq!(standing.numbers, other.numbers);
        prop_assert_eq!(standing.extremes, other.extremes);
    }

    #[test]
    fn cells_are_at_most_64_and_hold_no_more_than_a_thirty_first(
        counts in prop::collection::vec(prop_oneof![3 => 0_u64..20, 1 => 0_u64..2000], 65..700),
    ) {
        let ends = coarse::ends(&counts);
        prop_assert!(ends.len() <= CELLS && ends.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(ends.last().copied(), Some(counts.len() as u32));
        let total: u64 = counts.iter().sum();
        let mut from = 0;
        for &end in &ends {
            let cell = &counts[from..end as usize];
            from = end as usize;
            let alone = cell.iter().filter(|&&count| count > 0).count() == 1;
            prop_assert!(alone || cell.iter().sum::<u64>() * 31 <= 2 * total, "{cell:?}");
        }
    }
}

/// Delays had moved, and somebody accepted that: from then on they led every day's page, and a second
/// column that moved was never paged.
#[test]
fn what_is_accepted_leads_no_page_until_it_grows_or_returns() {
    use driftline_config::Subject;

    use crate::judgement::AcceptedEffect;

    let mut random = Lehmer::new(11);
    let mut monitored = Monitored::new(&ninety(&mut random, &nothing), |_| ());
    let later = |by: f64| {
        move |_: &mut Lehmer, row: &mut Row| row.delay = row.delay.map(|delay| delay + by)
    };
    let leading = |report: &Report| {
        let budget = report.budget.clone().unwrap_or_else(|| panic!("ranks decide"));
        let maxima = budget.maxima.into_iter().filter(|maximum| maximum.pages);
        let leading: Vec<String> = maxima.filter_map(|m| Some(m.leading?.to_string())).collect();
        (budget.accepted.iter().map(Subject::to_string).collect::<Vec<_>>(), leading)
    };
    let report = monitored.judge(day(&mut random, &later(20.0)), &[]);
    let delays = report.findings.iter().find(|f| f.rank.is_some() && f.subject.name() == "delay");
    let effect = delays.and_then(|finding| finding.effect()).unwrap().value;
    let accepted =
        AcceptedEffect { subject: "feature:delay".into(), check: "distribution".into(), effect };

    monitored.history.accepted = vec![accepted.clone()];
    let report = monitored.judge(day(&mut random, &later(20.0)), &[]);
    assert_eq!(leading(&report), (vec!["feature:delay".to_owned()], vec![]));

    monitored.history.accepted = vec![accepted.clone()];
    let carriers = |random: &mut Lehmer, row: &mut Row| {
        later(20.0)(random, row);
        row.carrier = Some("DL".to_owned());
    };
    let report = monitored.judge(day(&mut random, &carriers), &[]);
    let (out, led) = leading(&report);
    assert_eq!(out, ["feature:delay"]);
    assert!(!led.is_empty() && led.iter().all(|name| name == "feature:carrier"), "{led:?}");

    let mut monitored = Monitored::new(&ninety(&mut random, &nothing), |_| ());
    monitored.history.accepted = vec![accepted];
    let (out, led) = leading(&monitored.judge(day(&mut random, &later(60.0)), &[]));
    assert!(out.is_empty() && led.contains(&"feature:delay".to_owned()), "{out:?} {led:?}");
}

/// What `sensitivity` names as the smallest shift is found about nine times in ten, and half of it is not.
#[test]
fn the_smallest_shift_that_is_named_is_found_nine_times_in_ten() {
    let mut random = Lehmer::new(12);
    let days = ninety(&mut random, &nothing);
    let monitored = Monitored::new(&days, |model| model.min_effect.distribution = 0.0);
    let sensitivity = monitored.budget.sensitivity(&monitored.built.baseline);
    assert_eq!(sensitivity.rows, ROWS as u64);
    let of_delay = sensitivity.columns.iter().find(|smallest| {
        smallest.subject.name() == "delay" && smallest.measured == Measured::Distribution
    });
    let (one, eight) = of_delay.map(|smallest| (smallest.in_one, smallest.in_eight)).unwrap();
    let (one, eight) = (one.unwrap(), eight.unwrap());
    assert!(eight < 0.7 * one && one < 0.3, "{one} {eight}");
    // Delays are uniform over a hundred minutes: so many more move that share over a cut.
    let found = |share: f64, windows: usize| {
        let runs = (0..30).filter(|run| {
            let mut random = Lehmer::new(100 + run);
            let mut monitored = Monitored::new(&days, |model| model.min_effect.distribution = 0.0);
            let later = move |random: &mut Lehmer, row: &mut Row| {
                let by = 100.0 * share + random.next(2) as f64 - 0.5;
                row.delay = row.delay.map(|delay| delay + by);
            };
            let shifted = |_| paged(&monitored.next(day(&mut random, &later))).is_some();
            (0..windows).any(shifted)
        });
        runs.count()
    };
    assert!((24..=30).contains(&found(one, 1)), "{one}");
    assert!(found(0.4 * one, 1) <= 10, "{one}");
    assert!(found(eight, 7) >= 25, "{eight}");
}

/// A baseline whose last month is unlike the others was learnt from as if it were one: each third says
/// what the others make of it.
#[test]
fn a_third_that_is_unlike_the_others_is_told() {
    let mut random = Lehmer::new(13);
    let same = Monitored::new(&ninety(&mut random, &nothing), |_| ());
    assert_eq!(same.budget.sensitivity(&same.built.baseline).unlike, []);
    let mut days = ninety(&mut random, &nothing);
    for late in &mut days[60..] {
        for row in late {
            row.delay = row.delay.map(|delay| delay + 25.0);
        }
    }
    let other = Monitored::new(&days, |_| ());
    let unlike = other.budget.sensitivity(&other.built.baseline).unlike;
    let named: Vec<_> = unlike.iter().map(|third| (third.subject.name(), third.first_us)).collect();
    assert_eq!(named, [("delay", start_us(60))], "{unlike:?}");
    assert_eq!((unlike[0].measured, unlike[0].last_us), (Measured::Distribution, start_us(89)));
}
